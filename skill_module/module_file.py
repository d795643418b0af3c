"""The skill module as a file: encoder, decoder, prior, and the contract they were trained with."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from legged_skills import robots
from legged_skills.mocap.clip import RobotClip
from legged_skills.robots.contract import ObservationContract
from legged_skills.robots.errors import (
    ClipError,
    ContractError,
    FileFormatError,
    SettingsError,
    UnknownRobotError,
)
from legged_skills.robots.files import read_archive, write_archive
from legged_skills.robots.kinds import require_kind, require_kinds
from legged_skills.robots.npz import damage_reported
from legged_skills.sim2real.agreement import require_robot
from legged_skills.skill_module.agents import Architecture, ImitationAgent
from legged_skills.skill_module.digests import clip_digest
from legged_skills.skill_module.imitation import ImitationConfig, privileged_size

KIND = "skill module"
_PARTS = ("encoder", "decoder", "action_log_std")
_Settings = TypeVar("_Settings")


@dataclass(frozen=True, kw_only=True)
class SkillModule:
    """A trained skill module."""

    contract: ObservationContract
    """What the decoder is told."""
    architecture: Architecture
    """Sizes of the networks, and the prior's alpha."""
    imitation: ImitationConfig
    """The environment it was trained in; the encoder's reference window among it."""
    params: dict[str, Any]
    """Weights by part: "encoder", "decoder", "action_log_std"."""
    clips: tuple[str, ...]
    """Names of the clips it was trained on."""
    summary: dict[str, Any]
    """How it was trained: steps, seconds, seed, versions, last figures, digests of the clips."""

    @property
    def robot(self) -> str:
        """Name of the robot."""
        return self.contract.robot

    def known(self, clips: Iterable[RobotClip]) -> list[RobotClip]:
        """Those of some clips that it was trained on.

        Modules of before their summary had digests know clips by their names only.

        Raises:
            ClipError: one has the name of one of its clips, and is another motion.
        """
        found = [clip for clip in clips if clip.name in self.clips]
        digests = self.summary.get("clips", {})
        for clip in found:
            if clip.name in digests and digests[clip.name] != clip_digest(clip):
                raise ClipError(
                    f"{clip.name} is another motion than the clip of that name that the skill "
                    "module was trained on; give the folder of those (--clips)."
                )
        return found

    @property
    def agent(self) -> ImitationAgent:
        """The agent whose parameters these are."""
        spec = robots.get(self.robot)
        return ImitationAgent(
            architecture=self.architecture,
            proprioception_size=self.contract.size,
            privileged_size=privileged_size(spec, self.contract, self.imitation),
            action_size=spec.num_joints,
        )

    def save(self, path: str | Path) -> None:
        """Writes the module to one file, atomically.

        Raises:
            FileFormatError: it cannot be written.
        """
        header = {
            "robot": self.robot,
            "contract": self.contract.to_json(),
            "contract_hash": self.contract.hash,
            "architecture": asdict(self.architecture),
            "imitation": asdict(self.imitation),
            "clips": list(self.clips),
            "summary": self.summary,
        }
        write_archive(path, KIND, weights_by_name(self.params, _PARTS), header)

    @classmethod
    def load(cls, path: str | Path, robot: str | None = None) -> "SkillModule":
        """Reads a module.

        Args:
            path: the file.
            robot: the robot it must be for; None takes any.

        Raises:
            FileFormatError: the file is missing, damaged, or not a skill module.
            ContractError: it is for another robot, its contract is not its own, or that is not its
                robot's as it is specified now.
        """
        arrays, header = read_archive(path, KIND)
        try:
            contract = read_contract(path, header)
            require_header(path, header, clips=tuple[str, ...], summary=dict)
            architecture = read_settings(path, Architecture, header["architecture"])
            imitation = read_settings(path, ImitationConfig, header["imitation"])
            clips, summary = tuple(header["clips"]), header["summary"]
        except KeyError as error:
            raise FileFormatError(f"{path}: the skill module's header lacks {error}.") from error
        if robot is not None and contract.robot != robot:
            raise ContractError(
                f"{path}: the skill module is for {contract.robot}, expected {robot}."
            )
        module = cls(
            contract=contract,
            architecture=architecture,
            imitation=imitation,
            params=weights_tree(path, arrays),
            clips=clips,
            summary=summary,
        )
        check_parts(path, module.params, _PARTS, lambda key: module.agent.init(key))
        return module


def weights_by_name(params: Mapping[str, Any], parts: Iterable[str]) -> dict[str, np.ndarray]:
    """Some parts of an agent's weights as a file has them; see ``weights_tree``."""
    flat = flatten_dict({part: params[part] for part in parts}, sep="/")
    return {name: np.asarray(values) for name, values in flat.items()}


