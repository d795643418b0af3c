"""Reads policy bundles: one ONNX file from raw observations to clamped joint targets.

Needs NumPy and onnxruntime only. B is the batch, H the number of frames, F the size of a frame, C
the size of the command, L that of what is carried, J the number of joints. The graph's tensors, all
float32 with a free B:

- input ``observation`` (B, H, F): raw frames (see ``raw_frame``), oldest first;
- input ``command`` (B, C): in the units of the header's command;
- input ``z_tm1`` (B, L): what the step before handed on, zero on the first step;
- output ``joint_targets`` (B, J): within the usable range [rad];
- output ``z`` (B, L): the latent, and what else the policy remembers, for the next step.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from legged_skills import robots
from legged_skills.robots.contract import ObservationContract
from legged_skills.robots.errors import ContractError, FileFormatError
from legged_skills.robots.npz import damage_reported
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.agreement import (
    require_contract,
    require_per_joint,
    require_robot,
    require_signals,
)
from legged_skills.sim2real.bundle_header import HEADER_KEY, BundleHeader, check_seal
from legged_skills.sim2real.raw_frame import frame_offset

MAX_BYTES = 64_000_000
"""The largest file that is read."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Bundle:
    """A policy that can be run."""

    name: str
    """What it is called in messages: the path of its file."""
    header: BundleHeader
    """All that is known about it."""
    sha256: str
    """Checksum of the file: 64 hex digits; tells one bundle from another."""
    session: onnxruntime.InferenceSession
    """The graph, ready to run on one core."""

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.header.task

    @property
    def robot(self) -> str:
        """Name of the robot."""
        return self.header.contract.robot

    @property
    def contract(self) -> ObservationContract:
        """What the policy is told."""
        return self.header.contract

    @classmethod
    def load(
        cls,
        path: str | Path,
        robot: RobotSpec | str | None = None,
        task: str | None = None,
        contract: ObservationContract | None = None,
    ) -> "Bundle":
        """Reads a bundle.

        Args:
            path: the file.
            robot: the robot it must be for, see ``require``; None takes any.
            task: the task it must be for; None takes any.
            contract: the contract it must have; None takes any.

        Raises:
            FileFormatError: the file is missing, too large, no bundle, cut short, edited or
                damaged, of an unknown format, or its graph is not what its header says.
            ContractError: it is for another robot, task or contract.
            UnknownRobotError: there is no robot of that name.
        """
        return cls.from_bytes(read_bytes(path), str(path), robot, task, contract)

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        name: str,
        robot: RobotSpec | str | None = None,
        task: str | None = None,
        contract: ObservationContract | None = None,
    ) -> "Bundle":
        """As ``load``, for the bytes of a file; ``name`` stands for its path in messages."""
        # Before anything else: a damaged model could make a parser fail in any way.
        digest = check_seal(data, name)
        session = _open_session(data, name)
        with damage_reported(Path(name), "ONNX model"):
            metadata = session.get_modelmeta().custom_metadata_map
        if HEADER_KEY not in metadata:
            raise FileFormatError(f"{name}: the bundle has no header.")
        header = BundleHeader.from_text(metadata[HEADER_KEY], name)
        bundle = cls(name=name, header=header, sha256=digest, session=session)
        if robot is not None:
            bundle.require(robots.get(robot) if isinstance(robot, str) else robot)
        if task is not None and header.task != task:
            raise ContractError(f"{name}: the policy's task is {header.task}, expected {task}.")
        if contract is not None:
            require_contract(header.contract, contract, name)
        _check_graph(bundle)
        _check_outputs(bundle)
        return bundle

    def require(self, spec: RobotSpec) -> None:
        """Checks that the policy was made for a robot as it is specified now.

        Raises:
            ContractError: the robot's name, joints, their order, the control period, the action
                scale, the default pose, the gains or the limits differ; the message names the
                first difference.
        """
        require_robot(self.contract, spec, self.name)
        for field, name, unit in (
            ("joint_lower", "lower limit", "rad"),
            ("joint_upper", "upper limit", "rad"),
            ("torque_limit", "torque limit", "Nm"),
            ("velocity_limit", "velocity limit", "rad/s"),
        ):
            found, wanted = getattr(self.header, field), getattr(spec, field)
            require_per_joint(spec, name, found, wanted, unit, self.name)

    def require_signals(self, available: Collection[str]) -> None:
        """Checks that a robot has a sensor for every term that the policy is told.

        Args:
            available: names of the signals that there are.

        Raises:
            ContractError: a signal is missing; the message names the first.
        """
        require_signals(self.contract, available, self.name)

    def infer(
        self, observation: np.ndarray, command: np.ndarray, z_tm1: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Runs the graph once, into new arrays; ``Runtime`` is for control loops.

        Args:
            observation: (B, H, F) float32 raw frames, oldest first.
            command: (B, C) float32.
            z_tm1: (B, L) float32.

        Returns:
            (B, J) joint targets [rad] and (B, L) what is carried on, float32.
        """
        inputs = {"observation": observation, "command": command, "z_tm1": z_tm1}
        outputs: list[Any] = list(self.session.run(["joint_targets", "z"], inputs))
        return outputs[0], outputs[1]


def read_bytes(path: str | Path) -> bytes:
    """All bytes of a regular file of reasonable size.

    Raises:
        FileFormatError: the file is missing, too large, or cannot be read.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise FileFormatError(f"{path}: is a folder, expected a policy bundle.")
        if not path.is_file():
            raise FileFormatError(f"{path}: there is no such file.")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror or error}).") from error
    if len(data) > MAX_BYTES:
        raise FileFormatError(
            f"{path}: too large for a policy bundle, expected at most {MAX_BYTES // 1_000_000} MB."
        )
    return data


