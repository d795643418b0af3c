"""The commands ``deploy`` and ``teleop``; ``legged_skills/cli.py`` puts all commands together."""

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from legged_skills.robots.console import OUT, STDOUT, known, write_bytes, write_json
from legged_skills.robots.errors import FileFormatError, SettingsError, require_seed

if TYPE_CHECKING:
    from legged_skills.sim2real.bundle import Bundle

_PACE = 0.4
"""Where no command is given, a twin is given this share of the greatest forward speed."""


@dataclass(frozen=True, kw_only=True)
class Deploy:
    """Bring a robot or its twin into motion, let a policy act for a while, and bring it to rest.

    The bridge, and with --twin the robot, are processes of their own. With --twin only this
    computer hears them, in a domain of their own. A real robot moves only after Enter was pressed.
    Ctrl-C stops softly. Ends with 1 if the twin fell, without --recover, the policy did not act
    for all the time, or a fault ended it.
    """

    robot: Literal["op3", "anymal_c"] = "anymal_c"
    """The robot."""
    task: Literal["walk", "dribble"] = "walk"
    """What the policy does."""
    bundle: Path | None = None
    """Policy bundle (.onnx); by default the policy that comes with the package is exported."""
    recover: bool = False
    """Let the policy get up by itself when it has fallen, instead of a fault at ``tilt_limit_deg``;
    of a bundle that is given, it must be a part (``export --recover``)."""
    twin: bool = False
    """With a digital twin instead of a robot."""
    duration: float = 20.0
    """The policy acts for so long [s]."""
    script: str | None = None
    """The command for walking, "vx vy yaw" [m/s, m/s, rad/s]; by default the robot stands, "0 0 0",
    and with --twin it goes ahead at 0.4 of the greatest speed."""
    gap: str = "full"
    """With --twin: between simulation and robot: none, full, or a file of settings."""
    seed: int = 0
    """With --twin: of the robot that is drawn from the gap, and of all noise."""
    path: Literal["stay", "straight", "slalom", "square", "jumps"] = "slalom"
    """With --twin: how the ball's target moves."""
    params: Path | None = None
    """ROS parameter file of the bridge, such as launch/params/op3.yaml with a site's own values."""
    dry_run: bool = False
    """Do everything but publish joint targets; velocities are commanded on /cmd_vel."""
    domain: int | None = None
    """ROS_DOMAIN_ID; with --twin one that nobody uses, otherwise that of the environment."""
    out: Path | None = None
    """Folder for bundle, log and what the processes print; deployments/DATE-ROBOT-TASK if None."""
    json: Path | None = None
    """Write the figures to this file too; "-" or nothing is standard output."""

    def run(self) -> int:
        """Deploys, and prints figures."""
        from legged_skills.sim2real.ball_gap import BALL_GAPS
        from legged_skills.sim2real.deploy.states import State
        from legged_skills.sim2real.gap import GAPS, load_gap
        from legged_skills.sim2real.ros.environment import free_domain, require_rclpy, settle

        require_seed(self)
        for name in ("gap", "seed", "path"):
            if not self.twin and getattr(self, name) != getattr(Deploy, name):
                raise SettingsError(f"{name} is given, which is for --twin.")
        require_rclpy()
        script = _numbers(self.script)
        if script is not None and self.task != "walk":
            raise SettingsError(f"script is for walking, and task is {self.task}.")
        stamp = time.strftime(f"%Y%m%d-%H%M%S-{self.robot}-{self.task}")
        out = (self.out or Path("deployments") / stamp).resolve()
        if out.exists() and any(out.iterdir()):
            raise SettingsError(f"the folder {out} is not empty, expected a new one.")
        if self.twin:
            load_gap(self.gap, self.robot, BALL_GAPS if self.task == "dribble" else GAPS)
        bundle, data = self._bundle()
        own = free_domain() if self.twin and self.domain is None else self.domain
        settle(own, localhost=self.twin)
        from legged_skills.sim2real.ros.deploy import DeployRun, deploy

        run = DeployRun(
            bundle=bundle,
            bundle_file=out / "bundle.onnx",
            out=out,
            twin=self._twin() if self.twin else None,
            seconds=self.duration,
            command=script or self._command(bundle),
            params=None if self.params is None else self._parameters(self.params),
            near_m=self._ball()[1],
            dry_run=self.dry_run,
            attended=not self.twin,
            recover=self.recover,
        )
        # A copy of the policy, where ``replay`` finds it; of a run that is refused nothing is left.
        write_bytes(run.bundle_file, data)
        figures = deploy(run, OUT.print)
        if self.json != STDOUT:
            write_json(self.json, figures)
        # The terminal may be gone by now.
        with contextlib.suppress(OSError):
            _print(figures)
            OUT.print(f"log and output: {out}")
            if self.json == STDOUT:
                write_json(self.json, figures)
        # Last, as it takes a while, in which somebody may press Ctrl-C once more.
        unwritten = self._bag(out)
        if unwritten:
            with contextlib.suppress(OSError):
                OUT.print(f"no bag was written: {unwritten}")
        if figures["interrupted"]:
            return 130
        whole = figures["seconds"] >= self.duration - min(0.1, 0.5 * self.duration)
        fault = figures["state_history"][-1]["state"] == State.FAULT.value
        return 0 if whole and not fault and (self.recover or not figures["falls"]) else 1

    def _bag(self, out: Path) -> str:
        """Writes the log once more as a bag; why not, if that is not possible."""
        from legged_skills.sim2real.deploy.bag import bag_possible, write_bag

        if not bag_possible():
            return "rosbags is missing, which legged_skills[ros] brings."
        try:
            write_bag(out / "log", out / "bag")
        except FileFormatError as error:
            return str(error)
        return ""

    def _bundle(self) -> tuple["Bundle", bytes]:
        """The policy's bundle, and its file's content."""
        from legged_skills.sim2real.bundle import Bundle, read_bytes

        data = self._exported() if self.bundle is None else read_bytes(self.bundle)
        bundle = Bundle.from_bytes(data, str(self.bundle or "the policy"), self.robot, self.task)
        # Without a fault for tilt, nothing would stop what cannot get up.
        if self.recover and "getup" not in bundle.header.training:
            raise SettingsError(
                f"{self.bundle}: its policy does not get up, expected one of export --recover."
            )
        return bundle, data

    def _command(self, bundle: "Bundle") -> tuple[float, ...] | None:
        """What a policy is commanded without a script: a real robot walks only if it is told to."""
        if self.task != "walk":
            return None
        forward = _PACE * bundle.header.command[0].high if self.twin else 0.0
        return forward, 0.0, 0.0

    def _exported(self) -> bytes:
        """The bundle of the policy that comes with the package."""
        from legged_skills.tasks.commands import load_policy, recovering, timing
        from legged_skills.tasks.export import Exported, export_bytes

        policy: Exported = load_policy(self.robot, self.task)
        if self.recover:
            policy = recovering(policy)
        return export_bytes(policy, timing(self.robot))

    def _parameters(self, path: Path) -> Path:
        """The parameter file, in which nothing undoes what this command was told."""
        from legged_skills.sim2real.deploy.config import ANY_TILT_DEG
        from legged_skills.sim2real.ros.parameter_files import LAUNCHED
        from legged_skills.sim2real.ros.topics import CMD_VEL

        if not path.is_file():
            raise FileFormatError(f"{path}: there is no such parameter file.")
        wanted: dict[str, Any] = {"robot": self.robot}
        if self.task == "walk":
            wanted |= {"cmd_vel_topic": CMD_VEL, "cmd_vel_stamped": True}
        if self.recover:
            wanted["tilt_limit_deg"] = ANY_TILT_DEG
        for name, value in _values(path):
            if name in LAUNCHED:
                raise SettingsError(
                    f"{path}: {name} is for deploy to say, expected it to be left out."
                )
            if name in wanted and value != wanted[name]:
                raise SettingsError(
                    f"{path}: {name} is {value}, expected {wanted[name]}, as deploy needs it."
                )
        return path.resolve()

    def _ball(self) -> tuple[float, float]:
        """Speed of the target [m/s], and what is near it [m], as in the evaluation."""
        if self.task != "dribble":
            return 0.0, 1.0
        from legged_skills.tasks.evaluate_dribble import TESTS

        return TESTS[self.robot].target_speed_mps, TESTS[self.robot].near_m

    def _twin(self) -> tuple[str, ...]:
        words = ["--robot", self.robot, "--seed", str(self.seed), "--gap", self.gap]
        if self.task == "dribble":
            words += ["--ball", "--path", self.path, "--speed", f"{self._ball()[0]:g}"]
        return tuple(words)


