"""What a policy bundle holds besides its graph: a header in JSON, and the seal of the whole file.

Both are entries of the ONNX file's ``metadata_props``. The seal comes last, so that the file ends
in 64 hex digits: the SHA-256 of all bytes before them. It shows damage; it is no signature.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from legged_skills.robots.contract import ObservationContract
from legged_skills.robots.errors import ContractError, FileFormatError

FORMAT = 1
"""Number of the header's format; a reader refuses any other."""
HEADER_KEY = "legged_skills"
"""Key of the header in ``metadata_props``."""
PRODUCER = "legged_skills"
"""The model's ``producer_name``, one of its first bytes: tells a damaged bundle from no bundle."""
VELOCITY = "velocity"
"""Name of the command that says how fast to go."""
MAX_SIZE = 4096
"""The largest number of joints, of values in a term or latent, or of frames that is read."""

_PER_JOINT = ("joint_pos", "joint_vel", "last_action")
"""The terms with one value for each joint."""
_MAX_OBSERVATION = 1_000_000
_DIGITS = 64
# The entry ("sha256", 64 digits) as protobuf writes it: field 14 of ModelProto, 74 bytes long;
# in it field 1, 6 bytes long, and field 2, 64 bytes long.
_SEAL = b"\x72\x4a\x0a\x06sha256\x12\x40"
_HEAD = 64
_LARGEST = 1e9
"""No number in a header is larger than this."""


@dataclass(frozen=True, kw_only=True)
class CommandComponent:
    """One number that a policy is commanded with."""

    name: str
    """What it is, e.g. "vx"."""
    unit: str
    """Its unit, e.g. "m/s"."""
    low: float
    """The least value that the policy was trained with [unit]."""
    high: float
    """The greatest value that the policy was trained with [unit]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BundleHeader:
    """All that must be known to run a policy. J is the number of joints."""

    task: str
    """Name of the task, e.g. "walk"."""
    contract: ObservationContract
    """What the policy is told, and how its actions are meant."""
    command_name: str
    """What the command is, e.g. "velocity"."""
    command: tuple[CommandComponent, ...]
    """The components of the command, in order."""
    rest: tuple[float, ...] | None
    """The command that makes the robot stand, which may be beyond the ranges of training; None if
    it cannot be told to."""
    latent_size: int
    """Length of what is carried from step to step: the latent, and what else a policy remembers."""
    joint_lower: np.ndarray
    """(J,) joint targets are not below this [rad]."""
    joint_upper: np.ndarray
    """(J,) joint targets are not above this [rad]."""
    torque_limit: np.ndarray
    """(J,) greatest drive torque of the robot it was trained on [Nm]."""
    velocity_limit: np.ndarray
    """(J,) greatest joint speed of the robot it was trained on [rad/s]."""
    version: str
    """Version of legged_skills that made the bundle."""
    training: dict[str, Any]
    """How the policy was trained; for people."""
    timing: dict[str, Any] | None
    """When things happen on its robot, as in the robot's full gap: periods of drives and IMU, and
    how setpoints are handled; None if that is not said. For people."""

    def to_text(self) -> str:
        """The header as JSON text, with every number at full precision."""
        fields = {
            "format": FORMAT,
            "task": self.task,
            "robot": self.contract.robot,
            "contract": self.contract.to_json(),
            "contract_hash": self.contract.hash,
            "command": {
                "name": self.command_name,
                "size": len(self.command),
                "components": [asdict(component) for component in self.command],
                "rest": None if self.rest is None else list(self.rest),
            },
            "latent_size": self.latent_size,
            **{name: getattr(self, name).tolist() for name in _LIMITS},
            "version": self.version,
            "training": _finite(self.training),
            "timing": _finite(self.timing),
        }
        return json.dumps(fields, allow_nan=False)

    @classmethod
    def from_text(cls, text: str, what: str) -> "BundleHeader":
        """Reads what ``to_text`` gave.

        Args:
            text: the JSON text.
            what: the file, for messages.

        Raises:
            FileFormatError: something is missing, of the wrong kind, or out of range, or the
                format is unknown.
            ContractError: the contract is not the one whose hash stands beside it.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise FileFormatError(f"{what}: the bundle's header is not JSON ({error}).") from error
        top = _Fields(data, what, "header")
        top.take("format", lambda v: _is_count(v) and v == FORMAT, str(FORMAT))
        contract = _read_contract(top, what)
        joints = len(contract.joint_names)
        command_name, command, rest = _read_command(top, what)
        return cls(
            task=top.text("task"),
            contract=contract,
            command_name=command_name,
            command=command,
            rest=rest,
            latent_size=top.count("latent_size"),
            **{name: _frozen(top.numbers(name, joints)) for name in _LIMITS},
            version=top.text("version"),
            training=top.table("training"),
            timing=top.take(
                "timing", lambda v: v is None or isinstance(v, dict), "a table or null"
            ),
        )


