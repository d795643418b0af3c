"""What differs between the simulated robot and the real one, and by how much: one line a factor.

Every factor is drawn uniformly between its two ends, once an episode and environment. A factor
belongs to the robot (one value), to each link, to each joint, or to each axis of the base frame.
Links, and joints, err partly alike: a scale or a calibration that is wrong is wrong for all.
"""

from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np

from legged_skills.robots.errors import SettingsError
from legged_skills.robots.spec import RobotSpec

Range = tuple[float, float]
Factors = dict[str, np.ndarray]
"""By name of the factor: (n, K) values of n environments, K = 1, links, joints or 3 axes."""
Side = Literal["low", "high", "corners"]
Per = Literal["robot", "link", "joint", "axis"]


def _per(what: Per, nominal: float, low: float = -np.inf, high: float = np.inf) -> Any:
    """A factor: what it belongs to, its value in the nominal simulation, and what makes sense."""
    return field(metadata={"per": what, "nominal": nominal, "low": low, "high": high})


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """The two ends of each factor. A factor whose ends are equal is the same for all."""

    link_mass: Range = _per("link", nominal=1.0, low=0.1)
    """Factor on mass and inertia of each link."""
    payload_kg: Range = _per("robot", nominal=0.0, low=0.0)
    """Mass on the trunk [kg]."""
    com_offset_m: Range = _per("axis", nominal=0.0)
    """Shift of the trunk's centre of mass [m]."""
    joint_offset_rad: Range = _per("joint", nominal=0.0)
    """What an encoder shows more than the joint's angle [rad]."""
    viscous_friction: Range = _per("joint", nominal=0.0)
    """Damping on top of the model's [Nm s/rad]; the sum is at least 0."""
    coulomb_friction_nm: Range = _per("joint", nominal=0.0)
    """Friction loss on top of the model's [Nm]; the sum is at least 0."""
    armature: Range = _per("joint", nominal=1.0, low=0.01)
    """Factor on the drives' reflected inertia."""
    position_gain: Range = _per("joint", nominal=1.0, low=0.01)
    """Factor on kp."""
    velocity_gain: Range = _per("joint", nominal=1.0, low=0.0)
    """Factor on kd."""
    strength: Range = _per("joint", nominal=1.0, low=0.01)
    """Factor on the torque limit and on the torque-speed line."""
    backlash_rad: Range = _per("joint", nominal=0.0, low=0.0)
    """Half the play of a gear: errors up to this make no torque [rad]."""
    battery: Range = _per("robot", nominal=1.0, low=0.1)
    """The battery's voltage without load over the nominal one."""
    battery_resistance_ohm: Range = _per("robot", nominal=0.0, low=0.0)
    """Resistance of battery and wires; the voltage sags with the current [ohm]."""
    floor_friction: Range = _per("robot", nominal=np.nan, low=0.01)
    """Sliding friction between feet and floor; nominal is the robot's own."""
    slope_rad: Range = _per("robot", nominal=0.0, low=0.0)
    """Inclination of the floor; downhill is in a direction drawn uniformly [rad]."""
    roughness_m: Range = _per("robot", nominal=0.0)
    """Height difference between the lowest and the highest points of the floor; at or below 0 it is
    smooth [m]."""
    push_force_n: Range = _per("robot", nominal=0.0, low=0.0)
    """Horizontal force of the pushes [N]."""
    command_delay_s: Range = _per("robot", nominal=np.nan, low=0.0)
    """From the policy's output to the drives' setpoint, without the hold; nominal is the low end
    [s]."""
    interpolation: Range = _per("robot", nominal=1.0, low=0.0, high=1.0)
    """How much of the way from one setpoint to the next is interpolated, where the drives do that;
    0 is a held setpoint."""
    sensor_delay_s: Range = _per("robot", nominal=np.nan, low=0.0)
    """From the robot's state to the policy's input, without filters; nominal is the low end [s]."""
    sensor_jitter_s: Range = _per("robot", nominal=0.0, low=0.0)
    """Sensor values are older than that by up to this, anew at each control step [s]."""
    drop_rate: Range = _per("robot", nominal=0.0, low=0.0, high=1.0)
    """Share of the sensor samples that get lost; the policy is told the last one again."""
    sensor_noise: Range = _per("robot", nominal=0.0, low=0.0)
    """Factor on the observation contract's noise."""
    gyro_bias: Range = _per("axis", nominal=0.0)
    """What the gyroscope shows at rest [rad/s]."""
    accelerometer_bias: Range = _per("axis", nominal=0.0)
    """What the accelerometer shows too much, if attitude is estimated from it [m/s^2]."""
    imu_tilt_rad: Range = _per("axis", nominal=0.0)
    """Rotation vector of the IMU's mounting error [rad]."""
    start_joint_rad: Range = _per("joint", nominal=0.0)
    """Joint angles at the start, beside what the task asks for [rad]."""
    start_velocity_mps: Range = _per("axis", nominal=0.0)
    """Velocity of the base at the start, beside what the task asks for [m/s]."""

    def __post_init__(self) -> None:
        """Checks the ends.

        Raises:
            SettingsError: a range is not two finite numbers in order, or beyond what makes sense.
        """
        for f in fields(self):
            ends = np.asarray(getattr(self, f.name), dtype=np.float64)
            least, most = f.metadata["low"], f.metadata["high"]
            if ends.shape != (2,) or not np.isfinite(ends).all() or ends[0] > ends[1]:
                raise SettingsError(
                    f"{f.name} is {getattr(self, f.name)!r}, expected a low and a high end."
                )
            if ends[0] < least:
                raise SettingsError(f"{f.name} begins at {ends[0]:g}, expected at least {least:g}.")
            if ends[1] > most:
                raise SettingsError(f"{f.name} ends at {ends[1]:g}, expected at most {most:g}.")
            object.__setattr__(self, f.name, (float(ends[0]), float(ends[1])))

    def names(self) -> tuple[str, ...]:
        """The factors that vary: those with different ends."""
        fixed = self.fixed()
        return tuple(f.name for f in fields(self) if f.name not in fixed)

    def fixed(self) -> dict[str, float]:
        """The factors that do not vary, by name: the value that both ends are."""
        ends = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: low for name, (low, high) in ends.items() if low == high}


