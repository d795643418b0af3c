"""Known weights on a held robot's links: a scale for gains whose own links are too light for one.

A joint's torque is measured against the weight that hangs on it, so what hangs there has to be
known, and heavy enough to turn the joint by more than the noise of its position (Gautier and Briot
2011, "New Method for Global Identification of the Joint Drive Gains of Robots Using a Known Payload
Mass", IROS).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from legged_skills.robots.errors import FileFormatError, SettingsError
from legged_skills.robots.spec import RobotSpec

_MOST_KG = 20.0
_MOST_M = 1.0
_FIELDS = ("load_links", "load_masses_kg", "load_centres_m", "load_radii_m")
"""In the file of a recording; all or none of them, but the radii may be missing."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """A weight that is fixed to a link and touches nothing else."""

    link: str
    """The body of the robot's model that carries it."""
    mass_kg: float
    """Its mass, strap included [kg]."""
    centre_m: tuple[float, float, float]
    """Its centre of mass in the link's frame [m]."""
    radius_m: float = 0.0
    """Of the solid ball that has its inertia; 0 for a point mass [m]."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            SettingsError: a value is no number or out of range.
        """
        if not 0.0 < self.mass_kg <= _MOST_KG:
            self._fail("mass_kg", self.mass_kg, f"above 0 to {_MOST_KG:g} kg")
        if len(self.centre_m) != 3 or not all(abs(x) <= _MOST_M for x in self.centre_m):
            self._fail("centre_m", self.centre_m, f"x, y and z within {_MOST_M:g} m of the link")
        if not 0.0 <= self.radius_m <= _MOST_M:
            self._fail("radius_m", self.radius_m, f"0 to {_MOST_M:g} m")

    def _fail(self, name: str, value: object, expected: str) -> None:
        raise SettingsError(f"load on {self.link!r}: {name} is {value}, expected {expected}.")

    def __str__(self) -> str:
        """Mass, link and place in one line."""
        centre = ", ".join(f"{1e3 * x:g}" for x in self.centre_m)
        return f"{self.mass_kg:g} kg on {self.link} at ({centre}) mm"


USUAL_LOADS: dict[str, tuple[Load, ...]] = {
    "op3": (
        Load(link="head_tilt_link", mass_kg=0.2, centre_m=(0.035, -0.019, 0.05)),
        Load(link="l_el_link", mass_kg=0.1, centre_m=(-0.019, 0.12, 0.02)),
        Load(link="r_el_link", mass_kg=0.1, centre_m=(-0.019, -0.12, 0.02)),
        Load(link="l_ank_roll_link", mass_kg=0.2, centre_m=(0.024, 0.035, -0.036)),
        Load(link="r_ank_roll_link", mass_kg=0.2, centre_m=(0.024, -0.035, -0.036)),
    ),
}
"""By robot, for recordings of a minute in the pose of ``held_orientation``. OP3's foot alone turns
its drive by 0.7 mrad, less than the noise, and gains of ankles, head and elbows would be off by
up to 9 %. A bar in front of the face, one along the outer side of each hand and a plate under the
outer edge of each sole weigh four times as much on these joints as the links themselves, are clear
of all other parts, and take few percent of the torque limits. ANYmal's links are heavy enough."""


def check_links(loads: Sequence[Load], spec: RobotSpec) -> None:
    """Makes sure that a robot has the links that carry loads.

    Raises:
        SettingsError: it lacks one.
    """
    if not loads:
        return
    links = [body.name for body in spec.spec(floor=False).bodies if body.name != "world"]
    for load in loads:
        if load.link not in links:
            raise SettingsError(
                f"load on {load.link!r}: {spec.name} has no such link, expected one of "
                f"{', '.join(links)}."
            )


def to_arrays(loads: Sequence[Load]) -> dict[str, np.ndarray]:
    """The fields of a recording's file, none for no loads: L loads.

    Returns:
        ``load_links`` (L,) text, ``load_masses_kg`` (L,) [kg], ``load_centres_m`` (L, 3) [m],
        ``load_radii_m`` (L,) [m].
    """
    if not loads:
        return {}
    values = (
        [load.link for load in loads],
        [load.mass_kg for load in loads],
        [load.centre_m for load in loads],
        [load.radius_m for load in loads],
    )
    return {name: np.array(value) for name, value in zip(_FIELDS, values, strict=True)}


def from_arrays(arrays: Mapping[str, np.ndarray]) -> tuple[Load, ...]:
    """The inverse of ``to_arrays``; without radii the loads are point masses.

    Raises:
        FileFormatError: a field is missing, or has the wrong shape or kind.
        SettingsError: a value is out of range.
    """
    there = [name for name in _FIELDS if name in arrays]
    if not there:
        return ()
    missing = [name for name in _FIELDS[:3] if name not in arrays]
    if missing:
        raise FileFormatError(f"there is {there[0]} without {missing[0]}, expected both.")
    count = np.size(arrays["load_links"])
    arrays = {"load_radii_m": np.zeros(count), **arrays}
    shapes: tuple[tuple[int, ...], ...] = ((count,), (count,), (count, 3), (count,))
    for name, shape, kinds in zip(_FIELDS, shapes, ("U", "fiu", "fiu", "fiu"), strict=True):
        array = arrays[name]
        if array.shape != shape or array.dtype.kind not in kinds:
            raise FileFormatError(
                f"{name} is an array of {array.dtype} and shape {array.shape}, expected "
                f"{'text' if kinds == 'U' else 'numbers'} of shape {shape}."
            )
    columns: list[Any] = [arrays[name].tolist() for name in _FIELDS]
    return tuple(
        Load(link=link, mass_kg=mass_kg, centre_m=tuple(centre_m), radius_m=radius_m)
        for link, mass_kg, centre_m, radius_m in zip(*columns, strict=True)
    )
