"""The observation contract: what a policy is told, in which order, unit, frame and scale.

Training, evaluation and the robot build observations from this one definition. Two policies
that differ in anything here have different hashes, and are never mixed up silently.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from legged_skills.robots.errors import ContractError, SettingsError, require_at_least
from legged_skills.robots.kinds import require_kinds
from legged_skills.robots.spec import RobotSpec

JOINT_VEL_SCALE = 0.1
"""Brings joint velocities near 1 [s/rad]."""


@dataclass(frozen=True, kw_only=True)
class ObservationTerm:
    """One named piece of an observation."""

    name: str
    """What it is; the key of the signal it is built from."""
    size: int
    """Number of values."""
    unit: str
    """Unit of the signal, before scaling."""
    frame: str
    """Frame the signal is expressed in: "base" or "joint"."""
    scale: float
    """The policy gets signal * scale, so that usual values are near 1 [1/unit]."""
    noise: float
    """Standard deviation of the sensor's noise as we model it [unit]."""


@dataclass(frozen=True, kw_only=True)
class ObservationContract:
    """All that must agree between a policy and what feeds it. J is the number of joints."""

    robot: str
    """Name of the robot."""
    joint_names: tuple[str, ...]
    """Order of everything that has J entries."""
    default_joint_pos: tuple[float, ...]
    """(J,) joint angles are observed, and actions counted, from this pose [rad]."""
    kp: tuple[float, ...]
    """(J,) position gains the policy was trained with [Nm/rad]."""
    kd: tuple[float, ...]
    """(J,) velocity gains the policy was trained with [Nm s/rad]."""
    action_scale: float
    """Joint target = default_joint_pos + action_scale * action [rad]."""
    control_period_s: float
    """Time between two observations [s]."""
    terms: tuple[ObservationTerm, ...]
    """The terms of one frame, in order."""
    history: int
    """Number of frames in an observation, oldest first."""

    @cached_property
    def frame_size(self) -> int:
        """Number of values in one frame."""
        return sum(term.size for term in self.terms)

    @property
    def size(self) -> int:
        """Number of values in an observation: all frames."""
        return self.frame_size * self.history

    @cached_property
    def hash(self) -> str:
        """First 16 hex digits of the SHA-256 of the contract's JSON text."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """The contract as plain dicts, lists, numbers and strings, at full precision."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ObservationContract":
        """Reads what ``to_json`` gave.

        Raises:
            ContractError: a field is missing, unknown, or of the wrong kind.
        """
        try:
            fields = dict(data)
            found = fields.pop("terms")
            for term in found:
                require_kinds(ObservationTerm, term)
            require_kinds(cls, fields)
            terms = tuple(ObservationTerm(**term) for term in found)
            tuples = {
                name: tuple(fields.pop(name))
                for name in ("joint_names", "default_joint_pos", "kp", "kd")
            }
            contract = cls(terms=terms, **tuples, **fields)
            require_at_least(contract, history=1)
        except SettingsError as error:
            raise ContractError(f"the observation contract is damaged: {error}") from error
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ContractError(f"the observation contract is damaged: {error}.") from error
        return contract

    def without_noise(self) -> "ObservationContract":
        """The same contract with perfect sensors."""
        terms = tuple(dataclasses.replace(term, noise=0.0) for term in self.terms)
        return dataclasses.replace(self, terms=terms)

    def require_same(self, other: "ObservationContract", what: str) -> None:
        """Checks that something was made for this contract.

        Args:
            other: the contract of the thing.
            what: the thing, for the message, e.g. a file name.

        Raises:
            ContractError: the contracts differ; the message names the first difference.
        """
        if self.hash == other.hash:
            return
        mine, theirs = self.to_json(), other.to_json()
        # As texts, as in the hash: 80 and 80.0 are equal otherwise.
        name = next(name for name in mine if json.dumps(mine[name]) != json.dumps(theirs[name]))
        raise ContractError(
            f"{what}: its observation contract {other.hash} is not {self.hash}: "
            f"{name} is {_brief(theirs[name])}, expected {_brief(mine[name])}."
        )

    def frame(self, signals: Mapping[str, np.ndarray]) -> np.ndarray:
        """Builds one frame, for one robot or for a batch of them.

        Args:
            signals: for each term its values (..., size), in the term's unit and frame. Joint
                angles are absolute here; the default pose is taken off by this function.

        Returns:
            (..., frame_size) float32.

        Raises:
            ContractError: a signal is missing or has another size.
        """
        parts = []
        for term in self.terms:
            if term.name not in signals:
                raise ContractError(
                    f"signal {term.name!r} is missing; expected {', '.join(self.term_names)}."
                )
            value = signals[term.name]
            if value.shape[-1] != term.size:
                raise ContractError(
                    f"signal {term.name!r} has {value.shape[-1]} values, expected {term.size}."
                )
            if term.name == "joint_pos":
                value = value - self._default
            parts.append(value * np.float32(term.scale))
        return np.concatenate(parts, axis=-1, dtype=np.float32, casting="same_kind")

    @cached_property
    def term_names(self) -> tuple[str, ...]:
        """Names of the terms, in order."""
        return tuple(term.name for term in self.terms)

    @cached_property
    def noise(self) -> np.ndarray:
        """(frame_size,) standard deviation of the noise, as the policy sees it: scaled."""
        return np.concatenate(
            [np.full(term.size, term.noise * term.scale, np.float32) for term in self.terms]
        )

    @cached_property
    def _default(self) -> np.ndarray:
        return np.array(self.default_joint_pos)


