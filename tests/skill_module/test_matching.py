import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.contract import proprioception
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.rotations import from_yaw, multiply, rotate
from legged_skills.robots.simulation import BatchSim
from legged_skills.skill_module.imitation import ImitationConfig, ImitationEnv
from legged_skills.skill_module.matching import FreeConfig, MotionMatcher, motion_features
from legged_skills.skill_module.reference import build_reference

SPEC = robots.get("anymal_c")


def _env(clip, free: FreeConfig | None = None) -> ImitationEnv:
    reference = build_reference(SPEC, [clip], mirrored=True)
    sim = BatchSim(SPEC, 4, 1)
    return ImitationEnv(sim, proprioception(SPEC), reference, ImitationConfig(), seed=3, free=free)


def test_nearest_row_is_the_own_one_wherever_the_robot_stands(wiggling_clip):
    env = _env(wiggling_clip)
    rows = np.array([0, 30, 71, 140])
    env.reset(np.arange(4), rows)
    matcher = MotionMatcher(SPEC, env.reference, 10)
    np.testing.assert_array_equal(matcher.nearest(env.robots, np.arange(4)), rows)
    turn = from_yaw(np.array([0.3, -2.0, 3.0, 1.0], np.float32))
    qpos = env.reference.qpos[rows].astype(np.float64)
    qpos[:, :2] += 5.0
    qpos[:, 3:7] = multiply(turn, qpos[:, 3:7])
    qvel = env.reference.qvel[rows].astype(np.float64)
    qvel[:, :3] = rotate(turn, qvel[:, :3])
    env.robots.reset(np.arange(4), qpos, qvel)
    np.testing.assert_array_equal(matcher.nearest(env.robots, np.arange(4)), rows)


def test_anchored_robots_stand_on_their_references(wiggling_clip):
    env = _env(wiggling_clip, FreeConfig(share=0.9, mean_s=0.05, match_period_s=0.02))
    hold = np.zeros((4, SPEC.num_joints))
    for _ in range(5):
        env.advance(hold)
    rows = env.row.copy()
    env._anchor(np.arange(4))
    error = env.tracking_error()
    # Beside the height, the base is where its reference is, and heads as it does.
    height = np.abs(env.robots.pos_w[:, 2] - env.reference.qpos[rows, 2])
    np.testing.assert_allclose(error.root_pos, height, atol=1e-5)
    np.testing.assert_allclose(error.root_rot, error.tilt, atol=0.02)


def test_share_and_length_of_free_times(wiggling_clip):
    env = _env(wiggling_clip, FreeConfig(share=0.25, mean_s=0.2))
    seen = []
    for _ in range(4000):
        env._let_go(FreeConfig(share=0.25, mean_s=0.2))
        seen.append(env.free.copy())
    free = np.array(seen[100:])
    np.testing.assert_allclose(free.mean(), 0.25, atol=0.03)
    starts = (free[1:] & ~free[:-1]).sum()
    # 0.2 s are ten control steps.
    np.testing.assert_allclose(free.sum() / starts, 10.0, rtol=0.15)


def test_share_holds_from_the_first_step_on(wiggling_clip):
    env = _env(wiggling_clip, FreeConfig(share=0.6, mean_s=1000.0))
    free = []
    for _ in range(400):
        env.reset(np.arange(4))
        free.append(env.free.copy())
    np.testing.assert_allclose(np.mean(free), 0.6, atol=0.05)
    # Rows that are given are there to be followed.
    env.reset(np.arange(4), np.zeros(4, dtype=int))
    assert not env.free.any()


def test_references_of_free_robots_go_on_after_the_end_of_a_clip(wiggling_clip):
    env = _env(wiggling_clip, FreeConfig(share=0.9, mean_s=1000.0, match_period_s=0.02))
    env.reset(np.arange(4), np.full(4, 97))
    env.free[:] = [True, True, True, False]
    ends = []
    for _ in range(5):
        hold = env.observe()["reference_action"]
        ends.append(env.step(hold).truncated.copy())
    # The clip of 100 rows ends for the one that follows it, and for nobody else.
    assert np.array(ends).any(axis=0).tolist() == [False, False, False, True]
    assert (env.reference.last[env.row[:3]] - env.row[:3] > 0).all()