_LIMITS = ("joint_lower", "joint_upper", "torque_limit", "velocity_limit")


def seal(model: bytes) -> bytes:
    """Appends the checksum, as a last metadata entry, to a serialized ONNX model."""
    body = model + _SEAL
    return body + hashlib.sha256(body).hexdigest().encode()


def check_seal(data: bytes, what: str) -> str:
    """Checks a file's bytes against the checksum they end in.

    Args:
        data: all bytes of the file.
        what: the file, for messages.

    Returns:
        The checksum: 64 hex digits.

    Raises:
        FileFormatError: the file is no bundle, is cut short, or is not what it was when sealed.
    """
    if PRODUCER.encode() not in data[:_HEAD]:
        raise FileFormatError(f"{what}: not a policy bundle of legged_skills, or its head is lost.")
    body, stated = data[:-_DIGITS], data[-_DIGITS:]
    if not body.endswith(_SEAL):
        raise FileFormatError(
            f"{what}: the bundle is cut short or damaged; expected its checksum at the end."
        )
    digest = hashlib.sha256(body).hexdigest()
    if stated != digest.encode():
        raise FileFormatError(
            f"{what}: the bundle was edited or damaged; its SHA-256 is {digest[:16]}..., "
            # A damaged byte may be any: none of them may break the line.
            f"but the file states {ascii(stated[:16].decode('ascii', 'replace'))[1:-1]}...."
        )
    return digest


class _Fields:
    """A table of JSON, read with checks."""

    def __init__(self, data: Any, what: str, name: str) -> None:
        if not isinstance(data, dict):
            raise FileFormatError(f"{what}: the bundle's {name} is {_brief(data)}, not a table.")
        self.data: Mapping[str, Any] = data
        self.what = what
        self.name = name

    def take(self, name: str, fits: Callable[[Any], bool], expected: str) -> Any:
        if name not in self.data:
            raise FileFormatError(f"{self.what}: the bundle's {self.name} lacks {name!r}.")
        value = self.data[name]
        if not fits(value):
            raise FileFormatError(
                f"{self.what}: {name!r} in the bundle's {self.name} is {_brief(value)}, "
                f"expected {expected}."
            )
        return value

    def text(self, name: str) -> str:
        return self.take(name, lambda v: isinstance(v, str), "a text")

    def count(self, name: str) -> int:
        return self.take(name, _is_count, f"an integer from 1 to {MAX_SIZE}")

    def number(self, name: str) -> float:
        return self.take(name, _is_number, "a number")

    def positive(self, name: str) -> float:
        return self.take(name, lambda v: _is_number(v) and v > 0.0, "a number above 0")

    def numbers(self, name: str, count: int) -> list[float]:
        def fits(value: Any) -> bool:
            return _is_list(value, _is_number) and len(value) == count

        return self.take(name, fits, f"{count} numbers, one for each joint")

    def table(self, name: str) -> dict[str, Any]:
        return self.take(name, lambda v: isinstance(v, dict), "a table")

    def tables(self, name: str) -> list[Any]:
        return self.take(
            name, lambda v: _is_list(v, lambda item: isinstance(item, dict)), "a list of tables"
        )


