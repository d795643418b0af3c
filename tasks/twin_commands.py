"""The command ``twin``; ``legged_skills/cli.py`` puts all commands together."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from tyro.conf import UseAppendAction

from legged_skills.robots.console import OUT, write_json
from legged_skills.robots.errors import require_ending, require_not_negative, require_positive

if TYPE_CHECKING:
    from legged_skills.sim2real.twin.ball import Path as TargetPath


@dataclass(frozen=True, kw_only=True)
class RunTwin:
    """A simulated robot in real time that speaks the real robot's ROS 2 topics.

    It runs until Ctrl-C. Faults are lines such as "delay imu ms=50 for=2", here or on the topic
    /twin/inject; docs/twin.md has the list.
    """

    robot: Literal["op3", "anymal_c"] = "anymal_c"
    """The robot."""
    seed: int = 0
    """Of the robot that is drawn from the gap, and of all noise."""
    gap: str = "full"
    """Between simulation and robot: none, full, or a file of settings."""
    start: str | None = None
    """Pose it starts in: ini_pose or default (op3), default or lying (anymal_c)."""
    ball: bool = False
    """With a ball, a target and a camera that sees both."""
    path: Literal["stay", "straight", "slalom", "square", "jumps"] = "stay"
    """How the ball's target moves."""
    speed: float = 0.2
    """Of the ball's target [m/s]."""
    wait: bool = True
    """The gap's pushes act, and the ball's target goes its way, only while the bridge says on
    /policy_bridge/state that a policy moves the robot; otherwise, but in a fault, a hoist carries
    most of its weight. --no-wait for pushes at once, and no hoist."""
    fault: UseAppendAction[tuple[str, ...]] = ()
    """A fault to begin with; may be given several times."""
    seconds: float | None = None
    """Stop after this time [s]."""
    domain: int | None = None
    """ROS_DOMAIN_ID, if not that of the environment."""
    network: bool = False
    """Let nodes on other computers find it; by default only those on this one do."""
    viewer: bool = False
    """Open a window."""
    video: Path | None = None
    """Draw a film (.mp4) of it when it is over."""
    json: Path | None = None
    """Write figures of the run to this file too; "-" or nothing is standard output."""

    def run(self) -> int:
        """Runs the twin, and prints how well it kept time."""
        require_not_negative(self, "speed")
        if self.seconds is not None:
            require_positive(self, "seconds")
        if self.video is not None:
            require_ending(self.video, "video", [".mp4"])
        from legged_skills.sim2real.deploy.realtime import TWIN_PRIORITY, take_priority
        from legged_skills.sim2real.ros.environment import require_rclpy, settle
        from legged_skills.sim2real.twin.twin import TwinConfig

        require_rclpy()
        settle(self.domain, localhost=not self.network)
        from legged_skills.sim2real.ros.twin_node import run_twin
        from legged_skills.sim2real.twin.view import Watch

        watch = Watch(viewer=self.viewer, film=self.video is not None)
        if not self.viewer and self.video is None:
            # Pictures take long, and are no matter of time.
            take_priority(TWIN_PRIORITY)
        figures = run_twin(
            TwinConfig(
                robot=self.robot,
                seed=self.seed,
                gap=self.gap,
                start=self.start,
                ball=self.ball,
                wait=self.wait,
            ),
            seconds=np.inf if self.seconds is None else self.seconds,
            faults=list(self.fault),
            path=self._path(),
            watch=watch.begin,
        )
        if self.video is not None:
            watch.write(self.video)
            OUT.print(f"wrote {self.video}")
        OUT.print(
            f"real-time factor {figures['real_time_factor']:.4f}, "
            f"{figures['overruns']:.0f} overruns in {figures['cycles']:.0f} cycles"
        )
        write_json(self.json, figures)
        return 0

    def _path(self) -> "TargetPath | None":
        from legged_skills.tasks.target_paths import displacements, path

        if self.path == "stay":
            return None
        one = np.ones(1)
        way = path(self.path, self.speed, 0.0 * one, one)
        moved, until = np.zeros(2), 0.0

        def target(time_s: float) -> np.ndarray:
            nonlocal moved, until
            if time_s < until:
                # The path has begun anew.
                moved, until = np.zeros(2), 0.0
            while until < time_s - 1e-9:
                step_s = min(0.02, time_s - until)
                moved = moved + displacements(way, until * one, step_s)[0]
                until += step_s
            return moved

        return target
