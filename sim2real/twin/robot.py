"""One robot under the gap of the training, moved on by one cycle of its bus at a time."""

import dataclasses

import numpy as np

from legged_skills.robots.ball import Ball
from legged_skills.robots.contract import proprioception
from legged_skills.robots.feet import Feet
from legged_skills.robots.kinematics import Kinematics
from legged_skills.robots.rotations import multiply, rotate, rotate_inverse, yaw
from legged_skills.robots.spec import GRAVITY_MPS2, RobotSpec
from legged_skills.sim2real import ranges
from legged_skills.sim2real.drives import Drives
from legged_skills.sim2real.gap import Gap
from legged_skills.sim2real.model_pool import ModelPool
from legged_skills.sim2real.pushes import Pushes
from legged_skills.sim2real.ranges import Factors
from legged_skills.sim2real.reality import num_links, simulate, steps_at_once
from legged_skills.sim2real.sensors import Sensors
from legged_skills.sim2real.terrain import floor_levels, floor_period_m
from legged_skills.sim2real.twin.attitude import from_gravity, tilt_only
from legged_skills.sim2real.twin.interface import TwinInterface
from legged_skills.sim2real.twin.messages import ImuMessage, Truth

MAX_TILT_RAD = 1.0
"""A base that is tilted more has fallen."""
HOIST_SHARE = 0.7
"""A hoist takes at most this share of the nominal weight, so that the feet stay on the floor."""
_HOIST_STRETCH_M = 0.02
"""That far below its default pose's height a robot is carried with all of that [m]."""
_HOIST_S = 1.0
"""It takes over, and lets go, within this time [s]."""
_TIP_RADPS = 6.0
"""``tip_over`` rolls the base at this rate: a fall from standing ends at about that [rad/s]."""
_ONE = np.zeros(1, dtype=np.int64)
_ALL = np.ones(1, dtype=bool)


def clean_gap(gap: Gap) -> Gap:
    """A gap with nothing in it: no delay, noise, push or loss, drives as in the clean model.

    What the robot's firmware does to the IMU's samples stays.
    """
    spec = _spec(gap)
    sure = {}
    for f in dataclasses.fields(gap.ranges):
        value = f.metadata["nominal"]
        if np.isnan(value):
            value = spec.floor_friction if f.name == "floor_friction" else 0.0
        sure[f.name] = (value, value)
    return dataclasses.replace(
        gap,
        timing=dataclasses.replace(gap.timing, setpoint="hold"),
        drives=dataclasses.replace(gap.drives, stall_factor=None),
        sensors=dataclasses.replace(gap.sensors, acceleration_noise=0.0, counts_per_turn=None),
        ranges=type(gap.ranges)(**sure),
        fit=None,
    )


def _spec(gap: Gap) -> RobotSpec:
    from legged_skills import robots

    return robots.get(gap.robot)


