"""The commands for motion capture and clips; ``legged_skills/cli.py`` puts all commands together.

Each imports what it needs when it runs, so that ``--help`` is quick.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg, subcommand

from legged_skills.robots.console import OUT, known, table, write_json
from legged_skills.robots.errors import ClipError, SettingsError

if TYPE_CHECKING:
    from legged_skills.mocap.clip import RobotClip
    from legged_skills.mocap.source import ReadOptions


@dataclass(frozen=True, kw_only=True)
class _Source:
    """What a user may say about motion capture files."""

    fps: float | None = None
    """Frames a second of the files [1/s]; by default what they or their format say."""
    unit: float | None = None
    """Length of the files' unit [m]; by default what they say, or what their size suggests."""
    up: Literal["y", "z"] | None = None
    """The axis that points up; by default what the format says, or the motion suggests."""
    skeleton: Path | None = None
    """The skeleton (.asf) of .amc files; by default looked for beside them."""
    map: Path | None = None
    """YAML table of which joint is which, for a skeleton that is not known."""
    licence: str | None = None
    """The terms the data is under; by default what a licence file beside it says."""

    def options(self) -> "ReadOptions":
        """The same for readers."""
        from legged_skills.mocap.source import ReadOptions

        if self.unit is not None and not 1e-6 <= self.unit <= 1e3:
            raise SettingsError(f"unit is {self.unit:g} m, expected 0.000001 to 1000.")
        return ReadOptions(fps=self.fps, unit_m=self.unit, up_axis=self.up, skeleton=self.skeleton)


@dataclass(frozen=True, kw_only=True)
class Retarget(_Source):
    """Turn raw motion capture into clips that a robot can follow."""

    files: Positional[tuple[Path, ...]]
    """Raw motion files: BVH, ASF/AMC, C3D, AMASS, DeepMimic, key points and others; of a
    collection, file#clip."""
    robot: str = "anymal_c"
    """The robot: people go to op3, dogs to anymal_c."""
    out: Path = Path("clips")
    """Folder for the clips, one .npz for each usable stretch, and for report.html."""
    speed: float | None = None
    """Move this many times as fast as the source; by default as fits the leg length (Froude).
    Where the drives are too slow for it, the motion is slowed down."""
    films: int = 6
    """Stretches of each file that the report shows in a film; 0 for none."""
    report: bool = True
    """Write the report."""
    json: Path | None = None
    """Write the figures to this file too; "-" or nothing is standard output."""

    def run(self) -> int:
        """Retargets all files; 1 if nothing usable was in them."""
        from legged_skills import robots
        from legged_skills.mocap.formats.read import clip_name
        from legged_skills.mocap.identify import load_map
        from legged_skills.mocap.pipeline import (
            clip_stem,
            outdated_clips,
            retarget_file,
            strange_clips,
            write_clips,
        )

        spec = robots.get(self.robot)
        if not self.files:
            raise SettingsError("no motion files were named; expected at least one.")
        _require_different([clip_name(file) for file in self.files])
        if self.films < 0:
            raise SettingsError(f"films is {self.films}, expected 0 or more.")
        own = load_map(self.map) if self.map is not None else None
        # All are read before anything is written: one bad file must not leave half of the clips.
        results = [
            retarget_file(
                file,
                spec,
                options=self.options(),
                speed=self.speed,
                licence=self.licence,
                skeleton=own,
            )
            for file in self.files
        ]
        _require_different([clip_stem(result.motion) for result in results])
        strange = [path for result in results for path in strange_clips(result, self.out)]
        if strange:
            raise SettingsError(
                f"{strange[0]}: is no clip of the recording whose clip would overwrite it; "
                "move it, or choose another --out."
            )
        rows: list[list[str]] = []
        figures: list[dict[str, Any]] = []
        for file, result in zip(self.files, results, strict=True):
            outdated = outdated_clips(result, self.out)
            paths = write_clips(result, self.out)
            for path in outdated:
                path.unlink()
                rows.append([path.name, "", "removed: of an earlier run"])
            rows += [
                [path.name, f"{clip.duration_s:.1f}", "kept" + _slowed(clip)]
                for path, clip in zip(paths, result.clips, strict=True)
            ]
            rows += [
                [file.name, f"{cut.duration_s:.1f}", f"cut: {cut.reason}"] for cut in result.cuts
            ]
            written = [str(path) for path in paths]
            figures.append({**result.to_json(), "file": str(file), "written": written})
        kept = sum(len(result.clips) for result in results)
        table(["file", "seconds", ""], rows)
        OUT.print(f"{kept} clips written to {self.out}")
        if self.report:
            from legged_skills.mocap.report import write_report

            path = write_report(results, spec, self.out / "report.html", films=self.films)
            OUT.print(f"report: {path}")
        write_json(self.json, {"files": figures, "clips": kept})
        return 0 if kept else 1


