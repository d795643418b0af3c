"""What people and other programs ask the policy to do: velocities, a joystick, a ball and its goal.

Times are receive times on the steady clock [s].
"""

import numpy as np

from legged_skills.sim2real.ball_camera import MAX_RATE_MPS, CameraConfig, within
from legged_skills.sim2real.bundle_header import BundleHeader
from legged_skills.sim2real.deploy.snapshot import NEVER, CommandSnapshot


class VelocityIntake:
    """Velocity commands from a topic, or from a joystick whose dead-man button is held.

    A joystick that falls silent with its button held keeps its precedence, so that the robot soon
    stands, until the button is let go or ``forget``.

    Attributes:
        rejected: commands so far that were no numbers.
    """

    def __init__(self, header: BundleHeader) -> None:
        """Nothing has been asked yet.

        Args:
            header: gives the range of each component: vx, vy [m/s] and yaw rate [rad/s].
        """
        self._low = np.array([component.low for component in header.command])
        self._high = np.array([component.high for component in header.command])
        self._command = CommandSnapshot(len(header.command))
        self._held = False
        self.rejected = 0

    def velocity(self, values: np.ndarray, now_s: float) -> None:
        """A command (3,) of a topic; ignored while the joystick is in use."""
        if not self._held:
            self._take(values, now_s)

    def forget(self) -> None:
        """The joystick is in use no more, unless it says so again."""
        self._held = False

    def joystick(self, axes: np.ndarray, held: bool, now_s: float) -> None:
        """The stick, and whether the dead-man button is held.

        Args:
            axes: (3,) forward, left and turning left, -1 to 1 each: shares of the ranges.
            held: whether the button is held; letting go asks to stand.
            now_s: receive time [s].
        """
        if held:
            # The ends differ in size: backward is slower than forward.
            self._take(np.where(axes >= 0.0, axes * self._high, axes * -self._low), now_s)
        elif self._held:
            self._take(np.zeros(len(self._low)), now_s)
        self._held = held

    def _take(self, values: np.ndarray, now_s: float) -> None:
        if not np.isfinite(values).all():
            self.rejected += 1
            return
        self._command.values[:] = np.clip(values, self._low, self._high)
        self._command.time_s = now_s

    def read(self, now_s: float, into: CommandSnapshot) -> None:
        """Writes the last command into a snapshot, however old it is."""
        into.values[:] = self._command.values
        into.time_s = self._command.time_s


class BallIntake:
    """Ball and target as a policy is told them: the same as ``BallCamera`` makes of pictures.

    Attributes:
        rejected: positions so far that were no numbers, too old, from the future or, of balls,
            beyond the range.
    """

    def __init__(self, step_s: float, range_m: float, camera: CameraConfig | None = None) -> None:
        """Nothing has been seen yet.

        Args:
            step_s: control period [s].
            range_m: a ball farther away is not believed; a target is told no farther away [m].
            camera: gives the smoothing and the greatest age.
        """
        camera = camera or CameraConfig()
        self._step_s, self._range_m = step_s, range_m
        self._smoothing_s, self._max_age_s = camera.smoothing_s, camera.max_age_s
        self._ball, self._velocity, self._target = (np.zeros(2) for _ in range(3))
        self._ball_s = self._target_s = NEVER
        self.rejected = 0

    def ball(self, position: np.ndarray, age_s: float, now_s: float) -> None:
        """The ball was seen.

        Args:
            position: (2,) in the heading frame at the time of the picture [m].
            age_s: of the picture [s].
            now_s: receive time [s].
        """
        seen_s = now_s - age_s
        if not self._usable(position, age_s) or not position @ position <= self._range_m**2:
            self.rejected += 1
            return
        if seen_s < self._ball_s + 0.5 * self._step_s:
            # The same picture again, or one that was overtaken: it says nothing of a velocity.
            return
        if self._ball_s > NEVER:
            elapsed = max(seen_s - self._ball_s, self._step_s)
            rate = np.clip((position - self._ball) / elapsed, -MAX_RATE_MPS, MAX_RATE_MPS)
            self._velocity += elapsed / (elapsed + self._smoothing_s) * (rate - self._velocity)
        self._ball[:], self._ball_s = position, seen_s

    def target(self, position: np.ndarray, age_s: float, now_s: float) -> None:
        """The target was seen, or set; as ``ball``."""
        if not self._usable(position, age_s):
            self.rejected += 1
            return
        self._target[:] = within(position[None], self._range_m)[0]
        self._target_s = now_s - age_s

    def _usable(self, position: np.ndarray, age_s: float) -> bool:
        # A tenth of a second of disagreement between two clocks does no harm.
        return bool(np.isfinite(position).all()) and -0.1 <= age_s <= self._max_age_s

    def read(self, now_s: float, into: CommandSnapshot) -> None:
        """Writes ball, its velocity and age, and the target into a snapshot."""
        age_s = min(max(now_s - self._ball_s, 0.0), self._max_age_s)
        into.values[:2], into.values[2:4] = self._ball, self._velocity
        into.values[4], into.values[5:7] = age_s, self._target
        into.time_s = min(self._ball_s, self._target_s)


BALL_COMPONENTS = ("ball_x", "ball_y", "ball_vx", "ball_vy", "ball_age", "target_x", "target_y")
VELOCITY_COMPONENTS = ("vx", "vy", "yaw_rate")
"""The components of the commands that can be made here, in order."""


def intake_for(header: BundleHeader, step_s: float) -> VelocityIntake | BallIntake | None:
    """What makes the command of a policy; None if there is no such thing.

    Args:
        header: of the policy's bundle.
        step_s: control period [s].
    """
    names = tuple(component.name for component in header.command)
    if names == VELOCITY_COMPONENTS:
        return VelocityIntake(header)
    if names == BALL_COMPONENTS:
        return BallIntake(step_s, header.command[0].high)
    return None
