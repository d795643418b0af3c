from dataclasses import dataclass

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.bundle_header import CommandComponent
from legged_skills.tasks.evaluate_walk import WalkEvaluationConfig
from legged_skills.tasks.validate_walk import (
    WalkTrial,
    WalkTrialConfig,
    draw_commands,
    heading_twist,
)

SPEC = robots.get("anymal_c")
CONFIG = WalkTrialConfig(episode_s=0.4, command_s=0.2, average_s=0.1)
HOLD, WINDOW, STEPS = 10, 5, 20
"""Control steps of 20 ms: a command is given for 10, the last 5 of them count."""


@dataclass
class FakeTruth:
    pos_w: np.ndarray
    up_b: np.ndarray
    lin_vel_b: np.ndarray
    ang_vel_b: np.ndarray
    torque_squared: np.ndarray


def upright(n: int) -> FakeTruth:
    """Robots that stand."""
    return FakeTruth(
        pos_w=np.tile([0.0, 0.0, SPEC.standing_height_m], (n, 1)),
        up_b=np.tile([0.0, 0.0, 1.0], (n, 1)),
        lin_vel_b=np.zeros((n, 3)),
        ang_vel_b=np.zeros((n, 3)),
        torque_squared=np.full(n, 100.0),
    )


def test_commands_are_those_of_evaluate_walk_if_the_ranges_are() -> None:
    ranges = WalkEvaluationConfig()
    ends = list(ranges.ranges("anymal_c").values())
    components = [CommandComponent(name="x", unit="1", low=low, high=high) for low, high in ends]
    commands = draw_commands(components, WalkTrialConfig(), 7, ranges.seed)
    low, high = np.transpose(ends)
    expected = np.random.default_rng(ranges.seed).uniform(low, high, (7, 5, 3))
    np.testing.assert_array_equal(commands, expected)


def test_twist_is_along_the_floor() -> None:
    truth = upright(3)
    # Upright; pitched nose down by a; rolled to the left side by a, all moving 0.5 m/s forward
    # and 0.2 m/s to the left along the floor, and turning by 0.3 rad/s about its normal.
    a = 0.4
    s, c = np.sin(a), np.cos(a)
    truth.up_b[1] = [-s, 0.0, c]
    truth.up_b[2] = [0.0, s, c]
    truth.lin_vel_b[:] = [[0.5, 0.2, 0.0], [0.5 * c, 0.2, 0.5 * s], [0.5, 0.2 * c, -0.2 * s]]
    truth.ang_vel_b[:] = 0.3 * truth.up_b
    np.testing.assert_allclose(heading_twist(truth), np.tile([0.5, 0.2, 0.3], (3, 1)), atol=1e-5)


def run(commands: np.ndarray, twist: np.ndarray, falls: dict[int, int]) -> WalkTrial:
    """Robots that move with (STEPS, N, 3) ``twist``; ``falls``: robot and step of the fall."""
    n = len(commands)
    trial = WalkTrial(SPEC, CONFIG, commands)
    for step in range(trial.steps):
        truth = upright(n)
        truth.lin_vel_b[:, :2] = twist[step, :, :2]
        truth.ang_vel_b[:, 2] = twist[step, :, 2]
        for robot, at in falls.items():
            if step == at:
                truth.pos_w[robot, 2] = 0.1
            if step >= at:
                truth.torque_squared[robot] = 1e6
                truth.lin_vel_b[robot] = 50.0
        trial.observe(step, truth, np.zeros(n, dtype=bool))
    return trial


