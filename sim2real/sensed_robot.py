"""Simulated robots as a policy meets them: actions in, proprioception out.

Without a gap the drives take the targets at once and the sensors are right, but for noise if that
is wanted; with one there is between policy and physics all that there is on the robot.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from legged_skills.robots.contract import JOINT_VEL_SCALE, History, ObservationContract
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.rotations import rotate_inverse
from legged_skills.robots.simulation import BatchSim, Physics, SimState
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real import ranges
from legged_skills.sim2real.gap import Gap
from legged_skills.sim2real.ranges import Factors
from legged_skills.sim2real.reality import Reality
from legged_skills.sim2real.sensors import noise_of

_ALL = slice(None)


class SensedRobots:
    """N simulated robots with the sensors of the observation contract.

    All state arrays are float32 copies of the present simulation state. J is the number of
    joints, F the number of feet.

    Attributes:
        sim: the physics.
        contract: what a policy is told.
        pos_w: (N, 3) base position in the world [m].
        quat: (N, 4) base orientation, wxyz.
        lin_vel_b: (N, 3) base velocity in the base frame [m/s]; not measured on the robot.
        ang_vel_b: (N, 3) base angular velocity in the base frame [rad/s].
        up_b: (N, 3) the floor's normal in the base frame, unit length; (0, 0, 1) upright.
        gravity_b: (N, 3) direction of gravity in the base frame, unit length; opposite to
            ``up_b`` on a level floor.
        joint_pos: (N, J) [rad].
        joint_vel: (N, J) [rad/s].
        last_action: (N, J) the action in force, after clamping.
        signals: what the sensors say, by name of the contract's terms: "gravity",
            "angular_velocity", "joint_pos", "joint_vel", (N, size) each; live.
        reality: all that the gap puts between policy and physics, if there is a gap.
    """

    def __init__(
        self,
        sim: Physics,
        contract: ObservationContract,
        noise_scale: float = 0.0,
        seed: int = 0,
        gap: Gap | None = None,
        level: float = 1.0,
    ) -> None:
        """Wraps a simulation; all robots start from where the simulation is.

        Args:
            sim: the physics.
            contract: what a policy is told.
            noise_scale: factor on the contract's sensor noise; 0 is a perfect sensor. With a gap
                the noise is one of its factors, and this is unused.
            seed: of everything random.
            gap: what is between policy and physics; None for nothing.
            level: width of the gap's ranges in force, over their full width.

        Raises:
            SettingsError: the gap is that of another robot.
        """
        n, joints = sim.num_envs, sim.spec.num_joints
        self.sim = sim
        self.contract = contract
        self.noise_scale = noise_scale
        self.rng = np.random.default_rng(seed)
        self.pos_w = np.empty((n, 3), np.float32)
        self.quat = np.empty((n, 4), np.float32)
        self.lin_vel_b = np.empty((n, 3), np.float32)
        self.ang_vel_b = np.empty((n, 3), np.float32)
        self.up_b = np.empty((n, 3), np.float32)
        self.gravity_b = np.empty((n, 3), np.float32)
        self.joint_pos = np.empty((n, joints), np.float32)
        self.joint_vel = np.empty((n, joints), np.float32)
        self.last_action = np.zeros((n, joints), np.float32)
        self.history = History(contract, (n,))
        self.reality = None if gap is None else Reality(sim, contract, gap, level, seed)
        self._values = np.empty((n, 6 + 2 * joints), np.float32)
        if self.reality is not None:
            self._values = self.reality.sensors.values
        ends = np.cumsum([0, 3, 3, joints, joints])
        names = ("gravity", "angular_velocity", "joint_pos", "joint_vel")
        self.signals = {
            name: self._values[:, start:stop]
            for name, start, stop in zip(names, ends[:-1], ends[1:], strict=True)
        }
        self._noise = noise_of(contract, joints)
        if self.reality is not None:
            self.reset(np.arange(n), sim.qpos.copy(), sim.qvel.copy())
        self._refresh(_ALL)
        self._sense(_ALL)
        self.history.restart(self._frame(_ALL))

    @property
    def spec(self) -> RobotSpec:
        """The robot's numbers."""
        return self.sim.spec

    @property
    def num_envs(self) -> int:
        """N."""
        return self.sim.num_envs

    @property
    def torque_squared(self) -> np.ndarray:
        """(N,) sum over joints of the squared torque, mean over the last control step [N^2 m^2].

        Raises:
            SettingsError: there is no gap, and nothing is recorded.
        """
        if self.reality is None:
            raise SettingsError("without a gap torques are not recorded.")
        return self.reality.torque_squared

    @property
    def batch(self) -> BatchSim:
        """The physics, if it is MuJoCo's.

        Raises:
            SettingsError: it is another engine's.
        """
        if not isinstance(self.sim, BatchSim):
            raise SettingsError(f"{type(self.sim).__name__} is no BatchSim.")
        return self.sim

    def feet_b(self) -> np.ndarray:
        """(N, F * 3) foot positions in the base frame [m], one physics step old after a step."""
        return self.batch.sensor(*self.spec.foot_sites).astype(np.float32)

    def set_level(self, level: float) -> None:
        """Puts another share of the gap's ranges in force, if there is a gap."""
        if self.reality is not None and level != self.reality.level:
            self.reality.set_level(level)

    def set_progress(self, progress: float) -> None:
        """Widens the gap's ranges, if there is a gap, to what is due at a share of a training."""
        if self.reality is not None:
            self.set_level(self.reality.gap.level(progress))

    def set_factors(self, factors: Factors) -> None:
        """Gives each robot factors of the gap that it keeps; a ``reset`` of all must follow.

        Raises:
            SettingsError: there is no gap.
        """
        if self.reality is None:
            raise SettingsError("robots without a gap have no factors.")
        self.reality.set_factors(factors)

    def draw_factors(self, seed: int) -> None:
        """Draws factors of the gap for each robot by itself; a ``reset`` of all must follow.

        Without a gap there is nothing to draw.
        Where this is not called, each episode takes a row of a pool, and some rows are taken twice:
        that is cheap for a training, but figures over N robots would rest on fewer.

        Args:
            seed: of the draw.
        """
        if self.reality is None:
            return
        rng = np.random.default_rng([seed, 4])
        gap, links = self.reality.gap, self.reality.num_links
        self.set_factors(
            ranges.draw(gap.ranges, self.spec, links, self.num_envs, rng, self.reality.level)
        )

    def step(self, action: np.ndarray) -> np.ndarray:
        """Applies actions for one control period and senses the outcome.

        Args:
            action: (N, J), without unit. Copied.

        Returns:
            (N,) True where the physics diverged; such a robot stands at the origin again.
        """
        return self.step_targets(self.spec.joint_targets(action))

    def step_targets(self, joint_targets: np.ndarray) -> np.ndarray:
        """As ``step``, for joint targets (N, J) within the usable range [rad]."""
        if self.reality is not None:
            diverged = self.reality.step(joint_targets)
        else:
            diverged = self.batch.step(joint_targets)
        offset = joint_targets - self.spec.default_joint_pos
        self.last_action[:] = offset / self.spec.action_scale
        self._refresh(_ALL)
        self._sense(_ALL)
        self.history.push(self._frame(_ALL))
        return diverged

    def reset(self, ids: np.ndarray, qpos: np.ndarray, qvel: np.ndarray) -> None:
        """Puts some robots into given states; their history is filled with the new frame.

        Args:
            ids: (n,) which robots.
            qpos: (n, 7 + J) or (7 + J,), see ``BatchSim.qpos``.
            qvel: (n, 6 + J) or (6 + J,).
        """
        mask = np.zeros(self.num_envs, dtype=bool)
        mask[ids] = True
        order = np.argsort(ids)
        ordered = np.asarray(ids)[order]
        qpos = np.broadcast_to(qpos, (len(order), self.sim.qpos.shape[1]))[order]
        qvel = np.broadcast_to(qvel, (len(order), self.sim.qvel.shape[1]))[order]
        if self.reality is not None:
            qpos, qvel = self.reality.start(ordered, qpos, qvel)
        self.sim.reset(mask, qpos, qvel)
        if self.reality is not None:
            self.reality.started(ordered)
        self._refresh(ordered)
        self._sense(ordered)
        # A drive that is switched on holds the pose that it measures.
        held = self.signals["joint_pos"][ordered] - self.spec.default_joint_pos
        self.last_action[ordered] = held / self.spec.action_scale
        self.history.restart(self._frame(ordered), ordered)

    def proprioception(self) -> np.ndarray:
        """(N, contract.size) float32, what the policy is told; a copy."""
        return self.history.observation()

    def clean_frame(self, rows: np.ndarray | slice = _ALL) -> np.ndarray:
        """(n, ``clean_frame_size``) float32, for critics and encoders.

        One frame without noise, and the joint velocities if the policy is not told them.
        """
        frame = self.contract.frame(
            {
                "gravity": self.gravity_b[rows],
                "angular_velocity": self.ang_vel_b[rows],
                "joint_pos": self.joint_pos[rows],
                "joint_vel": self.joint_vel[rows],
                "last_action": self.last_action[rows],
            }
        )
        if "joint_vel" in self.contract.term_names:
            return frame
        velocity = self.joint_vel[rows] * np.float32(JOINT_VEL_SCALE)
        return np.concatenate([frame, velocity], axis=1)

    def clean_state(self, rows: np.ndarray | slice) -> tuple[np.ndarray, ...]:
        """What every critic sees: ``clean_frame``, base velocity, height over the standing one.

        (n, ...) float32 each, ``clean_state_size`` in all.
        """
        height = self.pos_w[rows, 2:3] - np.float32(self.spec.standing_height_m)
        return self.clean_frame(rows), self.lin_vel_b[rows], height

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Everything needed to go on exactly: arrays, and what JSON can hold."""
        saved = self.batch.save()
        arrays = {
            "sim_rows": saved.rows,
            "sim_diverged": saved.diverged,
            "last_action": self.last_action.copy(),
            "history": self.history.frames.copy(),
            "sensed": self._values.copy(),
        }
        rest: dict[str, Any] = {"noise_rng": self.rng.bit_generator.state}
        if self.reality is not None:
            more, rest["reality"] = self.reality.state()
            arrays |= more
        return arrays, rest

    def restore(self, arrays: Mapping[str, np.ndarray], rest: Mapping[str, Any]) -> None:
        """Goes on from what ``state`` gave."""
        if self.reality is not None:
            self.reality.restore(arrays, rest["reality"])
        self.batch.restore(SimState(arrays["sim_rows"], arrays["sim_diverged"]))
        self.last_action[:] = arrays["last_action"]
        self.history.frames[:] = arrays["history"]
        self.rng.bit_generator.state = rest["noise_rng"]
        self._refresh(_ALL)
        self._values[:] = arrays["sensed"]

    def _frame(self, rows: np.ndarray | slice) -> np.ndarray:
        told = {name: values[rows] for name, values in self.signals.items()}
        return self.contract.frame({**told, "last_action": self.last_action[rows]})

    def _sense(self, rows: np.ndarray | slice) -> None:
        """Without a gap, sensors show the present state."""
        if self.reality is not None:
            return
        parts = (self.gravity_b, self.ang_vel_b, self.joint_pos, self.joint_vel)
        values = np.concatenate([part[rows] for part in parts], axis=1)
        if self.noise_scale > 0.0:
            noise = self.rng.standard_normal(values.shape, dtype=np.float32)
            values += noise * (self._noise * np.float32(self.noise_scale))
        self._values[rows] = values

    def _refresh(self, rows: np.ndarray | slice) -> None:
        """Copies the simulation's state into this object's arrays."""
        qpos = self.sim.qpos[rows].astype(np.float32)
        qvel = self.sim.qvel[rows].astype(np.float32)
        quat = qpos[:, 3:7]
        self.pos_w[rows] = qpos[:, :3]
        self.quat[rows] = quat
        self.joint_pos[rows] = qpos[:, 7:]
        self.joint_vel[rows] = qvel[:, 6:]
        self.ang_vel_b[rows] = qvel[:, 3:6]
        self.lin_vel_b[rows] = rotate_inverse(quat, qvel[:, :3])
        w, x, y, z = quat.T
        self.up_b[rows, 0] = 2.0 * (x * z - w * y)
        self.up_b[rows, 1] = 2.0 * (y * z + w * x)
        self.up_b[rows, 2] = 1.0 - 2.0 * (x * x + y * y)
        if self.reality is None:
            self.gravity_b[rows] = -self.up_b[rows]
        else:
            self.gravity_b[rows] = rotate_inverse(quat, self.reality.down_w[rows])


def clean_frame_size(contract: ObservationContract) -> int:
    """Length of ``SensedRobots.clean_frame``."""
    told = "joint_vel" in contract.term_names
    return contract.frame_size + (0 if told else len(contract.joint_names))


def clean_state_size(contract: ObservationContract) -> int:
    """Length of ``SensedRobots.clean_state``, all together."""
    return clean_frame_size(contract) + 3 + 1