def _require_different(names: Sequence[str]) -> None:
    """Checks that no clips would overwrite those of another recording."""
    for name, count in Counter(names).items():
        if count > 1:
            raise SettingsError(f"{count} recordings are called {name}: so would be their clips.")


def _slowed(clip: "RobotClip") -> str:
    """A note on how long a clip takes compared with its source."""
    notes = clip.retarget
    taken = notes["time_scale"] * notes["slowdown_mean"]
    if notes["slowdown_max"] < 1.01:
        return ""
    return f"; slowed down for the drives, takes {taken:.2f} times as long as the source"


@dataclass(frozen=True, kw_only=True)
class ClipsCheck:
    """Measure robot clips: limits, penetration, slide, marker error."""

    files: Positional[tuple[Path, ...]]
    """Clip files, or folders of them; none for the clips that come with the package."""
    robot: str | None = None
    """The robot whose shipped clips are checked; by default all robots'."""
    json: Path | None = None
    """Write the figures to this file too; "-" or nothing is standard output."""

    def run(self) -> int:
        """Prints a table; 1 if a clip fails a gate."""
        from legged_skills.mocap.quality import check_clip

        checks = [check_clip(clip) for clip in _any_clips(self.files, self.robot)]
        table(
            ["clip", "s", "error", "depth", "slide", "limits", ""],
            [
                [
                    check.name,
                    f"{check.duration_s:.1f}",
                    known(1e3 * check.marker_error_m, ".1f"),
                    f"{1e3 * check.penetration_m:.1f}",
                    f"{1e3 * check.slide_mps:.1f}",
                    str(check.limit_violations),
                    "passed" if check.passed else "FAILED: " + "; ".join(check.failures),
                ]
                for check in checks
            ],
        )
        OUT.print("error against the source and depth in the floor in mm, slide in mm/s")
        write_json(self.json, {"clips": [check.to_json() for check in checks]})
        return 0 if all(check.passed for check in checks) else 1


@dataclass(frozen=True, kw_only=True)
class ClipsList:
    """List the clips that come with the package."""

    robot: str | None = None
    """The robot; by default all."""
    json: Path | None = None
    """Write the figures to this file too; "-" or nothing is standard output."""

    def run(self) -> int:
        """Prints a table."""
        from legged_skills.mocap.library import summary

        clips = [summary(clip) for clip in _any_clips((), self.robot)]
        table(
            ["clip", "robot", "seconds", "speed m/s"],
            [
                [
                    clip["name"],
                    clip["robot"],
                    f"{clip['duration_s']:.1f}",
                    known(clip["speed_mps"], ".2f"),
                ]
                for clip in clips
            ],
        )
        for robot in sorted({clip["robot"] for clip in clips}):
            seconds = sum(clip["duration_s"] for clip in clips if clip["robot"] == robot)
            OUT.print(f"{robot}: {seconds / 60:.1f} min")
        for licence in sorted({str(clip["licence"]) for clip in clips}):
            OUT.print(f"licence of {_of(clips, licence)}: {licence}")
        write_json(self.json, {"clips": clips})
        return 0


def _of(clips: "Sequence[dict[str, Any]]", licence: str) -> str:
    """The clips under a licence, by the first and the last name."""
    names = [clip["name"] for clip in clips if str(clip["licence"]) == licence]
    return names[0] if len(names) == 1 else f"{len(names)} clips, {names[0]} to {names[-1]}"


