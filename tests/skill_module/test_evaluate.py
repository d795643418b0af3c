import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.mocap.clip import RobotClip, finite_difference_qvel
from legged_skills.robots.contract import proprioception
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.intervals import mean_interval
from legged_skills.sim2real.gap import GAPS
from legged_skills.sim2real.sensed_robot import SensedRobots
from legged_skills.skill_module import evaluate, prior
from legged_skills.skill_module.agents import Architecture, ImitationAgent
from legged_skills.skill_module.imitation import ImitationConfig, ImitationEnv, privileged_size
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.train import with_prior

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
    # The clip drifts 0.4 m in 2 s, a deviation of about 0.12, so standing still counts as tracked.
    (track,) = evaluate.track_clips(SPEC, _module(0.0), [wiggling_clip])
    assert (track.name, track.frames, track.tracked) == ("wiggle", 99, 99)
    # Its joints wiggle by 0.15 sin and 0.2 cos: mean absolute 2/pi of that, for two of three
    # joints. The robot sags, too.
    error = track.joint_error_rad
    assert 0.5 * (0.15 + 0.2) * 2 / np.pi * 2 / 3 < error < 0.2
    assert track.qpos.shape == track.reference_qpos.shape == (99, 19)
    assert track.latents.shape == track.kl.shape == (99, 16)
    np.testing.assert_allclose(track.reference_qpos[0], wiggling_clip.qpos[1], atol=1e-6)


def test_lost_clips_count_no_further(wiggling_clip):
    # Six times as fast. The deviation is half the mean over three axes of 1.2 m/s * t, and half
    # the mean joint error of about 0.09 rad: 0.3 after about 1.27 s for a robot that stays where it
    # is. This one is carried on by 0.5 m, by the speed with which it starts.
    qpos = wiggling_clip.qpos.copy()
    qpos[:, 0] *= 6.0
    fast = dataclasses.replace(
        wiggling_clip, name="fast", qpos=qpos, qvel=finite_difference_qvel(qpos, 50.0)
    )
    slow_track, fast_track = evaluate.track_clips(SPEC, _module(0.0), [wiggling_clip, fast])
    assert slow_track.tracked == 99
    assert 63 <= fast_track.tracked < 90
    figures = evaluate.summarize([slow_track, fast_track])
    assert figures["tracked_share"] == pytest.approx((99 + fast_track.tracked) / 198)
    weights = np.array([99, fast_track.tracked])
    errors = [slow_track.joint_error_rad, fast_track.joint_error_rad]
    assert figures["joint_error_rad"] == pytest.approx(np.average(errors, weights=weights))
    assert [clip["name"] for clip in figures["clips"]] == ["wiggle", "fast"]
    # One play tells nothing of others.
    assert figures["plays"] == 1 and np.isnan(figures["tracked_share_ci95"]).all()


def test_evaluation_is_repeatable(wiggling_clip):
    one, other = (evaluate.track_clips(SPEC, _module(1.0), [wiggling_clip]) for _ in range(2))
    np.testing.assert_array_equal(one[0].qpos, other[0].qpos)


def _track(play: int, tracked: int, kl: float, name: str = "clip") -> evaluate.ClipTrack:
    """A play of a clip of ten steps, whose joints are 0.1 rad times (1 + play) off."""
    qpos = np.zeros((tracked, 19))
    qpos[:, 7:] = 0.1 * (1 + play)
    return evaluate.ClipTrack(
        name=name,
        play=play,
        frames=10,
        tracked=tracked,
        tracked_strictly=tracked // 2,
        qpos=qpos,
        reference_qpos=np.zeros((tracked, 19)),
        latents=np.zeros((tracked, 2)),
        kl=np.tile([kl, 1.0], (tracked, 1)),
    )


def test_figures_over_plays_by_hand():
    tracks = [
        *(_track(0, 10, 1.0, "a"), _track(1, 6, 1.0, "a")),
        *(_track(0, 4, 3.0, "b"), _track(1, 0, 9.0, "b")),
    ]
    figures = evaluate.summarize(tracks)
    assert figures["plays"] == 2
    assert figures["tracked_share"] == pytest.approx(20 / 40)
    assert figures["strictly_tracked_share"] == pytest.approx(10 / 40)
    # The first plays of both clips: 14 of 20; the second: 6 of 20. Student's t is 12.7, so that two
    # plays say nothing but that it is a share.
    assert figures["tracked_share_ci95"] == [0.0, 1.0]
    assert figures["joint_error_rad"] == pytest.approx((14 * 0.1 + 6 * 0.2) / 20)
    assert [clip["name"] for clip in figures["clips"]] == ["a", "b"]
    assert figures["clips"][0]["tracked_share"] == pytest.approx(0.8)
    # 16 steps at 1 nat and 4 at 3 nat in the first dimension; the last play tracked nothing.
    np.testing.assert_allclose(evaluate.kl_per_dimension(tracks), [1.4, 1.0])


def test_plays_under_a_gap_differ(wiggling_clip):
    gap = GAPS["anymal_c"]
    tracks = evaluate.track_clips(SPEC, _module(0.0), [wiggling_clip], 1, gap, plays=3)
    assert [track.play for track in tracks] == [0, 1, 2]
    first = {tuple(track.qpos[0]) for track in tracks}
    assert len(first) == 3
    with pytest.raises(SettingsError, match="plays is 0, expected at least 1"):
        evaluate.track_clips(SPEC, _module(0.0), [wiggling_clip], plays=0)


