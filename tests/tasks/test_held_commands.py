"""Commands held from standing, and standing."""

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.intervals import mean_interval, wilson
from legged_skills.tasks.evaluate_walk import WalkEpisodes
from legged_skills.tasks.held_commands import (
    HELD_COMMANDS,
    foot_speeds,
    held_episodes,
    held_figures,
    standing_figures,
)
from legged_skills.tasks.walk import PACES

SPEC = robots.get("anymal_c")


def _run(commands: np.ndarray, achieved: np.ndarray, fallen_at: np.ndarray) -> WalkEpisodes:
    return WalkEpisodes(
        commands=commands,
        achieved=achieved,
        fallen_at=fallen_at,
        velocity=np.zeros((100, len(commands), 3)),
        qpos=np.zeros((100, 0, 19)),
    )


def _standing(qpos: np.ndarray, fallen_at: list[int]) -> WalkEpisodes:
    """Robots that are told to stand, and do what (T, E, 7 + J) states say."""
    steps, episodes, _ = qpos.shape
    return WalkEpisodes(
        commands=np.zeros((episodes, 1, 3)),
        achieved=np.zeros((episodes, 1, 3)),
        fallen_at=np.array(fallen_at),
        velocity=np.zeros((steps, episodes, 3)),
        qpos=qpos,
    )


def test_every_command_is_given_as_often() -> None:
    commands = held_episodes("anymal_c", 3)
    assert commands.shape == (33, 1, 3)
    np.testing.assert_array_equal(commands[:3, 0], [[-0.5, 0.0, 0.0]] * 3)
    np.testing.assert_array_equal(commands[-1, 0], [0.0, 0.0, 1.0])
    for given in HELD_COMMANDS.values():
        # One component at a time, and standing among them.
        assert (0.0, 0.0, 0.0) in given and len(set(given)) == len(given)
        assert all(np.count_nonzero(command) <= 1 for command in given)
    with pytest.raises(SettingsError, match="no commands to hold for walker"):
        held_episodes("walker", 3)


def test_what_was_reached_by_hand() -> None:
    commands = np.array([[0.5, 0.0, 0.0], [0.0, 0.0, 1.0]]).repeat(2, axis=0)[:, None]
    achieved = commands.copy()
    achieved[0, 0] += [0.1, 0.4, 0.0]
    achieved[1, 0] += [0.5, 0.4, 0.2]
    achieved[2, 0] += [0.0, 0.0, -0.3]
    achieved[3] = np.nan  # fell
    figures = held_figures(_run(commands, achieved, np.array([100, 100, 100, 40])), 2)
    first, second = figures["held_commands"]
    assert (first["vx_mps"], first["yaw_radps"], first["falls"]) == (0.5, 0.0, 0)
    assert first["reached_vx_mps"] == pytest.approx(0.8)
    assert first["error_vx_mps"] == pytest.approx(0.3)
    low, high = first["error_vx_mps_ci95"]
    assert 0.5 * (low + high) == pytest.approx(0.3) and high > low
    assert (second["falls"], second["fall_rate"]) == (1, 0.5)
    assert second["fall_rate_ci95"] == list(wilson(1, 2))
    assert second["error_yaw_radps"] == pytest.approx(-0.3)
    assert figures["worst_velocity_error_mps"] == pytest.approx(0.5)  # 0.3 and 0.4
    assert figures["worst_yaw_error_radps"] == pytest.approx(0.3)


def test_a_command_at_which_all_fall_has_no_error() -> None:
    commands = np.zeros((2, 1, 3))
    achieved = np.array([[[0.0, 0.0, 0.0]], [[np.nan] * 3]])
    figures = held_figures(_run(commands, achieved, np.array([100, 10])), 1)
    assert np.isnan([figures["worst_velocity_error_mps"], figures["worst_yaw_error_radps"]]).all()