def test_only_robots_that_follow_tell_where_tracking_is_lost(wiggling_clip):
    env = _env(wiggling_clip, FreeConfig(share=0.5))
    env.reset(np.arange(4), np.array([0, 30, 60, 60]))
    before = env.loss_rate.copy()
    env.row[:] = [10, 40, 0, 70]
    env.age[:] = 10
    env._strayed[:] = [False, False, True, False]
    none = np.zeros(4, dtype=bool)
    env._count_losses(np.array([True, False, True, False]), none)
    # Lost in the bin in which it began: both updates, by 0.05 of the way to 1.
    wanted = before.copy()
    wanted[0] += 0.05 * (1.0 - wanted[0])
    wanted[0] += 0.05 * (1.0 - wanted[0])
    np.testing.assert_allclose(env.loss_rate, wanted)


def test_free_robots_are_not_lost_by_distance_but_by_falling(wiggling_clip):
    env = _env(wiggling_clip, FreeConfig())
    env.reset(np.arange(4), np.zeros(4, dtype=int))
    env.free[:] = [True, False, True, True]
    env.robots.pos_w[:2, 1] += 0.6
    env.robots.pos_w[2, 2] = 0.2
    np.testing.assert_array_equal(env.lost(env.tracking_error()), [False, True, True, False])
    assert env.observe()["free"].ravel().tolist() == [1.0, 0.0, 1.0, 1.0]