class History:
    """The last frames of a batch of robots, or of one.

    Attributes:
        frames: (..., history, frame_size) float32, oldest first.
    """

    def __init__(self, contract: ObservationContract, batch: tuple[int, ...] = ()) -> None:
        """Starts with zeros; call ``restart`` before the first use."""
        self.frames = np.zeros((*batch, contract.history, contract.frame_size), np.float32)

    def restart(self, frame: np.ndarray, mask: np.ndarray | None = None) -> None:
        """Fills the whole history with one frame, as on the first step after a start.

        Args:
            frame: (..., frame_size); of the masked robots only if there is a mask.
            mask: which robots of the batch; None for all.
        """
        if mask is None:
            self.frames[:] = frame[..., None, :]
        else:
            self.frames[mask] = frame[..., None, :]

    def push(self, frame: np.ndarray) -> None:
        """Drops the oldest frame and appends ``frame`` (..., frame_size)."""
        self.frames[..., :-1, :] = self.frames[..., 1:, :]
        self.frames[..., -1, :] = frame

    def observation(self) -> np.ndarray:
        """(..., history * frame_size) float32, a copy."""
        return self.frames.reshape(*self.frames.shape[:-2], -1).copy()


def proprioception(spec: RobotSpec, history: int = 3) -> ObservationContract:
    """What a robot can measure of itself: IMU, joint encoders, and its own last command.

    No base velocity and no contacts: neither is measured on the robots; joint velocities if they
    are measured. The last action is the
    one that was in force, after clamping. Scales bring usual values near 1. Noise: gravity,
    gyro and joint angles as in legged_gym's ANYmal configuration (uniform +-0.05, 0.2 rad/s,
    0.01 rad; here the standard deviation of such a distribution). Its 1.5 rad/s on joint velocities
    would hide the robot's own velocity from a policy that is not told it; encoders are better, and
    0.3 rad/s is our estimate.

    Args:
        spec: the robot.
        history: number of frames.

    Raises:
        SettingsError: there are no frames.
    """
    if history < 1:
        raise SettingsError(f"history is {history}, expected at least 1.")
    joints = spec.num_joints
    uniform = 1.0 / np.sqrt(3.0)

    def term(name: str, size: int, unit: str, frame: str, scale: float, noise: float) -> Any:
        return ObservationTerm(
            name=name, size=size, unit=unit, frame=frame, scale=scale, noise=float(noise)
        )

    terms = [
        term("gravity", 3, "1", "base", 1.0, 0.05 * uniform),
        term("angular_velocity", 3, "rad/s", "base", 0.3, 0.2 * uniform),
        term("joint_pos", joints, "rad", "joint", 1.5, 0.01 * uniform),
    ]
    if spec.measures_joint_velocity:
        terms.append(term("joint_vel", joints, "rad/s", "joint", JOINT_VEL_SCALE, 0.3 * uniform))
    terms.append(term("last_action", joints, "1", "joint", 0.75, 0.0))
    return ObservationContract(
        robot=spec.name,
        joint_names=spec.joint_names,
        default_joint_pos=tuple(spec.default_joint_pos.tolist()),
        kp=tuple(spec.kp.tolist()),
        kd=tuple(spec.kd.tolist()),
        action_scale=spec.action_scale,
        control_period_s=spec.control_period_s,
        terms=tuple(terms),
        history=history,
    )


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
