"""The report of retargeting: one web page with films, plots and figures of all clips."""

from collections.abc import Sequence
from dataclasses import fields, replace
from html import escape
from pathlib import Path

import numpy as np
from rich.console import Console

from legged_skills.mocap.charts import Joints
from legged_skills.mocap.clip import RobotClip
from legged_skills.mocap.pipeline import RetargetedFile
from legged_skills.mocap.quality import Gates
from legged_skills.mocap.report_pictures import Pictures, ReportSettings, draw_pictures
from legged_skills.mocap.timeline import kept_parts, timeline
from legged_skills.robots import webpage
from legged_skills.robots.files import write_text
from legged_skills.robots.kinematics import ROOT_QPOS
from legged_skills.robots.spec import RobotSpec

_FIGURES: dict[str, tuple[str, str, float, int]] = {
    "duration_s": ("duration", "s", 1.0, 2),
    "marker_error_m": ("feet, or hands, from the source, mean", "mm", 1e3, 1),
    "marker_error_max_m": ("feet from the source, greatest", "mm", 1e3, 1),
    "penetration_m": ("depth of feet in the floor, greatest", "mm", 1e3, 1),
    "slide_mps": ("slide of standing feet, mean", "mm/s", 1e3, 1),
    "slide_p95_mps": ("slide of standing feet, 95th percentile", "mm/s", 1e3, 1),
    "limit_violations": ("joint angles beyond their limits", "", 1.0, 0),
    "joint_speed_share": ("joint speed, of the drive's limit, greatest", "%", 1e2, 1),
    "acceleration_share": ("joint acceleration, of what the drive can, greatest", "%", 1e2, 1),
    "root_jump_m": ("jump of the base between frames, greatest", "mm", 1e3, 1),
    "overlap_m": ("depth of parts of the robot in each other, greatest", "mm", 1e3, 1),
    "speed_mps": ("horizontal speed, mean", "m/s", 1.0, 3),
    "speed_max_mps": ("horizontal speed, greatest", "m/s", 1.0, 3),
    "yaw_rate_max_radps": ("turning speed, greatest", "rad/s", 1.0, 2),
    "contact_share": ("time that a foot stands, mean of all feet", "%", 1e2, 1),
}
"""For each figure of ``Quality`` what it is called, its unit, a factor and decimals."""
_NAMED = 3
"""How many of the joints that come closest to a limit are named."""


def write_report(
    results: Sequence[RetargetedFile],
    spec: RobotSpec,
    path: str | Path,
    *,
    films: int | None = None,
    film_seconds: float | None = None,
    gates: Gates | None = None,
    settings: ReportSettings | None = None,
    console: Console | None = None,
) -> Path:
    """Writes the page about some retargeted files, atomically; it needs nothing beside it.

    Where films cannot be made, the page has none and says why.

    Args:
        results: the files, in the order of the page.
        spec: the robot.
        path: the page, which ends in ".html".
        films: how many clips of a file have a film; None for what the settings say.
        film_seconds: longer clips are cut to this in films; None for what the settings say [s].
        gates: what the clips were held against; None for the defaults.
        settings: what to show; None for the defaults.
        console: where progress is shown; by default the error output.

    Returns:
        The page.

    Raises:
        FileFormatError: the page cannot be written; what was there before is unchanged.
        SettingsError: a setting is out of range.
    """
    settings = ReportSettings() if settings is None else settings
    if films is not None:
        settings = replace(settings, films=films)
    if film_seconds is not None:
        settings = replace(settings, film=replace(settings.film, seconds=film_seconds))
    gates = Gates() if gates is None else gates
    pictures = draw_pictures(results, spec, gates, settings, console)
    body = _introduction(results, spec, pictures)
    for file, result in enumerate(results):
        body += [f'<section id="file-{file}">', *_file(result)]
        for index in range(len(result.clips)):
            body += _clip(result, (file, index), spec, gates, settings, pictures)
        body.append("</section>")
    write_text(path, webpage.page(f"Motion capture on {spec.name}", body))
    return Path(path)


def _introduction(
    results: Sequence[RetargetedFile], spec: RobotSpec, pictures: Pictures
) -> list[str]:
    """What the page is about, and an overview of the files."""
    clips = [clip for result in results for clip in result.clips]
    source_s = sum(result.motion.duration_s for result in results)
    kept_s = sum(result.kept_share * result.motion.duration_s for result in results)
    body = [
        webpage.paragraph(
            f"Recorded motion, retargeted to {spec.name}. Lengths and times are scaled to the "
            "robot; what it cannot do is cut out; where its drives are too slow, the motion is "
            "slowed down. Each part that is left is a clip."
        ),
        webpage.numbers(
            [
                (str(len(results)), "files" if len(results) != 1 else "file"),
                (str(len(clips)), "clips" if len(clips) != 1 else "clip"),
                (f"{_percent(kept_s, source_s)} %", f"kept of {source_s:.1f} s of recording"),
                (f"{sum(clip.duration_s for clip in clips):.1f} s", "of the robot's motion"),
            ]
        ),
    ]
    if len(results) > 1:
        links = ", ".join(
            f'<a href="#file-{file}">{escape(_title(result))}</a>'
            for file, result in enumerate(results)
        )
        head = ("file", "length [s]", "kept [%]", "clips", "size x", "time x")
        rows = [
            (
                _title(result),
                f"{result.motion.duration_s:.1f}",
                f"{100.0 * result.kept_share:.1f}",
                str(len(result.clips)),
                f"{result.scale:.3f}",
                f"{result.time_scale:.3f}",
            )
            for result in results
        ]
        body += [webpage.table(head, rows), f'<nav aria-label="Files"><p>Go to {links}.</p></nav>']
    if pictures.problem:
        body.append(webpage.paragraph(f"There are no films: {pictures.problem}"))
    return body


