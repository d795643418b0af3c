"""Settings that describe themselves: one definition for checks, ROS parameters, files and docs.

A settings class is a frozen dataclass whose fields are made by ``setting``.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from legged_skills.robots.errors import SettingsError

Config = TypeVar("Config")
Value = bool | int | float | str | tuple[float, ...] | tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One setting, as ROS and the documentation know it."""

    name: str
    """Its name, the same everywhere."""
    default: Value
    """Its value for one robot."""
    description: str
    """One sentence."""
    unit: str
    """Unit of the value; empty if it has none."""
    low: float | None
    """The least value; None if it is no number."""
    high: float | None
    """The greatest value."""
    choices: tuple[str, ...]
    """The texts that it can be; empty for any."""


def setting(
    default: Any = dataclasses.MISSING,
    *,
    what: str,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A field of a settings class.

    Args:
        default: its value; left out, it must be given.
        what: one sentence.
        unit: of the value.
        low: the least value of a number.
        high: the greatest.
        choices: the texts that it can be.
    """
    about = {"description": what, "unit": unit, "low": low, "high": high, "choices": choices}
    return field(default=default, metadata=about)


def parameters(config: Any) -> tuple[Parameter, ...]:
    """All settings of a settings object, in order, with its values as defaults."""
    return tuple(
        Parameter(name=f.name, default=getattr(config, f.name), **f.metadata)
        for f in fields(config)
    )


def check(config: Any) -> None:
    """Checks every setting of a settings object; to be called by ``__post_init__``.

    Raises:
        SettingsError: a value is out of its range, or no choice.
    """
    for parameter in parameters(config):
        _check(parameter)


def replaced(config: Config, values: Mapping[str, Any]) -> Config:
    """The settings with some values replaced.

    Args:
        config: a settings object.
        values: by name. Lists stand for tuples and whole numbers for fractions.

    Returns:
        A new object, checked.

    Raises:
        SettingsError: a name is unknown, or a value is of the wrong kind or out of range.
    """
    known = {parameter.name: parameter for parameter in parameters(config)}
    changes = {}
    for name, value in values.items():
        if name not in known:
            raise SettingsError(f"unknown setting {name!r}, expected one of {', '.join(known)}.")
        changes[name] = _as_kind(name, value, known[name].default)
    return dataclasses.replace(config, **changes)  # pyright: ignore[reportArgumentType, reportCallIssue]


def _as_kind(name: str, value: Any, example: Value) -> Value:
    """The value, if it can stand where the example stands."""
    if isinstance(example, bool) or isinstance(value, bool):
        fits = isinstance(example, bool) and isinstance(value, bool)
    elif isinstance(example, float) and isinstance(value, int):
        return float(value)
    elif isinstance(example, tuple) and isinstance(value, list | tuple):
        kind = str if example and isinstance(example[0], str) else float
        if all(isinstance(v, str) for v in value) and (kind is str or not value):
            return tuple(value)
        return tuple(_as_kind(name, v, kind()) for v in value)  # pyright: ignore[reportReturnType]
    else:
        fits = isinstance(value, type(example))
    if not fits:
        raise SettingsError(f"{name} is {value!r}, expected something like {example!r}.")
    return value


def _check(parameter: Parameter) -> None:
    name, value = parameter.name, parameter.default
    if parameter.choices and value not in parameter.choices:
        raise SettingsError(f"{name} is {value!r}, expected one of {', '.join(parameter.choices)}.")
    numbers = value if isinstance(value, tuple) else (value,)
    for number in numbers:
        if isinstance(number, bool | str):
            continue
        low = -math.inf if parameter.low is None else parameter.low
        high = math.inf if parameter.high is None else parameter.high
        if not (math.isfinite(number) and low <= number <= high):
            raise SettingsError(
                f"{name} is {number} {parameter.unit}".rstrip()
                + f", expected a number from {low:g} to {high:g}."
            )
