"""The sensors between a robot's state and what its policy is told, for N robots.

Gravity, angular velocity, joint angles and joint velocities: through the IMU's mounting, bias and
low-pass and the encoders' offsets, late, with noise, in steps, and sometimes not at all.
"""

from collections.abc import Mapping

import numpy as np

from legged_skills.robots.contract import ObservationContract
from legged_skills.robots.rotations import rotate_inverse
from legged_skills.robots.simulation import Physics
from legged_skills.sim2real.attitude_filter import STANDARD_GRAVITY, AttitudeFilter
from legged_skills.sim2real.delay_line import DelayLine
from legged_skills.sim2real.gap import Gap
from legged_skills.sim2real.ranges import Factors


class Sensors:
    """What N robots measure. J is the number of joints.

    Attributes:
        values: (N, 6 + 2 J) float32, what the policy is told now: direction of gravity and angular
            velocity [rad/s] in the base frame, joint angles [rad], joint velocities [rad/s].
        acceleration: (N, 3) float32, what the accelerometer says now, as late as the rest
            [m/s^2]; zero if that was not asked for.
        filter: the attitude filter.
    """

    def __init__(
        self,
        gap: Gap,
        sim: Physics,
        contract: ObservationContract,
        down_w: np.ndarray,
        accelerometer: bool = False,
    ) -> None:
        """Call ``set_factors`` and ``reset`` before the first step.

        Args:
            gap: the gap.
            sim: the physics.
            contract: gives the noise of each signal.
            down_w: (N, 3) live: direction of gravity in the world, the floor's frame.
            accelerometer: whether ``acceleration`` is wanted.
        """
        spec, n = sim.spec, sim.num_envs
        self.gap, self.sim, self._down_w = gap, sim, down_w
        self._joints = slice(6, 6 + spec.num_joints)
        self._every = max(1, round(gap.timing.imu_period_s / sim.step_s))
        # An IMU without memory is computed when it is read, from the state of that time.
        config = gap.sensors
        self._memory = config.attitude == "filter" or config.imu_smoothing < 1.0 or self._every > 1
        oldest = gap.ranges.sensor_delay_s[1] + gap.ranges.sensor_jitter_s[1]
        # Orientation wxyz, or direction of gravity; angular velocity; joint angles and velocities.
        # And maybe acceleration.
        self._accelerometer, self._width = accelerometer, 7 + 2 * spec.num_joints
        size = self._width + (3 if accelerometer else 0)
        self._line = DelayLine(n, size, round(oldest / sim.step_s))
        self.values = np.zeros((n, 6 + 2 * spec.num_joints), np.float32)
        self._gravity, self._rate, self._felt, self.acceleration = (
            np.zeros((n, 3), np.float32) for _ in range(4)
        )
        self._velocity_before = np.zeros((n, 3), np.float32)
        self.filter = AttitudeFilter(n, gap.sensors.filter)
        self._noise = noise_of(contract, spec.num_joints)
        self._noisy = int(np.flatnonzero(self._noise).max(initial=-1)) + 1
        self._since = 0
        self._delay_s, self._jitter_s, self._drop_rate = (np.zeros(n) for _ in range(3))
        self._noise_factor = np.zeros((n, 1), np.float32)
        self._tilt, self._gyro_bias, self._acceleration_bias = (
            np.zeros((n, 3), np.float32) for _ in range(3)
        )
        self._offset = np.zeros((n, spec.num_joints), np.float32)

    def set_factors(
        self,
        factors: Factors,
        ids: np.ndarray | slice = slice(None),
        rows: np.ndarray | slice = slice(None),
    ) -> None:
        """Gives robots ``ids`` the ``rows`` of factors (``ranges``), by default all of them."""

        def own(name: str) -> np.ndarray:
            return factors[name][rows]

        self._delay_s[ids] = own("sensor_delay_s")[:, 0]
        self._jitter_s[ids] = own("sensor_jitter_s")[:, 0]
        self._drop_rate[ids] = own("drop_rate")[:, 0]
        self._noise_factor[ids] = own("sensor_noise")
        self._tilt[ids] = own("imu_tilt_rad")
        self._gyro_bias[ids] = own("gyro_bias")
        self._acceleration_bias[ids] = own("accelerometer_bias")
        self._offset[ids] = own("joint_offset_rad")

    def reset(self, ids: np.ndarray, rng: np.random.Generator) -> None:
        """Sensors of some robots show their present state, as if it had been so for long."""
        sim = self.sim
        if self._memory or self._accelerometer:
            self._reset_imu(ids)
        rows = np.zeros((len(ids), self._line.values.shape[2]), np.float32)
        self._write(rows, ids, sim.qpos[ids], sim.qvel[ids])
        self._line.fill(ids, rows)
        self.values[ids] = self._measured(rows, ids, rng)
        if self._accelerometer:
            self.acceleration[ids] = rows[:, self._width :]

    def _reset_imu(self, ids: np.ndarray) -> None:
        sim, tilt = self.sim, self._tilt[ids]
        gravity_b = rotate_inverse(sim.qpos[ids, 3:7].astype(np.float32), self._down_w[ids])
        rate = _turned(sim.qvel[ids, 3:6].astype(np.float32), tilt) + self._gyro_bias[ids]
        felt = _turned(-STANDARD_GRAVITY * gravity_b, tilt) + self._acceleration_bias[ids]
        if self.gap.sensors.attitude == "filter":
            self.filter.reset(felt, ids)
            gravity = self.filter.gravity_b[ids]
        else:
            gravity = _turned(gravity_b, tilt)
        self._gravity[ids], self._rate[ids], self._felt[ids] = gravity, rate, felt
        self._velocity_before[ids] = sim.qvel[ids, :3]

    def sample(self, qpos: np.ndarray, qvel: np.ndarray, rng: np.random.Generator) -> None:
        """Takes in the state after a physics step: (N, 7 + J) and (N, 6 + J) as in ``Physics``."""
        self._since += 1
        if (self._memory or self._accelerometer) and self._since >= self._every:
            self._sample_imu(qpos, qvel, rng)
            self._since = 0
        self._line.head = (self._line.head + 1) % len(self._line.values)
        self._write(self._line.values[self._line.head], slice(None), qpos, qvel)

    def _write(
        self, rows: np.ndarray, ids: np.ndarray | slice, qpos: np.ndarray, qvel: np.ndarray
    ) -> None:
        """The state of robots ``ids``, which is (n, ...) ``qpos`` and ``qvel``, into the line."""
        if self._memory:
            rows[:, 1:4], rows[:, 4:7] = self._gravity[ids], self._rate[ids]
        else:
            rows[:, :4], rows[:, 4:7] = qpos[:, 3:7], qvel[:, 3:6]
        joints = self.sim.spec.num_joints
        rows[:, 7 : 7 + joints], rows[:, 7 + joints : self._width] = qpos[:, 7:], qvel[:, 6:]
        if self._accelerometer:
            rows[:, self._width :] = self._felt[ids]

    def read(self, rng: np.random.Generator) -> None:
        """At the end of a control period: brings ``values`` up to date, but for lost samples."""
        n = len(self.values)
        age = self._delay_s + self._jitter_s * rng.random(n)
        steps = np.minimum(np.rint(age / self.sim.step_s), self._line.max_delay).astype(np.int64)
        line = self._line.read(steps)
        fresh = self._measured(line, slice(None), rng)
        arrived = rng.random(n) >= self._drop_rate
        self.values[arrived] = fresh[arrived]
        if self._accelerometer:
            self.acceleration[arrived] = line[arrived, self._width :]

    def _sample_imu(self, qpos: np.ndarray, qvel: np.ndarray, rng: np.random.Generator) -> None:
        config = self.gap.sensors
        quat = qpos[:, 3:7].astype(np.float32)
        rate = _turned(qvel[:, 3:6].astype(np.float32), self._tilt)
        rate += self._gyro_bias
        new = np.float32(config.imu_smoothing)
        self._rate += new * (rate - self._rate)
        period = self._since * self.sim.step_s
        if config.attitude == "filter" or self._accelerometer:
            self._feel(quat, qvel[:, :3].astype(np.float32), period, rng)
        if config.attitude == "robot":
            self._gravity[:] = _turned(rotate_inverse(quat, self._down_w), self._tilt)
        else:
            self._gravity[:] = self.filter.update(self._rate, self._felt, period)

    def _feel(
        self, quat: np.ndarray, velocity: np.ndarray, period: float, rng: np.random.Generator
    ) -> None:
        """The accelerometer's sample: (N, 4) orientation and (N, 3) velocity in the world."""
        config = self.gap.sensors
        force_w = (velocity - self._velocity_before) / np.float32(period)
        force_w -= np.float32(STANDARD_GRAVITY) * self._down_w
        self._velocity_before[:] = velocity
        felt = _turned(rotate_inverse(quat, force_w), self._tilt)
        felt += self._acceleration_bias
        noise = rng.standard_normal(felt.shape, np.float32)
        noise *= np.float32(config.acceleration_noise) * self._noise_factor
        felt += noise
        limit = np.float32(config.acceleration_limit)
        np.clip(felt, -limit, limit, out=felt)
        self._felt += np.float32(config.imu_smoothing) * (felt - self._felt)

    def _measured(
        self, line: np.ndarray, rows: np.ndarray | slice, rng: np.random.Generator
    ) -> np.ndarray:
        """(n, 6 + 2 J) what rows of the delay line show: with errors, in the encoders' steps."""
        noise = np.zeros((len(line), self.values.shape[1]), np.float32)
        noisy = noise[:, : self._noisy]
        noisy[:] = rng.standard_normal(noisy.shape, dtype=np.float32)
        noisy *= self._noise[: self._noisy] * self._noise_factor[rows]
        if self._memory:
            noise += line[:, 1 : self._width]
        else:
            tilt = self._tilt[rows]
            noise[:, :3] += _turned(rotate_inverse(line[:, :4], self._down_w[rows]), tilt)
            noise[:, 3:6] += _turned(line[:, 4:7], tilt) + self._gyro_bias[rows]
            noise[:, 6:] += line[:, 7 : self._width]
        noise[:, self._joints] += self._offset[rows]
        counts = self.gap.sensors.counts_per_turn
        if counts is not None:
            angle = np.float32(2.0 * np.pi / counts)
            noise[:, self._joints] = np.rint(noise[:, self._joints] / angle) * angle
        return noise

    def state(self) -> dict[str, np.ndarray]:
        """What must be kept to go on exactly."""
        return {
            "sensors_line": np.roll(self._line.values, -1 - self._line.head, axis=0),
            "sensors_values": self.values.copy(),
            "sensors_imu": np.stack([self._gravity, self._rate, self._felt]),
            "sensors_velocity": self._velocity_before.copy(),
            "sensors_filter": self.filter.gravity_b.copy(),
            "sensors_since": np.array(self._since),
            "sensors_acceleration": self.acceleration.copy(),
        }

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Goes on from what ``state`` gave, after ``set_factors``."""
        self._line.values[:] = arrays["sensors_line"]
        self._line.head = self._line.max_delay
        self.values[:] = arrays["sensors_values"]
        self._gravity[:], self._rate[:], self._felt[:] = arrays["sensors_imu"]
        self._velocity_before[:] = arrays["sensors_velocity"]
        self.filter.gravity_b[:] = arrays["sensors_filter"]
        self._since = int(arrays["sensors_since"])
        # Older files have none; without an accelerometer it is zero anyway.
        self.acceleration[:] = arrays.get("sensors_acceleration", 0.0)


def noise_of(contract: ObservationContract, num_joints: int) -> np.ndarray:
    """(6 + 2 J,) standard deviation of each measured value [its unit]; 0 where it is not told."""
    names = {"gravity": 3, "angular_velocity": 3, "joint_pos": num_joints, "joint_vel": num_joints}
    told = {term.name: term.noise for term in contract.terms}
    parts = [np.full(size, told.get(name, 0.0), np.float32) for name, size in names.items()]
    return np.concatenate(parts)


def _turned(vectors: np.ndarray, tilt: np.ndarray) -> np.ndarray:
    """(n, 3) vectors as an IMU shows them that is mounted with a small rotation ``tilt`` (n, 3)."""
    turned = vectors.copy()
    x, y, z = vectors.T
    turned[:, 0] += y * tilt[:, 2] - z * tilt[:, 1]
    turned[:, 1] += z * tilt[:, 0] - x * tilt[:, 2]
    turned[:, 2] += x * tilt[:, 1] - y * tilt[:, 0]
    return turned
