import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from legged_skills import robots
from legged_skills.mocap.clip import RobotClip
from legged_skills.robots import webpage
from legged_skills.robots.errors import FileFormatError
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.report import DemoReport

VOID = {"meta", "link", "img", "br"}


class Outline(HTMLParser):
    """Collects a page's addresses and text, and checks that its tags are balanced."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.addresses += [v or "" for n, v in attrs if n in ("src", "href", "poster", "srcset")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text.append(data)


def read(path: Path) -> Outline:
    outline = Outline()
    outline.feed(path.read_text(encoding="utf-8"))
    assert outline.open == []
    return outline


def figures() -> dict:
    nan = float("nan")
    return {
        "robot": "anymal_c",
        "tracking": {
            "tracked_share": 0.9712,
            "joint_error_rad": 0.0614,
            "root_error_m": 0.0823,
            "clips": [
                {
                    "name": "/data/<dog>_0.npz",
                    "frames": 409,
                    "tracked_share": 1.0,
                    "joint_error_rad": 0.0514,
                    "root_error_m": 0.0712,
                },
                {
                    "name": "dog_1",
                    "frames": 10,
                    "tracked_share": 0.0,
                    "joint_error_rad": nan,
                    "root_error_m": nan,
                },
            ],
        },
        "walking": {
            "velocity_error_mps": 0.0456,
            "yaw_error_radps": 0.0789,
            "fall_rate": 0.005,
            "episodes": 200,
            "commands": [],
        },
        "walking_test": {"episodes": 200, "episode_s": 20.0, "command_s": 4.0, "average_s": 2.0},
        "course": {
            "command_s": 2.5,
            "average_s": 1.0,
            "fell": True,
            "fell_at_s": 4.2,
            "commands": [
                {
                    "name": "forward",
                    "vx_mps": 0.4,
                    "vy_mps": 0.0,
                    "yaw_radps": -0.3,
                    "achieved_vx_mps": 0.38,
                    "achieved_vy_mps": nan,
                    "achieved_yaw_radps": -0.27,
                }
            ],
        },
        "dribbling": {"path": "slalom", "near_m": 1.0, "time_near_target": 0.734, "fell": True},
        "getup": {"episodes": 16, "success_rate": 0.8751, "limit_s": 2.5, "time_s": 1.84},
        "film": {
            "frames": 637,
            "width": 640,
            "height": 360,
            "renderer": "ray casting on the processor",
            "clip": {"name": "dog_0", "start_s": 1.0, "end_s": 9.0},
        },
        "versions": {"mujoco": "4.0.0"},
        "seconds": {"tracking": 1.0, "walking": 12.0, "tasks": 3.0, "film": 61.0, "all": 78.0},
    }


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((2, 3, 3), np.uint8)).save(buffer, format="png")
    return buffer.getvalue()


@pytest.fixture
def report(
    still_module: SkillModule, still_policy: TaskPolicy, wiggling_clip: RobotClip, tmp_path: Path
) -> DemoReport:
    video = tmp_path / "demo.mp4"
    video.write_bytes(b"a film")
    return DemoReport(
        spec=robots.get("anymal_c"),
        module=still_module,
        policy=still_policy,
        clips=[wiggling_clip],
        figures=figures(),
        plots=dict.fromkeys(("joints", "base", "clips", "course", "commands"), png()),
        video=video,
    )


def test_report_needs_nothing_but_itself(report: DemoReport, tmp_path: Path) -> None:
    report.write(tmp_path / "report.html")
    outline = read(tmp_path / "report.html")
    for address in outline.addresses:
        assert address.startswith("data:") or address == "demo.mp4"
    pictures = [a for a in outline.addresses if a.startswith("data:image/png")]
    assert len(pictures) == 5
    assert base64.b64decode(pictures[0].partition(",")[2]) == png()
    assert "data:video/mp4;base64," + base64.b64encode(b"a film").decode() in outline.addresses
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"@import|url\(|<script|<iframe", text)


def test_report_states_the_figures(report: DemoReport, tmp_path: Path) -> None:
    report.write(tmp_path / "report.html")
    text = " ".join(read(tmp_path / "report.html").text)
    wanted = ("97.1 %", "0.061 rad", "0.046 m/s", "0.079 rad/s", "0.5 %", "78 s")
    # 409 control steps of 20 ms; a clip that was never followed has no errors.
    wanted += ("<dog>_0", "8.2", "0.051", "0.071", "dog_1", "0.2", "+0.38", "-0.27", "4.2 s")
    wanted += ("way of the target: slalom", "for 73 % of the time. The robot fell.")
    wanted += ("Of 16 robots", "88 % stand within 2.5 s, after 1.8 s")
    wanted += (report.module.contract.hash, "1.5 million control steps in 4 min, seed 7")
    wanted += ("637 frames of 640 x 360", "ray casting", "mujoco 4.0.0", "dog_0, 1.0 s to 9.0 s")
    assert [part for part in wanted if part not in text] == []
    assert "nan" not in text.lower().split()


def test_report_names_the_licence_of_the_clips(report: DemoReport, tmp_path: Path) -> None:
    from dataclasses import replace

    clip = replace(report.clips[0], source={"licence": "CC BY-NC 4.0"})
    replace(report, clips=[clip, clip]).write(tmp_path / "report.html")
    text = " ".join(read(tmp_path / "report.html").text)
    assert text.count("CC BY-NC 4.0") == 1
    report.write(tmp_path / "report.html")
    assert "not stated" in " ".join(read(tmp_path / "report.html").text)


def test_large_films_are_linked(
    report: DemoReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webpage, "EMBEDDED_VIDEO_BYTES", 5)
    report.write(tmp_path / "report.html")
    addresses = read(tmp_path / "report.html").addresses
    assert not any(address.startswith("data:video") for address in addresses)
    assert addresses.count("demo.mp4") == 2


def test_unwritable_report(report: DemoReport, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileFormatError, match=r"report\.html: cannot be written"):
        report.write(tmp_path / "file" / "report.html")
