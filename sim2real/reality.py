"""One control step of N robots with all that a clean simulation leaves out.

Puts the parts together: randomised physics, drives, sensors and pushes.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from legged_skills.robots.ball import Ball, add_ball, set_rolling
from legged_skills.robots.contract import ObservationContract
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.feet import Feet
from legged_skills.robots.kinematics import Kinematics
from legged_skills.robots.simulation import BatchSim, Physics
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real import ranges
from legged_skills.sim2real.drives import Drives
from legged_skills.sim2real.gap import Gap
from legged_skills.sim2real.model_pool import ModelPool, down_directions
from legged_skills.sim2real.pushes import Pushes
from legged_skills.sim2real.ranges import Factors
from legged_skills.sim2real.sensors import Sensors
from legged_skills.sim2real.terrain import floor_levels, gap_model, is_gap_model

MIN_VARIANTS = 2048
"""So many variants of a robot are built ahead of the episodes, if there are not more robots."""


def simulate(
    spec: RobotSpec,
    num_envs: int,
    num_threads: int = 0,
    gap: Gap | None = None,
    ball: Ball | None = None,
    touches_itself: bool = False,
) -> BatchSim:
    """Simulations of a robot, maybe with a ball.

    They are on its clean model, or on the one whose physics a gap can change. Who lies on the floor
    and folds its legs needs to be one that ``touches_itself``; who walks does not, and is faster
    without.
    """
    if gap is not None:
        model = gap_model(spec, gap, ball, touches_itself)
    elif ball is None:
        model = spec.model(visible=False, touches_itself=True) if touches_itself else None
    else:
        mj = spec.spec(visible=False, touches_itself=touches_itself)
        add_ball(mj, ball)
        model = mj.compile()
        set_rolling(model, ball)
    return BatchSim(spec, num_envs, num_threads, model)


class Reality:
    """N robots under a gap. J is the number of joints.

    Factors of the physics, such as masses and floors, act if the physics is a ``BatchSim`` on a
    model of ``terrain.gap_model``; in any other engine only those of drives, sensors and pushes.

    Attributes:
        gap: the gap.
        level: width of its ranges in force, over their full width.
        down_w: (N, 3) float32, direction of gravity in the frame of the floor.
        sensors: what the robots measure.
        drives: what moves them.
        torque_squared: (N,) sum over joints of the squared torque, mean over the last control step
            [N^2 m^2].
    """

    def __init__(
        self, sim: Physics, contract: ObservationContract, gap: Gap, level: float, seed: int
    ) -> None:
        """Draws the factors of all robots; ``start`` and ``started`` must follow.

        Args:
            sim: the physics.
            contract: gives the sensors' noise.
            gap: the gap.
            level: width of the ranges in force, over their full width.
            seed: of everything random.

        Raises:
            SettingsError: the gap is another robot's.
        """
        if gap.robot != sim.spec.name:
            raise SettingsError(f"the gap is that of {gap.robot}, expected {sim.spec.name}.")
        spec, n = sim.spec, sim.num_envs
        self.gap, self.sim, self.seed = gap, sim, seed
        self.rng = np.random.default_rng([seed, 1])
        model = spec.model(visible=False)
        self._kinematics, self._feet = Kinematics(model), Feet.of(model, spec)
        self._batch = sim if isinstance(sim, BatchSim) and is_gap_model(sim.model) else None
        self.num_links = num_links(self._batch) if self._batch else 1
        self.substeps = round(spec.control_period_s / sim.step_s)
        self.down_w = np.tile(np.array([0.0, 0.0, -1.0], np.float32), (n, 1))
        self._at_once = steps_at_once(gap, sim.step_s, self.substeps)
        self.drives = Drives(gap, sim, self.substeps)
        self.sensors = Sensors(gap, sim, contract, self.down_w)
        self.pushes = Pushes(gap.pushes, n, spec.control_period_s)
        self.torque_squared = np.zeros(n)
        self._rows = np.arange(n)
        self._redrawn = True
        self.level = level
        self.set_level(level)

    def set_level(self, level: float) -> None:
        """Draws new factors for all robots, also for those amid an episode."""
        self.level = level
        n = max(self.sim.num_envs, MIN_VARIANTS)
        rng = np.random.default_rng([self.seed, 2, round(1e6 * level)])
        factors = ranges.draw(self.gap.ranges, self.sim.spec, self.num_links, n, rng, level)
        self._take(factors, rng)

    def set_factors(self, factors: Factors) -> None:
        """Gives each robot factors that it keeps for all episodes; row e is robot e's."""
        self._redrawn = False
        self._rows[:] = np.arange(self.sim.num_envs)
        self._take(factors, np.random.default_rng([self.seed, 3]))

    def _take(self, factors: Factors, rng: np.random.Generator) -> None:
        self._pool_factors = factors
        if self._batch is None:
            self._pool = None
            self._pool_down = down_directions(np.zeros(len(factors["payload_kg"])), rng)
        else:
            self._pool = ModelPool(self._batch.model, self.sim.spec, self.gap, factors, rng)
            self._pool_down = self._pool.down_w
        self._give(np.arange(self.sim.num_envs))

    @property
    def factors(self) -> Factors:
        """(N, K) by name, of the present episodes; a copy."""
        return {name: values[self._rows] for name, values in self._pool_factors.items()}

    def factor(self, name: str, ids: np.ndarray | slice = slice(None)) -> np.ndarray:
        """(n, K) one factor of the present episodes of some robots; a copy."""
        return self._pool_factors[name][self._rows[ids]]

    def floor_top_m(self, ids: np.ndarray) -> np.ndarray:
        """(n,) how far the highest point of some robots' floors is above their mean height [m]."""
        if self._batch is None:
            return np.zeros(len(ids))
        return floor_levels(self.gap, self.factor("roughness_m", ids)[:, 0])[1]

    def _give(self, ids: np.ndarray) -> None:
        """Copies the pool's rows of some robots to where they act."""
        rows, factors = self._rows[ids], self._pool_factors
        self.down_w[ids] = self._pool_down[rows]
        if self._pool is not None and self._batch is not None:
            self._pool.give(self._batch, ids, rows)
        self.drives.set_factors(factors, ids, rows)
        self.sensors.set_factors(factors, ids, rows)
        self.pushes.force_n[ids] = factors["push_force_n"][rows]

    def start(
        self, ids: np.ndarray, qpos: np.ndarray, qvel: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draws the factors of new episodes, and how far they start from where they should.

        Args:
            ids: (n,) which robots.
            qpos: (n, 7 + J) where they should start, on a level floor.
            qvel: (n, 6 + J).

        Returns:
            Where they start: joints and velocity are off, and the lowest foot is as far over the
            highest point of its floor as it should be over a level one, or farther.
        """
        if self._redrawn:
            self._rows[ids] = self.rng.integers(0, len(self._pool_down), len(ids))
        self._give(ids)
        spec, wanted, qpos, qvel = self.sim.spec, qpos, qpos.copy(), qvel.copy()
        rows, factors = self._rows[ids], self._pool_factors
        qpos[:, 7:] += factors["start_joint_rad"][rows]
        np.clip(qpos[:, 7:], spec.joint_lower, spec.joint_upper, out=qpos[:, 7:])
        qvel[:, :3] += factors["start_velocity_mps"][rows]
        qpos[:, 2] += self.floor_top_m(ids) + self._lower_m(wanted, qpos)
        return qpos, qvel

    def _lower_m(self, wanted: np.ndarray, qpos: np.ndarray) -> np.ndarray:
        """(n,) how much lower the lowest foot is by ``qpos`` than as ``wanted``, if it is [m].

        Who starts with the feet in the floor is thrown off it.
        """
        poses = self._kinematics.poses(np.concatenate([wanted, qpos]))
        lowest = self._feet.floor_distance(self._kinematics, poses).min(axis=1)
        return np.maximum(lowest[: len(qpos)] - lowest[len(qpos) :], 0.0)

    def started(self, ids: np.ndarray) -> None:
        """Must follow when the physics has been reset: drives and sensors of new episodes."""
        self.drives.reset(ids, self.sim.qpos[ids, 7:])
        self.sensors.reset(ids, self.rng)
        self.pushes.reset(ids, self.rng)

    def step(self, joint_targets: np.ndarray) -> np.ndarray:
        """One control step.

        Args:
            joint_targets: (N, J) the policy's targets [rad].

        Returns:
            (N,) True where the physics diverged.
        """
        sim = self.sim
        sim.push(self.pushes.step(self.rng))
        self.drives.command(joint_targets)
        self.torque_squared[:] = 0.0
        for k in range(0, self.substeps, self._at_once):
            motion = self.drives.substeps(k, self._at_once)
            for i in range(self._at_once):
                self.sensors.sample(motion.qpos[:, i], motion.qvel[:, i], self.rng)
            self.torque_squared += np.einsum("nkj,nkj->n", motion.torque, motion.torque)
        self.torque_squared /= self.substeps
        diverged = sim.end_step()
        if diverged.any():
            self.sensors.reset(np.flatnonzero(diverged), self.rng)
        self.sensors.read(self.rng)
        return diverged

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Everything needed to go on exactly, but for the physics' own state."""
        arrays = {"reality_rows": self._rows.copy()}
        arrays |= self.drives.state() | self.sensors.state() | self.pushes.state()
        return arrays, {"level": self.level, "rng": self.rng.bit_generator.state}

    def restore(self, arrays: Mapping[str, np.ndarray], rest: Mapping[str, Any]) -> None:
        """Goes on from what ``state`` gave; not after ``set_factors``."""
        self.set_level(rest["level"])
        self.rng.bit_generator.state = rest["rng"]
        self._rows[:] = arrays["reality_rows"]
        self._give(np.arange(self.sim.num_envs))
        self.drives.restore(arrays)
        self.sensors.restore(arrays)
        self.pushes.restore(arrays)


def num_links(sim: BatchSim) -> int:
    """Bodies of the robot: those that hang on its base."""
    base = sim.model.body(sim.spec.base_body).id
    return int((sim.model.body_rootid == base).sum())


def steps_at_once(gap: Gap, step_s: float, substeps: int) -> int:
    """So many physics steps are one call.

    A torque-speed line must follow each step; without one, play and supply need no more than the
    period in which drives get a setpoint.
    """
    if gap.drives.stall_factor is not None:
        return 1
    wanted = max(1, round(gap.timing.drive_period_s / step_s))
    return max(k for k in range(1, wanted + 1) if substeps % k == 0)
