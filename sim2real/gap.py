"""The gap between simulation and robot, as one object per robot.

Training, evaluation, validation, digital twin and the node on the robot read this definition.
Sources: "interfaces" is what ROBOTIS's framework and ANYbotics's public models say of bus, drives
and sensors; "paper" is Bohez et al. 2022; "soccer" is Haarnoja et al. 2023; "Isaac Lab" its DC
motor model of ANYmal C. Numbers without a source are our estimates.
"""

import dataclasses
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from legged_skills.robots.errors import (
    SettingsError,
    require_at_least,
    require_positive,
    require_seed,
    require_within,
)
from legged_skills.sim2real.attitude_filter import AttitudeFilterConfig
from legged_skills.sim2real.ranges import Ranges

if TYPE_CHECKING:
    from legged_skills.sim2real.identified import Identified


@dataclass(frozen=True, kw_only=True)
class Timing:
    """When things happen on the robot. The policy's own period is the robot's (``RobotSpec``)."""

    drive_period_s: float
    """The drives get a new setpoint this often [s]."""
    setpoint: Literal["hold", "first_order"]
    """Between two policy steps the setpoint is held, or goes from the target before to the new one
    in a straight line, arriving one policy period later (a delayed first-order hold)."""
    imu_period_s: float
    """Time between two IMU samples [s]."""

    def __post_init__(self) -> None:
        """Checks what a file can say.

        Raises:
            SettingsError: a period is not positive, or there is no such way between setpoints.
        """
        require_positive(self, "drive_period_s", "imu_period_s")
        if self.setpoint not in ("hold", "first_order"):
            raise SettingsError(f"setpoint is {self.setpoint!r}, expected hold or first_order.")


@dataclass(frozen=True, kw_only=True)
class DriveConfig:
    """What the drives can do, beyond gains and limits of the robot."""

    stall_factor: float | None
    """The torque at rest of the straight torque-speed line that ends at the velocity limit without
    torque, over the torque limit; None if the model's damping is that line."""
    amps_per_nm: float = 0.0
    """Current of one drive per torque [A/Nm], for the battery's sag."""
    battery_v: float = 12.0
    """Nominal voltage [V]."""

    def __post_init__(self) -> None:
        """Checks what a file can say.

        Raises:
            SettingsError: a number is out of its range.
        """
        if self.stall_factor is not None:
            require_at_least(self, stall_factor=1.0)
        require_at_least(self, amps_per_nm=0.0)
        require_positive(self, "battery_v")


@dataclass(frozen=True, kw_only=True)
class SensorConfig:
    """What the sensors are like, beyond the observation contract's noise."""

    attitude: Literal["robot", "filter"]
    """Where the direction of gravity comes from: the robot's own estimate, or our attitude filter
    on gyroscope and accelerometer."""
    imu_smoothing: float = 1.0
    """Weight of a new IMU sample in the low-pass within the IMU; 1 is none."""
    acceleration_limit: float = 1e3
    """The accelerometer shows no more than this along each axis [m/s^2]."""
    acceleration_noise: float = 0.3
    """Standard deviation of its noise [m/s^2]."""
    counts_per_turn: int | None = None
    """Steps of an encoder in one turn; None if too fine to matter."""
    filter: AttitudeFilterConfig = field(default_factory=AttitudeFilterConfig)
    """Settings of the attitude filter."""

    def __post_init__(self) -> None:
        """Checks what a file can say.

        Raises:
            SettingsError: a number is out of its range, or gravity comes from nowhere.
        """
        if self.attitude not in ("robot", "filter"):
            raise SettingsError(f"attitude is {self.attitude!r}, expected robot or filter.")
        require_positive(self, "imu_smoothing", "acceleration_limit")
        require_within(self, imu_smoothing=(0.0, 1.0))
        require_at_least(self, acceleration_noise=0.0)
        if self.counts_per_turn is not None:
            require_at_least(self, counts_per_turn=1)


