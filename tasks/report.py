"""The report of the demo: one web page with the film, plots and figures."""

import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from legged_skills.mocap.clip import RobotClip
from legged_skills.robots import webpage
from legged_skills.robots.files import write_text
from legged_skills.robots.spec import RobotSpec
from legged_skills.skill_module.deviation import MAX_DEVIATION
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.tasks.film import AVERAGE_S, short_name
from legged_skills.tasks.policy_file import TaskPolicy


@dataclass(frozen=True, kw_only=True)
class DemoReport:
    """All that the report of a demo is made from."""

    spec: RobotSpec
    """The robot."""
    module: SkillModule
    """What tracked the clips."""
    policy: TaskPolicy
    """What walked."""
    clips: Sequence[RobotClip]
    """What was tracked."""
    figures: Mapping[str, Any]
    """As in ``DemoResult.figures``."""
    plots: Mapping[str, bytes]
    """PNG pictures: "joints", "base", "clips", "course", "commands"."""
    video: Path
    """The film; the report belongs into the same folder."""

    def write(self, path: str | Path) -> None:
        """Writes the page, atomically.

        Raises:
            FileFormatError: it cannot be written.
        """
        body = [
            *self._introduction(),
            *self._tracking(),
            *self._walking(),
            *self._more(),
            *self._models(),
            *self._machine(),
        ]
        write_text(path, webpage.page(f"legged_skills: {self.spec.name} in motion", body))

    def _introduction(self) -> list[str]:
        tracking, walking = self.figures["tracking"], self.figures["walking"]
        return [
            webpage.paragraph(
                f"This page shows a simulated {self.spec.name} that moves by skills learnt from "
                "motion capture. A skill module follows clips that were retargeted to "
                "the robot, and a walking policy, which acts only through the frozen decoder of a "
                "skill module, carries out velocity commands. Film, plots and figures were "
                f"computed on this machine in {self.figures['seconds']['all']:.0f} s, without "
                "chance: the same files give the same figures."
            ),
            webpage.numbers(
                [
                    (f"{100.0 * tracking['tracked_share']:.1f} %", "of all clips followed"),
                    (f"{number(tracking['joint_error_rad'], 3)} rad", "mean joint error"),
                    (f"{number(walking['velocity_error_mps'], 3)} m/s", "mean velocity error"),
                    (f"{number(walking['yaw_error_radps'], 3)} rad/s", "mean turning error"),
                    (f"{100.0 * walking['fall_rate']:.1f} %", "of walks ended by a fall"),
                ]
            ),
            webpage.heading("Film"),
            webpage.video(
                self.video,
                "First the clip, as a blue translucent robot, and the robot that follows it. Then "
                "a course of commands: blue arrows show the commanded, orange the achieved "
                "velocity, arcs the turning rate. Where the package has weights for them, "
                "dribbling and getting up follow.",
            ),
        ]

    def _tracking(self) -> list[str]:
        tracking, part = self.figures["tracking"], self.figures["film"]["clip"]
        frames = sum(clip["frames"] for clip in tracking["clips"])
        rows = [self._clip_row(short_name(clip["name"]), clip) for clip in tracking["clips"]]
        rows.append(self._clip_row("all", {**tracking, "frames": frames}))
        where = f"{part['name']}, {part['start_s']:.1f} s to {part['end_s']:.1f} s"
        return [
            webpage.heading("Tracking clips"),
            webpage.paragraph(
                "Every clip is played from its start, without noise or chance. It is followed "
                "until the mean error of body positions and joint angles is more than "
                f"{MAX_DEVIATION} (m and rad, half each), or the robot has fallen."
            ),
            webpage.table(
                ("clip", "length [s]", "followed [%]", "joint error [rad]", "base error [m]"),
                rows,
                total=True,
            ),
            webpage.picture(
                self.plots["clips"], "How much of each clip was followed, and how well."
            ),
            webpage.heading("The part in the film", 3),
            webpage.picture(
                self.plots["joints"],
                f"Joint angles in {where}: clip and robot. In brackets the usable range [rad]; "
                "what is beyond it is grey.",
            ),
            webpage.picture(self.plots["base"], f"The base in {where}: clip and robot."),
        ]

    def _clip_row(self, name: str, clip: Mapping[str, Any]) -> tuple[str, ...]:
        return (
            name,
            f"{clip['frames'] * self.spec.control_period_s:.1f}",
            f"{100.0 * clip['tracked_share']:.1f}",
            number(clip["joint_error_rad"], 3),
            number(clip["root_error_m"], 3),
        )

    def _walking(self) -> list[str]:
        walking, course = self.figures["walking"], self.figures["course"]
        test = self.figures["walking_test"]
        rows = [
            (
                leg["name"],
                *(number(leg[name], 2, "+") for name in ("vx_mps", "vy_mps", "yaw_radps")),
                *(number(leg[f"achieved_{name}"], 2, "+") for name in ("vx_mps", "vy_mps")),
                number(leg["achieved_yaw_radps"], 2, "+"),
            )
            for leg in course["commands"]
        ]
        fall = f" The robot fell after {course['fell_at_s']:.1f} s." if course["fell"] else ""
        return [
            webpage.heading("Walking as commanded"),
            webpage.paragraph(
                f"The course of the film: each command is given for {course['command_s']:g} s, "
                f"and what is achieved is averaged over the last {course['average_s']:g} s of it."
                + fall
            ),
            webpage.table(
                (
                    "command",
                    "forward [m/s]",
                    "left [m/s]",
                    "turn [rad/s]",
                    "achieved forward [m/s]",
                    "achieved left [m/s]",
                    "achieved turn [rad/s]",
                ),
                rows,
            ),
            webpage.picture(
                self.plots["course"],
                "Commanded and achieved velocity over the course: thin at each instant, thick as "
                f"a mean over {AVERAGE_S} s.",
            ),
            webpage.paragraph(
                f"A test on random commands: {test['episodes']} walks of {test['episode_s']:g} s, "
                f"a new command every {test['command_s']:g} s. Averaged over the last "
                f"{test['average_s']:g} s of each command, the velocity is "
                f"{number(walking['velocity_error_mps'], 3)} m/s and the turning rate "
                f"{number(walking['yaw_error_radps'], 3)} rad/s off in the mean; "
                f"{100.0 * walking['fall_rate']:.1f} % of the walks ended in a fall."
            ),
            webpage.picture(
                self.plots["commands"], "Achieved against commanded velocity, a dot a command."
            ),
        ]

    def _more(self) -> list[str]:
        ball, getup = self.figures["dribbling"], self.figures["getup"]
        parts = []
        if ball is not None:
            parts += [
                webpage.heading("Dribbling"),
                webpage.paragraph(
                    f"One episode, nominal physics, way of the target: {ball['path']}. The ball is "
                    f"within {ball['near_m']:g} m of its target for "
                    f"{100.0 * ball['time_near_target']:.0f} % of the time."
                    + (" The robot fell." if ball["fell"] else "")
                ),
            ]
        if getup is not None:
            parts += [
                webpage.heading("Getting up"),
                webpage.paragraph(
                    f"Of {getup['episodes']} robots that were dropped to the floor in poses of any "
                    f"kind, {100.0 * getup['success_rate']:.0f} % stand within "
                    f"{getup['limit_s']:g} s, after {number(getup['time_s'], 1)} s (median)."
                ),
            ]
        return parts

    def _models(self) -> list[str]:
        spec, module, policy = self.spec, self.module, self.policy
        licences = sorted({str(clip.source.get("licence", "not stated")) for clip in self.clips})
        terms = ", ".join(f"{t.name} [{t.unit}] x {t.size}" for t in policy.contract.terms)
        return [
            webpage.heading("Robot and models"),
            webpage.pairs(
                [
                    ("robot", f"{spec.name}, {spec.num_joints} joints"),
                    (
                        "control",
                        f"{1.0 / spec.control_period_s:g} decisions/s, physics in steps of "
                        f"{1000.0 * spec.physics_step_s:g} ms",
                    ),
                    ("observed", f"{terms}; the last {policy.contract.history} of each"),
                    ("observation contract", policy.contract.hash),
                    ("skill module", _training(module.summary)),
                    (
                        "learnt from",
                        f"{len(module.clips)} clips"
                        + (" and their mirror images" if module.summary.get("mirrored") else ""),
                    ),
                    ("walking policy", _training(policy.summary)),
                    ("licence of the clips", " | ".join(licences)),
                    ("", "Weights learnt from the clips are under the licence of the clips."),
                ]
            ),
        ]

    def _machine(self) -> list[str]:
        seconds, film = self.figures["seconds"], self.figures["film"]
        versions = ", ".join(f"{n} {version}" for n, version in self.figures["versions"].items())
        return [
            webpage.heading("Machine"),
            webpage.pairs(
                [
                    ("processor", f"{_processor()}, {os.cpu_count()} threads"),
                    ("system", f"{platform.system()} {platform.machine()}"),
                    ("software", versions),
                    (
                        "film",
                        f"{film['frames']} frames of {film['width']} x {film['height']} pixels, "
                        f"rendered with {film['renderer']}",
                    ),
                    (
                        "time taken",
                        f"{seconds['tracking']:.0f} s for tracking, {seconds['walking']:.0f} s for "
                        f"walking, {seconds['tasks']:.0f} s for more, "
                        f"{seconds['film']:.0f} s for the film; "
                        f"{seconds['all']:.0f} s in all",
                    ),
                ]
            ),
        ]


def number(value: float, digits: int, sign: str = "") -> str:
    """A number, or a dash where there is none."""
    # Adding zero turns a rounded -0.0 into 0.0.
    return f"{round(value, digits) + 0.0:{sign}.{digits}f}" if math.isfinite(value) else "-"


def _training(summary: Mapping[str, Any]) -> str:
    """How something was trained, in one line."""
    text = (
        f"{summary['steps'] / 1e6:.1f} million control steps in "
        f"{summary['seconds'] / 60.0:.0f} min, seed {summary['seed']}"
    )
    versions = summary.get("versions", {})
    if versions:
        text += f"; legged_skills {versions['legged_skills']}, MuJoCo {versions['mujoco']}"
    return text + ("" if summary["finished"] else "; stopped early")


def _processor() -> str:
    """What the processor calls itself."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown processor"
