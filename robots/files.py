"""Files that are either whole or absent: atomic writes, and a plain archive format.

An archive is an ordinary ``.npz`` without pickles. Besides its arrays it holds one JSON
text under the key ``header``, whose ``kind`` says what the file is.
"""

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from legged_skills.robots.errors import FileFormatError
from legged_skills.robots.npz import read_npz

HEADER_KEY = "header"


@contextmanager
def atomic_write(path: str | Path) -> Iterator[BinaryIO]:
    """Opens a temporary file that replaces ``path`` once it is written whole.

    The data is flushed to the disk before the rename. If the block raises, or the process
    dies, ``path`` keeps what it had before. A link stays one, and its target is replaced; what is
    no file, such as a device or a pipe, is written to.

    Args:
        path: the file to write; missing parent folders are made.

    Yields:
        A binary file to write to.

    Raises:
        FileFormatError: the file cannot be written, e.g. because the disk is full.
    """
    path, named = Path(path), path
    temporary = None
    try:
        path = path.resolve()
        if is_device(path):
            with path.open("wb", buffering=0) as device, io.BytesIO() as whole:
                yield whole
                device.write(whole.getvalue())
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner may read.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except OSError as error:
        raise FileFormatError(
            f"{named}: cannot be written ({error.strerror or error}); "
            "what was there before is unchanged."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def is_device(path: Path) -> bool:
    """Whether there is something that is written to, and not replaced: a device or a pipe."""
    return path.exists() and not path.is_file() and not path.is_dir()


def write_text(path: str | Path, text: str) -> None:
    r"""Writes ``text`` as UTF-8, atomically; bytes of file names that are none as "\udcxx"."""
    with atomic_write(path) as file:
        file.write(text.encode(errors="backslashreplace"))


def write_archive(
    path: str | Path, kind: str, arrays: Mapping[str, np.ndarray], header: Mapping[str, Any]
) -> None:
    """Writes arrays and a JSON header to one ``.npz`` file, atomically.

    Args:
        path: the file to write.
        kind: what the file is, e.g. "skill module"; checked on reading.
        arrays: the arrays by name; "header" is taken.
        header: anything that JSON can hold.

    Raises:
        FileFormatError: the file cannot be written.
        ValueError: an array is called "header", or the header has a "kind".
    """
    if HEADER_KEY in arrays or "kind" in header:
        raise ValueError('the array name "header" and the header entry "kind" are reserved')
    text = json.dumps({"kind": kind, **header})
    contents: dict[str, Any] = {HEADER_KEY: np.array(text), **arrays}
    with atomic_write(path) as file:
        np.savez_compressed(file, **contents)


def read_archive(path: str | Path, kind: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads what ``write_archive`` wrote.

    Args:
        path: the file to read.
        kind: what the file must be.

    Returns:
        The arrays by name, and the header without its "kind".

    Raises:
        FileFormatError: the file is missing, damaged, or of another kind.
    """
    _, arrays, header = read_archive_of(path, (kind,))
    return arrays, header


def read_archive_of(
    path: str | Path, kinds: Sequence[str]
) -> tuple[str, dict[str, np.ndarray], dict[str, Any]]:
    """Reads what ``write_archive`` wrote, where it may be one of several things.

    Args:
        path: the file to read.
        kinds: what the file may be.

    Returns:
        What it is, and what ``read_archive`` returns.

    Raises:
        FileFormatError: the file is missing, damaged, or of another kind.
    """
    arrays, wanted = read_npz(path), " or a ".join(kinds)
    if HEADER_KEY not in arrays:
        raise FileFormatError(f"{path}: expected a {wanted}, but the file has no header.")
    try:
        header = json.loads(str(arrays.pop(HEADER_KEY)))
        found = header.pop("kind")
    except (ValueError, RecursionError, KeyError, AttributeError, TypeError) as error:
        raise FileFormatError(f"{path}: expected a {wanted}, but the header is damaged.") from error
    if found not in kinds:
        raise FileFormatError(f"{path}: expected a {wanted}, found a {found}.")
    return found, arrays, header


def begun_with(start: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays whose names begin so, by the rest of their names."""
    return {
        name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)
    }


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def package_file(package: str, name: str, what: str) -> Path:
    """Path of a data file that comes with the package.

    Args:
        package: full name of the package, e.g. "legged_skills.mocap".
        name: path within the package's folder.
        what: the thing, for the message.

    Raises:
        FileFormatError: the package has no such file.
    """
    path = Path(str(files(package))) / name
    if not path.is_file():
        raise FileFormatError(f"no {what} comes with the package under {name}.")
    return path
