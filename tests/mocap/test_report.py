import base64
import io
import re
from collections.abc import Callable
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path

import imageio_ffmpeg
import pytest
from rich.console import Console

from legged_skills.mocap import report_pictures
from legged_skills.mocap.pipeline import RetargetedFile, retarget_motion
from legged_skills.mocap.quality import Gates, Quality
from legged_skills.mocap.report import write_report
from legged_skills.mocap.report_pictures import ReportSettings
from legged_skills.mocap.segment import Cut
from legged_skills.mocap.side_by_side import FilmSettings, SideBySide
from legged_skills.robots.errors import FileFormatError, RenderError, SettingsError
from legged_skills.robots.spec import RobotSpec

VOID = {"meta", "link", "img", "br", "rect", "path"}
TINY = ReportSettings(film=FilmSettings(size=(64, 48), fps=5.0, seconds=0.8))
# Each figure has other digits, so that none can pass for another.
FIGURES = {
    "duration_s": 12.34,
    "marker_error_m": 0.0123,
    "marker_error_max_m": 0.0456,
    "penetration_m": 0.00789,
    "slide_mps": 0.00135,
    "slide_p95_mps": 0.0246,
    "limit_violations": 3,
    "joint_speed_share": 0.8642,
    "acceleration_share": 0.975,
    "root_jump_m": 0.00042,
    "overlap_m": 0.0,
    "speed_mps": 0.753,
    "speed_max_mps": 0.951,
    "yaw_rate_max_radps": 1.59,
    "contact_share": 0.617,
}


class Outline(HTMLParser):
    """Collects a page's addresses, rows and headings, and checks that its tags are balanced."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.rows: list[list[str]] = []
        self.headings: list[tuple[str, str]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        tag = self.open[-1] if self.open else ""
        if tag in ("td", "th"):
            self.rows[-1][-1] += data
        if re.fullmatch(r"h\d", tag):
            self.headings.append((tag, data))
        if tag != "style":
            self.text.append(data)

    def all(self, name: str, tag: str | None = None) -> list[str]:
        return [v for t, n, v in self.attributes if n == name and tag in (None, t)]


def read(path: Path) -> Outline:
    outline = Outline()
    outline.feed(path.read_text(encoding="utf-8"))
    assert outline.open == []
    return outline


@pytest.fixture(scope="module")
def result(dog, spec: RobotSpec) -> RetargetedFile:
    """A short walk."""
    motion = replace(dog.motion, positions_w=dog.motion.positions_w[:150])
    return retarget_motion(motion, spec)


@pytest.fixture(scope="module")
def page(result: RetargetedFile, spec: RobotSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of that walk, with a film and plots."""
    path = tmp_path_factory.mktemp("report") / "new" / "report.html"
    return write_report([result], spec, path, settings=TINY)


@pytest.fixture
def plain(spec: RobotSpec, tmp_path: Path) -> Callable[..., Outline]:
    """Makes a page without pictures, and reads it."""

    def make(*results: RetargetedFile, gates: Gates | None = None) -> Outline:
        settings = ReportSettings(films=0, all_plots=0)
        path = tmp_path / "report.html"
        return read(write_report(results, spec, path, gates=gates, settings=settings))

    return make


def _with_clip(result: RetargetedFile, **changes: object) -> RetargetedFile:
    return replace(result, clips=[replace(result.clips[0], **changes)])


def test_page_needs_nothing_but_itself(page: Path) -> None:
    assert [path.name for path in page.parent.iterdir()] == ["report.html"]
    outline = read(page)
    addresses = outline.all("src") + outline.all("href")
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert not re.search(r"@import|url\(|<script|<iframe|https?:", page.read_text("utf-8"))
    assert page.stat().st_size < 500_000


def test_page_can_be_used_without_seeing_it(page: Path) -> None:
    outline = read(page)
    assert [text for tag, text in outline.headings if tag == "h1"] == ["Motion capture on anymal_c"]
    assert [tag for tag, _ in outline.headings] == ["h1", "h2", "h3"]
    assert len(outline.all("alt", "img")) == len(outline.all("src", "img")) == 2
    assert all(outline.all("alt", "img"))
    assert "the source in the robot's size" in outline.all("aria-label", "video")[0]
    assert "clip 0" in outline.all("aria-label", "svg")[0]


