"""Learning to get up: robots that lie on the floor and go through key poses."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from legged_skills.robots.contract import ObservationContract
from legged_skills.robots.errors import require_at_least, require_not_negative, require_within
from legged_skills.robots.simulation import BatchSim
from legged_skills.sim2real.gap import Gap
from legged_skills.sim2real.sensed_robot import SensedRobots, clean_state_size
from legged_skills.skill_module.environment import Outcome, WithRobots
from legged_skills.skill_module.symmetry import Representation, Symmetry, join
from legged_skills.tasks import lying
from legged_skills.tasks.getup import GetupMotion


@dataclass(frozen=True, kw_only=True)
class GetupTaskConfig:
    """What is rewarded on the way up."""

    stand_s: float = 1.0
    """Episodes go on for so long after the key poses are over [s]."""
    height_share: float = 0.85
    """Standing, the base is at least so high, over its height in the default pose."""
    tilt_rad: float = 0.3
    """Standing, it is tilted by no more than this [rad]."""
    stand_weight: float = 0.5
    """Weight of standing; the rest is for how high and how upright the robot is."""
    effort_weight: float = 0.02
    """Weight of the mean square of what is added to the key poses' actions."""
    pool: int = 1024
    """Number of lying poses that episodes begin with."""

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
            SettingsError: one is out of its range.
        """
        require_not_negative(self, "stand_s", "height_share", "effort_weight")
        require_within(self, tilt_rad=(0.0, np.pi), stand_weight=(0.0, 1.0))
        require_at_least(self, pool=1)


class GetupEnv(WithRobots):
    """N robots that shall get up, with auto-reset.

    Observation groups: "proprioception" (what the robot measures), "task" (what is told of the key
    poses), "reference_action" (the action that leads along them) and "privileged" (a clean frame,
    velocity, height and the task, for the critic).

    Attributes:
        robots: the robots.
        motion: the key poses.
        step_in: (N,) control steps since each began to get up.
        side: (N,) what each lay on.
        left: (N,) control steps until the episode ends.
    """

    def __init__(
        self,
        sim: BatchSim,
        contract: ObservationContract,
        motion: GetupMotion,
        config: GetupTaskConfig,
        seed: int = 0,
        gap: Gap | None = None,
        level: float = 1.0,
    ) -> None:
        """Every robot lies somewhere on its way up."""
        self.rng = np.random.default_rng(seed)
        self._qpos, self._qvel, self._lain = lying.lying_states(
            sim.spec, config.pool, np.random.default_rng(seed + 2), sim.num_threads
        )
        self.robots = SensedRobots(sim, contract, 0.0, seed + 1, gap, level)
        self.motion, self.config = motion, config
        n = sim.num_envs
        self.step_in, self.side, self.left = np.zeros((3, n), int)
        self._length = motion.steps + round(config.stand_s / self.spec.control_period_s)
        self.reset(np.arange(n))
        # Not all at once: the first episodes are cut somewhere.
        self.left = self.rng.integers(1, self.left + 1)

    @property
    def privileged_size(self) -> int:
        """Length of a privileged observation."""
        return clean_state_size(self.robots.contract) + self.motion.told_size

    def observe(self) -> dict[str, np.ndarray]:
        """Present observations by group, (N, size) float32; copies."""
        return {
            "proprioception": self.robots.proprioception(),
            "task": self._told(slice(None)),
            "reference_action": self.reference_action(),
            "privileged": self._observe_privileged(slice(None)),
        }

    def mirrored(self, symmetry: Symmetry) -> tuple[Representation, Representation]:
        """How "task" and "privileged" observations are mirrored."""
        task = join([symmetry.joints.repeated(2), symmetry.scalars(2)])
        return task, join([symmetry.clean_state(self.robots.contract), task])

    def reference_action(self) -> np.ndarray:
        """(N, J) the action that leads along the key poses."""
        return self.motion.action(self.side, self.step_in, self.robots.last_action)

    def reset(self, ids: np.ndarray) -> None:
        """Robots lie on the floor, and begin to get up."""
        rows = self.rng.integers(0, len(self._qpos), len(ids))
        self.robots.reset(ids, self._qpos[rows], self._qvel[rows])
        self.step_in[ids], self.side[ids] = 0, self._lain[rows]
        self.left[ids] = self._length[self.side[ids]]

    def step(self, action: np.ndarray) -> Outcome:
        """One control step of all environments; those that end are reset.

        Args:
            action: (N, J), without unit.
        """
        config, robots = self.config, self.robots
        added = np.square(action - self.reference_action()).mean(axis=1)
        diverged = robots.step(action)
        self.step_in += 1
        self.left -= 1
        high = np.clip(robots.pos_w[:, 2] / self.spec.standing_height_m, 0.0, 1.0)
        risen = np.square(high * np.clip(0.5 * (robots.up_b[:, 2] + 1.0), 0.0, 1.0))
        stands = lying.standing(robots, config.height_share, config.tilt_rad)
        # Who diverged stands again, but did not get up.
        risen[diverged], stands[diverged] = 0.0, False
        reward = (1.0 - config.stand_weight) * risen + config.stand_weight * stands
        reward = (reward - config.effort_weight * added).astype(np.float32)
        reward[diverged] = 0.0
        truncated = (self.left <= 0) & ~diverged
        final = self._observe_privileged(truncated)
        terms = {"risen": risen, "stands": stands.astype(np.float32), "added": added}
        ended = np.flatnonzero(truncated | diverged)
        if ended.size:
            self.reset(ended)
        return Outcome(reward, diverged, truncated, final, terms)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Everything needed to go on exactly: arrays, and what JSON can hold."""
        arrays, rest = self.robots.state()
        arrays |= {"step_in": self.step_in, "side": self.side, "left": self.left}
        return arrays, rest | {"rng": self.rng.bit_generator.state}

    def restore(self, arrays: Mapping[str, np.ndarray], rest: Mapping[str, Any]) -> None:
        """Goes on from what ``state`` gave."""
        self.robots.restore(arrays, rest)
        for name in ("step_in", "side", "left"):
            getattr(self, name)[:] = arrays[name]
        self.rng.bit_generator.state = rest["rng"]

    def _told(self, rows: np.ndarray | slice) -> np.ndarray:
        return self.motion.told[self.side[rows], self.motion.rows(self.step_in[rows])]

    def _observe_privileged(self, rows: np.ndarray | slice) -> np.ndarray:
        return np.concatenate([*self.robots.clean_state(rows), self._told(rows)], axis=1)
