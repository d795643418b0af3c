"""One file over HTTP, continued where it was interrupted, and checked.

A download grows in a ``.part`` file. What is there already is kept and only the rest asked for, by
a range request (RFC 9110, sections 13.1.5 and 14). In the end size and SHA-256 decide.
"""

import http.client
import os
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from legged_skills.mocap.catalogue import DataFile, is_web
from legged_skills.robots.errors import DownloadError, SettingsError
from legged_skills.robots.files import sha256_of

MIN_RATE = 1000.0
"""A transfer slower than this is given up as stuck [B/s]."""

_CHUNK_BYTES = 1 << 16
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]*"')
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)")
# Timeout, too early, too many requests, and faults of the server: the same may work later.
_PASSING_STATUS = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True, kw_only=True)
class FetchOptions:
    """How patient a download is."""

    timeout_s: float = 30.0
    """Longest silence of the server while connecting and reading [s]."""
    attempts: int = 5
    """How often the same file is tried if connections fail."""
    pause_s: float = 1.0
    """Pause after the first failure; it doubles with each further one [s]."""
    max_pause_s: float = 8.0
    """Longest pause [s]."""
    lock_wait_s: float = 600.0
    """Longest wait for another process that downloads the same set [s]."""

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            SettingsError: a time is negative or not finite, or there is no attempt.
        """
        times = (self.timeout_s, self.pause_s, self.max_pause_s, self.lock_wait_s)
        if not all(0 <= value < float("inf") for value in times) or self.timeout_s == 0:
            raise SettingsError(
                "times of a download must be finite, and the timeout greater than 0."
            )
        if self.attempts < 1:
            raise SettingsError(f"attempts is {self.attempts}, expected at least 1.")


class _CutError(Exception):
    """A transfer failed in a way that may not happen again; the message says how."""


class _WrongBodyError(Exception):
    """What the server sent is not the file of the catalogue; the message says why."""


def download(
    file: DataFile, url: str, part: Path, options: FetchOptions, report: Callable[[int], None]
) -> None:
    """Downloads a file, or the rest of it.

    Args:
        file: size and hash to expect.
        url: where it is; http or https.
        part: the file to write to. What it has is taken for the beginning. When this returns, it
            has the content that the catalogue lists, and is on the disk; a cut connection leaves
            what has arrived.
        options: timeouts and retries.
        report: is told how many bytes are there [B], again and again.

    Raises:
        DownloadError: the server cannot be reached or refuses, or sends something else twice.
        OSError: ``part`` cannot be read or written.
    """
    attempt, spoiled = 1, False
    while True:
        try:
            _transfer(file, url, part, options.timeout_s, report)
            found = sha256_of(part)
            if found == file.sha256:
                return
            raise _WrongBodyError(f"its SHA-256 is {found}, expected {file.sha256}")
        except _WrongBodyError as error:
            discard(part)
            if spoiled:
                raise DownloadError(
                    f"{url}: is not the file that the catalogue lists: {error}."
                ) from None
            spoiled = True
        except _CutError as error:
            if attempt == options.attempts:
                raise DownloadError(
                    f"{url}: cannot be downloaded, after {attempt} attempt(s): {error}."
                ) from None
            time.sleep(min(options.pause_s * 2 ** (attempt - 1), options.max_pause_s))
            attempt += 1


def _transfer(
    file: DataFile, url: str, part: Path, timeout_s: float, report: Callable[[int], None]
) -> None:
    """Adds to ``part`` what it lacks, in one request.

    Raises:
        _CutError: it still lacks something.
        _WrongBodyError: the server sends something else.
        DownloadError: the server refuses.
    """
    have = part.stat().st_size if part.is_file() else 0
    if have > file.size:
        discard(part)
        have = 0
    report(have)
    if have == file.size:
        return
    with _request(url, have, part, timeout_s) as response:
        have = _offset(response, have, part, file.size)
        deadline = time.monotonic() + timeout_s + (file.size - have) / MIN_RATE
        if have == 0:
            _keep_etag(part, response.headers.get("ETag", ""))
        with part.open("ab" if have else "wb") as out:
            while chunk := _read(response):
                have += len(chunk)
                if have > file.size:
                    raise _WrongBodyError(f"it has more than the expected {file.size} bytes")
                out.write(chunk)
                report(have)
                if time.monotonic() > deadline:
                    raise _CutError(f"slower than {MIN_RATE:g} bytes/s")
            out.flush()
            os.fsync(out.fileno())
    if have < file.size:
        raise _CutError(f"the connection ended after {have} of {file.size} bytes")


def _request(url: str, have: int, part: Path, timeout_s: float) -> http.client.HTTPResponse:
    """Asks for the file from byte ``have`` on."""
    headers = {"User-Agent": "legged_skills", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        etag = _etag_path(part)
        if etag.is_file():
            headers["If-Range"] = etag.read_text(encoding="ascii", errors="replace")
    try:
        return _opener().open(urllib.request.Request(url, headers=headers), timeout=timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        answer = f"the server answered {error.code} {_one_line(error.reason)}".rstrip()
        if error.code == 416:  # what is there does not fit the server's file: start over
            discard(part)
            raise _CutError(answer) from None
        if error.code in _PASSING_STATUS:
            raise _CutError(answer) from None
        raise DownloadError(f"{url}: {answer}.") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise DownloadError(f"{url}: {_one_line(reason)}.") from None
        raise _CutError(_one_line(reason) or type(reason).__name__) from None


def _offset(response: http.client.HTTPResponse, have: int, part: Path, size: int) -> int:
    """Where in the file the response's body begins: at ``have``, or at 0."""
    if response.status != 206:
        if response.length not in (None, size):
            raise _WrongBodyError(f"it has {response.length} bytes, expected {size}")
        return 0
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if not match or int(match[1]) != have:
        discard(part)
        raise _CutError("the server sent another range than the one asked for")
    if match[2] != "*" and int(match[2]) != size:
        raise _WrongBodyError(f"it has {int(match[2])} bytes, expected {size}")
    return have


def _read(response: http.client.HTTPResponse) -> bytes:
    """The next bytes; none at the end, also at an early one."""
    try:
        return response.read1(_CHUNK_BYTES)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _CutError(_one_line(error) or type(error).__name__) from None


class _WebRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections to web addresses only."""

    def http_error_302(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any
    ) -> Any:
        """Follows, without reading the answer's body, which may be of any length."""
        fp.close()
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Refuses what is not http or https."""
        if not is_web(newurl):
            raise DownloadError(
                f"{req.full_url}: leads to {newurl!r}, expected an http or https address."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """What opens http and https, and neither files nor FTP."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _WebRedirects(),
    ):
        opener.add_handler(handler)
    return opener


def _etag_path(part: Path) -> Path:
    """Where the server's name for the version that ``part`` holds is kept."""
    return part.with_name(f"{part.name}.etag")


def _keep_etag(part: Path, etag: str) -> None:
    """Notes which version is being downloaded; a weak ETag cannot vouch for single bytes."""
    path = _etag_path(part)
    if _STRONG_ETAG.fullmatch(etag):
        path.write_text(etag, encoding="ascii")
    else:
        path.unlink(missing_ok=True)


def discard(part: Path) -> None:
    """Removes an unfinished download."""
    part.unlink(missing_ok=True)
    _etag_path(part).unlink(missing_ok=True)


def _one_line(text: object) -> str:
    """A message without line breaks and without a full stop."""
    return " ".join(str(text).split()).rstrip(".")
