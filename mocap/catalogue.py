"""The catalogue of public motion capture that can be downloaded.

It stands in ``catalogue.json``: for every file its address, size and SHA-256, for every set its
source and licence. The data itself is not part of this package.
"""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from legged_skills.robots.errors import FileFormatError, SettingsError
from legged_skills.robots.files import package_file

FILE = "catalogue.json"
LICENCE_FILE = "LICENSE.txt"
"""What the readers of motion files look for beside them."""
MAX_FILE_BYTES = 200_000_000
"""More than any file of a catalogue may have [B]."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """A file that can be downloaded, as the catalogue describes it."""

    name: str
    """What it is called in the cache."""
    url: str
    """Where it is; http or https."""
    size: int
    """Its size [B]."""
    sha256: str
    """SHA-256 of its content, 64 hexadecimal digits."""
    description: str = ""
    """What is recorded, in a few words."""
    trial: str = ""
    """The name under which it can be fetched alone, together with its skeleton."""
    skeleton: bool = False
    """True for what motions of the set need beside them, but is no motion itself."""

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            FileFormatError: a value is not one that a file can have, or the name leads elsewhere.
        """
        _check_name(self.name)
        if self.name == LICENCE_FILE or self.name.endswith((".part", ".etag")):
            raise FileFormatError(f"{self.name}: a file of a catalogue cannot have this name.")
        if not is_web(self.url):
            raise FileFormatError(f"{self.name}: {self.url!r} is not an http or https address.")
        if not (isinstance(self.size, int) and 0 < self.size <= MAX_FILE_BYTES):
            raise FileFormatError(
                f"{self.name}: a size of {self.size!r} bytes is not in 1 to {MAX_FILE_BYTES}."
            )
        if not _SHA256.fullmatch(self.sha256):
            raise FileFormatError(f"{self.name}: {self.sha256!r} is not a SHA-256.")


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """Files that belong together and share a folder of the cache."""

    name: str
    """What it is asked for by, and the folder's name."""
    description: str
    """What is recorded, in one line."""
    licence: str
    """The terms, short enough for a clip's source field."""
    citation: str
    """Who made it."""
    homepage: str
    """Where it comes from."""
    files: tuple[DataFile, ...]
    """The files, skeletons first."""

    def __post_init__(self) -> None:
        """Checks names.

        Raises:
            FileFormatError: the set's name leads elsewhere, it has no licence, no files, or two of
                the same name.
        """
        _check_name(self.name)
        if not self.licence.strip():
            raise FileFormatError(f"{self.name}: has no licence.")
        names = [file.name for file in self.files]
        if not names or len(set(names)) < len(names):
            raise FileFormatError(f"{self.name}: has no files, or two of the same name.")

    @property
    def size(self) -> int:
        """The size of all files [B]."""
        return sum(file.size for file in self.files)


def load(path: Path | None = None) -> dict[str, DataSet]:
    """All sets that can be fetched.

    Args:
        path: the catalogue; None for the one that comes with the package.

    Returns:
        The sets by name, in the catalogue's order.

    Raises:
        FileFormatError: the catalogue is missing or damaged.
    """
    path = path or package_file("legged_skills.mocap", FILE, "catalogue of motion capture")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        sets = [
            DataSet(
                name=entry["name"],
                description=entry["description"],
                **content["sources"][entry["source"]],
                files=tuple(DataFile(**file) for file in entry["files"]),
            )
            for entry in content["sets"]
        ]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise FileFormatError(f"{path}: is not a catalogue of motion capture ({error}).") from error
    names = [entry.name for entry in sets]
    names += [file.trial for entry in sets for file in entry.files if file.trial]
    if len(set(names)) < len(names):
        raise FileFormatError(f"{path}: two sets or trials have the same name.")
    return {entry.name: entry for entry in sets}


def find(name: str) -> DataSet:
    """The set, or the part of a set, of that name.

    Args:
        name: a set, e.g. "cmu_16", or a trial, e.g. "cmu_16_35".

    Returns:
        The set; for a trial with this motion and the set's skeleton only.

    Raises:
        SettingsError: there is none; the message lists the known ones.
    """
    sets = load()
    if name in sets:
        return sets[name]
    for entry in sets.values():
        trials = [file for file in entry.files if file.trial and file.trial == name]
        if trials:
            files = tuple(file for file in entry.files if file.skeleton or file in trials)
            return replace(entry, files=files)
    for entry in sets.values():
        trials = [file.trial for file in entry.files if file.trial]
        if trials and name.startswith(f"{entry.name}_"):
            raise SettingsError(f"no trial is called {name!r}; there are {', '.join(trials)}.")
    raise SettingsError(
        f"no motion capture is called {name!r}; there are {', '.join(sets)}, "
        "and single trials of the CMU subjects, e.g. cmu_16_35."
    )


def is_web(url: str) -> bool:
    """Whether an address is http or https with a host."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _check_name(name: str) -> None:
    """Rejects names that are not plain ones within a folder."""
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise FileFormatError(f"{name!r}: is not a name for a file or folder of the cache.")
