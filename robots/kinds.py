"""Do values from a JSON text fit the fields of a dataclass? If not, one sentence says which."""

from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from legged_skills.robots.errors import SettingsError

_NAMES: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    dict: "fields with their values",
    NoneType: "null",
}


def require_kinds(kind: type, values: Mapping[str, Any]) -> None:
    """Checks values from JSON against the types of a dataclass's fields.

    Lists stand for tuples, and whole numbers for fractions. Names that the dataclass does not have
    are not looked at.

    Args:
        kind: the dataclass.
        values: by name of the field.

    Raises:
        SettingsError: one is of another type; the message names it.
    """
    hints = get_type_hints(kind)
    for name, value in values.items():
        if name in hints:
            require_kind(name, value, hints[name])


def require_kind(name: str, value: Any, kind: Any) -> None:
    """Checks one value from JSON; see ``require_kinds``.

    Raises:
        SettingsError: it is of another type than ``kind``.
    """
    if not _fits(value, kind):
        raise SettingsError(f"{name} is {_brief(value)}, expected {_named(kind)}.")


def _fits(value: Any, kind: Any) -> bool:
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is Literal:
        return value in parts
    if origin is tuple:
        if not isinstance(value, list | tuple):
            return False
        if parts[-1] is Ellipsis:
            parts = parts[:1] * len(value)
        return len(value) == len(parts) and all(map(_fits, value, parts))
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return kind is Any or isinstance(value, origin or kind)


def _named(kind: Any) -> str:
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(_named(part) for part in parts)
    if origin is Literal:
        return " or ".join(map(str, parts))
    if origin is tuple:
        several = _named(parts[0]).removeprefix("a ") + "s"
        return f"a list of {several}" if parts[-1] is Ellipsis else f"{len(parts)} {several}"
    return _NAMES.get(origin or kind, str(kind))


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