def test_state_goes_on_exactly_with_free_robots(wiggling_clip):
    config = FreeConfig(share=0.5, mean_s=0.1)
    one, other = _env(wiggling_clip, config), _env(wiggling_clip, config)
    hold = np.zeros((4, SPEC.num_joints))
    for _ in range(20):
        one.step(hold)
    other.restore(*one.state())
    for _ in range(20):
        np.testing.assert_array_equal(one.step(hold).reward, other.step(hold).reward)
        np.testing.assert_array_equal(one.free, other.free)
        for name, value in one.observe().items():
            np.testing.assert_array_equal(value, other.observe()[name])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"share": 1.0}, "share is 1.0, expected at least 0 and less than 1"),
        ({"mean_s": 0.0}, "mean_s is 0.0, expected more than 0"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(SettingsError, match=message):
        FreeConfig(**settings)


def _two(clip, free: FreeConfig | None = None) -> ImitationEnv:
    """References of two clips that are alike, rows 0 to 99 and 100 to 199."""
    reference, sim = build_reference(SPEC, [clip, clip]), BatchSim(SPEC, 4, 1)
    return ImitationEnv(sim, proprioception(SPEC), reference, ImitationConfig(), seed=3, free=free)


def test_nearest_around_looks_both_ways_and_within_the_clip(wiggling_clip):
    env = _two(wiggling_clip)
    env.reset(np.arange(4), np.array([30, 30, 30, 99]))
    matcher = MotionMatcher(SPEC, env.reference, 10)
    # The present rows are before, after, too far away, and at the start of the second clip.
    found = matcher.nearest_around(env.robots, np.arange(4), np.array([28, 32, 40, 101]), 3)
    assert found[:2].tolist() == [30, 30]
    assert 37 <= found[2] <= 43 and found[3] >= 100


def test_rows_where_a_clip_is_nearly_over_are_not_taken(wiggling_clip):
    env = _two(wiggling_clip)
    env.reset(np.arange(4), np.array([93, 96, 99, 199]))
    found = MotionMatcher(SPEC, env.reference, 10).nearest(env.robots, np.arange(4))
    assert (env.reference.last[found] - found >= 10).all()


def test_free_robots_are_matched_again_every_so_often(
    wiggling_clip, monkeypatch: pytest.MonkeyPatch
):
    config = FreeConfig(share=0.5, mean_s=1e6, match_period_s=0.2)
    env, matched = _two(wiggling_clip, config), []
    env.free[:], env.row[:] = True, 30
    assert env._matcher is not None

    def nearest_around(robots_, ids, rows, reach):
        matched.append(len(ids))
        return rows

    monkeypatch.setattr(env._matcher, "nearest_around", nearest_around)
    for _ in range(500):
        env._let_go(config)
    # Every 0.2 s in the mean, of control steps of 0.02 s.
    assert np.mean(matched) / 4 == pytest.approx(0.1, abs=0.02)


def test_episodes_that_are_not_lost_lower_the_rate_of_where_they_began(wiggling_clip):
    env = _two(wiggling_clip, FreeConfig(share=0.5))
    env._start[:], env.row[:] = [0, 30, 60, 160], [40, 70, 99, 199]
    env._strayed[:] = [False, False, True, False]
    env.loss_rate[:] = 0.5
    env.loss_rate[6] = 0.0201
    none, ended = np.zeros(4, dtype=bool), np.array([True, False, True, True])
    env._count_losses(none, ended)
    wanted = np.full_like(env.loss_rate, 0.5)
    # One goes on, one was free; no rate falls below 0.02, so that all are tried now and then.
    wanted[0], wanted[6] = 0.95 * 0.5, 0.02
    np.testing.assert_allclose(env.loss_rate, wanted)


def test_references_lie_in_the_world_again_when_an_episode_begins(wiggling_clip):
    env = _two(wiggling_clip, FreeConfig(share=0.5))
    env._shift[:, 0], env._turn[:] = 3.0, from_yaw(np.full(4, 1.0, np.float32))
    env.reset(np.array([0, 2]), np.array([20, 120]))
    error = env.tracking_error()
    np.testing.assert_allclose(error.root_pos[[0, 2]], 0.0, atol=1e-5)
    np.testing.assert_allclose(error.root_rot[[0, 2]], 0.0, atol=2e-3)
    assert (error.root_pos[[1, 3]] > 1.0).all()


def test_who_was_free_once_has_strayed_until_the_episode_ends(wiggling_clip):
    config = FreeConfig(share=0.5, mean_s=0.05)
    env = _two(wiggling_clip, config)
    env.reset(np.arange(4))
    ever = env.free.copy()
    assert ever.any() and not ever.all()
    np.testing.assert_array_equal(env._strayed, ever)
    # Chance lets some go in these steps, and catches others.
    for _ in range(2):
        env._let_go(config)
        ever |= env.free
        np.testing.assert_array_equal(env._strayed, ever)
    env.reset(np.arange(4), np.zeros(4, dtype=int))
    assert not env._strayed.any()


def test_references_are_moved_to_robots_that_are_matched_again(
    wiggling_clip, monkeypatch: pytest.MonkeyPatch
):
    config = FreeConfig(share=0.5, mean_s=1e6, match_period_s=SPEC.control_period_s, reach_s=0.3)
    env, reaches = _two(wiggling_clip, config), []
    assert env._matcher is not None

    def nearest_around(robots_, ids, rows, reach):
        reaches.append(reach)
        return rows

    monkeypatch.setattr(env._matcher, "nearest_around", nearest_around)
    env.reset(np.arange(4), np.array([10, 20, 30, 40]))
    env.free[:] = [True, True, True, False]
    env.robots.pos_w[:, 1] += 5.0
    env._let_go(config)
    np.testing.assert_allclose(env.tracking_error().root_pos, [0.0, 0.0, 0.0, 5.0], atol=1e-5)
    # 0.3 s are 15 control steps.
    assert reaches == [15]


def test_robots_that_are_caught_at_the_end_of_a_clip_go_on_elsewhere(
    wiggling_clip, monkeypatch: pytest.MonkeyPatch
):
    config = FreeConfig(share=1e-9, mean_s=SPEC.control_period_s)
    env = _two(wiggling_clip, config)
    assert env._matcher is not None
    monkeypatch.setattr(env._matcher, "nearest_around", lambda robots_, ids, rows, reach: rows)
    env.reset(np.arange(4), np.full(4, 99))
    env.free[:] = env._strayed[:] = [True, False, True, False]
    env._let_go(config)
    assert not env.free.any()
    assert (env.reference.last[env.row] - env.row > 0).tolist() == [True, False, True, False]


def test_features_by_hand():
    vector = np.array([[0.1, -0.2, 0.3]])
    joints = np.linspace(-1.0, 1.0, 12)[None]
    found = motion_features(
        SPEC, vector, np.array([0.5]), 2.0 * vector, 3.0 * vector, joints, 4.0 * joints
    )
    leg, speed = SPEC.leg_length_m, SPEC.froude_speed_mps
    parts = (3.0 * vector, [[3.3 * 0.5 / leg]], 3.5 * 2.0 * vector / speed, 0.4 * 3.0 * vector)
    wanted = np.concatenate([*parts, joints, 0.06 * 4.0 * joints], axis=1)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