@dataclass(frozen=True, kw_only=True)
class PushConfig:
    """When the robot is pushed; how hard is one of the ranges."""

    duration_s: tuple[float, float] = (0.05, 0.15)
    """Length of a push, uniform [s] (soccer)."""
    interval_s: tuple[float, float] = (1.0, 3.0)
    """Time from one push to the next, uniform [s] (soccer)."""

    def __post_init__(self) -> None:
        """Checks what a file can say.

        Raises:
            SettingsError: a time is not positive and finite, or the longest is less than the
                shortest.
        """
        for name in ("duration_s", "interval_s"):
            low, high = getattr(self, name)
            if not 0.0 < low <= high < np.inf:
                raise SettingsError(
                    f"{name} is {[low, high]}, expected the least and the most, both more than 0 "
                    "and finite."
                )


@dataclass(frozen=True, kw_only=True)
class TerrainConfig:
    """The shape of rough floors; how rough is one of the ranges."""

    cell_m: float
    """Distance between two heights; the floor is made of triangles between them [m]."""
    size_m: float
    """The rough floor reaches this far from the origin, along x and y [m]."""
    levels: int = 2
    """Number of rough floors, equally spaced up to the roughest; the nearest one is taken."""
    seed: int = 7
    """Of the heights."""

    def __post_init__(self) -> None:
        """Checks what a file can say.

        Raises:
            SettingsError: a number is out of its range.
        """
        require_positive(self, "cell_m", "size_m")
        require_at_least(self, size_m=self.cell_m, levels=1)
        require_seed(self)


@dataclass(frozen=True, kw_only=True)
class Gap:
    """All that separates the nominal simulation from the robot."""

    robot: str
    """Name of the robot."""
    timing: Timing
    """When things happen."""
    drives: DriveConfig
    """What moves."""
    sensors: SensorConfig
    """What measures."""
    ranges: Ranges
    """What is uncertain, and how much."""
    pushes: PushConfig = field(default_factory=PushConfig)
    """What disturbs."""
    terrain: TerrainConfig
    """What it stands on."""
    training_level: float = 1.0
    """Width of the ranges in training, over their full width: more than 1 is a margin. Delays of
    commands and sensors have none: they end where their ranges do."""
    ramp_share: float = 0.3
    """Share of a training over which the ranges grow from nothing to that width."""
    ramp_steps: int = 10
    """In so many steps."""
    fit: "Identified | None" = None
    """Drives as identified from a log, in place of the model's."""

    def __post_init__(self) -> None:
        """Checks what a file can say.

        Raises:
            SettingsError: a number is out of its range.
        """
        require_at_least(self, training_level=0.0, ramp_steps=1)
        require_within(self, ramp_share=(0.0, 1.0))

    def level(self, progress: float) -> float:
        """Width of the ranges, over their full width, at a share of a training."""
        if self.ramp_share <= 0.0:
            return self.training_level
        steps = np.floor(progress / self.ramp_share * self.ramp_steps)
        return self.training_level * min(1.0, steps / self.ramp_steps)

    def to_json(self) -> dict[str, Any]:
        """The gap as plain dicts, lists, numbers and strings."""
        return json.loads(json.dumps(dataclasses.asdict(self), default=np.ndarray.tolist))


_JOINT_OFFSET = float(np.deg2rad(2.9))
"""Soccer."""
_IMU_TILT = float(np.deg2rad(2.0))
"""Soccer."""

