"""Robots: their specifications and models, observations, batched simulation, pictures."""

from legged_skills.robots import anymal_c, op3
from legged_skills.robots.errors import UnknownRobotError
from legged_skills.robots.spec import RobotSpec

__all__ = ["RobotSpec", "get", "names"]

_ROBOTS: dict[str, RobotSpec] = {spec.name: spec for spec in (anymal_c.SPEC, op3.SPEC)}


def names() -> tuple[str, ...]:
    """The names of all robots, sorted."""
    return tuple(sorted(_ROBOTS))


def get(name: str) -> RobotSpec:
    """The robot of that name.

    Raises:
        UnknownRobotError: there is none; the message lists the known ones.
    """
    if name not in _ROBOTS:
        raise UnknownRobotError(f"unknown robot {name!r}; known robots: {', '.join(names())}.")
    return _ROBOTS[name]