def _file(result: RetargetedFile) -> list[str]:
    """What a file is, and what became of it."""
    motion, source = result.motion, result.motion.source
    facts = [
        (name, source[key])
        for name, key in (
            ("format", "format"),
            ("skeleton", "skeleton"),
            ("unit", "unit"),
            ("up axis", "up_axis"),
        )
        if key in source
    ]
    source_s = sum(clip.duration_s / clip.retarget["slowdown_mean"] for clip in result.clips)
    robot_s = sum(clip.duration_s for clip in result.clips)
    facts += [
        (
            "recording",
            f"{motion.num_frames} frames at {motion.fps:g} frames/s, {motion.duration_s:.2f} s",
        ),
        ("size", f"1 m becomes {result.scale:.4f} m"),
        ("time", f"1 s becomes {result.time_scale:.4f} s"),
    ]
    if result.clips:
        text = f"on average {robot_s / source_s:.2f} times beyond that"
        facts.append(("slowed down for the drives", text))
    facts += [
        ("kept", f"{100.0 * result.kept_share:.1f} % of the recording"),
        ("licence", source.get("licence", "not stated")),
    ]
    body = [
        webpage.heading(_title(result)),
        webpage.pairs(facts),
        timeline(motion.duration_s, kept_parts(result), result.cuts),
    ]
    if result.cuts:
        rows = [
            (cut.reason, f"{cut.start_s:.2f}", f"{cut.stop_s:.2f}", f"{cut.duration_s:.2f}")
            for cut in result.cuts
        ]
        body += [
            webpage.heading("Cuts", 3),
            webpage.table(("reason", "from [s]", "to [s]", "length [s]"), rows),
        ]
    if not result.clips:
        body.append(webpage.paragraph("No part of this file was kept, so that there is no clip."))
    return body


def _clip(
    result: RetargetedFile,
    place: tuple[int, int],
    spec: RobotSpec,
    gates: Gates,
    settings: ReportSettings,
    pictures: Pictures,
) -> list[str]:
    """Film, figures and plots of a clip."""
    clip, stretch = result.clips[place[1]], result.stretches[place[1]]
    start_s, stop_s = kept_parts(result)[place[1]]
    body = [
        webpage.heading(clip.name, 3),
        webpage.paragraph(
            f"{start_s:.2f} s to {stop_s:.2f} s of the recording, {clip.duration_s:.2f} s on the "
            f"robot: {clip.num_frames} frames at {clip.fps:.4g} frames/s."
        ),
    ]
    if place in pictures.films:
        shown = min(settings.film.seconds, clip.duration_s)
        part = "" if shown == clip.duration_s else f" The first {shown:g} s of the clip."
        caption = (
            f"{clip.name}: on the left the source in the robot's size and time, left limbs in "
            "blue, right limbs in orange; on the right the robot. Standing feet are green." + part
        )
        body.append(webpage.film(pictures.films[place], caption))
    body.append(webpage.table(("figure", "clip", "at most", "gate"), _figures(clip, gates)))
    if place in pictures.plots:
        ranges, signals = pictures.plots[place]
        body += [
            webpage.picture(
                ranges,
                f"Joints of {clip.name}. Thin bars: all angles, or the greatest speed and "
                "acceleration; thick bars: without the outer 5 %; black: default pose; red: "
                f"limits. Nearest to a limit: {_nearest(stretch.qpos, spec, clip.fps)}.",
            ),
            webpage.picture(
                signals,
                f"{clip.name} over time. Red, dashed: what must not be exceeded, as in the table; "
                "dotted: what the mean must not exceed.",
            ),
        ]
    elif place not in pictures.films:
        text = f"Plots are shown for {len(pictures.plots)} clips of this page, not for this one."
        body.append(webpage.paragraph(text))
    return body


def _figures(clip: RobotClip, gates: Gates) -> list[tuple[str, ...]]:
    """A row for each figure of a clip's quality: name and unit, value, gate, result."""
    limits = {gate.name: getattr(gates, gate.name) for gate in fields(gates)}
    rows = []
    for name, value in clip.quality.items():
        title, unit, factor, digits = _FIGURES.get(name, (name, "", 1.0, 4))
        limit = limits.get(name)
        verdict = ""
        if limit is not None:
            verdict = "not known" if value is None else "failed" if value > limit else "passed"
        rows.append(
            (
                f"{title} [{unit}]" if unit else title,
                _number(value, factor, digits),
                "" if limit is None else f"{factor * limit:g}",
                verdict,
            )
        )
    return rows


def _nearest(qpos: np.ndarray, spec: RobotSpec, fps: float) -> str:
    """The joints that come closest to a limit, and how close."""
    joints = qpos[:, ROOT_QPOS:]
    room = np.minimum(joints - spec.joint_lower, spec.joint_upper - joints).min(axis=0)
    nearest = Joints.of(qpos, spec, fps).nearest[:_NAMED]
    return ", ".join(f"{spec.joint_names[j]} ({room[j]:.3f} rad away)" for j in nearest.tolist())


def _title(result: RetargetedFile) -> str:
    """What a file, or a clip of a collection, is called."""
    source = result.motion.source
    names = [source[key] for key in ("file", "clip") if key in source]
    return " # ".join(names) or "motion"


def _percent(part: float, whole: float) -> str:
    return f"{100.0 * part / whole:.1f}" if whole else "-"


def _number(value: object, factor: float, digits: int) -> str:
    """A figure; a question mark if it is not known."""
    if not isinstance(value, int | float):
        return "?"
    # Adding zero turns a rounded -0.0 into 0.0.
    return f"{round(factor * value, digits) + 0.0:.{digits}f}"
