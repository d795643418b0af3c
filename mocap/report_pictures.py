"""Films and plots of a report, within limits of their number."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from legged_skills.mocap import charts
from legged_skills.mocap.pipeline import RetargetedFile
from legged_skills.mocap.quality import Gates
from legged_skills.mocap.side_by_side import FilmSettings, SideBySide
from legged_skills.robots.errors import RenderError, SettingsError
from legged_skills.robots.spec import RobotSpec

_PATIENCE_S = 2.0
"""Work that takes less than this shows no progress [s]."""
_PLOT_PICTURES = 40
"""Plots of a clip take as long as so many pictures of a film."""


@dataclass(frozen=True, kw_only=True)
class ReportSettings:
    """What a report shows."""

    films: int = 6
    """Clips of a file that have a film; 0 for none."""
    all_films: int = 12
    """Clips on a page that have a film; every file has one before any has its second."""
    all_plots: int = 40
    """Clips on a page that have plots, in the same order."""
    film: FilmSettings = field(default_factory=FilmSettings)
    """How films look."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            SettingsError: a number is negative.
        """
        for name in ("films", "all_films", "all_plots"):
            if getattr(self, name) < 0:
                raise SettingsError(f"{name} is {getattr(self, name)}, expected 0 or more.")


Place = tuple[int, int]
"""Index of a file of the report, and of a clip in it."""


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """What was drawn."""

    films: dict[Place, bytes]
    """MP4 files."""
    plots: dict[Place, tuple[bytes, bytes]]
    """PNG pictures: ``charts.joint_ranges`` and ``charts.over_time``."""
    problem: str = ""
    """Why there are no films, if they could not be made."""


def draw_pictures(
    results: Sequence[RetargetedFile],
    spec: RobotSpec,
    gates: Gates,
    settings: ReportSettings,
    console: Console | None = None,
) -> Pictures:
    """Draws the films and plots of a report.

    Args:
        results: the files.
        spec: the robot.
        gates: what the clips were held against.
        settings: what to draw.
        console: where progress is shown; by default the error output.

    Returns:
        The pictures.

    Raises:
        FileFormatError: there is no room for temporary files.
    """
    filmed = _places(results, settings.films)[: settings.all_films]
    plotted = _places(results, max(settings.all_plots, 1))[: settings.all_plots]
    total = _PLOT_PICTURES * len(plotted)
    for file, index in filmed:
        clip = results[file].clips[index]
        total += len(settings.film.rows(clip.num_frames, clip.fps))
    films, plots, problem = {}, {}, ""
    with _LateBar(total, console) as bar:
        for file, index in plotted:
            clip, stretch = results[file].clips[index], results[file].stretches[index]
            plots[file, index] = (
                charts.joint_ranges(stretch, spec, clip.fps),
                charts.over_time(stretch, spec, clip.fps, gates),
            )
            bar.advance(_PLOT_PICTURES)
        try:
            for file, index in filmed:
                drawing = SideBySide(results[file], spec, settings.film)
                films[file, index] = _film(drawing, index, bar)
        except RenderError as error:
            films, problem = {}, str(error)
    return Pictures(films=films, plots=plots, problem=problem)


def _places(results: Sequence[RetargetedFile], most: int) -> list[Place]:
    """At most ``most`` clips of each file: the first clip of every file, every second, ..."""
    places = [
        (index, file) for file, result in enumerate(results) for index in range(len(result.clips))
    ]
    return [(file, index) for index, file in sorted(places) if index < most]


class _LateBar:
    """A progress bar that appears only if the work takes long."""

    def __init__(self, total: int, console: Console | None = None) -> None:
        self._progress = Progress(
            TextColumn("report"),
            BarColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console or Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("report", total=total)
        self._began = time.monotonic()

    def advance(self, steps: int) -> None:
        """Adds steps of the total."""
        self._progress.advance(self._task, steps)
        if not self._progress.live.is_started and time.monotonic() - self._began > _PATIENCE_S:
            self._progress.start()

    def __enter__(self) -> "_LateBar":
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._progress.live.is_started:
            self._progress.stop()


def _film(drawing: SideBySide, index: int, bar: _LateBar) -> bytes:
    """The film of a clip.

    Raises:
        RenderError: it cannot be made.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="legged_skills_") as folder:
            path = Path(folder) / "film.mp4"
            for _ in drawing.write(index, path):
                bar.advance(1)
            return path.read_bytes()
    except OSError as error:
        raise RenderError(f"films need a temporary folder ({error.strerror or error}).") from error