def test_clips_of_like_length_are_played_together():
    lengths = [10.0, 3.0, 100.0, 4.9, 50.0, 5.0]
    assert evaluate.groups_of_like_length(lengths) == [[2, 4], [0, 5], [3, 1]]
    assert evaluate.groups_of_like_length([]) == []


def test_tracks_come_in_the_order_of_the_clips(wiggling_clip):
    import dataclasses

    def first(name: str, frames: int) -> RobotClip:
        parts = {part: getattr(wiggling_clip, part)[:frames] for part in ("qpos", "qvel")}
        contact = wiggling_clip.foot_contact[:frames]
        return dataclasses.replace(wiggling_clip, name=name, foot_contact=contact, **parts)

    clips = [first("short", 20), wiggling_clip, first("middle", 60)]
    tracks = evaluate.track_clips(SPEC, _module(0.0), clips, 1, plays=2)
    names = [(track.name, track.play, track.frames) for track in tracks]
    assert names == [
        *(("short", 0, 19), ("short", 1, 19)),
        *(("wiggle", 0, 99), ("wiggle", 1, 99)),
        *(("middle", 0, 59), ("middle", 1, 59)),
    ]


def test_nothing_is_tracked_from_where_the_physics_diverges(wiggling_clip, monkeypatch):
    advance, steps = ImitationEnv.advance, []

    def diverging(self, action):
        steps.append(0)
        return advance(self, action) | (len(steps) == 21)

    monkeypatch.setattr(ImitationEnv, "advance", diverging)
    (track,) = evaluate.track_clips(SPEC, _module(0.0), [wiggling_clip])
    assert track.tracked == 20


def test_plays_have_factors_of_their_own(wiggling_clip, monkeypatch):
    seeds = []
    monkeypatch.setattr(SensedRobots, "draw_factors", lambda self, seed: seeds.append(seed))
    gap = GAPS["anymal_c"]
    evaluate.track_clips(SPEC, _module(0.0), [wiggling_clip], gap=gap, seed=7, plays=2)
    assert seeds == [7]


def test_the_divergence_is_from_the_prior_in_the_modules_file(wiggling_clip, constant_module):
    # The encoder goes on with 0.95 of the latent before, the file's prior with 0.5 of it.
    module = constant_module(0.0)
    sizes = with_prior(module.architecture, 0.5)
    module = dataclasses.replace(module, architecture=sizes)
    (track,) = evaluate.track_clips(SPEC, module, [wiggling_clip])
    # From the latent zero it stays there.
    still = jnp.zeros((1, 4))
    np.testing.assert_array_equal(track.latents, 0.0)
    privileged = np.zeros((1, privileged_size(SPEC, module.contract, module.imitation)))
    log_std = module.agent.encode(module.params, privileged, still)[1]
    wanted, other = (prior.kl_per_dimension(still, log_std, still, a) for a in (0.5, 0.95))
    np.testing.assert_allclose(track.kl, np.tile(wanted, (99, 1)), rtol=1e-5)
    assert np.abs(wanted - other).max() > 0.1


def test_errors_of_a_clip_by_hand():
    qpos = np.zeros((2, 19))
    qpos[0, :3], qpos[1, :3] = [0.3, 0.0, 0.4], [0.0, -0.1, 0.0]
    qpos[0, 7:], qpos[1, 7:] = 0.1, -0.3
    track = dataclasses.replace(_track(0, 2, 1.0), qpos=qpos)
    assert track.root_error_m == pytest.approx((0.5 + 0.1) / 2)
    assert track.joint_error_rad == pytest.approx((0.1 + 0.3) / 2)
    assert np.isnan([_track(0, 0, 1.0).root_error_m, _track(0, 0, 1.0).joint_error_rad]).all()


def test_intervals_are_over_plays_of_all_clips():
    tracked = {"a": [10, 9, 10, 9], "b": [1, 0, 2, 0]}
    tracks = [_track(k, n, 1.0, name) for name in tracked for k, n in enumerate(tracked[name])]
    figures = evaluate.summarize(tracks)
    shares = np.array([11, 9, 12, 9]) / 20
    np.testing.assert_allclose(figures["tracked_share_ci95"], mean_interval(shares))
    ends = figures["clips"][1]["tracked_share_ci95"]
    low, high = mean_interval(np.array([0.1, 0.0, 0.2, 0.0]))
    np.testing.assert_allclose(ends, [max(low, 0.0), high])


def test_each_latent_is_told_the_one_before(wiggling_clip, constant_module):
    # An encoder that adds 0.1 to what it keeps of the latent before.
    module = constant_module(0.0)
    module.params["encoder"]["Mlp_0"]["Dense_1"]["bias"][:4] += 0.1
    (track,) = evaluate.track_clips(SPEC, module, [wiggling_clip])
    kept = module.architecture.alpha ** np.arange(1.0, 100.0)
    wanted = 0.1 * (1.0 - kept) / (1.0 - module.architecture.alpha)
    np.testing.assert_allclose(track.latents, np.tile(wanted[:, None], (1, 4)), rtol=1e-4)


def test_every_play_begins_where_its_own_clip_does(wiggling_clip):
    qpos = wiggling_clip.qpos.copy()
    qpos[:, 1] += 5.0
    clips = [wiggling_clip, dataclasses.replace(wiggling_clip, name="beside", qpos=qpos)]
    tracks = evaluate.track_clips(SPEC, _module(0.0), clips, 1, plays=2)
    assert [track.tracked for track in tracks] == [99] * 4
    np.testing.assert_allclose([t.qpos[0, 1] for t in tracks], [0.0, 0.0, 5.0, 5.0], atol=0.02)
