import numpy as np

from legged_skills import robots
from legged_skills.robots.contract import proprioception
from legged_skills.sim2real.raw_frame import frame_offset, frame_scale, term_slices

SPEC = robots.get("anymal_c")
CONTRACT = proprioception(SPEC)


def test_slices_follow_each_other():
    assert term_slices(CONTRACT) == {
        "gravity": slice(0, 3),
        "angular_velocity": slice(3, 6),
        "joint_pos": slice(6, 18),
        "joint_vel": slice(18, 30),
        "last_action": slice(30, 42),
    }


def test_offset_and_scale_give_the_contracts_frame():
    rng = np.random.default_rng(0)
    raw = rng.standard_normal((5, CONTRACT.frame_size))
    signals = {name: raw[:, where] for name, where in term_slices(CONTRACT).items()}
    scaled = (raw - frame_offset(CONTRACT)) * frame_scale(CONTRACT)
    np.testing.assert_allclose(scaled, CONTRACT.frame(signals), rtol=1e-6, atol=1e-7)
