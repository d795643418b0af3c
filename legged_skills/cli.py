"""The command line: every stage of the pipeline as a command.

Each command imports what it needs when it runs, so that ``--help`` is quick and a robot's computer
need not have what only training uses.
"""

import json
import logging
import math
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table
from tyro.conf import OmitArgPrefixes, OmitSubcommandPrefixes, Positional, arg, subcommand
from tyro.extras import subcommand_cli_from_dict

from legged_skills.robots.errors import ClipError, LeggedSkillsError, SettingsError

if TYPE_CHECKING:
    from legged_skills.mocap.clip import RobotClip

# Names of files are printed as they are, also where they look like markup.
_OUT = Console(markup=False, emoji=False)


@dataclass(frozen=True, kw_only=True)
class _Figures:
    """What commands have in common that give figures of a robot."""

    robot: str = "anymal_c"
    """The robot."""
    json: Path | None = None
    """Write the figures to this file too."""


@dataclass(frozen=True, kw_only=True)
class Retarget(_Figures):
    """Turn raw motion capture into clips that a robot can follow."""

    files: Positional[tuple[Path, ...]]
    """Raw motion files, e.g. dog key points."""
    out: Path = Path("clips")
    """Folder for the clips, one .npz for each usable stretch."""
    fps: float | None = None
    """Frames a second of the files [1/s]; by default what their format has."""
    speed: float | None = None
    """Move this many times as fast as the source; by default as fits the leg length (Froude)."""

    def run(self) -> int:
        """Retargets all files; 1 if nothing usable was in them."""
        from legged_skills import robots
        from legged_skills.mocap.pipeline import retarget_file, write_clips

        spec = robots.get(self.robot)
        if not self.files:
            raise SettingsError("no motion files were named; expected at least one.")
        for file, count in Counter(file.stem for file in self.files).items():
            if count > 1:
                raise SettingsError(f"{count} files are called {file}: so would be their clips.")
        rows: list[list[str]] = []
        figures: list[dict[str, Any]] = []
        kept = 0
        # All are read before anything is written: one bad file must not leave half of the clips.
        results = [retarget_file(file, spec, fps=self.fps, speed=self.speed) for file in self.files]
        for file, result in zip(self.files, results, strict=True):
            paths = write_clips(result, self.out)
            kept += len(paths)
            rows += [
                [path.name, f"{clip.duration_s:.1f}", "kept"]
                for path, clip in zip(paths, result.clips, strict=True)
            ]
            rows += [
                [file.name, f"{cut.duration_s:.1f}", f"cut: {cut.reason}"] for cut in result.cuts
            ]
            written = [str(path) for path in paths]
            figures.append({**result.to_json(), "file": str(file), "written": written})
        _table(["file", "seconds", ""], rows)
        _OUT.print(f"{kept} clips written to {self.out}", soft_wrap=True)
        _write_json(self.json, {"files": figures, "clips": kept})
        return 0 if kept else 1


@dataclass(frozen=True, kw_only=True)
class ClipsCheck(_Figures):
    """Measure robot clips: limits, penetration, slide, marker error."""

    files: Positional[tuple[Path, ...]]
    """Clip files, or folders of them; none for the clips that come with the package."""
    robot: str = "anymal_c"
    """The robot, if no files are named."""

    def run(self) -> int:
        """Prints a table; 1 if a clip fails a gate."""
        from legged_skills.mocap.quality import check_clip

        checks = [check_clip(clip) for clip in _clips(self.files, self.robot)]
        _table(
            ["clip", "seconds", "paw error m", "depth m", "slide m/s", "beyond limits", ""],
            [
                [
                    check.name,
                    f"{check.duration_s:.1f}",
                    _known(check.marker_error_m, ".4f"),
                    f"{check.penetration_m:.4f}",
                    f"{check.slide_mps:.4f}",
                    str(check.limit_violations),
                    "passed" if check.passed else "FAILED: " + "; ".join(check.failures),
                ]
                for check in checks
            ],
        )
        _write_json(self.json, {"clips": [check.to_json() for check in checks]})
        return 0 if all(check.passed for check in checks) else 1