def weights_tree(path: str | Path, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Weights by part, from those of a file by name.

    Raises:
        FileFormatError: a name is both of weights and of a part.
    """
    with damage_reported(Path(path), "file of weights"):
        return unflatten_dict(dict(arrays), sep="/")


def check_parts(
    path: str | Path,
    found: Mapping[str, Any],
    parts: Iterable[str],
    init: Callable[[jax.Array], Any],
) -> None:
    """Compares parts of weights from a file with those of the agent that the file describes.

    Args:
        path: the file, for messages.
        found: the parts by name, trees of arrays.
        parts: names of those that there should be.
        init: makes the agent, and gives its weights for a key.

    Raises:
        FileFormatError: there is no agent of the sizes that the file says, or see
            ``check_weights``.
    """
    with damage_reported(Path(path), "file of weights"):
        template = jax.eval_shape(init, jax.random.key(0))
    check_weights(path, found, {part: template[part] for part in parts})


def check_weights(path: str | Path, found: Mapping[str, Any], template: Mapping[str, Any]) -> None:
    """Compares weights from a file with what its architecture says.

    Args:
        path: the file, for messages.
        found: tree of arrays.
        template: the tree as it should be, of anything that has a shape.

    Raises:
        FileFormatError: weights are missing, unknown, of another shape, or not finite numbers.
    """
    wanted: dict[str, Any] = flatten_dict(dict(template), sep="/")
    arrays: dict[str, Any] = flatten_dict(dict(found), sep="/")
    for name in sorted(wanted.keys() | arrays.keys()):
        shape = arrays[name].shape if name in arrays else "missing"
        need = wanted[name].shape if name in wanted else "no such weights"
        if shape != need:
            raise FileFormatError(f"{path}: weights {name!r}: {shape}, expected {need}.")
        if not np.issubdtype(arrays[name].dtype, np.floating):
            raise FileFormatError(
                f"{path}: weights {name!r} are of type {arrays[name].dtype}, "
                "expected floating-point numbers."
            )
        if not np.isfinite(arrays[name]).all():
            raise FileFormatError(f"{path}: weights {name!r} hold non-finite values.")


def read_contract(path: str | Path, header: Mapping[str, Any]) -> ObservationContract:
    """The contract in a file's header, checked against the hash beside it, and its robot.

    Raises:
        ContractError: the contract is damaged, was edited, or is not that of the robot as it is
            specified now.
        KeyError: the header has none.
    """
    try:
        contract = ObservationContract.from_json(header["contract"])
        spec = robots.get(contract.robot)
    except (ContractError, UnknownRobotError) as error:
        raise ContractError(f"{path}: {error}") from error
    if contract.hash != header["contract_hash"]:
        raise ContractError(
            f"{path}: the contract's hash is {contract.hash}, but the file states "
            f"{header['contract_hash']}; the contract was edited."
        )
    require_robot(contract, spec, str(path))
    return contract


def require_header(path: str | Path, header: Mapping[str, Any], **kinds: Any) -> None:
    """Checks the types of some entries of a file's header.

    Args:
        path: the file, for messages.
        header: the header.
        kinds: their types by name.

    Raises:
        FileFormatError: an entry is of another type.
        KeyError: there is none.
    """
    for name, kind in kinds.items():
        try:
            require_kind(name, header[name], kind)
        except SettingsError as error:
            raise FileFormatError(f"{path}: {error}") from error


def read_settings(
    path: str | Path, kind: type[_Settings], found: Mapping[str, Any], **given: Any
) -> _Settings:
    """A configuration in a file's header. Fields that it lacks take their defaults.

    Args:
        path: the file, for messages.
        kind: the configuration's dataclass.
        found: its fields as they are in the header.
        given: fields that are not from there.

    Raises:
        FileFormatError: a field is unknown, has a value that it cannot have, or is missing and has
            no default.
    """
    if not isinstance(found, Mapping):
        raise FileFormatError(f"{path}: {kind.__name__} is {found!r:.80}, expected its fields.")
    known: Any = [f for f in fields(kind) if f.name not in given]  # pyright: ignore[reportArgumentType]
    unknown = sorted(found.keys() - {field.name for field in known})
    if unknown:
        raise FileFormatError(
            f"{path}: {kind.__name__} has no field {unknown[0]!r} here; the file was written by "
            "another version of legged_skills."
        )
    for field in known:
        needed = field.default is MISSING and field.default_factory is MISSING
        if needed and field.name not in found:
            raise FileFormatError(f"{path}: {kind.__name__} lacks the field {field.name!r}.")
    try:
        require_kinds(kind, found)
        return kind(**as_tuples(found), **given)
    except SettingsError as error:
        raise FileFormatError(f"{path}: {kind.__name__}: {error}") from error


def as_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a configuration from JSON, which knows lists only."""
    return {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
