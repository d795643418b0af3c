"""Reads ``.npz`` archives from anywhere: nothing is allocated that the file does not hold."""

import math
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from legged_skills.robots.errors import FileFormatError, LeggedSkillsError

MAGIC = b"PK"
MAX_BYTES = 500_000_000
"""The largest sum of unpacked arrays that is read."""


@contextmanager
def damage_reported(path: Path) -> Iterator[None]:
    """Turns whatever a damaged archive makes NumPy and zipfile raise into our own error.

    Args:
        path: the archive, for the message.

    Raises:
        FileFormatError: anything but a ``LeggedSkillsError`` was raised inside.
    """
    try:
        with warnings.catch_warnings():
            # A header written by Python 2 is read all the same.
            warnings.simplefilter("ignore")
            yield
    except LeggedSkillsError:
        raise
    # Neither documents what it raises: zlib.error, NotImplementedError, struct.error, ...
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise FileFormatError(
            f"{path}: not a readable .npz archive ({reason}); it may be damaged or cut short."
        ) from error


def field_names(path: Path) -> frozenset[str]:
    """The names of an archive's arrays, after a check that they are what they declare.

    Args:
        path: the archive.

    Returns:
        The names.

    Raises:
        FileFormatError: it is damaged, holds something else than arrays, or arrays that are
            larger than its contents or than ``MAX_BYTES``.
    """
    with damage_reported(path), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        unpacked = sum(member.file_size for member in members)
        if unpacked > MAX_BYTES:
            raise FileFormatError(
                f"{path}: unpacks to {unpacked} bytes, expected at most {MAX_BYTES}."
            )
        for member in members:
            with archive.open(member) as file:
                _check_array(path, member.filename, member.file_size, file)
        return frozenset(member.filename.removesuffix(".npy") for member in members)


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """Reads all arrays of an archive.

    Args:
        path: the archive.

    Returns:
        The arrays by name.

    Raises:
        FileFormatError: it is missing, empty, damaged, too large, or holds pickled objects.
    """
    path = Path(path)
    if not path.is_file():
        raise FileFormatError(f"{path}: there is no such file.")
    if path.stat().st_size == 0:
        raise FileFormatError(f"{path}: the file is empty; expected an .npz archive.")
    field_names(path)
    with damage_reported(path), np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _check_array(path: Path, name: str, size: int, file: IO[bytes]) -> None:
    """Compares what an array's header declares with its ``size`` [bytes]."""
    where = f"{path}: field {name.removesuffix('.npy')}"
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise FileFormatError(f"{where} is of the unknown version {version}.")
    if dtype.hasobject:
        raise FileFormatError(f"{where} holds pickled objects, expected numbers or text.")
    declared = file.tell() + math.prod(shape) * dtype.itemsize
    if any(length < 0 for length in shape) or declared != size:
        raise FileFormatError(
            f"{where} declares an array of shape {shape} and type {dtype}, "
            f"which does not fit its {size} bytes."
        )