@dataclass(frozen=True, kw_only=True)
class ClipsList(_Figures):
    """List the clips that come with the package."""

    def run(self) -> int:
        """Prints a table."""
        from legged_skills.mocap.library import summary

        clips = [summary(clip) for clip in _clips((), self.robot)]
        _table(
            ["clip", "seconds", "speed m/s"],
            [
                [clip["name"], f"{clip['duration_s']:.1f}", _known(clip["speed_mps"], ".2f")]
                for clip in clips
            ],
        )
        for licence in sorted({str(clip["licence"]) for clip in clips}):
            _OUT.print(licence, soft_wrap=True, markup=False)
        _write_json(self.json, {"clips": clips})
        return 0


@dataclass(frozen=True, kw_only=True)
class EvaluateSkills(_Figures):
    """Play every clip from its start through a skill module, and measure how well it follows."""

    policy: Path | None = None
    """Skill module; by default the one that comes with the package."""
    clips: Path | None = None
    """Folder of clips; by default those that come with the package."""
    plot: Path | None = None
    """Draw the figures into this PNG file."""

    def run(self) -> int:
        """Prints a table of the clips."""
        from legged_skills import robots
        from legged_skills.skill_module import evaluate
        from legged_skills.skill_module.module_file import SkillModule

        spec = robots.get(self.robot)
        path = self.policy or evaluate.shipped_module(self.robot)
        module = SkillModule.load(path, robot=self.robot)
        clips = _clips(self.clips, self.robot)
        tracks = evaluate.track_clips(spec, module, clips)
        figures = evaluate.summarize(tracks)
        _table(
            ["clip", "frames", "tracked", "joint error rad", "base error m"],
            [
                [
                    clip["name"],
                    str(clip["frames"]),
                    f"{clip['tracked_share']:.1%}",
                    _known(clip["joint_error_rad"], ".3f"),
                    _known(clip["root_error_m"], ".3f"),
                ]
                for clip in figures["clips"]
            ],
        )
        _OUT.print(
            f"tracked {figures['tracked_share']:.1%} of all frames, "
            f"mean joint error {figures['joint_error_rad']:.3f} rad"
        )
        _write_json(self.json, figures)
        if self.plot is not None:
            from legged_skills.tasks import plots

            _write(self.plot, plots.clip_scores(figures["clips"]))
        return 0


@dataclass(frozen=True, kw_only=True)
class EvaluateWalk(_Figures):
    """Give a walking policy many random commands, and measure how well it obeys."""

    policy: Path | None = None
    """Walking policy; by default the one that comes with the package."""
    episodes: int = 200
    """Episodes of 20 s, with a new command every 4 s."""
    seed: int = 12345
    """Of the commands."""
    plot: Path | None = None
    """Draw commanded against achieved velocity into this PNG file."""

    def run(self) -> int:
        """Prints the figures."""
        from legged_skills import robots
        from legged_skills.tasks import evaluate_walk
        from legged_skills.tasks.policy_file import TaskPolicy

        spec = robots.get(self.robot)
        path = self.policy or evaluate_walk.shipped_policy(self.robot)
        policy = TaskPolicy.load(path, robot=self.robot, task="walk")
        config = evaluate_walk.WalkEvaluationConfig(episodes=self.episodes, seed=self.seed)
        figures = evaluate_walk.evaluate_walk(spec, policy, config)
        _OUT.print(
            f"{figures['episodes']} episodes, {len(figures['commands'])} commands carried out: "
            f"velocity error {figures['velocity_error_mps']:.3f} m/s, "
            f"turning error {figures['yaw_error_radps']:.3f} rad/s, "
            f"falls {figures['fall_rate']:.1%}"
        )
        _write_json(self.json, figures)
        if self.plot is not None:
            from legged_skills.tasks import plots

            arrays = evaluate_walk.command_arrays(figures)
            _write(self.plot, plots.command_scatter(*arrays))
        return 0


@dataclass(frozen=True, kw_only=True)
class Benchmark(_Figures):
    """Measure the speed of simulation or training, against bare MuJoCo in the same run."""

    what: Positional[Literal["sim", "train"]]
    """Environment steps, or a whole training with its updates."""
    envs: int = 512
    """Environments stepped together."""
    threads: int = 0
    """Threads of the physics; 0 takes all cores."""
    seconds: float = 15.0
    """How long to measure [s]."""

    def run(self) -> int:
        """Prints the rates."""
        from legged_skills import robots
        from legged_skills.tasks import benchmark

        spec = robots.get(self.robot)
        if not 0.0 < self.seconds < math.inf:
            raise SettingsError(f"seconds is {self.seconds}, expected more than 0.")
        measure = benchmark.benchmark_sim if self.what == "sim" else benchmark.benchmark_train
        figures = measure(spec, _clips((), self.robot), self.envs, self.threads, self.seconds)
        _OUT.print(
            f"{self.what}: {figures['steps_per_second']:,.0f} control steps/s, bare physics "
            f"{figures['bare_steps_per_second']:,.0f}, ratio {figures['ratio_to_bare']:.2f}"
        )
        _write_json(self.json, figures)
        return 0


