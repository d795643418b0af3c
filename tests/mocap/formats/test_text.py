from pathlib import Path

import numpy as np
import pytest

from legged_skills.mocap.formats import text
from legged_skills.robots.errors import ClipError

PATH = Path("numbers.txt")


def test_lines_of_any_system() -> None:
    assert text.split_lines("a\nb\r\nc\rd") == ["a", "b", "c", "d"]
    # Characters that only str.splitlines takes for an end would shift the numbers of lines.
    assert text.split_lines("a\x0bb\u2028c\n") == ["a\x0bb\u2028c", ""]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("1 2 # three", "1 2"),
        ("# all", ""),
        ("1 2", "1 2"),
        ("bone -1.#IND", "bone -1.#IND"),
        ("a#b #c", "a#b"),
    ],
)
def test_comments(line: str, expected: str) -> None:
    assert text.without_comment(line) == expected


def test_long_texts_are_cut_in_messages() -> None:
    assert text.shown("  word ") == "'word'"
    assert text.shown("x" * 100) == f"'{'x' * 24}...'"
    assert text.shown("a\nb") == r"'a\nb'"


def test_numbers() -> None:
    assert text.parse_number("-1.5e3", "here") == -1500
    for word in ("one", "", "nan", "inf", "1e7", "-1e400", "1,5"):
        with pytest.raises(ClipError, match=f"^here is '{word}', expected a number within ±1e"):
            text.parse_number(word, "here")


def test_a_table() -> None:
    lines = ["head", "a 1 2", "", "b\t3  -4.5 "]
    np.testing.assert_array_equal(
        text.parse_table(PATH, lines, [1, 3], ("x", "y"), skip=1), [[1, 2], [3, -4.5]]
    )
    assert text.parse_table(PATH, lines, [], ("x", "y")).shape == (0, 2)


def test_a_table_longer_than_what_is_parsed_at_once() -> None:
    columns, rows = 1000, 450
    values = np.random.default_rng(0).integers(-9, 9, (rows, columns))
    lines = [" ".join(map(str, row)) for row in values]
    labels = [f"c{i}" for i in range(columns)]
    np.testing.assert_array_equal(text.parse_table(PATH, lines, range(rows), labels), values)
    lines[444] = lines[444].rsplit(" ", 1)[0] + " z"
    with pytest.raises(ClipError, match=r"^numbers\.txt: line 445: c999 is 'z', expected a number"):
        text.parse_table(PATH, lines, range(rows), labels)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1", "line 2 has 1 values, expected 2, from x to y"),
        ("1 2 3", "line 2 has 3 values, expected 2"),
        ("1 nan", "line 2: y is 'nan', expected a number"),
        ("1 " * 1000, "line 2 has 2000 characters, expected at most 192"),
    ],
)
def test_bad_tables(line: str, message: str) -> None:
    with pytest.raises(ClipError, match=f"^numbers.txt: {message}"):
        text.parse_table(PATH, ["1 2", line], [0, 1], ("x", "y"))