# The reader of imageio-ffmpeg leaves its pipes to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_film_is_a_film(page: Path, tmp_path: Path) -> None:
    (address,) = read(page).all("src", "video")
    (tmp_path / "film.mp4").write_bytes(base64.b64decode(address.partition(",")[2]))
    count, _ = imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "film.mp4"))
    assert count == 5  # 0.8 s at 5 pictures a second, and the first
    assert "The first 0.8 s of the clip." in page.read_text("utf-8")


def test_page_says_what_the_file_is(page: Path, result: RetargetedFile) -> None:
    rows = {row[0]: row[1] for row in read(page).rows if len(row) == 2}
    assert rows["format"] == "dog key points"
    assert rows["recording"] == "150 frames at 60 frames/s, 2.48 s"
    assert rows["size"] == f"1 m becomes {result.scale:.4f} m"
    assert rows["time"] == f"1 s becomes {result.time_scale:.4f} s"
    assert rows["kept"] == "100.0 % of the recording"
    assert rows["licence"] == "none"


def test_figures_are_those_of_the_clip(result: RetargetedFile, plain) -> None:
    assert set(FIGURES) == {figure.name for figure in fields(Quality)}
    quality = {**FIGURES, "marker_error_max_m": None}
    outline = plain(_with_clip(result, quality=quality), gates=Gates(slide_mps=0.001))
    rows = {row[0]: row[1:] for row in outline.rows if len(row) == 4}
    assert rows["duration [s]"] == ["12.34", "", ""]
    assert rows["feet, or hands, from the source, mean [mm]"] == ["12.3", "20", "passed"]
    assert rows["feet from the source, greatest [mm]"] == ["?", "", ""]
    assert rows["depth of feet in the floor, greatest [mm]"] == ["7.9", "10", "passed"]
    assert rows["slide of standing feet, mean [mm/s]"] == ["1.4", "1", "failed"]
    assert rows["slide of standing feet, 95th percentile [mm/s]"] == ["24.6", "60", "passed"]
    assert rows["joint angles beyond their limits"] == ["3", "0", "failed"]
    assert rows["joint speed, of the drive's limit, greatest [%]"] == ["86.4", "100", "passed"]
    assert rows["jump of the base between frames, greatest [mm]"] == ["0.4", "20", "passed"]
    assert rows["horizontal speed, mean [m/s]"][0] == "0.753"
    assert rows["turning speed, greatest [rad/s]"][0] == "1.59"
    assert rows["time that a foot stands, mean of all feet [%]"][0] == "61.7"
    values = [row[1] for row in outline.rows if len(row) == 4]
    assert len(values) == len(FIGURES) + 1  # and the head


def test_figures_that_are_new_or_unknown_are_shown(result: RetargetedFile, plain) -> None:
    quality = {"marker_error_m": None, "something_new": 0.25}
    rows = {row[0]: row[1:] for row in plain(_with_clip(result, quality=quality)).rows}
    assert rows["feet, or hands, from the source, mean [mm]"] == ["?", "20", "not known"]
    assert rows["something_new"] == ["0.2500", "", ""]


def test_cuts_are_listed_with_their_reasons(result: RetargetedFile, plain) -> None:
    cuts = [Cut(start_s=1.0, stop_s=2.24, reason="sitting, off the floor")]
    outline = plain(replace(result, cuts=cuts))
    assert ["sitting, off the floor", "1.00", "2.24", "1.24"] in outline.rows
    # 1.24 s of 2.4833 s are cut.
    assert ["kept", "50.1 % of the recording"] in outline.rows


def test_texts_are_escaped(result: RetargetedFile, plain, tmp_path: Path) -> None:
    evil = '<script>alert("x")</script>&amp;'
    source = {name: evil for name in ("file", "format", "unit", "up_axis", "skeleton", "licence")}
    motion = replace(result.motion, source=source)
    cuts = [Cut(start_s=1.0, stop_s=2.0, reason=evil)]
    made = replace(_with_clip(result, name=evil), motion=motion, cuts=cuts)
    outline = plain(made, made)
    assert "script" not in outline.open and "<script" not in (tmp_path / "report.html").read_text()
    assert outline.headings.count(("h2", evil)) == 2
    assert ["licence", evil] in outline.rows and ["unit", evil] in outline.rows
    assert [evil, "1.00", "2.00", "1.00"] in outline.rows