@dataclass(frozen=True, kw_only=True)
class Play:
    """Watch a clip, a skill module following it, or a walking policy; in a window or as a video."""

    robot: str = "anymal_c"
    """The robot."""
    clip: Path | None = None
    """Show this clip; without it, the walking policy walks."""
    track: bool = False
    """Let the skill module follow the clip, instead of showing the clip itself."""
    skills: Path | None = None
    """Skill module; by default the one that comes with the package."""
    policy: Path | None = None
    """Walking policy; by default the one that comes with the package."""
    command: tuple[float, float, float] = (0.6, 0.0, 0.0)
    """Forward and left velocity [m/s] and turning rate [rad/s] for the walking policy."""
    seconds: float = 10.0
    """Show this much, or the clip if it is shorter [s]."""
    video: Path | None = None
    """Write an mp4 file instead of opening a window."""
    picture: Path | None = None
    """Write one PNG picture of the robot along its way instead of opening a window."""
    backend: Literal["auto", "gl", "raycast"] = "auto"
    """How pictures are made; "auto" takes OpenGL where hardware speeds it up."""

    def run(self) -> int:
        """Plays."""
        from legged_skills.tasks.play import PlayConfig, play

        config = {name: getattr(self, name) for name in PlayConfig.__dataclass_fields__}
        for path in play(PlayConfig(**config)):
            _OUT.print(f"wrote {path}", soft_wrap=True)
        return 0