_ANYMAL_C = Gap(
    robot="anymal_c",
    # Paper: the robot's loop at 400 Hz, with a delayed first-order hold.
    timing=Timing(drive_period_s=0.0025, setpoint="first_order", imu_period_s=0.0025),
    # Isaac Lab: torque limit 80 Nm, saturation at 120 Nm, 7.5 rad/s.
    drives=DriveConfig(stall_factor=1.5),
    sensors=SensorConfig(attitude="robot"),
    ranges=Ranges(
        link_mass=(0.7, 1.3),  # paper
        payload_kg=(0.0, 5.0),
        com_offset_m=(-0.03, 0.03),
        joint_offset_rad=(-_JOINT_OFFSET, _JOINT_OFFSET),
        viscous_friction=(0.0, 1.0),
        coulomb_friction_nm=(0.0, 1.0),
        armature=(0.7, 1.3),
        position_gain=(0.85, 1.15),
        velocity_gain=(0.7, 1.3),
        strength=(0.8, 1.1),
        backlash_rad=(0.0, 0.0),
        battery=(1.0, 1.0),
        battery_resistance_ohm=(0.0, 0.0),
        floor_friction=(0.4, 1.2),
        slope_rad=(0.0, 0.08),
        roughness_m=(-0.13, 0.02),  # one floor in ten is rough
        # Soccer's 5 to 15 N on OP3's 3.1 kg, in proportion to 45 kg.
        push_force_n=(72.0, 216.0),
        # Together up to 50 ms, as in soccer, and from 0: other simulations have none.
        interpolation=(0.0, 1.0),
        command_delay_s=(0.0, 0.025),
        sensor_delay_s=(0.0, 0.025),
        sensor_jitter_s=(0.0, 0.005),
        drop_rate=(0.0, 0.05),
        sensor_noise=(0.5, 1.5),
        gyro_bias=(-0.02, 0.02),
        accelerometer_bias=(0.0, 0.0),
        imu_tilt_rad=(-_IMU_TILT, _IMU_TILT),
        start_joint_rad=(-0.1, 0.1),
        start_velocity_mps=(-0.3, 0.3),
    ),
    terrain=TerrainConfig(cell_m=0.25, size_m=32.0),
)
_OP3 = Gap(
    robot="op3",
    # Interfaces: the bus writes setpoints and reads positions and IMU every 8 ms.
    timing=Timing(drive_period_s=0.008, setpoint="hold", imu_period_s=0.008),
    # The damping of 1.084 Nm s/rad, identified by menagerie's authors, takes 4.1 Nm at 3.8 rad/s:
    # it holds the back electromotive force already. 2.3 A at 4.1 Nm (data sheet).
    drives=DriveConfig(stall_factor=None, amps_per_nm=0.56, battery_v=12.0),
    # Interfaces: accelerometer +-2 g, low-pass of weight 0.4 at 125 Hz, 4096 counts a turn; the
    # firmware's orientation comes from the accelerometer alone.
    sensors=SensorConfig(
        attitude="filter",
        imu_smoothing=0.4,
        acceleration_limit=2.0 * 9.80665,
        counts_per_turn=4096,
    ),
    ranges=Ranges(
        link_mass=(0.7, 1.3),  # paper
        payload_kg=(0.0, 0.5),  # soccer
        com_offset_m=(-0.005, 0.005),
        joint_offset_rad=(-_JOINT_OFFSET, _JOINT_OFFSET),
        viscous_friction=(-0.2, 0.2),
        coulomb_friction_nm=(-0.02, 0.1),
        armature=(0.7, 1.3),
        position_gain=(0.85, 1.15),
        velocity_gain=(1.0, 1.0),
        strength=(0.8, 1.1),
        backlash_rad=(0.0, 0.0022),  # data sheet: 15 arc minutes of play
        battery=(0.92, 1.05),  # 11 V, where the robot warns, to 12.6 V, a full battery
        battery_resistance_ohm=(0.0, 0.1),
        floor_friction=(0.4, 1.2),
        slope_rad=(0.0, 0.05),
        roughness_m=(-0.0325, 0.005),
        push_force_n=(5.0, 15.0),  # soccer
        # The state is one bus cycle of 8 ms old; a setpoint waits up to a cycle. Together 10 to
        # 50 ms (soccer).
        interpolation=(1.0, 1.0),
        command_delay_s=(0.002, 0.018),
        sensor_delay_s=(0.008, 0.032),
        sensor_jitter_s=(0.0, 0.008),
        drop_rate=(0.0, 0.05),
        sensor_noise=(0.5, 1.5),
        gyro_bias=(-0.02, 0.02),
        accelerometer_bias=(-0.3, 0.3),
        imu_tilt_rad=(-_IMU_TILT, _IMU_TILT),
        start_joint_rad=(-0.1, 0.1),
        start_velocity_mps=(-0.1, 0.1),
    ),
    terrain=TerrainConfig(cell_m=0.2, size_m=12.0),
)
GAPS: Mapping[str, Gap] = {gap.robot: gap for gap in (_ANYMAL_C, _OP3)}
"""The gap of each robot, by name."""


_OPTIONAL = {"counts_per_turn": int, "stall_factor": float}
"""Numbers that may be None."""


