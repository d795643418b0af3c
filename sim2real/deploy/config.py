"""Settings of the controller, for each robot, with their descriptions, units and ranges.

Numbers without a source are our estimates. "Measured" is what the shipped walk does in simulation
under the full gap.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from legged_skills import robots
from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.attitude_filter import AttitudeFilterConfig
from legged_skills.sim2real.deploy.motion import ramp_s
from legged_skills.sim2real.deploy.parameters import check, setting
from legged_skills.sim2real.gap import GAPS

LONGEST_REST_S = 90.0
"""No settings let a soft stop take longer [s]; the launch file waits as long, too."""
ANY_TILT_DEG = 180.0
"""A limit that no tilt exceeds [degrees]."""
_MARGIN_S = 5.0
"""So much longer than its ramp and settling a soft stop may take [s]."""


@dataclass(frozen=True, kw_only=True)
class DeployConfig:
    """How a robot is brought into motion, watched, and brought to rest."""

    robot: str = setting(what="Name of the robot.", choices=tuple(GAPS))
    """Name of the robot."""
    ramp_speed_radps: float = setting(
        0.5,
        what="Greatest joint speed on the way to the default pose.",
        unit="rad/s",
        low=0.1,
        high=2.0,
    )
    """Greatest joint speed on the way to the default pose [rad/s]."""
    ramp_min_s: float = setting(
        2.0,
        what="The way to the default pose takes at least so long.",
        unit="s",
        low=0.5,
        high=40.0,
    )
    """The way to the default pose takes at least so long [s]."""
    blend_in_s: float = setting(
        1.0,
        what="Time over which the policy's targets replace the default pose.",
        unit="s",
        low=0.1,
        high=10.0,
    )
    """Time over which the policy's targets replace the default pose [s]."""
    settle_s: float = setting(
        1.5,
        what="When stopping, the policy is commanded to stand for so long before it is relieved.",
        unit="s",
        low=0.0,
        high=10.0,
    )
    """When stopping, the policy is commanded to stand for so long before it is relieved [s]."""
    target_speed_radps: float = setting(
        what="The policy's joint targets change no faster than this.",
        unit="rad/s",
        low=0.1,
        high=200.0,
    )
    """The policy's joint targets change no faster than this [rad/s]."""
    max_limited_steps: int = setting(
        10,
        what="The policy may ask for faster targets in so many steps on end.",
        low=1,
        high=1000,
    )
    """The policy may ask for faster targets in so many steps on end."""
    joint_margin_rad: float = setting(
        0.15,
        what="A joint may be measured so far beyond its usable range.",
        unit="rad",
        low=0.0,
        high=1.0,
    )
    """A joint may be measured so far beyond its usable range [rad]."""
    joint_speed_radps: float = setting(
        what="A joint may not be faster than this.", unit="rad/s", low=0.1, high=200.0
    )
    """A joint may not be faster than this [rad/s]."""
    following_error_rad: float = setting(
        what="On the way to the default pose from idle, and in it, a joint may be this far off.",
        unit="rad",
        low=0.01,
        high=3.0,
    )
    """On the way to the default pose from idle, and in it, a joint may be this far off [rad]."""
    following_s: float = setting(
        0.5, what="It may be farther for so long.", unit="s", low=0.0, high=10.0
    )
    """It may be farther for so long [s]."""
    joint_timeout_s: float = setting(
        0.1,
        what="A joint that was not heard of for so long is stale; stamps are not looked at.",
        unit="s",
        low=0.01,
        high=1.0,
    )
    """A joint that was not heard of for so long is stale; stamps are not looked at [s]."""
    imu_timeout_s: float = setting(
        0.1,
        what="An IMU that was not heard of for so long is stale; stamps are not looked at.",
        unit="s",
        low=0.01,
        high=1.0,
    )
    """An IMU that was not heard of for so long is stale; stamps are not looked at [s]."""
    frozen_s: float = setting(
        0.3,
        what="Sensors that say exactly the same for so long, while a policy acts, are frozen.",
        unit="s",
        low=0.05,
        high=10.0,
    )
    """Sensors that say exactly the same for so long, while a policy acts, are frozen [s]."""
    command_timeout_s: float = setting(
        0.5,
        what="Without a command for so long, the robot is commanded to stand.",
        unit="s",
        low=0.05,
        high=5.0,
    )
    """Without a command for so long, the robot is commanded to stand [s]."""
    target_timeout_s: float = setting(
        2.0,
        what="Without a ball or a target for so long, a policy that needs them is stopped.",
        unit="s",
        low=0.1,
        high=60.0,
    )
    """Without a ball or a target for so long, a policy that needs them is stopped [s]."""
    tilt_limit_deg: float = setting(
        55.0,
        what="Greatest angle between the base's z axis and the vertical.",
        unit="degrees",
        low=5.0,
        high=ANY_TILT_DEG,
    )
    """Greatest angle between the base's z axis and the vertical [degrees]."""
    max_late_s: float = setting(
        0.1, what="A control step may be late by this much.", unit="s", low=0.005, high=1.0
    )
    """A control step may be late by this much [s]."""
    max_overruns: int = setting(
        5, what="So many steps on end may be late by more than half a period.", low=1, high=1000
    )
    """So many steps on end may be late by more than half a period."""
    fault_behaviour: str = setting(
        "hold",
        what="After a fault the last target is held, or the drives let go if the driver can.",
        choices=("hold", "damp"),
    )
    """After a fault the last target is held, or the drives let go if the driver can."""
    low_battery_v: float = setting(
        what="A battery below this is warned of; 0 for never.", unit="V", low=0.0, high=100.0
    )
    """A battery below this is warned of; 0 for never [V]."""
    attitude: str = setting(
        what="Where the direction of gravity comes from: the robot's orientation, or our filter.",
        choices=("robot", "filter"),
    )
    """Where the direction of gravity comes from: the robot's orientation, or our filter."""
    filter_time_constant_s: float = setting(
        AttitudeFilterConfig().time_constant_s,
        what="How slowly the accelerometer corrects what the gyroscope says, in our filter.",
        unit="s",
        low=0.01,
        high=100.0,
    )
    """How slowly the accelerometer corrects what the gyroscope says, in our filter [s]."""
    filter_tolerance: float = setting(
        AttitudeFilterConfig().tolerance,
        what="Accelerations whose size is farther than this share from gravity's are not believed.",
        unit="1",
        low=0.01,
        high=1.0,
    )
    """Accelerations whose size is farther than this share from gravity's are not believed."""
    imu_mounting_wxyz: tuple[float, ...] = setting(
        (1.0, 0.0, 0.0, 0.0),
        what="Orientation of the IMU's frame in the base frame, quaternion wxyz.",
        low=-1.0,
        high=1.0,
    )
    """Orientation of the IMU's frame in the base frame, quaternion wxyz."""

    def __post_init__(self) -> None:
        """Checks every setting against its range.

        Raises:
            SettingsError: a value is out of its range, or the mounting is no rotation.
        """
        check(self)
        mounting = self.imu_mounting_wxyz
        if len(mounting) != 4 or abs(float(np.linalg.norm(mounting)) - 1.0) > 1e-3:
            raise SettingsError(
                f"imu_mounting_wxyz is {list(mounting)}, expected a unit quaternion."
            )

    @property
    def rest_within_s(self) -> float:
        """A soft stop that takes longer never ends [s]."""
        spec = robots.get(self.robot)
        home = spec.default_joint_pos
        way_rad = np.maximum(spec.joint_upper - home, home - spec.joint_lower).max()
        ramp = ramp_s(float(way_rad), self.ramp_speed_radps, self.ramp_min_s)
        return self.settle_s + ramp + _MARGIN_S


