"""Named sets of public motion capture, downloaded into a cache.

A file appears under its final name only when it is whole and checked. Until then it grows in
``NAME.part`` beside it, from where an interrupted download goes on.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from legged_skills.mocap.catalogue import LICENCE_FILE, DataFile, DataSet, find, is_web
from legged_skills.mocap.download import FetchOptions, discard, download
from legged_skills.robots.errors import DownloadError, FileFormatError, SettingsError
from legged_skills.robots.files import sha256_of, write_text


def cache_dir(cache: str | Path | None = None) -> Path:
    """The folder with a folder for each set.

    Args:
        cache: the cache; None for ``$LEGGED_SKILLS_CACHE``, else ``$XDG_CACHE_HOME/legged_skills``,
            else ``~/.cache/legged_skills``.

    Raises:
        SettingsError: nothing says where the home folder is.
    """
    named, shared = os.environ.get("LEGGED_SKILLS_CACHE"), os.environ.get("XDG_CACHE_HOME", "")
    if cache is not None or named:
        root = Path(cache or named or "")
    elif os.path.isabs(shared):  # relative ones are to be ignored, says the XDG specification
        root = Path(shared) / "legged_skills"
    else:
        root = Path("~/.cache/legged_skills")
    try:
        return root.expanduser() / "mocap"
    except RuntimeError as error:
        raise SettingsError(
            f"{root}: the home folder is not known; set LEGGED_SKILLS_CACHE to a folder."
        ) from error


def summary(data_set: DataSet, cache: str | Path | None = None) -> dict[str, Any]:
    """What a listing says of a set.

    Args:
        data_set: the set.
        cache: as in ``cache_dir``.

    Returns:
        "name", "description", "motions", "size" [B], "licence", "homepage", "folder", and "cached":
        whether all files are there, judged by their size.
    """
    folder = cache_dir(cache) / data_set.name
    paths = [(folder / file.name, file.size) for file in data_set.files]
    return {
        "name": data_set.name,
        "description": data_set.description,
        "motions": sum(not file.skeleton for file in data_set.files),
        "size": data_set.size,
        "licence": data_set.licence,
        "homepage": data_set.homepage,
        "folder": str(folder),
        "cached": all(path.is_file() and path.stat().st_size == size for path, size in paths),
    }


def fetch(
    name: str,
    *,
    cache: str | Path | None = None,
    base_url: str | None = None,
    progress: bool = True,
    options: FetchOptions | None = None,
) -> list[Path]:
    """Downloads a named set, unless it is in the cache already.

    Args:
        name: a set or a trial, see ``find``.
        cache: as in ``cache_dir``.
        base_url: a mirror to download from instead of the catalogue's addresses: http or https,
            laid out like the cache (``<base_url>/<set>/<file>``).
        progress: show a bar with rate and time left, if standard error is a terminal.
        options: timeouts and retries.

    Returns:
        The motion files. Skeletons and the licence, ``LICENSE.txt``, lie beside them.

    Raises:
        SettingsError: there is no such set, or ``base_url`` is not a web address.
        DownloadError: a file cannot be downloaded, or is not what the catalogue lists.
        FileFormatError: the cache cannot be read or written.
    """
    return fetch_set(find(name), cache=cache, base_url=base_url, progress=progress, options=options)


def fetch_set(
    data_set: DataSet,
    *,
    cache: str | Path | None = None,
    base_url: str | None = None,
    progress: bool = True,
    options: FetchOptions | None = None,
) -> list[Path]:
    """Downloads a set, see ``fetch``."""
    if base_url is not None and not is_web(base_url):
        raise SettingsError(f"base_url is {base_url!r}, expected an http or https address.")
    options = options or FetchOptions()
    folder = cache_dir(cache) / data_set.name
    licence = "\n\n".join((data_set.licence, data_set.citation, data_set.homepage)) + "\n"
    try:
        if not _is_complete(data_set, folder, licence):
            folder.mkdir(parents=True, exist_ok=True)
            with _locked(folder, options.lock_wait_s):
                # Before the data, so that no motion is ever without its terms.
                write_text(folder / LICENCE_FILE, licence)
                _fetch_missing(data_set, folder, base_url, progress, options)
    except OSError as error:
        raise FileFormatError(
            f"{error.filename or folder}: cannot be read or written ({error.strerror or error})."
        ) from error
    return [folder / file.name for file in data_set.files if not file.skeleton]


def _is_complete(data_set: DataSet, folder: Path, licence: str) -> bool:
    """Whether nothing has to be written; works in a cache that may only be read."""
    file = folder / LICENCE_FILE
    return (
        file.is_file()
        and file.read_bytes() == licence.encode()
        and all(_is_whole(folder / entry.name, entry) for entry in data_set.files)
    )


def _fetch_missing(
    data_set: DataSet, folder: Path, base_url: str | None, progress: bool, options: FetchOptions
) -> None:
    """Downloads the files that are not there, one after the other."""
    missing = [file for file in data_set.files if not _is_whole(folder / file.name, file)]
    done = 0
    with _bar(data_set.name, sum(file.size for file in missing), progress) as report:
        for file in missing:
            url = file.url
            if base_url is not None:
                url = f"{base_url.rstrip('/')}/{data_set.name}/{quote(file.name)}"
            part = folder / f"{file.name}.part"
            download(file, url, part, options, partial(_add, report, done))
            os.replace(part, folder / file.name)
            discard(part)
            done += file.size


def _add(report: Callable[[int], None], done: int, here: int) -> None:
    """Reports the bytes of the file at hand on top of those of the files before it."""
    report(done + here)


def _is_whole(path: Path, file: DataFile) -> bool:
    """Whether ``path`` has the size and the hash of the catalogue."""
    return path.is_file() and path.stat().st_size == file.size and sha256_of(path) == file.sha256


@contextmanager
def _locked(folder: Path, wait_s: float) -> Iterator[None]:
    """Keeps processes apart that download the same set; the lock ends with its process."""
    try:
        import fcntl
    except ImportError:  # not on Windows, where the hash must do
        yield
        return
    deadline = time.monotonic() + wait_s
    with (folder / ".lock").open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise DownloadError(
                        f"{folder}: another process has been downloading into it for {wait_s:g} s."
                    ) from None
                time.sleep(0.05)
                continue
            except OSError:  # a file system without locks
                pass
            break
        yield


@contextmanager
def _bar(title: str, total: int, shown: bool) -> Iterator[Callable[[int], None]]:
    """Shows a bar, and gives what to tell it the bytes that are there."""
    console = Console(stderr=True)
    if not (shown and console.is_terminal and total):
        yield lambda done: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(title, total=total)
        yield lambda done: progress.update(task, completed=done)