def _read_contract(top: _Fields, what: str) -> ObservationContract:
    """The contract, every field of it checked for kind and size."""
    fields = _Fields(top.table("contract"), what, "contract")
    names = fields.take(
        "joint_names",
        lambda v: _is_list(v, lambda n: isinstance(n, str)) and len(set(v)) == len(v),
        "a list of different names",
    )
    for name in ("default_joint_pos", "kp", "kd"):
        fields.numbers(name, len(names))
    fields.text("robot")
    fields.positive("action_scale")
    fields.positive("control_period_s")
    fields.count("history")
    _check_terms(fields, len(names), what)
    try:
        contract = ObservationContract.from_json(fields.data)
    except ContractError as error:
        raise ContractError(f"{what}: {error}") from error
    stated = top.text("contract_hash")
    if contract.hash != stated:
        raise ContractError(
            f"{what}: the contract's hash is {contract.hash}, but the file states {stated}; "
            "the contract was edited."
        )
    top.take("robot", lambda v: v == contract.robot, repr(contract.robot))
    return contract


def _check_terms(fields: _Fields, joints: int, what: str) -> None:
    """Checks the terms of a contract."""
    names, size = [], 0
    for item in fields.tables("terms"):
        term = _Fields(item, what, "term")
        for field in ("unit", "frame"):
            term.text(field)
        for field in ("scale", "noise"):
            term.number(field)
        names.append(term.text("name"))
        size += term.count("size")
        if names[-1] in _PER_JOINT and item["size"] != joints:
            raise FileFormatError(
                f"{what}: the term {names[-1]!r} has {item['size']} values, "
                f"expected one for each of the {joints} joints."
            )
    if len(set(names)) < len(names):
        raise FileFormatError(f"{what}: a term of the contract is named twice: {names}.")
    if "last_action" in names and "joint_pos" not in names:
        raise FileFormatError(
            f"{what}: the contract lacks the term 'joint_pos', which 'last_action' starts from."
        )
    if size * fields.count("history") > _MAX_OBSERVATION:
        raise FileFormatError(
            f"{what}: the contract has more than {_MAX_OBSERVATION} values in an observation."
        )


def _read_command(
    top: _Fields, what: str
) -> tuple[str, tuple[CommandComponent, ...], tuple[float, ...] | None]:
    """Name and components of the command, and the one to stand."""
    fields = _Fields(top.table("command"), what, "command")
    components = []
    for item in fields.tables("components"):
        component = _Fields(item, what, "command")
        low = component.number("low")
        high = component.take(
            "high", lambda v, low=low: _is_number(v) and v >= low, f"a number, at least {low}"
        )
        components.append(
            CommandComponent(
                name=component.text("name"),
                unit=component.text("unit"),
                low=float(low),
                high=float(high),
            )
        )
    fields.take("size", lambda v: _is_count(v) and v == len(components), str(len(components)))
    name = fields.text("name")
    if "rest" not in fields.data:
        # Bundles did not always say: velocities were zero, and nothing else could be told.
        return name, tuple(components), (0.0,) * len(components) if name == VELOCITY else None

    def fits(value: Any) -> bool:
        return value is None or (_is_list(value, _is_number) and len(value) == len(components))

    rest = fields.take("rest", fits, f"{len(components)} numbers or null")
    return name, tuple(components), None if rest is None else tuple(map(float, rest))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_SIZE


def _is_number(value: Any) -> bool:
    kind = isinstance(value, int | float) and not isinstance(value, bool)
    return kind and -_LARGEST < value < _LARGEST


def _is_list(value: Any, fits: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and 1 <= len(value) <= MAX_SIZE and all(map(fits, value))


def _frozen(values: list[float]) -> np.ndarray:
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array


def _finite(value: Any) -> Any:
    """The value with null for NaN and infinity, which JSON does not know."""
    if isinstance(value, Mapping):
        return {str(name): _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def _brief(value: Any) -> str:
    try:
        text = json.dumps(value)
    except RecursionError:
        return "nested too deeply"
    return text if len(text) <= 60 else text[:57] + "..."