def _filter(robot: str) -> AttitudeFilterConfig:
    """The filter that policies of a robot are trained with."""
    return GAPS[robot].sensors.filter


CONFIGS: Mapping[str, DeployConfig] = {
    config.robot: config
    for config in (
        DeployConfig(
            robot="anymal_c",
            # Measured: the greatest change in a step of 0.02 s is 0.24 rad in the median, 0.70 rad
            # in 99 % and 1.7 rad in 99.9 % of the steps. Slower limits would change the gait.
            target_speed_radps=50.0,
            # Twice what the drives can; a measured speed beyond it is no speed.
            joint_speed_radps=15.0,
            # Standing takes up to 30 Nm of a knee, which at 80 Nm/rad is 0.4 rad.
            following_error_rad=0.6,
            low_battery_v=0.0,
            attitude=GAPS["anymal_c"].sensors.attitude,
            filter_time_constant_s=_filter("anymal_c").time_constant_s,
            filter_tolerance=_filter("anymal_c").tolerance,
            # ANYbotics's anymal_c_simple_description: the IMU is turned by +90 degrees about z.
            imu_mounting_wxyz=(0.7071067811865476, 0.0, 0.0, 0.7071067811865476),
        ),
        DeployConfig(
            robot="op3",
            target_speed_radps=25.0,
            # Not measured but differentiated from positions that come at uneven times: four times
            # the speed without load.
            joint_speed_radps=20.0,
            following_error_rad=0.4,
            # ROBOTIS's firmware warns below 11 V.
            low_battery_v=11.0,
            attitude=GAPS["op3"].sensors.attitude,
            filter_time_constant_s=_filter("op3").time_constant_s,
            filter_tolerance=_filter("op3").tolerance,
        ),
    )
}
"""The settings of each robot, by name."""


def config_of(robot: str) -> DeployConfig:
    """The settings of a robot.

    Raises:
        SettingsError: there are none for it.
    """
    if robot not in CONFIGS:
        raise SettingsError(
            f"there are no settings to deploy {robot!r}, expected one of {', '.join(CONFIGS)}."
        )
    return CONFIGS[robot]