class TwinRobot:
    """One simulated robot. J is its number of joints; all arrays are in the robot's order.

    Drives, sensors, pushes and physics are those of the training, with one set of factors for good.
    Two waits of the gap are real here, and left out of it: a target waits for the next cycle, which
    takes half a cycle off the drawn delay, and a message waits for the policy's next step, which is
    what the sensors' jitter stands for.

    Attributes:
        spec: the robot.
        factors: (1, K) by name, what was drawn for it.
        torque_squared: sum over joints of the squared torque in the last cycle [N^2 m^2].
        extra_force_w: (3,) on the base's centre of mass, on top of the gap's pushes [N].
        pushing: whether the gap's pushes act; see ``let_push``.
        hanging: whether a hoist takes over, or has, most of the weight of a robot that is lower
            than in its default pose; see ``hang``.
        diverged: how often the physics went bad and was put back.
    """

    def __init__(
        self, interface: TwinInterface, gap: Gap, seed: int = 0, ball: Ball | None = None
    ) -> None:
        """Draws the robot and puts it into its first start pose.

        Args:
            interface: its messages.
            gap: the gap, one with a ball if there is a ball.
            seed: of the robot and of all noise.
            ball: what it plays with.
        """
        self.interface, self.gap = interface, gap
        self.spec = spec = interface.spec
        self.sim = sim = simulate(spec, 1, 1, gap, ball)
        rng = np.random.default_rng([seed, 6])
        self.factors = factors = ranges.draw(gap.ranges, spec, num_links(sim), 1, rng)
        half = 0.5 * interface.cycle_s
        factors["command_delay_s"] = np.maximum(factors["command_delay_s"] - half, 0.0)
        factors["sensor_jitter_s"] = np.zeros((1, 1))
        pool = ModelPool(sim.model, spec, gap, factors, rng)
        pool.give(sim, _ONE, _ONE)
        self._down_w = pool.down_w.astype(np.float32)
        self._rng = np.random.default_rng([seed, 7])
        self._steps = round(interface.cycle_s / sim.step_s)
        self._at_once = steps_at_once(gap, sim.step_s, self._steps)
        # A bus of several cycles in one policy period, or of one that is none of its fractions.
        self._period = round(spec.control_period_s / sim.step_s)
        self._drives = Drives(gap, sim, self._period)
        self._sensors = Sensors(gap, sim, proprioception(spec), self._down_w, accelerometer=True)
        self._pushes = Pushes(gap.pushes, 1, interface.cycle_s)
        self._pushes.force_n[:] = factors["push_force_n"]
        self._sensors.set_factors(factors)
        self._strength, self._stiffness = np.ones(spec.num_joints), np.ones(spec.num_joints)
        self._battery: float | None = None
        self._mount = np.array(interface.imu_mount_wxyz)
        self.extra_force_w = np.zeros(3)
        self.pushing, self.hanging = True, False
        self._hoisted = self._tip_rad = 0.0
        self._weight_n = float(spec.model(visible=False).body_mass.sum()) * GRAVITY_MPS2
        self._stands_m = _height(spec, spec.default_joint_pos) + self._floor_m()
        self.diverged = 0
        self._cycles = 0
        self.start(next(iter(interface.start_poses.values())))

    def start(self, joint_pos: np.ndarray) -> None:
        """Puts the robot on its feet at the origin, at rest; drives hold its pose (J,) [rad]."""
        qpos = self.spec.home_qpos
        qpos[7:] = joint_pos
        qpos[2] = _height(self.spec, joint_pos) + self._floor_m()
        self.sim.reset(_ALL, qpos, np.zeros(6 + self.spec.num_joints))
        self._gone_w = np.zeros(3)
        if self.sim.objects_qpos.shape[1]:
            self.sim.objects_qpos[0, 2] *= self.factors["ball_radius"][0, 0]
            self.sim.objects_qpos[0, 2] += self._floor_m()
        self._give()
        self._drives.reset(_ONE, self.sim.qpos[_ONE, 7:])
        self._sensors.reset(_ONE, self._rng)
        self._pushes.reset(_ONE, self._rng)
        self._held = self.joint_pos.astype(np.float64)
        self._fresh, self._since = True, 0
        self._effort = np.zeros(self.spec.num_joints)
        self._risen, self._tip_rad = False, 0.0
        self._hoisted = float(self.hanging)

    def _floor_m(self) -> float:
        """Height of the floor's highest point [m]."""
        return float(floor_levels(self.gap, self.factors["roughness_m"][:, 0])[1][0])

    def _give(self) -> None:
        changed: Factors = {
            **self.factors,
            "strength": self.factors["strength"] * self._strength,
            "position_gain": self.factors["position_gain"] * self._stiffness,
        }
        if self._battery is not None:
            changed["battery"] = np.full((1, 1), self._battery / self.interface.battery_v)
        self._drives.set_factors(changed)
        self._fresh = True

    def hold(self, joint_targets: np.ndarray) -> None:
        """Gives drives the targets (J,) [rad] from the next cycle on, for good."""
        self._held, self._fresh = np.array(joint_targets, dtype=np.float64), True

    def set_drives(self, strength: np.ndarray, stiffness: np.ndarray) -> None:
        """Drives' torque limits (J,) and position gains (J,), over those they began with."""
        if not np.array_equal(self._strength, strength):
            self._strength = strength.copy()
            self._give()
        if not np.array_equal(self._stiffness, stiffness):
            self._stiffness = stiffness.copy()
            self._give()

    def set_battery(self, volts: float | None) -> None:
        """The battery's voltage without load [V]; None for what was drawn."""
        self._battery = volts
        self._give()

    def let_push(self, pushing: bool) -> None:
        """Lets the gap's pushes act from now on, beginning anew, or not any more."""
        if pushing and not self.pushing:
            self._pushes.reset(_ONE, self._rng)
        self.pushing = pushing

    def hang(self, hanging: bool) -> None:
        """Lets a hoist take most of the weight from now on, or not any more."""
        self.hanging = hanging

    def _hoist(self) -> np.ndarray:
        """(3,) what the hoist pulls with, against gravity [N]."""
        change = self.interface.cycle_s / _HOIST_S
        self._hoisted += float(np.clip(self.hanging - self._hoisted, -change, change))
        if self._hoisted <= 0.0:
            return np.zeros(3)
        below = (self._stands_m - float(self.sim.qpos[0, 2])) / _HOIST_STRETCH_M
        share = HOIST_SHARE * self._hoisted * float(np.clip(below, 0.0, 1.0))
        return -share * self._weight_n * self._down_w[0]

    def cycle(self) -> None:
        """One cycle: drives take what they hold, the physics moves, the sensors are read."""
        sim = self.sim
        self._stay_on_floor()
        pushes = self._pushes.step(self._rng) if self.pushing else np.zeros((1, 3))
        sim.push(pushes + self.extra_force_w + self._hoist())
        self._tip()
        square = 0.0
        for _ in range(0, self._steps, self._at_once):
            if self._fresh or self._since >= self._period:
                self._drives.command(self._held[None], min(1.0, self._since / self._period))
                self._fresh, self._since = False, 0
            motion = self._drives.substeps(self._since, self._at_once)
            for i in range(self._at_once):
                self._sensors.sample(motion.qpos[:, i], motion.qvel[:, i], self._rng)
            self._since += self._at_once
            self._effort = motion.torque[0, -1].copy()
            square += float(np.square(motion.torque).sum())
        self.torque_squared = square / self._steps
        if sim.end_step().any():
            self.diverged += 1
            self._sensors.reset(_ONE, self._rng)
        self._sensors.read(self._rng)
        self._cycles += 1

    def _stay_on_floor(self) -> None:
        """Puts robot and ball back by whole periods of the floor, which ends somewhere."""
        period = floor_period_m(self.gap)
        gone = period * np.rint(self.sim.qpos[0, :2] / period)
        if gone.any():
            self.sim.qpos[0, :2] -= gone
            if self.sim.objects_qpos.shape[1]:
                self.sim.objects_qpos[0, :2] -= gone
            self._gone_w[:2] += gone

    @property
    def pos_w(self) -> np.ndarray:
        """(3,) the base in the floor's frame, wherever the physics has put it back to [m]."""
        return self.sim.qpos[0, :3] + self._gone_w

    @property
    def heading_rad(self) -> float:
        """Where the base's x axis points, about the vertical from the world's [rad]."""
        return float(yaw(self.sim.qpos[0, 3:7]))

    @property
    def ball_w(self) -> np.ndarray:
        """(3,) the ball's centre in the floor's frame, of a robot with a ball [m]."""
        return self.sim.objects_qpos[0, :3] + self._gone_w

    @property
    def time_s(self) -> float:
        """Simulated time since the twin began [s]."""
        return self._cycles * self.interface.cycle_s

    @property
    def joint_pos(self) -> np.ndarray:
        """(J,) what the encoders say [rad]."""
        return self._sensors.values[0, 6 : 6 + self.spec.num_joints]

    @property
    def joint_vel(self) -> np.ndarray:
        """(J,) what the drives say [rad/s], where they say anything."""
        return self._sensors.values[0, 6 + self.spec.num_joints :]

    @property
    def effort(self) -> np.ndarray:
        """(J,) torque of the drives in the last physics step [Nm]."""
        return self._effort

    @property
    def volts(self) -> float:
        """The supply's voltage [V]."""
        return float(self._drives.voltage[0, 0]) * self.interface.battery_v

    def imu(self) -> ImuMessage:
        """What the IMU says, in its own frame."""
        values, acceleration = self._sensors.values[0], self._sensors.acceleration[0]
        if self.interface.orientation == "tilt":
            base = tilt_only(acceleration)
        else:
            base = from_gravity(values[:3], self.heading_rad)
        return ImuMessage(
            orientation_wxyz=multiply(base, self._mount),
            angular_velocity=rotate_inverse(self._mount, values[3:6]),
            acceleration=rotate_inverse(self._mount, acceleration),
        )

    def truth(self) -> Truth:
        """Where the robot is, without errors."""
        qpos, qvel = self.sim.qpos[0], self.sim.qvel[0]
        quat = qpos[3:7].copy()
        upright = float(rotate(quat, np.array([0.0, 0.0, 1.0]))[2])
        low = qpos[2] < self.spec.fallen_height_m
        self._risen |= not low
        return Truth(
            time_s=self.time_s,
            pos_w=self.pos_w,
            quat_wxyz=quat,
            lin_vel_b=rotate_inverse(quat, qvel[:3]),
            ang_vel_b=qvel[3:6].copy(),
            fallen=bool((low and self._risen) or upright < np.cos(MAX_TILT_RAD)),
        )

    def tip_over(self, angle_rad: float) -> None:
        """Rolls the base about its own x axis by an angle [rad], as fast as a robot falls.

        The gyroscope feels it.
        """
        self._tip_rad = angle_rad

    def _tip(self) -> None:
        """Goes on with that."""
        step = _TIP_RADPS * self.interface.cycle_s
        left = self._tip_rad
        if left:
            rate = float(np.clip(left / self.interface.cycle_s, -_TIP_RADPS, _TIP_RADPS))
            self.sim.qvel[0, 3] = rate
            self._tip_rad = left - float(np.clip(left, -step, step))


def _height(spec: RobotSpec, joint_pos: np.ndarray) -> float:
    """How far the base is over the floor when the lowest foot stands [m]."""
    model = spec.model(visible=False)
    kinematics, qpos = Kinematics(model), spec.home_qpos
    qpos[7:] = joint_pos
    feet = Feet.of(model, spec).floor_distance(kinematics, kinematics.poses(qpos[None]))
    return float(qpos[2] - feet.min())
