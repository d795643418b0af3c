"""Runs a policy bundle step by step: sensor values in, joint targets out, nothing allocated.

The caller checks what it puts in: a value that is not finite makes targets that are not, as long
as it is in the history. B is the batch, C the size of the command, L that of what is carried, J the
number of joints.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.bundle import Bundle
from legged_skills.sim2real.raw_frame import term_slices


class Runtime:
    """B robots of one kind, moved by one policy.

    Write sensor values into ``signals`` and ``command`` in place, then call ``step``, once each
    control period. All arrays are float32, made once, and stay the same objects.

    Attributes:
        bundle: the policy.
        batch: B.
        signals: what is measured: for each term of the contract but "last_action" an array
            (B, size), in the term's unit and frame; joint angles are absolute [rad].
        command: (B, C) in the units of ``bundle.header.command``; zero at first.
        joint_targets: (B, J) what ``step`` returned last [rad].
        last_action: (B, J) the action in force, after clamping.
        z: (B, L) latent and memory after the last step. What is written into it, or into
            ``last_action``, between steps is what the next step goes on from.
    """

    def __init__(self, bundle: Bundle, batch: int = 1) -> None:
        """Allocates everything; the first step is one after a reset.

        Args:
            bundle: the policy.
            batch: B.

        Raises:
            SettingsError: the batch is not positive.
        """
        if batch < 1:
            raise SettingsError(f"the runtime's batch is {batch}, expected at least 1.")
        contract, header = bundle.contract, bundle.header
        joints = len(contract.joint_names)
        self.bundle = bundle
        self.batch = batch
        self.signals: Mapping[str, np.ndarray] = MappingProxyType(
            {
                term.name: np.zeros((batch, term.size), np.float32)
                for term in contract.terms
                if term.name != "last_action"
            }
        )
        self.command = np.zeros((batch, len(header.command)), np.float32)
        self.joint_targets = np.zeros((batch, joints), np.float32)
        self.last_action = np.zeros((batch, joints), np.float32)
        self.z = np.zeros((batch, header.latent_size), np.float32)
        # Not the same array as z: an input that is also an output might be overwritten too early.
        self._z_tm1 = np.zeros_like(self.z)
        # One row for each robot: NumPy broadcasts by way of a temporary array.
        self._default = np.tile(np.array(contract.default_joint_pos, np.float32), (batch, 1))
        self._action_scale = np.float32(contract.action_scale)
        self._frames = np.zeros((batch, contract.history, contract.frame_size), np.float32)
        # The same by frame. Each frame is a block here, so that shifting needs no temporary array;
        # NumPy makes one when rows of two arrays lie in between each other.
        self._by_frame = np.zeros((contract.history, batch, contract.frame_size), np.float32)
        self._by_robot = self._by_frame.transpose(1, 0, 2)
        newest = self._by_frame[-1]
        sources = {**self.signals, "last_action": self.last_action}
        self._parts = [
            (newest[:, where], sources[name]) for name, where in term_slices(contract).items()
        ]
        self._shifts = [
            (self._by_frame[t], self._by_frame[t + 1]) for t in range(contract.history - 1)
        ]
        self._starting = np.ones(batch, dtype=bool)
        self._any_starting = True
        self._bind()

    def reset(self, ids: np.ndarray | None = None) -> None:
        """Makes the next step a first one: nothing carried, and one and the same frame as history.

        The last action of a first step is the one that asks for the measured pose, since a drive
        that is switched on holds the pose it finds.

        Args:
            ids: which robots, as indices or as a mask (B,); None for all.
        """
        self._starting[slice(None) if ids is None else ids] = True
        self._any_starting = bool(self._starting.any())

    def step(self) -> np.ndarray:
        """Takes ``signals`` and ``command`` as they are now, and decides.

        Returns:
            (B, J) joint targets within the usable range [rad]: ``joint_targets`` itself, which
            the next step overwrites.
        """
        for older, newer in self._shifts:
            np.copyto(older, newer)
        np.copyto(self._z_tm1, self.z)
        if self._any_starting:
            self._start()
        for part, signal in self._parts:
            np.copyto(part, signal)
        if self._any_starting:
            rows = self._starting
            self._by_frame[:, rows] = self._by_frame[-1:, rows]
            rows[:] = False
            self._any_starting = False
        np.copyto(self._frames, self._by_robot)
        self._session.run_with_iobinding(self._binding)
        np.subtract(self.joint_targets, self._default, out=self.last_action)
        np.divide(self.last_action, self._action_scale, out=self.last_action)
        return self.joint_targets

    def _start(self) -> None:
        """Latent and last action of the robots whose step is a first one."""
        rows = self._starting
        self._z_tm1[rows] = 0.0
        # A contract without joint angles has no last action either.
        if "joint_pos" in self.signals:
            held = self.signals["joint_pos"][rows] - self._default[rows]
            self.last_action[rows] = held / self._action_scale

    def _bind(self) -> None:
        """Makes the graph read and write this object's arrays."""
        self._session = self.bundle.session
        self._binding = self._session.io_binding()
        for name, array in (
            ("observation", self._frames),
            ("command", self.command),
            ("z_tm1", self._z_tm1),
        ):
            self._binding.bind_input(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        for name, array in (("joint_targets", self.joint_targets), ("z", self.z)):
            self._binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
