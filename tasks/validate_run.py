"""Runs a policy on groups of simulated robots, several groups at a time, and scores each group."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any, Protocol

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from legged_skills.robots.spec import RobotSpec
from legged_skills.tasks.validate_walk import Truth, WalkTrial

_NOTE_S = 0.2
"""The display changes at most this often [s]."""


class Robots(Truth, Protocol):
    """N simulated robots with drives and sensors, as ``SensedRobots`` are. J joints."""

    @property
    def signals(self) -> Mapping[str, np.ndarray]:
        """(N, size) each: what the sensors say now."""
        ...

    def reset(self, ids: np.ndarray, qpos: np.ndarray, qvel: np.ndarray) -> None:
        """Puts some robots into a state (7 + J,) and (6 + J,)."""
        ...

    def step_targets(self, joint_targets: np.ndarray) -> np.ndarray:
        """One control step with targets (N, J) [rad]; gives (N,) True where it diverged."""
        ...


class Policy(Protocol):
    """What decides for N robots, as ``Runtime`` does. C is the size of the command."""

    @property
    def signals(self) -> Mapping[str, np.ndarray]:
        """(N, size) each, to be written to: what the sensors say."""
        ...

    @property
    def command(self) -> np.ndarray:
        """(N, C), to be written to."""
        ...

    def reset(self, ids: np.ndarray | None = None) -> None:
        """Makes the next step of some robots a first one; None for all."""
        ...

    def step(self) -> np.ndarray:
        """(N, J) joint targets [rad]."""
        ...


@dataclass(frozen=True, kw_only=True)
class Group:
    """Episodes that are scored together."""

    engine: str
    """Where they run, e.g. "edges"."""
    factor: str = ""
    """The one factor that is not nominal, if that is what the group is about."""
    side: str = ""
    """At which of its ends that factor is: "low", "high" or "corners"."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """Groups that are simulated together; every group has as many episodes as the others."""

    groups: Sequence[Group]
    """The groups; the robots of each lie side by side, in this order."""
    build: Callable[[int], Robots]
    """Makes the robots; is told how many threads the physics may use."""
    about: Mapping[str, str] = field(default_factory=dict)
    """What the physics is like, in words by name of the property, if that is known."""


Result = dict[Group, dict[str, Any]]
"""Figures of each group."""


def run_jobs(
    jobs: Sequence[Job],
    spec: RobotSpec,
    make_policy: Callable[[int], Policy],
    make_trial: Callable[[int], WalkTrial],
    threads: int = 1,
    console: Console | None = None,
) -> Result:
    """Runs every job from start to end.

    What comes out does not depend on the number of threads.

    Args:
        jobs: what is to be run.
        spec: the robot.
        make_policy: makes the policy for a number of robots.
        make_trial: makes the test for a number of groups; robots of all groups get the same
            commands, so that differences between groups are due to the groups.
        threads: jobs that run at a time; those of the physics, if there are fewer jobs.
        console: where progress is shown; by default the error output.
    """
    workers = max(1, min(threads, len(jobs)))
    share = max(1, threads // workers)
    stop, result = Event(), Result()

    def work(job: Job) -> None:
        trial = make_trial(len(job.groups))
        n = len(trial.fallen_at)
        robots = job.build(share)
        for steps in run_trial(robots, spec, make_policy(n), trial):
            advance(steps * n)
            if stop.is_set():
                return
        for index, group in enumerate(job.groups):
            size = n // len(job.groups)
            result[group] = trial.figures(slice(index * size, (index + 1) * size))

    # The longest first, so that no long one is left alone at the end.
    order = sorted(jobs, key=lambda job: -len(job.groups))
    one = make_trial(1)
    total = len(one.fallen_at) * one.steps * sum(len(job.groups) for job in jobs)
    with _bar(total, console) as advance, ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(work, job) for job in order]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
    return {group: result[group] for job in jobs for group in job.groups}


def run_trial(robots: Robots, spec: RobotSpec, policy: Policy, trial: WalkTrial) -> Iterator[int]:
    """Runs one test, all robots standing at first; the scores are in the trial afterwards.

    A robot that falls is put back onto its feet: what lies on the floor costs more time than what
    walks, and could end in numbers that are no numbers.

    Yields:
        The number of control steps that are over since the last time.
    """
    home, rest = spec.home_qpos, np.zeros(6 + spec.num_joints)
    robots.reset(np.arange(len(trial.fallen_at)), home, rest)
    policy.reset()
    for step in range(trial.steps):
        policy.command[:] = trial.command(step)
        for name, signal in policy.signals.items():
            np.copyto(signal, robots.signals[name])
        diverged = robots.step_targets(policy.step())
        down = np.flatnonzero(trial.observe(step, robots, diverged))
        if trial.over:
            yield trial.steps - step
            return
        if down.size:
            robots.reset(down, home, rest)
            policy.reset(down)
        yield 1


@contextmanager
def _bar(total: int, console: Console | None) -> Iterator[Callable[[int], None]]:
    """Shows progress in steps of one robot; gives the function that adds some to those done."""
    progress = Progress(
        TextColumn("validating"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[rate]:,.0f} control steps/s, left"),
        TimeRemainingColumn(),
        console=console or Console(stderr=True),
    )
    task = progress.add_task("validating", total=total, rate=0.0)
    began = shown = time.monotonic()
    lock, done = Lock(), 0

    def advance(steps: int) -> None:
        nonlocal done, shown
        with lock:
            done += steps
            now = time.monotonic()
            if now - shown > _NOTE_S or done >= total:
                shown = now
                progress.update(task, completed=done, rate=done / max(now - began, 1e-9))

    with progress:
        yield advance
