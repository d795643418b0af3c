"""Numbers out of text files, with messages that say where a wrong one stands."""

import math
import re
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from legged_skills.robots.errors import ClipError

MAX_ABS = 1e6
"""A greater number, in whatever unit, is damage."""

# Words that are held at a time: they take ten times the memory of their numbers.
_CHUNK_WORDS = 200_000
# No number takes more characters, with the space around it.
_MAX_CHARACTERS = 64
_SHOWN = 24
_COMMENT = re.compile(r"(^|\s)#.*", re.DOTALL)


def split_lines(text: str) -> list[str]:
    """The lines of a text from any system, without what ended them.

    Unlike ``str.splitlines``, only the ends of lines that editors count are seen as such.

    Args:
        text: the whole file.

    Returns:
        The lines; line 1 of a message is the first.
    """
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def without_comment(line: str) -> str:
    """A line up to a "#" that begins a word; "-1.#IND", a broken number, has none."""
    return _COMMENT.sub("", line) if "#" in line else line


def check_length(line: str, most: int, where: str) -> None:
    """Rejects lines that are far longer than what they should hold, before they are split.

    Args:
        line: the line.
        most: how many characters it may have.
        where: what the message begins with: the file and line.

    Raises:
        ClipError: it is longer.
    """
    if len(line) > most:
        raise ClipError(f"{where} has {len(line)} characters, expected at most {most}.")


def shown(text: str) -> str:
    """The beginning of a text, in quotes, for a message."""
    text = text.strip()
    return repr(text[:_SHOWN] + "..." if len(text) > _SHOWN else text)


def parse_number(word: str, where: str) -> float:
    """A finite number of plausible size.

    Args:
        word: its text.
        where: what the message begins with: the file, line and field.

    Returns:
        The number.

    Raises:
        ClipError: it is not a number within ``MAX_ABS``.
    """
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not abs(value) <= MAX_ABS:
        raise ClipError(f"{where} is {shown(word)}, expected a number within ±{MAX_ABS:g}.")
    return value


def parse_table(
    path: Path, lines: Sequence[str], rows: Sequence[int], labels: Sequence[str], skip: int = 0
) -> NDArray[np.floating]:
    """Numbers from lines that have equally many.

    Args:
        path: the file, for messages.
        lines: all lines of the file.
        rows: indices of the lines to read, (N,).
        labels: what each number of a line is, for messages, (C,).
        skip: words at the beginning of each line that are no numbers.

    Returns:
        The numbers, (N, C).

    Raises:
        ClipError: a line has another number of values, or one that is not a plausible number.
    """
    columns = len(labels)
    out = np.empty((len(rows), columns))
    step = max(1, _CHUNK_WORDS // max(columns, 1))
    for first in range(0, len(rows), step):
        chunk = rows[first : first + step]
        for i in chunk:
            check_length(lines[i], _MAX_CHARACTERS * (columns + skip + 1), f"{path}: line {i + 1}")
        words = [lines[i].split()[skip:] for i in chunk]
        for i, row in zip(chunk, words, strict=True):
            if len(row) != columns:
                raise ClipError(
                    f"{path}: line {i + 1} has {len(row)} values, "
                    f"expected {columns}, from {labels[0]} to {labels[-1]}."
                )
        part = out[first : first + len(chunk)]
        try:
            flat = np.fromiter(map(float, chain.from_iterable(words)), float, part.size)
        except ValueError:
            flat = np.full(part.size, math.nan)
        if not np.all(np.abs(flat) <= MAX_ABS):  # also for NaN
            _check_each(path, chunk, words, labels)
        part[:] = flat.reshape(part.shape)
    return out


def _check_each(
    path: Path, rows: Sequence[int], words: Sequence[Sequence[str]], labels: Sequence[str]
) -> None:
    """Finds the first value that is wrong, by parsing one after the other."""
    for i, row in zip(rows, words, strict=True):
        for label, word in zip(labels, row, strict=True):
            parse_number(word, f"{path}: line {i + 1}: {label}")
