"""Do values from a JSON text fit the fields of a dataclass?"""

from dataclasses import dataclass
from typing import Any, Literal

import pytest

from legged_skills.robots.errors import SettingsError
from legged_skills.robots.kinds import require_kinds


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """All that settings are made of."""

    widths: tuple[int, ...] = (8,)
    ends: tuple[float, float] | None = None
    scale: float = 1.0
    name: str = "x"
    how: Literal["a", "b"] = "a"
    on: bool = True
    more: dict[str, Any] | None = None


def test_what_json_makes_of_settings_fits() -> None:
    require_kinds(Sizes, {"widths": [1, 2], "ends": [0, 1.5], "scale": 2, "on": False})
    require_kinds(Sizes, {"widths": [], "ends": None, "how": "b", "more": {"a": 1}})
    require_kinds(Sizes, {"unknown": object()})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("widths", 5, "widths is 5, expected a list of whole numbers."),
        ("widths", [1.5], "widths is [1.5], expected a list of whole numbers."),
        ("ends", [1.0], "ends is [1.0], expected 2 numbers or null."),
        ("ends", ["a", "b"], "ends is ['a', 'b'], expected 2 numbers or null."),
        ("scale", "3", "scale is '3', expected a number."),
        ("scale", True, "scale is True, expected a number."),
        ("scale", None, "scale is None, expected a number."),
        ("name", 3, "name is 3, expected text."),
        ("how", "c", "how is 'c', expected a or b."),
        ("how", [], "how is [], expected a or b."),
        ("on", 1, "on is 1, expected true or false."),
        ("more", "x" * 99, f"more is '{'x' * 76}..., expected fields with their values or null."),
    ],
)
def test_what_does_not_is_named(name: str, value: Any, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        require_kinds(Sizes, {name: value})
    assert str(caught.value) == message
