"""The ball beside a twin's robot, its target, and the camera that sees both."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.ball_camera import BallCamera, CameraConfig, in_heading_frame
from legged_skills.sim2real.ranges import BallRanges
from legged_skills.sim2real.twin.robot import TwinRobot

_ONE = np.zeros(1, dtype=np.int64)
Path = Callable[[float], np.ndarray]
"""Where a target is from where it started, (2,) [m], so many seconds later."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """What a picture shows, in the robot's heading frame at that time."""

    age_s: float
    """How old it is when it arrives [s]."""
    ball: np.ndarray | None
    """(2,) the ball [m]; None if it was not found."""
    target: np.ndarray
    """(2,) the target, drawn in to the camera's range [m]."""


class TwinBall:
    """Ball, target and camera of one robot.

    Attributes:
        target_w: (2,) where the target is on the floor [m].
        going: whether the target goes its way; otherwise it stays where it is.
    """

    def __init__(self, robot: TwinRobot, seed: int = 0, path: Path | None = None) -> None:
        """The target starts where the ball lies.

        Args:
            robot: simulated with a ball.
            seed: of the camera's noise.
            path: how the target moves; None if it stays until it is put elsewhere.

        Raises:
            SettingsError: the gap is one without a ball.
        """
        interface, factors = robot.interface, robot.factors
        if not isinstance(robot.gap.ranges, BallRanges):
            raise SettingsError("the gap has no ball, expected one of ball_gap.")
        self._robot, self._path = robot, path
        self._rng = np.random.default_rng([seed, 9])
        delay_s = factors["camera_delay_s"][:, 0]
        config = CameraConfig(range_m=interface.camera_range_m)
        self._camera = BallCamera(config, 1, interface.cycle_s, float(delay_s[0]))
        noise, drop_rate = (factors[f"camera_{name}"][:, 0] for name in ("noise", "drop_rate"))
        self._camera.set_factors(_ONE, delay_s, noise, drop_rate)
        self._cycle_s = interface.cycle_s
        self.target_w = np.zeros(2)
        self.going = True
        self.start()

    @property
    def pos_w(self) -> np.ndarray:
        """(3,) the ball's centre in the floor's frame [m]."""
        return self._robot.ball_w

    def start(self) -> None:
        """After the robot and its ball were put back."""
        self.set_target(self.pos_w[:2])
        seen = self._look()
        self._camera.reset(_ONE, seen[:, 0], seen[:, 1], self._rng)

    def set_target(self, target_w: np.ndarray) -> None:
        """Puts the target somewhere (2,) [m]; its path, if it has one, begins there."""
        self.target_w = np.array(target_w, dtype=np.float64)
        self._start_w, self._gone_s = self.target_w.copy(), 0.0

    def cycle(self) -> Picture | None:
        """After a cycle of the robot: the picture that arrives now, if one does."""
        if self._path is not None and self.going:
            self._gone_s += self._cycle_s
            self.target_w = self._start_w + self._path(self._gone_s)
        seen, camera = self._look(), self._camera
        camera.step(seen[:, 0], seen[:, 1], self._rng)
        if not camera.arrived[0]:
            return None
        return Picture(
            age_s=float(camera.delay_s[0]),
            ball=camera.ball[0].copy() if camera.found[0] else None,
            target=camera.target[0].copy(),
        )

    def _look(self) -> np.ndarray:
        """(1, 2, 2) ball and target as they are, in the heading frame."""
        robot = self._robot
        things = np.stack([self.pos_w[:2], self.target_w])[None] - robot.pos_w[:2]
        return in_heading_frame(robot.sim.qpos[:, 3:7], things)
