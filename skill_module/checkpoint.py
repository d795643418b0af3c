"""Training checkpoints: one file that holds everything needed to go on exactly."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from legged_skills.robots.errors import ContractError, FileFormatError
from legged_skills.robots.files import begun_with, read_archive, write_archive

KIND = "training checkpoint"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A training at the end of an iteration."""

    tree: Any
    """Parameters, optimiser state, step size: any tree of arrays."""
    environment: dict[str, np.ndarray]
    """Arrays of the environment."""
    header: dict[str, Any]
    """Identity ("robot", "contract_hash", "task", "settings", ...), progress, and random states."""


def save(path: str | Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint; the one before it at this path stays until the new one is whole.

    Raises:
        FileFormatError: it cannot be written.
    """
    leaves = jax.tree.leaves(checkpoint.tree)
    arrays = {f"leaf/{i:04d}": np.asarray(leaf) for i, leaf in enumerate(leaves)}
    arrays |= {f"environment/{name}": a for name, a in checkpoint.environment.items()}
    write_archive(path, KIND, arrays, checkpoint.header)


def load(path: str | Path, template: Any, expected: Mapping[str, Any]) -> Checkpoint:
    """Reads a checkpoint of this very training.

    Args:
        path: the file.
        template: a tree of the same structure and shapes, e.g. a new learner.
        expected: entries of the header that must be equal.

    Raises:
        FileFormatError: the file is missing or damaged, or the networks have other sizes.
        ContractError: it is of another robot, contract, task or configuration.
    """
    arrays, header = read_archive(path, KIND)
    for name, value in expected.items():
        if header.get(name) != value:
            raise ContractError(
                f"{path}: the checkpoint's {name.replace('_', ' ')} is "
                f"{_difference(header.get(name), value)}; it cannot be resumed with other settings."
            )
    leaves, structure = jax.tree.flatten(template)
    stored = [arrays.get(f"leaf/{i:04d}") for i in range(len(leaves))]
    for leaf, array in zip(leaves, stored, strict=True):
        if array is None or array.shape != leaf.shape or array.dtype != leaf.dtype:
            raise FileFormatError(f"{path}: the checkpoint's networks have other sizes.")
    return Checkpoint(
        tree=jax.tree.unflatten(structure, stored),
        environment=begun_with("environment/", arrays),
        header=header,
    )


def _difference(found: Any, expected: Any, name: str = "") -> str:
    """Names the first entry in which two settings differ, with those that it is in."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in sorted(expected.keys() | found.keys()):
            if found.get(key) != expected.get(key):
                inner = f"{name}.{key}" if name else key
                return _difference(found.get(key), expected.get(key), inner)
    differs = f"{found!r}, expected {expected!r}"
    return f"{name} = {differs}" if name else differs
