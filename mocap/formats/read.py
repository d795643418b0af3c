"""Reads a motion capture file of any known format, told apart by content, not by name."""

from pathlib import Path
from types import ModuleType

from legged_skills.mocap.formats import (
    acclaim,
    bvh,
    c3d,
    clip_motion,
    deepmimic,
    dm_control_cmu,
    dog_keypoints,
    key_point_arrays,
    key_points,
    smpl,
)
from legged_skills.mocap.source import ReadOptions, SourceMotion
from legged_skills.robots import npz
from legged_skills.robots.errors import ClipError, FileFormatError
from legged_skills.robots.files import sha256_of

TEXT_FORMATS: tuple[ModuleType, ...] = (bvh, acclaim, deepmimic, dog_keypoints, key_points)
"""Modules with FORMAT, sniff(head) and read(path, text, options); the first that sniffs reads."""
NPZ_FORMATS: tuple[ModuleType, ...] = (clip_motion, smpl, key_point_arrays)
"""Modules with FORMAT, sniff(names of the arrays) and read(path, options)."""
BINARY_FORMATS: tuple[ModuleType, ...] = (c3d, dm_control_cmu)
"""Modules with FORMAT, sniff(first bytes) and read(path, options)."""

_MAX_BYTES = 200_000_000
# A collection of clips, of which one is read at a time.
_MAX_COLLECTION_BYTES = 4_000_000_000
_HEAD = 4096
_CLIP_MARK = "#"
_LICENCE_NAMES = ("LICENSE.txt", "LICENSE", "LICENCE.txt", "LICENCE")
_LICENCE_CHARACTERS = 300


def format_names() -> tuple[str, ...]:
    """The names of all known formats."""
    modules = (*TEXT_FORMATS, *NPZ_FORMATS, *BINARY_FORMATS)
    return tuple(dict.fromkeys(module.FORMAT for module in modules))


def read_motion(
    path: str | Path, options: ReadOptions | None = None, *, licence: str | None = None
) -> SourceMotion:
    """Reads a motion capture file.

    Args:
        path: the file; of a collection of clips, "file#name of the clip".
        options: what the file does not say, or says wrongly; None to trust it.
        licence: the terms the data is under; if None, what the file says, or the text of a
            licence file in the same folder, or "not stated".

    Returns:
        The motion.

    Raises:
        FileFormatError: the file is missing, too large, or of no known format.
        ClipError: the file is empty or damaged, or the frame rate is not plausible.
    """
    options = ReadOptions() if options is None else options
    path, clip = _split_clip(Path(path))
    head = _read_head(path)
    module = next((module for module in BINARY_FORMATS if module.sniff(head)), None)
    _check_size(path, _MAX_COLLECTION_BYTES if module is dm_control_cmu else _MAX_BYTES)
    if module is dm_control_cmu:
        motion = dm_control_cmu.read(path, options, clip)
    elif clip is not None:
        raise FileFormatError(
            f"{path}: is no collection of clips, so that there is no {clip!r} in it."
        )
    elif module is not None:
        motion = module.read(path, options)
    elif head.startswith(npz.MAGIC):
        motion = _npz_format(path).read(path, options)
    else:
        motion = _read_text_motion(path, options)
    if licence is not None:
        motion.source["licence"] = licence
    else:
        motion.source.setdefault("licence", _licence_near(path))
    # Which of several recordings of the same name; in a collection clips have their own names.
    if module is not dm_control_cmu:
        motion.source["sha256"] = sha256_of(path)
    return motion


def clip_name(path: Path) -> str:
    """What the motion in a file is called: as the file, or as the clip that "file#clip" names."""
    path, clip = _split_clip(path)
    return path.stem if clip is None else clip


def _split_clip(path: Path) -> tuple[Path, str | None]:
    """The file and the clip in it that "file#clip" names; a file may have a "#" in its name."""
    name, mark, clip = str(path).rpartition(_CLIP_MARK)
    if mark and not path.exists() and Path(name).is_file():
        return Path(name), clip
    return path, None


def _read_head(path: Path) -> bytes:
    """The first bytes of a file that there is."""
    if path.is_dir():
        raise FileFormatError(f"{path}: is a folder, expected a motion capture file.")
    if not path.is_file():
        raise FileFormatError(f"{path}: there is no such file.")
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror or error}).") from error


def _check_size(path: Path, most: int) -> None:
    """Rejects files that would take too much memory."""
    if path.stat().st_size > most:
        raise FileFormatError(f"{path}: has {path.stat().st_size} bytes, expected at most {most}.")


def _npz_format(path: Path) -> ModuleType:
    """The module that reads an archive, told by the names of its arrays."""
    names = npz.field_names(path)
    for module in NPZ_FORMATS:
        if module.sniff(names):
            return module
    shown = ", ".join(sorted(names)[:10])
    known = ", ".join(module.FORMAT for module in NPZ_FORMATS)
    raise FileFormatError(
        f"{path}: an archive of no known kind, with the fields {shown or '(none)'}; "
        f"known kinds: {known}."
    )


def _read_text_motion(path: Path, options: ReadOptions) -> SourceMotion:
    """Reads a text format."""
    text, is_utf8 = _read_text(path)
    if not text.strip():
        raise ClipError(f"{path}: the file is empty, expected a motion capture file.")
    for module in TEXT_FORMATS:
        if module.sniff(text[:_HEAD]):
            return module.read(path, text, options)
    what = "of no known motion capture format" if is_utf8 else "is not a text file"
    raise FileFormatError(f"{path}: {what}; known formats: {', '.join(format_names())}.")


def _read_text(path: Path) -> tuple[str, bool]:
    """The whole file as text, and whether that is what it is."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror or error}).") from error
    try:
        return data.decode("utf-8-sig"), b"\0" not in data
    except UnicodeDecodeError:
        # Comments and names in older encodings do not matter, if the rest is of a known format.
        return data.decode("utf-8-sig", errors="replace"), False


def _licence_near(path: Path) -> str:
    """What a licence file beside ``path`` says, on one line."""
    for name in _LICENCE_NAMES:
        file = path.parent / name
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        return " ".join(text.split())[:_LICENCE_CHARACTERS]
    return "not stated"