def _any_clips(files: Sequence[Path], robot: str | None) -> "list[RobotClip]":
    """The clips in these files and folders; without any, those that come with the package."""
    from legged_skills import robots
    from legged_skills.mocap import library
    from legged_skills.mocap.clip import RobotClip

    if files:
        wanted = None if robot is None else robots.get(robot)
        clips = [RobotClip.load(path) for path in library.clip_paths(files)]
        if wanted is not None:
            for clip in clips:
                clip.check_layout(wanted)
        return clips
    names = robots.names() if robot is None else (robots.get(robot).name,)
    shipped = [library.shipped_clips(name) for name in names]
    if not any(shipped):
        raise ClipError(f"no clips for {' or '.join(names)} come with the package.")
    return [RobotClip.load(path) for paths in shipped for path in paths]


@dataclass(frozen=True, kw_only=True)
class Clips:
    """Look after robot clips."""

    command: Annotated[ClipsCheck, subcommand("check")] | Annotated[ClipsList, subcommand("list")]


@dataclass(frozen=True, kw_only=True)
class MocapFetch:
    """Download named sets of public motion capture into a cache."""

    names: Positional[tuple[str, ...]]
    """Sets, such as cmu_16, dog or deepmimic, or single trials, such as cmu_16_35."""
    cache: Path | None = None
    """The cache; by default $LEGGED_SKILLS_CACHE, else $XDG_CACHE_HOME/legged_skills, else
    ~/.cache/legged_skills."""
    base_url: Annotated[str | None, arg(name="base-url")] = None
    """A mirror to download from: http or https, laid out like the cache."""

    def run(self) -> int:
        """Downloads, and prints where the files are."""
        from legged_skills.mocap.fetch import fetch

        if not self.names:
            raise SettingsError("no set was named; legged-skills mocap list shows them.")
        for name in self.names:
            paths = fetch(name, cache=self.cache, base_url=self.base_url)
            OUT.print(f"{name}: {len(paths)} motions in {paths[0].parent}")
        return 0


@dataclass(frozen=True, kw_only=True)
class MocapList:
    """List the sets that can be downloaded."""

    cache: Path | None = None
    """The cache; by default $LEGGED_SKILLS_CACHE, else $XDG_CACHE_HOME/legged_skills, else
    ~/.cache/legged_skills."""
    json: Path | None = None
    """Write the list to this file too; "-" or nothing is standard output."""

    def run(self) -> int:
        """Prints a table."""
        from legged_skills.mocap import catalogue
        from legged_skills.mocap.fetch import summary

        sets = [summary(data_set, self.cache) for data_set in catalogue.load().values()]
        table(
            ["set", "motions", "MB", "in the cache", "what"],
            [
                [
                    entry["name"],
                    str(entry["motions"]),
                    f"{entry['size'] / 1e6:.1f}",
                    "yes" if entry["cached"] else "no",
                    entry["description"],
                ]
                for entry in sets
            ],
        )
        write_json(self.json, {"sets": sets})
        return 0


@dataclass(frozen=True, kw_only=True)
class MocapInfo(_Source):
    """Say what a motion capture file holds, and which of its joints is which."""

    file: Positional[Path]
    """The file; of a collection, file#clip."""
    json: Path | None = None
    """Write the findings to this file too; "-" or nothing is standard output."""

    def run(self) -> int:
        """Prints two tables; 2, as always, if the file cannot be read or its joints be told."""
        from legged_skills.mocap.formats import read_motion
        from legged_skills.mocap.identify import identify, load_map

        motion = read_motion(self.file, self.options(), licence=self.licence)
        own = load_map(self.map) if self.map is not None else None
        told = identify(motion, own)
        facts = {
            **told.source,
            "frames": motion.num_frames,
            "fps": motion.fps,
            "seconds": motion.duration_s,
        }
        table(["", ""], [[name, str(value)] for name, value in facts.items()])
        pairs = zip(motion.marker_names, told.marker_names, strict=True)
        joints = {old: new if old != new else "" for old, new in pairs}
        table(["joint", "role"], [[old, role] for old, role in joints.items()])
        write_json(self.json, {**facts, "animal": told.skeleton, "joints": joints})
        return 0


@dataclass(frozen=True, kw_only=True)
class Mocap:
    """Look into motion capture files, and download public ones."""

    command: (
        Annotated[MocapFetch, subcommand("fetch")]
        | Annotated[MocapList, subcommand("list")]
        | Annotated[MocapInfo, subcommand("info")]
    )
