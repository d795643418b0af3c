import io
import json
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from rich.console import Console

from legged_skills.robots.errors import FileFormatError, SettingsError, UnknownRobotError
from legged_skills.skill_module.evaluate import ClipTrack
from legged_skills.tasks.demo import COURSE, DemoConfig, course_commands, liveliest, run_demo
from legged_skills.tasks.evaluate_walk import WalkEvaluationConfig

TINY = DemoConfig(
    clip_s=0.4,
    command_s=0.2,
    average_s=0.1,
    test=WalkEvaluationConfig(episodes=3, episode_s=0.4, command_s=0.2, average_s=0.1),
    dribble_s=0.4,
)


def track(speed_mps: np.ndarray, turn_radps: float = 0.0) -> ClipTrack:
    """A track whose reference moves along x at a speed for each step, and turns."""
    qpos = np.zeros((len(speed_mps), 19))
    qpos[:, 0] = np.cumsum(0.02 * speed_mps)
    yaw = 0.02 * turn_radps * np.arange(len(qpos))
    qpos[:, 3], qpos[:, 6] = np.cos(yaw / 2.0), np.sin(yaw / 2.0)
    return ClipTrack(
        name="track",
        frames=len(qpos),
        tracked=len(qpos),
        tracked_strictly=len(qpos),
        qpos=qpos,
        reference_qpos=qpos,
        latents=np.zeros((len(qpos), 1)),
        kl=np.zeros((len(qpos), 1)),
    )


def test_liveliest_part_is_where_the_robot_moves_and_turns() -> None:
    slow = track(np.full(500, 0.2))
    speed = np.full(500, 0.1)
    speed[201:301] = 1.0
    fast = track(speed)
    assert liveliest([slow, fast], 100) == (fast, slice(201, 301)) or liveliest(
        [slow, fast], 100
    ) == (fast, slice(200, 300))
    # 1 rad/s counts like 0.5 m/s.
    turning = track(np.zeros(500), turn_radps=1.0)
    assert liveliest([track(np.full(500, 0.45)), turning], 100)[0] is turning
    # A short clip is shown whole; an unfollowed one is not shown.
    short = track(np.full(30, 1.0))
    assert liveliest([short], 100) == (short, slice(0, 30))
    empty = replace(slow, tracked=0, qpos=slow.qpos[:0], reference_qpos=slow.qpos[:0])
    assert liveliest([empty, short], 100)[0] is short
    assert liveliest([empty], 100) == (empty, slice(0, 0))


def test_the_course_suits_the_robot() -> None:
    anymal, op3 = (dict(course_commands(name)) for name in ("anymal_c", "op3"))
    assert anymal["forward, slowly"] == (0.4, 0.0, 0.0)
    assert anymal["turn left"] == (0.5, 0.0, 0.7)
    assert anymal["backwards"] == (-0.25, 0.0, 0.0)
    assert op3["forward, faster"] == (0.29, 0.0, 0.0)
    assert op3["sidestep"] == (0.0, 0.09, 0.0)
    assert op3["backwards"] == (-0.05, 0.0, 0.0)
    with pytest.raises(SettingsError, match="spot has no paces"):
        course_commands("spot")


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_demo_makes_film_and_report(
    still_skills_file: Path, still_policy_file: Path, wiggle_file: Path, tmp_path: Path
) -> None:
    log = io.StringIO()
    result = run_demo(
        "anymal_c",
        tmp_path / "out",
        TINY,
        skills=still_skills_file,
        policy=still_policy_file,
        clips=[wiggle_file],
        backend="raycast",
        size=(64, 48),
        console=Console(file=log),
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["demo.mp4", "report.html"]
    # 0.4 s of the clip, 7 commands of 0.2 s and 0.4 s with a ball, 25 frames/s.
    assert imageio_ffmpeg.count_frames_and_secs(str(result.video))[0] == 10 + 35 + 10
    figures = result.figures
    assert figures["film"]["frames"] == 55
    # The ball has begun to be left behind, no more.
    assert figures["dribbling"]["time_near_target"] == 1.0 and figures["getup"] is None
    # The clip drifts by less than 0.5 m, so holding still follows it, badly.
    assert figures["tracking"]["tracked_share"] == 1.0
    assert figures["walking"]["episodes"] == 3
    assert [leg["name"] for leg in figures["course"]["commands"]] == [name for name, _ in COURSE]
    assert figures["course"]["commands"][2]["vx_mps"] == 0.9
    assert not figures["course"]["fell"]
    # A robot that stands does not turn left at 0.7 rad/s.
    assert abs(figures["course"]["commands"][3]["achieved_yaw_radps"]) < 0.2
    json.dumps(figures)
    page = result.report.read_text(encoding="utf-8")
    assert f"{figures['tracking']['joint_error_rad']:.3f} rad" in page
    assert f"{figures['walking']['velocity_error_mps']:.3f} m/s" in page
    assert "sidestep" in page and "100 % of the time" in page and "Getting up" not in page
    assert "making the film" in log.getvalue()


def test_demo_is_repeatable(
    still_skills_file: Path, still_policy_file: Path, wiggle_file: Path, tmp_path: Path
) -> None:
    quiet = Console(file=io.StringIO())
    one, other = (
        run_demo(
            "anymal_c",
            tmp_path / name,
            TINY,
            skills=still_skills_file,
            policy=still_policy_file,
            clips=wiggle_file.parent,
            backend="raycast",
            size=(64, 48),
            console=quiet,
        )
        for name in ("one", "other")
    )
    assert one.video.read_bytes() == other.video.read_bytes()
    for result in (one, other):
        del result.figures["seconds"]
    assert one.figures == other.figures


def test_wrong_files_are_refused(
    still_skills_file: Path, still_policy_file: Path, wiggle_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(UnknownRobotError, match="anymal_c"):
        run_demo("spot", tmp_path)
    with pytest.raises(FileFormatError, match="expected a skill module, found a task policy"):
        run_demo("anymal_c", tmp_path, skills=still_policy_file)
    with pytest.raises(FileFormatError, match="expected a task policy, found a skill module"):
        run_demo("anymal_c", tmp_path, skills=still_skills_file, policy=still_skills_file)
    with pytest.raises(FileFormatError, match=r"none\.npz"):
        run_demo(
            "anymal_c",
            tmp_path,
            skills=still_skills_file,
            policy=still_policy_file,
            clips=tmp_path / "none.npz",
        )
    assert list(tmp_path.iterdir()) == []