def test_standing_by_hand() -> None:
    # Two robots drift by 0.3 m in x and by 0.4 m in y after 1 s; the first second does not count.
    # A third one falls.
    qpos = np.tile(SPEC.home_qpos, (100, 3, 1))
    qpos[:50, :, 0] = 5.0
    qpos[50:, 0, 0] = np.linspace(0.0, 0.3, 50)
    qpos[50:, 1, 1] = np.linspace(0.0, 0.4, 50)
    run = _standing(qpos, [100, 100, 70])
    figures = standing_figures(SPEC, run, 1.0)
    assert figures["fall_rate"] == pytest.approx(1 / 3)
    assert (figures["from_s"], figures["to_s"]) == (1.0, 2.0)
    assert figures["drift_m"]["mean"] == pytest.approx(0.35)
    assert figures["drift_m"]["p95"] == pytest.approx(0.395)
    # 0.3 and 0.4 m in 49 steps of 20 ms.
    assert figures["feet_mps"] == pytest.approx(0.35 / (49 * 0.02))
    fallen = WalkEpisodes(**{**vars(run), "fallen_at": np.zeros(3, dtype=int)})
    assert np.isnan(standing_figures(SPEC, fallen, 1.0)["drift_m"]["mean"])


def test_who_sinks_or_turns_does_not_drift() -> None:
    qpos = np.tile(SPEC.home_qpos, (20, 1, 1))
    qpos[10:, 0, 2] -= 0.1
    qpos[10:, 0, 3:7] = [np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)]
    run = _standing(qpos, [20])
    figures = standing_figures(SPEC, run, 0.1)
    assert figures["drift_m"]["mean"] == figures["drift_m"]["p95"] == 0.0
    assert figures["feet_mps"] > 0.0


def test_feet_move_with_the_joints() -> None:
    qpos = np.tile(SPEC.home_qpos, (2, 1, 1))
    qpos[1, 0, 7] += 0.01  # the first leg's hip
    speeds = foot_speeds(SPEC, qpos)
    assert speeds.shape == (1, 1, 4)
    assert speeds[0, 0, 0] > 0.1
    np.testing.assert_allclose(speeds[0, 0, 1:], 0.0, atol=1e-12)


def test_times_are_those_of_the_robot() -> None:
    spec = robots.get("op3")
    period = spec.control_period_s
    assert period != SPEC.control_period_s
    # Steady ways sideways and down; before half the time it is elsewhere.
    qpos = np.tile(spec.home_qpos, (40, 2, 1))
    qpos[:20, :, 0] = 5.0
    qpos[20:, 0, 1] = np.linspace(0.0, 0.3, 20)
    qpos[20:, 1, 2] += np.linspace(0.0, 0.1, 20)
    run = _standing(qpos, [40, 40])
    figures = standing_figures(spec, run, 20 * period)
    assert (figures["from_s"], figures["to_s"]) == (20 * period, 40 * period)
    assert figures["drift_m"]["mean"] == pytest.approx(0.15)
    assert figures["feet_mps"] == pytest.approx(0.2 / (19 * period))


def test_who_comes_back_has_not_drifted() -> None:
    qpos = np.tile(SPEC.home_qpos, (20, 1, 1))
    qpos[5:15, 0, 0] += 0.2
    run = _standing(qpos, [20])
    assert standing_figures(SPEC, run, 0.0)["drift_m"]["mean"] == pytest.approx(0.0, abs=1e-12)


def test_intervals_of_standing_are_of_falls_and_of_drifts() -> None:
    qpos = np.tile(SPEC.home_qpos, (10, 5, 1))
    qpos[-1, :, 0] += [0.1, 0.2, 0.3, 0.4, 9.0]
    run = _standing(qpos, [10, 10, 10, 10, 4])
    figures = standing_figures(SPEC, run, 0.1)
    assert figures["fall_rate_ci95"] == list(wilson(1, 5)) != list(wilson(4, 5))
    drifts = np.array([0.1, 0.2, 0.3, 0.4])
    assert figures["drift_m"]["mean_ci95"] == pytest.approx(list(mean_interval(drifts)))


@pytest.mark.parametrize("robot", ["anymal_c", "op3"])
def test_commands_to_either_side_are_mirror_images(robot: str) -> None:
    commands = set(HELD_COMMANDS[robot])
    assert {(vx, -vy, -yaw) for vx, vy, yaw in commands} == commands
    low, high = PACES[robot].ranges.T
    assert all((low <= command).all() and (command <= high).all() for command in commands)