def test_errors_are_those_of_the_mean_over_the_end_of_each_command() -> None:
    commands = np.array([[[0.5, 0.0, 0.1], [0.2, 0.1, 0.0]]])
    twist = np.full((STEPS, 1, 3), 9.0)
    # In the windows: 0.4 and 0.6 in turn have a mean of 0.48 or 0.52 over five steps.
    twist[5:10, 0] = [[0.4, 0.3, 0.1], [0.6, 0.3, 0.1], [0.4, 0.3, 0.1], [0.6, 0.3, 0.1],
                      [0.4, 0.3, 0.1]]  # fmt: skip
    twist[15:20, 0] = [0.2, 0.1, -0.2]
    figures = run(commands, twist, {}).figures(slice(None))
    # First command: (-0.02, 0.3) m/s and 0 rad/s off; second: 0 m/s and 0.2 rad/s.
    assert figures["velocity_error_mps"] == pytest.approx(np.hypot(0.02, 0.3) / 2.0, abs=1e-6)
    assert figures["yaw_error_radps"] == pytest.approx(0.1, abs=1e-6)
    assert figures["error_with_falls_mps"] == pytest.approx(figures["velocity_error_mps"])
    assert figures["fall_rate"] == 0.0
    assert figures["torque_squared"] == pytest.approx(100.0)


def test_a_fall_takes_its_command_and_those_after_it_out_of_the_errors() -> None:
    commands = np.tile([[[0.3, 0.4, 0.1], [0.6, 0.8, 0.0]]], (2, 1, 1))
    twist = np.zeros((STEPS, 2, 3))
    twist[:10] = [0.3, 0.4, 0.1]
    twist[10:] = [0.6, 0.8, 0.0]
    for fall_at, with_falls in (
        (12, 1.0 / 4.0),  # the second of two commands counts as not obeyed: 1.0 m/s off
        (9, (0.5 + 1.0) / 4.0),  # both do
    ):
        trial = run(commands, twist, {1: fall_at})
        both, first, second = (trial.figures(rows) for rows in (slice(None), slice(1), slice(1, 2)))
        assert trial.fallen_at.tolist() == [STEPS, fall_at]
        assert both["fall_rate"] == 0.5 and both["episodes"] == 2
        assert both["velocity_error_mps"] == pytest.approx(0.0, abs=1e-6)
        assert both["error_with_falls_mps"] == pytest.approx(with_falls, abs=1e-6)
        # What a robot on the floor does costs no energy.
        assert both["torque_squared"] == pytest.approx(100.0)
        assert first["fall_rate"] == 0.0 and second["fall_rate"] == 1.0


def test_without_a_command_carried_out_there_is_no_error() -> None:
    figures = run(np.ones((2, 2, 3)), np.zeros((STEPS, 2, 3)), {0: 0, 1: 3}).figures(slice(None))
    assert np.isnan(figures["velocity_error_mps"]) and np.isnan(figures["yaw_error_radps"])
    assert figures["error_with_falls_mps"] == pytest.approx(np.sqrt(2.0))
    assert figures["fall_rate"] == 1.0


@pytest.mark.parametrize("how", ["low", "tilted", "diverged", "not a number"])
def test_what_a_fall_is(how: str) -> None:
    truth, diverged = upright(2), np.zeros(2, dtype=bool)
    if how == "low":
        truth.pos_w[1, 2] = SPEC.fallen_height_m - 0.01
    elif how == "tilted":
        truth.up_b[1] = [np.sin(1.01), 0.0, np.cos(1.01)]
        truth.up_b[0] = [np.sin(0.99), 0.0, np.cos(0.99)]
    elif how == "diverged":
        diverged[1] = True
    else:
        truth.up_b[1] = np.nan
    trial = WalkTrial(SPEC, CONFIG, np.zeros((2, 2, 3)))
    down = trial.observe(0, truth, diverged)
    assert down.tolist() == [False, True]
    assert not trial.over
    assert trial.figures(slice(None))["fall_rate"] == 0.5


@pytest.mark.parametrize(
    "times", [{"average_s": 0.0}, {"average_s": 5.0}, {"command_s": 30.0}, {"episode_s": np.inf}]
)
def test_times_must_fit(times: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="in this order"):
        WalkTrialConfig(**times)