def test_a_file_without_clips_has_a_page(result: RetargetedFile, plain) -> None:
    cut = Cut(start_s=0.0, stop_s=result.motion.duration_s, reason="lying")
    outline = plain(replace(result, clips=[], stretches=[], cuts=[cut]))
    text = " ".join(outline.text)
    assert "No part of this file was kept" in text
    assert ["kept", "0.0 % of the recording"] in outline.rows
    assert not outline.all("src", "img") and not outline.all("src", "video")


def test_a_page_of_no_file_is_possible(plain) -> None:
    assert "kept of 0.0 s of recording" in " ".join(plain().text)


def test_several_files_are_linked(result: RetargetedFile, plain) -> None:
    outline = plain(result, replace(result, clips=[], stretches=[]))
    targets = [href.removeprefix("#") for href in outline.all("href", "a")]
    assert targets == outline.all("id", "section") == ["file-0", "file-1"]
    assert [row for row in outline.rows if row[0] == "synthetic.txt"][1][3] == "0"


def test_films_and_plots_are_limited(
    result: RetargetedFile, spec: RobotSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_pictures.charts, "joint_ranges", lambda *_: b"ranges")
    monkeypatch.setattr(report_pictures.charts, "over_time", lambda *_: b"signals")
    monkeypatch.setattr(report_pictures, "_film", lambda drawing, index, bar: b"film")
    three = replace(result, clips=result.clips * 3, stretches=result.stretches * 3)
    settings = ReportSettings(films=2, all_films=3, all_plots=4)
    drawn = report_pictures.draw_pictures([three, three], spec, Gates(), settings)
    # Every file has one before any has its second.
    assert list(drawn.films) == [(0, 0), (1, 0), (0, 1)]
    assert list(drawn.plots) == [(0, 0), (1, 0), (0, 1), (1, 1)]
    with pytest.raises(SettingsError, match="films is -1, expected 0 or more"):
        ReportSettings(films=-1)


def test_films_that_cannot_be_made_are_left_out(
    result: RetargetedFile, spec: RobotSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_ffmpeg(*_: object) -> None:
        raise RenderError("videos need ffmpeg, which was not found.")

    monkeypatch.setattr(SideBySide, "write", no_ffmpeg)
    outline = read(write_report([result], spec, tmp_path / "report.html", settings=TINY))
    assert "There are no films: videos need ffmpeg" in " ".join(outline.text)
    assert not outline.all("src", "video") and len(outline.all("src", "img")) == 2


def test_an_interrupted_run_leaves_what_was_there(
    result: RetargetedFile, spec: RobotSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SideBySide, "pictures", interrupted)
    path = tmp_path / "report.html"
    path.write_text("an older page")
    with pytest.raises(KeyboardInterrupt):
        write_report([result], spec, path, settings=TINY)
    assert path.read_text() == "an older page"
    assert list(tmp_path.iterdir()) == [path]


def test_unwritable_page(result: RetargetedFile, spec: RobotSpec, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    none = ReportSettings(films=0, all_plots=0)
    with pytest.raises(FileFormatError, match=r"report\.html: cannot be written"):
        write_report([result], spec, tmp_path / "file" / "report.html", settings=none)


def test_arguments_win_over_settings(
    result: RetargetedFile, spec: RobotSpec, tmp_path: Path
) -> None:
    settings = replace(TINY, all_plots=0, films=0)
    path = tmp_path / "report.html"
    write_report([result], spec, path, films=1, film_seconds=0.4, settings=settings)
    assert "The first 0.4 s of the clip." in path.read_text("utf-8")
    with pytest.raises(SettingsError, match="film seconds is -1"):
        write_report([result], spec, path, film_seconds=-1.0)


def test_progress_is_shown_if_it_takes_long(
    result: RetargetedFile, spec: RobotSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown(patience_s: float) -> str:
        monkeypatch.setattr(report_pictures, "_PATIENCE_S", patience_s)
        screen = io.StringIO()
        console = Console(file=screen, force_terminal=True, width=80)
        settings = replace(TINY, all_plots=0)
        write_report([result], spec, tmp_path / "a.html", settings=settings, console=console)
        return screen.getvalue()

    assert shown(60.0) == ""
    assert "report" in shown(-1.0)
