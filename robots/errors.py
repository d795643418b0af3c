"""The exceptions of the whole package: one base, one sentence each."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

MAX_SEED = 2**32 - 1
"""The greatest seed: JAX's random numbers are the same for any two seeds that agree in these bits.
"""
MAX_COUNT = 1_000_000
"""The most episodes, robots or calls that can be asked for: no machine has memory for more."""
_INFINITE = float("inf")


class LeggedSkillsError(Exception):
    """Something the user gave cannot be used.

    The message is one sentence that names the file, joint, field or value, and what
    was expected. The command line prints it and exits with code 2.
    """


class UnknownRobotError(LeggedSkillsError):
    """No robot of that name; the message lists the known ones."""


class FileFormatError(LeggedSkillsError):
    """A file is missing, damaged, or not what it should be."""


class DownloadError(LeggedSkillsError):
    """A file cannot be downloaded, or what arrives is not what was expected."""


class ClipError(LeggedSkillsError):
    """A motion clip, or a raw motion file, is not usable."""


class ContractError(LeggedSkillsError):
    """A policy and a robot disagree about observations, actions or timing."""


class SettingsError(LeggedSkillsError):
    """A setting has a value outside of what it may have."""


class TrainingError(LeggedSkillsError):
    """A training came to weights that are no numbers."""


def require_at_least(settings: object, **least: float) -> None:
    """Checks numbers among some settings.

    Args:
        settings: what has them as attributes.
        least: by name, the least that each may be.

    Raises:
        SettingsError: one is less, or is not a number; the message names it.
    """
    for name, value in least.items():
        _require(getattr(settings, name) >= value, settings, name, f"at least {value}")


def require_count(settings: object, *names: str, least: int = 1) -> None:
    """Checks how many of something are asked for, among some settings.

    Args:
        settings: what has the numbers as attributes.
        names: of those.
        least: that they may be.

    Raises:
        SettingsError: one is less, or more than ``MAX_COUNT``; the message names it.
    """
    _require_each(lambda count: count >= least, settings, names, f"at least {least}")
    _require_each(lambda count: count <= MAX_COUNT, settings, names, f"at most {MAX_COUNT}")


def require_within(settings: object, **ends: tuple[float, float]) -> None:
    """Checks numbers among some settings.

    Args:
        settings: what has them as attributes.
        ends: by name, the least and the most that each may be.

    Raises:
        SettingsError: one is beyond, or is not a number; the message names it.
    """
    for name, (least, most) in ends.items():
        within = least <= getattr(settings, name) <= most
        _require(within, settings, name, f"{least:g} to {most:g}")


def require_positive(settings: object, *names: str) -> None:
    """Checks that numbers among some settings are more than 0, and finite.

    Args:
        settings: what has them as attributes.
        names: of those.

    Raises:
        SettingsError: one is not; the message names it.
    """
    _require_each(lambda value: 0.0 < value < _INFINITE, settings, names, "more than 0")


def require_not_negative(settings: object, *names: str) -> None:
    """Checks that numbers among some settings are at least 0, and finite.

    Args:
        settings: what has them as attributes.
        names: of those.

    Raises:
        SettingsError: one is not; the message names it.
    """
    expected = "a finite number of at least 0"
    _require_each(lambda value: 0.0 <= value < _INFINITE, settings, names, expected)


def require_seed(settings: object, name: str = "seed") -> None:
    """Checks a seed among some settings.

    Args:
        settings: what has it as an attribute.
        name: of it.

    Raises:
        SettingsError: it is negative, or more than ``MAX_SEED``; the message names it.
    """
    seed = getattr(settings, name)
    _require(seed >= 0, settings, name, "at least 0")
    _require(seed <= MAX_SEED, settings, name, f"at most {MAX_SEED}")


def require_widths(settings: object, *names: str) -> None:
    """Checks widths of hidden layers among some settings; there may be no layers.

    Args:
        settings: what has them as attributes.
        names: of those.

    Raises:
        SettingsError: one is less than 1; the message names them.
    """
    expected = "widths of at least 1"
    _require_each(lambda widths: all(w >= 1 for w in widths), settings, names, expected)


def require_share(settings: object, *names: str) -> None:
    """Checks that numbers among some settings are at least 0, and less than 1.

    Args:
        settings: what has them as attributes.
        names: of those.

    Raises:
        SettingsError: one is not; the message names it.
    """
    expected = "at least 0 and less than 1"
    _require_each(lambda value: 0.0 <= value < 1.0, settings, names, expected)


def _require_each(
    fits: Callable[[Any], bool], settings: object, names: Iterable[str], expected: str
) -> None:
    """Refuses the first of some settings that does not fit."""
    for name in names:
        _require(fits(getattr(settings, name)), settings, name, expected)


def _require(holds: bool, settings: object, name: str, expected: str) -> None:
    """Refuses a number among some settings, unless what it should be holds."""
    if not holds:
        raise SettingsError(f"{name} is {getattr(settings, name)}, expected {expected}.")


def require_ending(path: str | Path, what: str, endings: Iterable[str]) -> str:
    """Checks the name of a file that shall be written.

    Args:
        path: the file.
        what: it is, for the message.
        endings: those that its name may have, in lower case and with the dot.

    Returns:
        The ending, in lower case.

    Raises:
        SettingsError: the name has another; the message names it.
    """
    ending, known = Path(path).suffix.lower(), list(endings)
    if ending not in known:
        raise SettingsError(
            f"{path}: expected a {what} file name that ends in {' or '.join(known)}."
        )
    return ending


class DeploymentError(LeggedSkillsError):
    """A robot, or its twin, could not be brought into motion."""


class RenderError(LeggedSkillsError):
    """A picture or a video cannot be made on this machine, or with these settings."""
