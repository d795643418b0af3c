import jax
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.contract import proprioception
from legged_skills.skill_module import evaluate
from legged_skills.skill_module.agents import Architecture, ImitationAgent
from legged_skills.skill_module.imitation import ImitationConfig, privileged_size
from legged_skills.skill_module.module_file import SkillModule

SPEC = robots.get("anymal_c")


def _module(scale: float) -> SkillModule:
    """An untrained module whose decoder's output is scaled; 0 holds the default pose."""
    contract, imitation, sizes = proprioception(SPEC), ImitationConfig(), Architecture()
    agent = ImitationAgent(sizes, contract.size, privileged_size(SPEC, contract, imitation), 12)
    params = jax.tree.map(np.array, agent.init(jax.random.key(0)))
    params["decoder"] = jax.tree.map(lambda x: scale * x, params["decoder"])
    return SkillModule(
        contract=contract,
        architecture=sizes,
        imitation=imitation,
        params=params,
        clips=(),
        summary={},
    )


def test_standing_still_tracks_a_nearly_standing_clip(wiggling_clip):
    # The clip drifts 0.4 m in 2 s: within 0.5 m, so standing still counts as tracked.
    (track,) = evaluate.track_clips(SPEC, _module(0.0), [wiggling_clip])
    assert (track.name, track.frames, track.tracked) == ("wiggle", 99, 99)
    # Its joints wiggle by 0.15 sin and 0.2 cos: mean absolute 2/pi of that, for two of three
    # joints. The robot sags, too.
    error = track.joint_error_rad
    assert 0.5 * (0.15 + 0.2) * 2 / np.pi * 2 / 3 < error < 0.2
    assert track.qpos.shape == track.reference_qpos.shape == (99, 19)
    np.testing.assert_allclose(track.reference_qpos[0], wiggling_clip.qpos[1], atol=1e-6)


def test_lost_clips_count_no_further(wiggling_clip):
    import dataclasses

    from legged_skills.mocap.clip import finite_difference_qvel

    # Three times as fast: the base leaves the standing robot behind after about 0.83 s.
    qpos = wiggling_clip.qpos.copy()
    qpos[:, 0] *= 3.0
    fast = dataclasses.replace(
        wiggling_clip, name="fast", qpos=qpos, qvel=finite_difference_qvel(qpos, 50.0)
    )
    slow_track, fast_track = evaluate.track_clips(SPEC, _module(0.0), [wiggling_clip, fast])
    assert slow_track.tracked == 99
    assert 35 < fast_track.tracked < 60
    figures = evaluate.summarize([slow_track, fast_track])
    assert figures["tracked_share"] == pytest.approx((99 + fast_track.tracked) / 198)
    weights = np.array([99, fast_track.tracked])
    errors = [slow_track.joint_error_rad, fast_track.joint_error_rad]
    assert figures["joint_error_rad"] == pytest.approx(np.average(errors, weights=weights))
    assert [clip["name"] for clip in figures["clips"]] == ["wiggle", "fast"]


def test_evaluation_is_repeatable(wiggling_clip):
    one, other = (evaluate.track_clips(SPEC, _module(1.0), [wiggling_clip]) for _ in range(2))
    np.testing.assert_array_equal(one[0].qpos, other[0].qpos)
