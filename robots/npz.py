"""Reads ``.npz`` archives from anywhere: nothing is allocated that the file does not hold."""

import math
import warnings
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from legged_skills.robots.errors import FileFormatError, LeggedSkillsError

MAGIC = b"PK"
MAX_BYTES = 500_000_000
"""The largest sum of unpacked arrays that is read."""


@contextmanager
def damage_reported(path: Path, what: str = ".npz archive") -> Iterator[None]:
    """Turns whatever a damaged file makes the library that reads it raise into our own error.

    Args:
        path: the file, for the message.
        what: what it should be, for the message.

    Raises:
        FileFormatError: anything but a ``LeggedSkillsError`` was raised inside.
    """
    try:
        yield
    except LeggedSkillsError:
        raise
    # None documents what it raises. NumPy and zipfile: zlib.error, NotImplementedError,
    # struct.error, ...; h5py passes on errors of the HDF5 library as many types.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise FileFormatError(
            f"{path}: not a readable {what} ({reason}); it may be damaged or cut short."
        ) from error


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """``damage_reported``; a header written by Python 2 is read without a warning."""
    with damage_reported(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def field_names(path: Path) -> frozenset[str]:
    """The names of an archive's arrays, after a check that they are what they declare.

    Args:
        path: the archive.

    Returns:
        The names, those of pickled objects among them.

    Raises:
        FileFormatError: it is damaged, holds something else than arrays, or arrays that are
            larger than its contents or than ``MAX_BYTES``.
    """
    return frozenset(_pickled(path))


def _pickled(path: Path) -> dict[str, bool]:
    """Whether each array of an archive holds pickled objects; checks as ``field_names`` does."""
    with _reading(path), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        unpacked = sum(member.file_size for member in members)
        if unpacked > MAX_BYTES:
            raise FileFormatError(
                f"{path}: unpacks to {unpacked} bytes, expected at most {MAX_BYTES}."
            )
        pickled = {}
        for member in members:
            with archive.open(member) as file:
                pickled[member.filename.removesuffix(".npy")] = _check_array(
                    path, member.filename, member.file_size, file
                )
        return pickled


def read_npz(path: str | Path, needed: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Reads all arrays of an archive.

    Args:
        path: the archive.
        needed: names of the fields that may not be pickled objects; others that are, as files
            from elsewhere have, are left out and not loaded. None for all.

    Returns:
        The arrays by name.

    Raises:
        FileFormatError: it is missing, empty, damaged, too large, or a needed field holds pickled
            objects.
    """
    path = Path(path)
    if path.is_dir():
        raise FileFormatError(f"{path}: is a folder, expected a file.")
    if not path.is_file():
        raise FileFormatError(f"{path}: there is no such file.")
    if path.stat().st_size == 0:
        raise FileFormatError(f"{path}: the file is empty; expected an .npz archive.")
    pickled = {name for name, is_pickled in _pickled(path).items() if is_pickled}
    for name in sorted(pickled):
        if needed is None or name in needed:
            raise FileFormatError(
                f"{path}: field {name} holds pickled objects, expected numbers or text."
            )
    with _reading(path), np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files if name not in pickled}


def _check_array(path: Path, name: str, size: int, file: IO[bytes]) -> bool:
    """Compares what an array's header declares with its ``size`` [bytes].

    Returns:
        Whether it holds pickled objects, whose size is not declared.
    """
    where = f"{path}: field {name.removesuffix('.npy')}"
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise FileFormatError(f"{where} is of the unknown version {version}.")
    if dtype.hasobject:
        return True
    declared = file.tell() + math.prod(shape) * dtype.itemsize
    if any(length < 0 for length in shape) or declared != size:
        raise FileFormatError(
            f"{where} declares an array of shape {shape} and type {dtype}, "
            f"which does not fit its {size} bytes."
        )
    return False