def widened(gap: Gap | None, factor: float, ramp_share: float | None = None) -> Gap | None:
    """The gap that a policy is trained under.

    Args:
        gap: as it is in tests; None for none.
        factor: it is wider by this in training.
        ramp_share: share of the training over which it grows; None for the gap's own.
    """
    if gap is None:
        return None
    ramp_share = gap.ramp_share if ramp_share is None else ramp_share
    return dataclasses.replace(
        gap, training_level=factor * gap.training_level, ramp_share=ramp_share
    )


def load_gap(choice: str, robot: str, gaps: Mapping[str, Gap] = GAPS) -> Gap | None:
    """The gap that a command was told to use.

    Args:
        choice: "none", "full", or a YAML or JSON file with the fields of ``Gap`` that differ from
            the robot's own, e.g. ``ranges: {payload_kg: [0, 2]}``; its ``fit`` names a file that
            ``identify`` wrote.
        robot: the robot.
        gaps: the gap of each robot that "full" means and files differ from.

    Returns:
        None for "none".

    Raises:
        SettingsError: the file is missing, or a field in it is unknown or of the wrong kind.
        FileFormatError: the file of its ``fit`` cannot be read.
    """
    if choice == "none":
        return None
    if robot not in gaps:
        raise SettingsError(f"there is no gap of {robot}, expected one of {', '.join(gaps)}.")
    gap = gaps[robot]
    if choice == "full":
        return gap
    path = Path(choice)
    settings = _read(path)
    fit = settings.pop("fit", None)
    try:
        gap = _replaced(gap, settings)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error
    if gap.robot != robot:
        raise SettingsError(f"{path}: robot is {gap.robot}, expected {robot}.")
    if fit is not None:
        from legged_skills import robots
        from legged_skills.sim2real.identified import Identified

        drives = path.parent / str(fit)
        found = Identified.load(drives, robot)
        if found.joint_names != robots.get(robot).joint_names:
            raise SettingsError(f"{drives}: joint_names are not those of {robot}, in its order.")
        gap = dataclasses.replace(gap, fit=found)
    return gap


def _read(path: Path) -> dict[str, Any]:
    import yaml

    if not path.is_file():
        raise SettingsError(f"gap is {str(path)!r}, expected none, full or a file of settings.")
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    # ValueError: bytes that are no text, dates that are none, numbers of thousands of digits.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise SettingsError(f"{path}: neither YAML nor JSON ({reason}).") from error
    if not isinstance(settings, dict):
        raise SettingsError(f"{path}: expected fields of the gap with their values.")
    return settings


def _replaced(config: Any, settings: Mapping[str, Any]) -> Any:
    """A configuration with some of its fields replaced, nested ones too."""
    known = {f.name for f in dataclasses.fields(config)}
    changes = {}
    for name, value in settings.items():
        if name not in known:
            raise SettingsError(
                f"unknown field {name!r}, expected one of {', '.join(sorted(known))}."
            )
        old = getattr(config, name)
        if dataclasses.is_dataclass(old):
            if not isinstance(value, Mapping):
                raise SettingsError(f"{name} is {value!r}, expected fields with their values.")
            changes[name] = _replaced(old, value)
        else:
            changes[name] = _same_kind(name, value, old)
    return dataclasses.replace(config, **changes)


def _same_kind(name: str, value: Any, old: Any) -> Any:
    """The value, if it can stand where the old one stood."""
    if name in _OPTIONAL:
        if value is None:
            return None
        old = _OPTIONAL[name](0)
    if isinstance(old, tuple):
        if isinstance(value, list | tuple) and len(value) == len(old):
            return tuple(_same_kind(name, v, o) for v, o in zip(value, old, strict=True))
        raise SettingsError(f"{name} is {value!r}, expected {len(old)} numbers.")
    if isinstance(old, str):
        if isinstance(value, str):
            return value
        raise SettingsError(f"{name} is {value!r}, expected text like {old!r}.")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # Python's whole numbers may be of any size.
    if not number or not abs(value) <= sys.float_info.max:
        raise SettingsError(f"{name} is {value!r}, expected a finite number.")
    if isinstance(old, int) and value != int(value):
        raise SettingsError(f"{name} is {value!r}, expected a whole number.")
    return int(value) if isinstance(old, int) else float(value)
