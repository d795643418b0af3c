"""Reads a motion capture file of any known format, told apart by content, not by name."""

from pathlib import Path
from types import ModuleType

from legged_skills.mocap import dog_keypoints
from legged_skills.mocap.source import SourceMotion
from legged_skills.robots.errors import ClipError, FileFormatError

TEXT_FORMATS: tuple[ModuleType, ...] = (dog_keypoints,)
"""Modules with FORMAT, sniff(head) and read(path, text, fps); the first that sniffs reads."""

_MAX_BYTES = 200_000_000
_HEAD_CHARACTERS = 4096
_LICENCE_NAMES = ("LICENSE.txt", "LICENSE", "LICENCE.txt", "LICENCE")
_LICENCE_CHARACTERS = 300


def read_motion(
    path: str | Path, fps: float | None = None, licence: str | None = None
) -> SourceMotion:
    """Reads a motion capture file.

    Args:
        path: the file.
        fps: frames a second, where the file does not say or says it wrongly [1/s].
        licence: the terms the data is under; if None, the text of a licence file in the same
            folder, or "not stated".

    Returns:
        The motion.

    Raises:
        FileFormatError: the file is missing, too large, not text, or of no known format.
        ClipError: the file is empty or damaged, or the frame rate is not plausible.
    """
    path = Path(path)
    text = _read_text(path)
    if not text.strip():
        raise ClipError(f"{path}: the file is empty, expected a motion capture file.")
    head = text[:_HEAD_CHARACTERS]
    for module in TEXT_FORMATS:
        if module.sniff(head):
            motion: SourceMotion = module.read(path, text, fps)
            motion.source["licence"] = licence if licence is not None else _licence_near(path)
            return motion
    known = ", ".join(module.FORMAT for module in TEXT_FORMATS)
    raise FileFormatError(f"{path}: of no known motion capture format; known formats: {known}.")


def _read_text(path: Path) -> str:
    """The whole file as text."""
    if path.is_dir():
        raise FileFormatError(f"{path}: is a folder, expected a motion capture file.")
    if not path.is_file():
        raise FileFormatError(f"{path}: there is no such file.")
    if path.stat().st_size > _MAX_BYTES:
        raise FileFormatError(
            f"{path}: has {path.stat().st_size} bytes, expected at most {_MAX_BYTES}."
        )
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror or error}).") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FileFormatError(
            f"{path}: is not a text file, expected a motion capture file."
        ) from None


def _licence_near(path: Path) -> str:
    """What a licence file beside ``path`` says, on one line."""
    for name in _LICENCE_NAMES:
        file = path.parent / name
        if file.is_file():
            text = " ".join(file.read_text(errors="replace").split())
            return text[:_LICENCE_CHARACTERS]
    return "not stated"