@dataclass(frozen=True, kw_only=True)
class Demo(_Figures):
    """Track a clip and walk a course, with what comes with the package; writes video and report."""

    out: Path = Path("demo")
    """Folder for the video and the report."""
    backend: Literal["auto", "gl", "raycast"] = "auto"
    """How pictures are made; "auto" takes OpenGL where hardware speeds it up."""

    def run(self) -> int:
        """Runs the demo, and ends by naming what it wrote."""
        from legged_skills.tasks.demo import run_demo

        result = run_demo(self.robot, self.out, backend=self.backend)
        _OUT.print(f"video:  {result.video}\nreport: {result.report}", soft_wrap=True)
        _write_json(self.json, result.figures)
        return 0


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Say what this machine has, and what each missing thing costs."""

    json: Path | None = None
    """Write the findings to this file too."""

    def run(self) -> int:
        """Prints a table."""
        from legged_skills.robots.doctor import examine

        findings = examine()
        _table(
            ["", "found", "what it costs that it is missing"],
            [[f.name, f.found or "-", f.cost] for f in findings],
        )
        _write_json(self.json, {"findings": [asdict(f) for f in findings]})
        return 0


@dataclass(frozen=True, kw_only=True)
class Clips:
    """Look after robot clips."""

    command: Annotated[ClipsCheck, subcommand("check")] | Annotated[ClipsList, subcommand("list")]


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure a skill module or a task policy."""

    command: (
        Annotated[EvaluateSkills, subcommand("skills")]
        | Annotated[EvaluateWalk, subcommand("walk")]
    )


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a skill module from clips, or a task policy on a skill module."""


def _train_command() -> type:
    """The command "train" with all settings of the trainings as options."""
    from legged_skills import robots
    from legged_skills.skill_module.module_file import SkillModule
    from legged_skills.skill_module.train import SkillTrainingConfig, train_skills
    from legged_skills.skill_module.training import Result
    from legged_skills.tasks.train_walk import WalkTrainingConfig, train_walk

    def report(result: Result, path: Path) -> int:
        state = "finished" if result.finished else "stopped; the same command goes on"
        done = f"{result.steps:,} steps in {result.seconds / 60:.1f} min"
        _OUT.print(f"{state}: {done}, wrote {path}", soft_wrap=True)
        return 0

    @dataclass(frozen=True, kw_only=True)
    class TrainSkills:
        """Train a skill module by imitating clips; goes on from a checkpoint in the out folder."""

        out: Path
        """Folder of the run: skills.npz, checkpoint, logs."""
        robot: str = "anymal_c"
        """The robot."""
        clips: Path | None = None
        """Folder of clips; by default those that come with the package."""
        config: Annotated[SkillTrainingConfig, arg(name="")] = field(
            default_factory=SkillTrainingConfig
        )
        """All settings."""

        def run(self) -> int:
            """Trains."""
            spec = robots.get(self.robot)
            clips = _clips(self.clips, self.robot)
            result = train_skills(spec, clips, self.config, self.out)
            return report(result, self.out / "skills.npz")

    @dataclass(frozen=True, kw_only=True)
    class TrainWalk:
        """Train a walk on a frozen skill module; goes on from a checkpoint in the out folder."""

        out: Path
        """Folder of the run: walk.npz, checkpoint, logs."""
        robot: str = "anymal_c"
        """The robot."""
        skills: Path | None = None
        """Skill module; by default the one that comes with the package."""
        config: Annotated[WalkTrainingConfig, arg(name="")] = field(
            default_factory=WalkTrainingConfig
        )
        """All settings."""

        def run(self) -> int:
            """Trains."""
            from legged_skills.skill_module.evaluate import shipped_module

            spec = robots.get(self.robot)
            path = self.skills or shipped_module(self.robot)
            module = SkillModule.load(path, robot=self.robot)
            return report(train_walk(spec, module, self.config, self.out), self.out / "walk.npz")

    @dataclass(frozen=True, kw_only=True)
    class FullTrain:
        """Train a skill module from clips, or a task policy on a skill module."""

        command: (
            Annotated[TrainSkills, subcommand("skills")] | Annotated[TrainWalk, subcommand("walk")]
        )

    return FullTrain


def _clips(where: Path | Sequence[Path] | None, robot: str) -> "list[RobotClip]":
    """The clips in these files and folders; without any, those that come with the package."""
    from legged_skills import robots
    from legged_skills.mocap import library

    robots.get(robot)
    found = where or library.shipped_clips(robot)
    if not found:
        raise ClipError(f"no clips for {robot} come with the package.")
    return library.load_clips(found)


def _known(value: float | None, form: str) -> str:
    """A figure for a table; a question mark if it is not known."""
    return "?" if value is None or math.isnan(value) else format(value, form)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table; the first column, which says what a row is about, stays whole."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column == columns[0], overflow="fold")
    for row in rows:
        table.add_row(*row)
    _OUT.print(table)


def _write_json(path: Path | None, figures: Mapping[str, Any]) -> None:
    """Writes figures; JSON has no NaN, so those become null."""
    if path is not None:
        _write(path, (json.dumps(_finite(figures), indent=1) + "\n").encode())


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write(path: Path, data: bytes) -> None:
    from legged_skills.robots.files import atomic_write

    with atomic_write(path) as file:
        file.write(data)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command and exits: 0 done, 1 a check failed, 2 something given cannot be used."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    # On a machine without an accelerator JAX would look for one first, and say so.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    try:
        # What training can be told is known only once JAX is imported, which takes a while.
        training = arguments[:1] == ["train"]
        chosen = subcommand_cli_from_dict(
            {
                "retarget": Retarget,
                "clips": Clips,
                "train": _train_command() if training else Train,
                "evaluate": Evaluate,
                "benchmark": Benchmark,
                "play": Play,
                "demo": Demo,
                "doctor": Doctor,
            },
            prog="legged-skills",
            description=(
                "Motion capture in, a policy on a robot out. The way through: retarget, "
                "clips check, train skills, train walk, evaluate walk; demo shows it all."
            ),
            args=arguments,
            # The settings of a training have prefixes: two groups of them share some names.
            config=(OmitSubcommandPrefixes,)
            if training
            else (OmitSubcommandPrefixes, OmitArgPrefixes),
        )
        while hasattr(chosen, "command") and not hasattr(chosen, "run"):
            chosen = chosen.command
        sys.exit(chosen.run())
    except LeggedSkillsError as error:
        sys.exit(_fail(str(error)))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(_fail(f"{where}{error.strerror or error}."))
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(message: str) -> int:
    print(f"legged-skills: {message}", file=sys.stderr)
    return 2