def _values(path: Path) -> list[tuple[str, Any]]:
    """All parameters of all nodes in a ROS parameter file, by name; a name may come again."""
    import yaml

    found: list[tuple[str, Any]] = []

    def look(node: Any) -> None:
        for name, inside in node.items() if isinstance(node, dict) else ():
            if name == "ros__parameters" and isinstance(inside, dict):
                found.extend(inside.items())
            else:
                look(inside)

    # What cannot be read, the bridge says what it makes of it.
    with contextlib.suppress(yaml.YAMLError, ValueError, RecursionError):
        look(yaml.safe_load(path.read_text(encoding="utf-8")))
    return found


def _numbers(script: str | None) -> tuple[float, ...] | None:
    """The three numbers of a script."""
    if script is None:
        return None
    try:
        values = tuple(float(word) for word in script.split())
    except ValueError:
        values = ()
    if len(values) != 3:
        raise SettingsError(f'script is {script!r}, expected three numbers, "vx vy yaw".')
    return values


def _print(figures: dict[str, Any]) -> None:
    for entry in figures["state_history"]:
        notice = f"  ({entry['notice']})" if entry["notice"] else ""
        OUT.print(f"{entry['time_s']:8.2f} s  {entry['state']}{notice}")
    parts = [f"the policy acted for {figures['seconds']:.1f} s"]
    if figures["falls"] is not None:
        parts.append(f"{figures['falls']} falls")
    if "velocity_error_mps" in figures:
        parts.append(f"velocity error {known(figures['velocity_error_mps'], '.3f')} m/s")
    if "time_near_target" in figures:
        parts.append(f"near the target {known(figures['time_near_target'], '.2f')} of the time")
    OUT.print(", ".join(parts))
    OUT.print(
        f"period error p99 {known(figures['period_error_p99_ms'], '.2f')} ms, "
        f"{known(figures['missed_deadlines'], '.0f')} missed deadlines, "
        f"sensor to command p99 {known(figures['sensor_to_command_p99_ms'], '.2f')} ms"
    )


@dataclass(frozen=True, kw_only=True)
class Teleop:
    """Drive a robot, or its twin, with the keyboard, and see the bridge's state live."""

    domain: int | None = None
    """ROS_DOMAIN_ID, if not that of the environment."""
    network: bool = False
    """Reach a bridge on another computer; by default only one on this one."""
    max_speed: tuple[float, float, float] = (0.6, 0.2, 0.6)
    """Greatest forward and sideways speed [m/s] and turning rate [rad/s]; the bridge limits them to
    what the policy was trained for."""

    def run(self) -> int:
        """Drives until Q is pressed."""
        from legged_skills.sim2real.ros.environment import require_rclpy, settle

        require_rclpy()
        settle(self.domain, localhost=not self.network)
        from legged_skills.sim2real.ros.teleop import teleop

        teleop(self.max_speed)
        return 0