def _open_session(data: bytes, name: str) -> onnxruntime.InferenceSession:
    """A session that runs on the calling thread alone, and prints nothing."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 4  # fatal only: what goes wrong is raised
    with damage_reported(Path(name), "ONNX model"):
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _check_graph(bundle: Bundle) -> None:
    """Compares names, types and shapes of the graph's inputs and outputs with the header.

    Raises:
        FileFormatError: they differ.
    """
    header, contract = bundle.header, bundle.contract
    inputs = {
        "observation": (contract.history, contract.frame_size),
        "command": (len(header.command),),
        "z_tm1": (header.latent_size,),
    }
    outputs = {"joint_targets": (len(contract.joint_names),), "z": (header.latent_size,)}
    for kind, wanted, tensors in (
        ("input", inputs, bundle.session.get_inputs()),
        ("output", outputs, bundle.session.get_outputs()),
    ):
        found = {tensor.name: tensor for tensor in tensors}
        if found.keys() != wanted.keys():
            raise FileFormatError(
                f"{bundle.name}: the graph's {kind}s are {', '.join(sorted(found)) or 'none'}, "
                f"expected {', '.join(sorted(wanted))}."
            )
        for name, shape in wanted.items():
            tensor = found[name]
            dims = tuple(tensor.shape)
            free = bool(dims) and not isinstance(dims[0], int)
            if tensor.type != "tensor(float)" or not free or dims[1:] != shape:
                raise FileFormatError(
                    f"{bundle.name}: the graph's {kind} {name!r} is a {tensor.type} of shape "
                    f"{dims}, expected a tensor(float) of shape {('batch', *shape)}."
                )


def _check_outputs(bundle: Bundle) -> None:
    """Runs the policy in the default pose, and far out of range, where targets must be clamped.

    Raises:
        FileFormatError: it cannot be run, or its outputs are not finite or beyond the limits.
    """
    header, contract = bundle.header, bundle.contract
    pose = frame_offset(contract).astype(np.float32)
    observation = np.empty((3, contract.history, contract.frame_size), np.float32)
    observation[:] = np.stack([pose, pose + 100.0, pose - 100.0])[:, None]
    command = np.zeros((3, len(header.command)), np.float32)
    z_tm1 = np.zeros((3, header.latent_size), np.float32)
    with damage_reported(Path(bundle.name), "ONNX model"):
        targets, z = bundle.infer(observation, command, z_tm1)
    if targets.shape != (3, len(contract.joint_names)) or z.shape != z_tm1.shape:
        raise FileFormatError(f"{bundle.name}: the graph's outputs are not of the stated shapes.")
    if not (np.isfinite(targets).all() and np.isfinite(z).all()):
        raise FileFormatError(f"{bundle.name}: the policy's outputs are not finite.")
    if (targets < header.joint_lower).any() or (targets > header.joint_upper).any():
        raise FileFormatError(
            f"{bundle.name}: the policy's joint targets exceed the stated limits."
        )
