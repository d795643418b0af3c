"""Settings of a task that differ from robot to robot, where none are given."""

from dataclasses import fields, replace
from typing import Any, TypeVar

_Own = TypeVar("_Own")


def given_or_own(given: Any, own: _Own) -> _Own:
    """The robot's own settings, but for those that are given.

    Args:
        given: anything with the fields of ``own`` among its own; None where nothing is given.
        own: a dataclass.
    """
    known: Any = own
    values = {field.name: getattr(given, field.name) for field in fields(known)}
    return replace(known, **{name: value for name, value in values.items() if value is not None})
