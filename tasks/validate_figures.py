"""From the scores of groups to the figures of engines, and to the gates they must pass."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from legged_skills.robots.console import known
from legged_skills.robots.errors import SettingsError, require_within
from legged_skills.sim2real import ranges
from legged_skills.sim2real.ranges import Ranges
from legged_skills.tasks.validate_engines import EDGES, NOMINAL, unit
from legged_skills.tasks.validate_run import Group, Result


@dataclass(frozen=True, kw_only=True)
class Gates:
    """What a policy must reach. Shares are from 0 to 1."""

    max_falls: float = 0.05
    """Share of episodes with a fall, on all engines but those that the next line is about."""
    max_factor_falls: float = 0.02
    """The same on the nominal engine, and for each single factor at an end of its range."""
    max_error_ratio: float = 1.5
    """Velocity error over that on the nominal engine; not for single factors."""
    corners: bool = False
    """Whether the gates are also for "corners", where every factor is at an end of its range."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            SettingsError: a share is not one, or the ratio is not positive.
        """
        require_within(self, max_falls=(0.0, 1.0), max_factor_falls=(0.0, 1.0))
        if not self.max_error_ratio > 0.0:
            raise SettingsError(f"max_error_ratio is {self.max_error_ratio}, expected more than 0.")


def engine_figures(result: Result, own: Ranges) -> dict[str, dict[str, Any]]:
    """Figures by name of the engine.

    Args:
        result: figures of each group; the nominal one must be among them.
        own: the ranges of the factors.

    Returns:
        What the groups' figures are, and "energy_ratio" and "error_ratio": torque squared and
        velocity error over those of the nominal engine. Those of "edges" are of its worst factor,
        which "worst" names; its "factors" is a list of all, each with "name", "side", "value",
        "unit", "simulated": False for ends that are nominal, whose figures are the nominal ones;
        and "rise_mps": how much the velocity error is above the nominal one if commands that a
        fall cut off count as if the robot had stood still. The largest rise comes first.
    """
    nominal = result[Group(engine=NOMINAL)]
    engines, factors = {}, []
    for group, figures in result.items():
        compared = _compared(figures, nominal)
        if group.factor:
            factors.append(_factor(group, own) | compared | {"simulated": True})
        else:
            engines[group.engine] = compared
    if factors:
        factors += _nominal_ends(factors, own, _compared(nominal, nominal))
        factors.sort(key=lambda at: -at["rise_mps"])
        worst = max(factors, key=lambda at: (at["fall_rate"], at["rise_mps"]))
        named = {name: worst[name] for name in ("name", "side", "value", "unit")}
        shared = {name: worst[name] for name in engines[NOMINAL]}
        engines[EDGES] = shared | {"worst": named, "factors": factors}
    return engines


def missed_gates(engines: Mapping[str, Mapping[str, Any]], gates: Gates) -> list[str]:
    """A sentence for every gate that was missed.

    A figure that is not known, because there was nothing to measure, misses its gate.
    """
    missed = []
    for name, figures in engines.items():
        if name == EDGES:
            for at in figures["factors"]:
                if not at["simulated"]:
                    continue
                what = f"{EDGES}, {factor_text(at)}"
                missed += _over(what, "falls", at["fall_rate"], gates.max_factor_falls)
            continue
        if name == "corners" and not gates.corners:
            continue
        most = gates.max_factor_falls if name == NOMINAL else gates.max_falls
        missed += _over(name, "falls", figures["fall_rate"], most)
        if name == NOMINAL and not math.isnan(figures["velocity_error_mps"]):
            continue
        ratio = figures["error_ratio"]
        missed += _over(name, "velocity error over nominal", ratio, gates.max_error_ratio)
    return missed


def factor_text(at: Mapping[str, Any]) -> str:
    """A factor at an end of its range, in words: "payload 5 kg", "armature mixed"."""
    value = "mixed" if at["value"] is None else f"{at['value']:g}"
    suffix = "" if at["unit"] == "1" or at["value"] is None else f" {at['unit']}"
    return f"{factor_title(at['name'])} {value}{suffix}"


def factor_title(name: str) -> str:
    """A factor in words, without its unit."""
    stem, _, last = name.rpartition("_")
    bare = stem if stem and last in ("kg", "m", "rad", "nm", "ohm", "n", "s", "mps") else name
    return bare.replace("_", " ")


def _compared(figures: Mapping[str, Any], nominal: Mapping[str, Any]) -> dict[str, Any]:
    """Figures with what they are over the nominal ones."""
    compared = {name: value for name, value in figures.items() if name != "torque_squared"}
    rise = figures["error_with_falls_mps"] - nominal["error_with_falls_mps"]
    del compared["error_with_falls_mps"]
    return compared | {
        "error_ratio": _ratio(figures["velocity_error_mps"], nominal["velocity_error_mps"]),
        "energy_ratio": _ratio(figures["torque_squared"], nominal["torque_squared"]),
        "rise_mps": rise,
    }


def _factor(group: Group, own: Ranges) -> dict[str, Any]:
    low, high = getattr(own, group.factor)
    return {
        "name": group.factor,
        "side": group.side,
        "value": {"low": low, "high": high}.get(group.side),
        "unit": unit(group.factor),
    }


def _nominal_ends(
    factors: Sequence[Mapping[str, Any]], own: Ranges, nominal: dict[str, Any]
) -> list[dict[str, Any]]:
    """The ends at which a factor is nominal, which nobody had to simulate again."""
    done = {(at["name"], at["side"]) for at in factors}
    return [
        _factor(Group(engine=EDGES, factor=name, side=side), own) | nominal | {"simulated": False}
        for name in own.names()
        for side in ranges.sides(name)
        if (name, side) not in done
    ]


def _ratio(value: float, nominal: float) -> float:
    return value / nominal if nominal else math.nan


def _over(what: str, name: str, value: float, most: float) -> list[str]:
    if value <= most:
        return []
    if name == "falls":
        return [f"{what}: {name} {value:.1%}, expected at most {most:.1%}."]
    return [f"{what}: {name} {known(value, '.2f')}, expected at most {most:.2f}."]
