"""What commands print: tables, figures, and the same as JSON."""

import io
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from legged_skills.robots.files import atomic_write

_WIDE = 120

STDOUT = Path("-")
"""As a file for figures: standard output."""


class _Out:
    """Where text goes: standard output, or standard error while figures go there."""

    def __init__(self) -> None:
        self.json_on_stdout = False

    def print(self, text: object = "") -> None:
        """Prints text as it is; names of files may look like markup."""
        self._console().print(text, soft_wrap=isinstance(text, str), markup=False)

    def _console(self) -> Console:
        stream = sys.stderr if self.json_on_stdout else sys.stdout
        # Without a terminal there is no width to keep to.
        width = None if stream.isatty() else _WIDE
        return Console(file=stream, width=width, markup=False, emoji=False)


OUT = _Out()
"""Every command prints here."""


def print_anything() -> None:
    """Makes standard output and error show what they cannot encode as an escape.

    Names of files need not be UTF-8, and a terminal may be of another encoding.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def known(value: float | None, form: str) -> str:
    """A figure for a table; a question mark if it is not known."""
    return "?" if value is None or math.isnan(value) else format(value, form)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table; all columns but the last stay whole."""
    content = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        content.add_column(column, no_wrap=column != columns[-1], overflow="fold")
    for row in rows:
        content.add_row(*row)
    OUT.print(content)


def write_json(path: Path | None, figures: Mapping[str, Any]) -> None:
    """Writes figures to a file, or to standard output for ``STDOUT``; NaN becomes null.

    Raises:
        FileFormatError: the file cannot be written.
    """
    if path is None:
        return
    text = json.dumps(_finite(figures), indent=1) + "\n"
    if path == STDOUT:
        sys.stdout.write(text)
    else:
        write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Writes a file, atomically.

    Raises:
        FileFormatError: it cannot be written.
    """
    with atomic_write(path) as file:
        file.write(data)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
