"""When a robot that follows a clip is lost."""

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.mocap.library import load_clips, shipped_clips
from legged_skills.robots.kinematics import Kinematics
from legged_skills.skill_module.deviation import STRICT_DEVIATION, deviation, lost, lowest_height

SPEC = robots.get("anymal_c")
KINEMATICS = Kinematics(SPEC.model(visible=False))


def _home(count: int) -> np.ndarray:
    return np.tile(SPEC.home_qpos, (count, 1))


def test_deviation_by_hand() -> None:
    qpos, reference = _home(3), _home(3)
    # All bodies are 0.9 m off along one of three axes: half of 0.3.
    qpos[1, 1] += 0.9
    # A hind knee is 0.6 rad off. Its shank's origin is on its axis, so that no body moves; what
    # hangs below it does, if the model has a foot as a body of its own.
    qpos[2, -1] += 0.6
    bodies = KINEMATICS.poses(np.stack([qpos[2], reference[2]])).body_pos_w[1:]
    moved = np.abs(bodies[:, 0] - bodies[:, 1]).mean()
    wanted = [0.0, 0.15, 0.5 * 0.6 / 12 + 0.5 * moved]
    np.testing.assert_allclose(deviation(KINEMATICS, qpos, reference), wanted, atol=1e-12)


def test_lost_when_off_tilted_or_down() -> None:
    qpos, reference = _home(6), _home(6)
    qpos[1, 0] += 1.81  # a deviation of 0.3017
    qpos[2, 0] += 1.79
    qpos[3, 3:7] = [np.cos(0.505), np.sin(0.505), 0.0, 0.0]  # rolled by 1.01 rad
    qpos[4, 3:7] = [np.cos(0.505), 0.0, 0.0, np.sin(0.505)]  # turning is no tilt
    qpos[5, 2] = SPEC.fallen_height_m - 0.01
    found = lost(SPEC, KINEMATICS, qpos, reference)
    assert found.tolist() == [False, True, False, True, False, True]
    # Strictly at half of that, where all bodies are 0.9 m off along one of three axes.
    qpos[1, 0], qpos[2, 0] = reference[0, 0] + np.array([0.89, 0.91])
    found = lost(SPEC, KINEMATICS, qpos, reference, STRICT_DEVIATION)
    assert found.tolist() == [False, False, True, True, False, True]


def test_a_reference_that_crouches_has_not_fallen() -> None:
    spec = robots.get("op3")
    # 0.17 m is fallen; a reference at 0.16 m may be followed to 0.1 leg lengths below it.
    heights = lowest_height(spec, np.array([0.26, 0.16]))
    assert heights == pytest.approx([0.17, 0.16 - 0.1 * spec.leg_length_m])


@pytest.mark.parametrize("robot", ["anymal_c", "op3"])
def test_clips_are_not_lost_themselves(robot: str) -> None:
    spec = robots.get(robot)
    kinematics = Kinematics(spec.model(visible=False))
    for clip in load_clips(shipped_clips(robot)):
        # A little low and a little off, as a robot is that follows well.
        qpos = clip.qpos - 0.01 * np.eye(clip.qpos.shape[1])[2]
        assert not lost(spec, kinematics, qpos, clip.qpos).any(), clip.name
