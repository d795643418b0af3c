import io
import threading
from collections.abc import Mapping

import numpy as np
import pytest
from rich.console import Console

from legged_skills import robots
from legged_skills.tasks.validate_run import Group, Job, run_jobs, run_trial
from legged_skills.tasks.validate_walk import WalkTrial, WalkTrialConfig

SPEC = robots.get("anymal_c")
CONFIG = WalkTrialConfig(episode_s=0.8, command_s=0.2, average_s=0.1)
EPISODES = 5
COMMANDS = np.random.default_rng(3).uniform(-0.5, 0.5, (EPISODES, 4, 3))


class FakeRobots:
    """Robots that at once move as their first three joint targets say, times a gain."""

    def __init__(self, gains: np.ndarray, effort: float = 1.0, falls: Mapping[int, int] = {}):
        n = len(gains)
        self.gains, self.falls = gains, falls
        self.signals = {"gravity": np.zeros((n, 3), np.float32)}
        self.pos_w = np.zeros((n, 3))
        self.up_b = np.tile([0.0, 0.0, 1.0], (n, 1))
        self.lin_vel_b, self.ang_vel_b = np.zeros((n, 3)), np.zeros((n, 3))
        self.torque_squared = np.full(n, effort)
        self.resets: list[list[int]] = []
        self.steps = 0

    def reset(self, ids: np.ndarray, qpos: np.ndarray, qvel: np.ndarray) -> None:
        np.testing.assert_array_equal(qpos, SPEC.home_qpos)
        assert not qvel.any() and qvel.shape == (18,)
        self.resets.append(ids.tolist())
        self.pos_w[ids, 2] = SPEC.standing_height_m
        self.signals["gravity"][ids] = 7.0

    def step_targets(self, joint_targets: np.ndarray) -> np.ndarray:
        self.lin_vel_b[:, :2] = self.gains[:, None] * joint_targets[:, :2]
        self.ang_vel_b[:, 2] = self.gains * joint_targets[:, 2]
        for robot, at in self.falls.items():
            if self.steps == at:
                self.pos_w[robot, 2] = 0.0
        self.steps += 1
        self.signals["gravity"][:] = self.steps
        return np.zeros(len(self.gains), dtype=bool)


class FakePolicy:
    """Puts the command into its targets, and remembers what it was told."""

    def __init__(self, batch: int) -> None:
        self.signals = {"gravity": np.zeros((batch, 3), np.float32)}
        self.command = np.zeros((batch, 3), np.float32)
        self.resets: list[list[int] | None] = []
        self.told: list[float] = []

    def reset(self, ids: np.ndarray | None = None) -> None:
        self.resets.append(None if ids is None else ids.tolist())

    def step(self) -> np.ndarray:
        self.told.append(float(self.signals["gravity"][0, 0]))
        return np.pad(self.command, ((0, 0), (0, 9)))


def trial(groups: int) -> WalkTrial:
    return WalkTrial(SPEC, CONFIG, np.tile(COMMANDS, (groups, 1, 1)))


def job(*gains: float, engine: str = "x", effort: float = 1.0) -> Job:
    return Job(
        groups=[Group(engine=engine, factor=f"{gain}") for gain in gains],
        build=lambda threads: FakeRobots(np.repeat(gains, EPISODES), effort),
    )


def quiet() -> Console:
    return Console(file=io.StringIO())


def test_each_group_gets_its_own_score_on_the_same_commands() -> None:
    jobs = [job(1.0, 0.5, effort=4.0), job(0.0)]
    result = run_jobs(jobs, SPEC, FakePolicy, trial, console=quiet())
    speed = float(np.linalg.norm(COMMANDS[..., :2], axis=-1).mean())
    turn = float(np.abs(COMMANDS[..., 2]).mean())
    for gain, missing, effort in ((1.0, 0.0, 4.0), (0.5, 0.5, 4.0), (0.0, 1.0, 1.0)):
        figures = result[Group(engine="x", factor=f"{gain}")]
        assert figures["velocity_error_mps"] == pytest.approx(missing * speed, abs=1e-6)
        assert figures["yaw_error_radps"] == pytest.approx(missing * turn, abs=1e-6)
        assert figures["episodes"] == EPISODES
        assert figures["torque_squared"] == effort


def test_the_policy_is_told_the_present_signals_from_the_reset_on() -> None:
    fake, policy = FakeRobots(np.ones(EPISODES)), FakePolicy(EPISODES)
    list(run_trial(fake, SPEC, policy, trial(1)))
    assert policy.resets == [None] and fake.resets == [[0, 1, 2, 3, 4]]
    assert policy.told == [7.0, *range(1, 40)]


def test_fallen_robots_and_their_policies_start_anew() -> None:
    fake, policy = FakeRobots(np.ones(EPISODES), falls={1: 3, 4: 3}), FakePolicy(EPISODES)
    score = trial(1)
    assert list(run_trial(fake, SPEC, policy, score)) == [1] * 40
    assert policy.resets == [None, [1, 4]] and fake.resets[1:] == [[1, 4]]
    assert score.figures(slice(None))["fall_rate"] == 0.4


def test_nothing_is_simulated_once_all_have_fallen() -> None:
    fake, score = FakeRobots(np.ones(EPISODES), falls=dict.fromkeys(range(5), 9)), trial(1)
    assert sum(run_trial(fake, SPEC, FakePolicy(EPISODES), score)) == 40
    assert fake.steps == 10 and score.over


def test_threads_change_nothing() -> None:
    jobs = [job(0.1 * k, 0.2 * k, engine=str(k)) for k in range(1, 7)]
    one, three = (run_jobs(jobs, SPEC, FakePolicy, trial, t, quiet()) for t in (1, 3))
    assert one == three and list(one) == list(three)
    assert len(one) == 12


def test_idle_threads_go_to_the_physics() -> None:
    given = []

    def build(threads: int) -> FakeRobots:
        given.append(threads)
        return FakeRobots(np.ones(EPISODES))

    for jobs, threads in ((1, 4), (2, 4), (3, 2)):
        several = [Job(groups=[Group(engine=str(k))], build=build) for k in range(jobs)]
        run_jobs(several, SPEC, FakePolicy, trial, threads, quiet())
    assert given == [4, 2, 2, 1, 1, 1]


def test_a_job_that_fails_ends_the_others() -> None:
    started = threading.Event()

    class Endless(FakeRobots):
        def step_targets(self, joint_targets: np.ndarray) -> np.ndarray:
            started.set()
            return super().step_targets(joint_targets)

    def fail(threads: int) -> FakeRobots:
        started.wait(10.0)
        raise RuntimeError("no physics")

    long = WalkTrialConfig(episode_s=1e5, command_s=1e5, average_s=1e4)
    jobs = [
        Job(groups=[Group(engine="a")], build=lambda threads: Endless(np.ones(EPISODES))),
        Job(groups=[Group(engine="b")], build=fail),
    ]
    with pytest.raises(RuntimeError, match="no physics"):
        run_jobs(
            jobs,
            SPEC,
            FakePolicy,
            lambda groups: WalkTrial(SPEC, long, np.zeros((EPISODES, 1, 3))),
            2,
            quiet(),
        )