@dataclass(frozen=True, kw_only=True)
class BallRanges(Ranges):
    """The factors of a robot with a ball, and with a camera that sees it."""

    ball_mass: Range = _per("robot", nominal=1.0, low=0.1)
    """Factor on the ball's mass and inertia."""
    ball_radius: Range = _per("robot", nominal=1.0, low=0.1)
    """Factor on its radius."""
    ball_friction: Range = _per("robot", nominal=1.0, low=0.01)
    """Factor on its sliding friction."""
    ball_rolling: Range = _per("robot", nominal=1.0, low=0.0)
    """Factor on its rolling resistance."""
    ball_damping: Range = _per("robot", nominal=1.0, low=0.1)
    """Factor on the damping ratio of its contacts: how little it bounces."""
    camera_delay_s: Range = _per("robot", nominal=np.nan, low=0.0)
    """From what the camera sees to the policy's input; nominal is the low end [s]."""
    camera_drop_rate: Range = _per("robot", nominal=0.0, low=0.0, high=1.0)
    """Share of the camera's pictures in which nothing is found."""
    camera_noise: Range = _per("robot", nominal=0.0, low=0.0)
    """Factor on the noise of what the camera sees."""


def per(name: str) -> Per:
    """What a factor belongs to."""
    return BallRanges.__dataclass_fields__[name].metadata["per"]


def nominal(ranges: Ranges, spec: RobotSpec, num_links: int, n: int) -> Factors:
    """The factors of n nominal simulations, (n, K) each."""
    values = {}
    for f in fields(ranges):
        value = f.metadata["nominal"]
        if np.isnan(value):
            floor = f.name == "floor_friction"
            value = spec.floor_friction if floor else getattr(ranges, f.name)[0]
        values[f.name] = np.full((n, _size(f.name, spec, num_links)), value)
    return values


def draw(
    ranges: Ranges,
    spec: RobotSpec,
    num_links: int,
    n: int,
    rng: np.random.Generator,
    level: float = 1.0,
) -> Factors:
    """Draws the factors of n environments.

    Args:
        ranges: the ends of each factor.
        spec: the robot.
        num_links: its number of bodies.
        n: number of environments.
        rng: is advanced.
        level: 0 gives nominal factors, 1 the whole ranges, in proportion between and above, but
            never more than makes sense.

    Returns:
        (n, K) each: nominal + level * (U(low, high) - nominal). Of the values of links, or joints,
        of one robot a share from U(0, 1) is one and the same.
    """
    values = nominal(ranges, spec, num_links, n)
    for f in fields(ranges):
        value, (low, high) = values[f.name], getattr(ranges, f.name)
        drawn = rng.uniform(low, high, value.shape)
        if f.metadata["per"] in ("link", "joint"):
            alike = rng.random(value.shape) < rng.random((n, 1))
            drawn = np.where(alike, rng.uniform(low, high, (n, 1)), drawn)
        value += level * (drawn - value)
        np.clip(value, f.metadata["low"], f.metadata["high"], out=value)
    return values


def at_edge(
    ranges: Ranges,
    spec: RobotSpec,
    num_links: int,
    n: int,
    name: str,
    side: Side,
    rng: np.random.Generator,
) -> Factors:
    """The factors of n environments that are nominal but for one factor, which is at an end.

    Args:
        ranges: the ends of each factor.
        spec: the robot.
        num_links: its number of bodies.
        n: number of environments.
        name: the factor.
        side: all its values at the low end, all at the high end, or each at either, at random.
        rng: is advanced, for "corners" only.
    """
    values = nominal(ranges, spec, num_links, n)
    low, high = getattr(ranges, name)
    shape = values[name].shape
    if side == "corners":
        values[name] = rng.choice([low, high], shape)
    else:
        values[name] = np.full(shape, low if side == "low" else high)
    return values


def sides(name: str) -> tuple[Side, ...]:
    """At which ends a factor can be: those of one value low or high, others also mixed."""
    return ("low", "high") if per(name) == "robot" else ("low", "high", "corners")


def _size(name: str, spec: RobotSpec, num_links: int) -> int:
    return {"robot": 1, "link": num_links, "joint": spec.num_joints, "axis": 3}[per(name)]
