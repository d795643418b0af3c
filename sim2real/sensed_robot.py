"""Simulated robots as a policy meets them: actions in, noisy proprioception out."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from legged_skills.robots.contract import History, ObservationContract
from legged_skills.robots.rotations import rotate_inverse
from legged_skills.robots.simulation import BatchSim, SimState
from legged_skills.robots.spec import RobotSpec

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
        gravity_b: (N, 3) direction of gravity in the base frame, unit length.
        joint_pos: (N, J) [rad].
        joint_vel: (N, J) [rad/s].
        last_action: (N, J) the action in force, after clamping.
    """

    def __init__(
        self,
        sim: BatchSim,
        contract: ObservationContract,
        noise_scale: float = 0.0,
        seed: int = 0,
    ) -> None:
        """Wraps a simulation; all robots start from where the simulation is.

        Args:
            sim: the physics.
            contract: what a policy is told.
            noise_scale: factor on the contract's sensor noise; 0 is a perfect sensor.
            seed: of the noise.
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
        self.gravity_b = np.empty((n, 3), np.float32)
        self.joint_pos = np.empty((n, joints), np.float32)
        self.joint_vel = np.empty((n, joints), np.float32)
        self.last_action = np.zeros((n, joints), np.float32)
        self.history = History(contract, (n,))
        self._feet_b = sim.sensor(*sim.spec.foot_sites)
        self._refresh(_ALL)
        self.history.restart(self._frame(_ALL))

    @property
    def spec(self) -> RobotSpec:
        """The robot's numbers."""
        return self.sim.spec

    @property
    def num_envs(self) -> int:
        """N."""
        return self.sim.num_envs

    def feet_b(self) -> np.ndarray:
        """(N, F * 3) foot positions in the base frame [m], one physics step old after a step."""
        return self._feet_b.astype(np.float32)

    def step(self, action: np.ndarray) -> np.ndarray:
        """Applies actions for one control period and senses the outcome.

        Args:
            action: (N, J), without unit. Copied.

        Returns:
            (N,) True where the physics diverged; such a robot stands at the origin again.
        """
        targets = self.spec.joint_targets(action)
        diverged = self.sim.step(targets)
        self.last_action[:] = (targets - self.spec.default_joint_pos) / self.spec.action_scale
        self._refresh(_ALL)
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
        self.sim.reset(
            mask,
            qpos[order] if qpos.ndim == 2 else qpos,
            qvel[order] if qvel.ndim == 2 else qvel,
        )
        # A drive that is switched on holds the pose it finds.
        held = self.sim.qpos[ordered, 7:] - self.spec.default_joint_pos
        self.last_action[ordered] = held / self.spec.action_scale
        self._refresh(ordered)
        self.history.restart(self._frame(ordered), ordered)

    def proprioception(self) -> np.ndarray:
        """(N, contract.size) float32, what the policy is told; a copy."""
        return self.history.observation()

    def clean_frame(self, rows: np.ndarray | slice = _ALL) -> np.ndarray:
        """(n, contract.frame_size) float32: one frame without noise, for critics and encoders."""
        return self.contract.frame(
            {
                "gravity": self.gravity_b[rows],
                "angular_velocity": self.ang_vel_b[rows],
                "joint_pos": self.joint_pos[rows],
                "joint_vel": self.joint_vel[rows],
                "last_action": self.last_action[rows],
            }
        )

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Everything needed to go on exactly: arrays, and what JSON can hold."""
        saved = self.sim.save()
        arrays = {
            "sim_rows": saved.rows,
            "sim_diverged": saved.diverged,
            "last_action": self.last_action.copy(),
            "history": self.history.frames.copy(),
        }
        return arrays, {"noise_rng": self.rng.bit_generator.state}

    def restore(self, arrays: Mapping[str, np.ndarray], rest: Mapping[str, Any]) -> None:
        """Goes on from what ``state`` gave."""
        self.sim.restore(SimState(arrays["sim_rows"], arrays["sim_diverged"]))
        self.last_action[:] = arrays["last_action"]
        self.history.frames[:] = arrays["history"]
        self.rng.bit_generator.state = rest["noise_rng"]
        self._refresh(_ALL)

    def _frame(self, rows: np.ndarray | slice) -> np.ndarray:
        frame = self.clean_frame(rows)
        if self.noise_scale > 0.0:
            noise = self.rng.standard_normal(frame.shape, dtype=np.float32)
            frame += noise * (self.contract.noise * np.float32(self.noise_scale))
        return frame

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
        self.gravity_b[rows, 0] = 2.0 * (w * y - x * z)
        self.gravity_b[rows, 1] = -2.0 * (y * z + w * x)
        self.gravity_b[rows, 2] = 2.0 * (x * x + y * y) - 1.0
