"""The commands that evaluate skill modules and walking policies; ``cli.py`` puts all together.

Each imports what it needs when it runs, so that ``--help`` is quick.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

from legged_skills.robots.console import OUT, known, table, write_bytes, write_json
from legged_skills.tasks.commands import load_clips, load_policy, load_walking


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What commands have in common that give figures of a robot."""

    robot: str = "anymal_c"
    """The robot."""
    json: Path | None = None
    """Write the figures to this file too; "-" or nothing is standard output."""


@dataclass(frozen=True, kw_only=True)
class EvaluateSkills(Figures):
    """Measure how well a skill module follows clips, seen and held out, and moves by itself."""

    skills: Annotated[Path | None, arg(aliases=("--policy",))] = None
    """Skill module; by default the one that comes with the package."""
    clips: Path | None = None
    """Folder of clips; by default those that come with the package, where held-out ones are counted
    by themselves."""
    gap: str = "none"
    """What is between policy and physics: none, full, or a file of settings."""
    plays: int | None = None
    """Plays of each clip, each with its own draw of the gap; by default 10, without a gap 1."""
    prior_robots: int = 200
    """Robots that move for 10 s by latents from the prior alone."""
    seed: int = 0
    """Of what the gap and the prior draw."""
    out: Path | None = None
    """Folder for plots, films (the prior alone; from one clip to another) and a report."""
    plot: Path | None = None
    """Draw the figures of the clips into this PNG file."""

    def run(self) -> int:
        """Prints a table of the clips."""
        from legged_skills import robots
        from legged_skills.mocap.library import split_clips
        from legged_skills.sim2real.gap import load_gap
        from legged_skills.skill_module import diagnose, evaluate
        from legged_skills.skill_module.latent_walk import LatentWalkConfig
        from legged_skills.skill_module.module_file import SkillModule
        from legged_skills.skill_module.prior_rollouts import PriorConfig

        spec = robots.get(self.robot)
        config = diagnose.SkillEvaluationConfig(
            plays=self.plays,
            prior=PriorConfig(robots=self.prior_robots, seed=self.seed),
            latent_walk=None if self.out is None else LatentWalkConfig(),
            seed=self.seed,
        )
        gap = load_gap(self.gap, self.robot)
        path = self.skills or evaluate.shipped_module(self.robot)
        module = SkillModule.load(path, robot=self.robot)
        every = load_clips(self.clips, self.robot)
        clips, held_out = split_clips(every) if self.clips is None else (every, [])
        done = diagnose.evaluate_skills(spec, module, clips, held_out, config, gap=gap)
        _print_skills(done.figures)
        if self.out is not None:
            from legged_skills.tasks.skill_report import write_skill_report

            OUT.print(f"report: {write_skill_report(self.out, spec, done)}")
        write_json(self.json, done.figures)
        if self.plot is not None:
            from legged_skills.tasks import skill_plots

            others = (done.figures["held_out"] or {}).get("clips", ())
            write_bytes(self.plot, skill_plots.clip_tracking(done.figures["clips"], others))
        return 0


@dataclass(frozen=True, kw_only=True)
class EvaluateWalk(Figures):
    """Measure how well a walking policy obeys, holds commands, stands, and looks like its clips."""

    policy: Path | None = None
    """Walking policy; by default the one that comes with the package."""
    clips: Path | None = None
    """Folder of clips whose walks it is compared with; by default those that come with the
    package."""
    episodes: int = 200
    """Episodes of 20 s, with a new random command every 4 s, out of what the policy was trained
    for."""
    held_episodes: int = 200
    """Episodes of 8 s of each single command that is held; without a gap there is one."""
    seed: int = 12345
    """Of the commands, and of what the gap draws."""
    touches_itself: bool = False
    """Let parts of the robot meet, as those of real ones do; in training they do not."""
    gap: str = "none"
    """What is between policy and physics: none, full, or a file of settings."""
    plot: Path | None = None
    """Draw commanded against achieved velocity into this PNG file."""

    def run(self) -> int:
        """Prints the figures."""
        from legged_skills import robots
        from legged_skills.sim2real.gap import load_gap
        from legged_skills.tasks import assess_walk, evaluate_walk

        spec = robots.get(self.robot)
        policy = load_policy(self.robot, "walk", self.policy)
        config = evaluate_walk.WalkEvaluationConfig(
            episodes=self.episodes,
            held_episodes=self.held_episodes,
            seed=self.seed,
            touches_itself=self.touches_itself,
        )
        config = assess_walk.as_trained(config, policy)
        gap = load_gap(self.gap, self.robot)
        walking = load_walking(self.clips, spec)
        figures = assess_walk.assess_walk(spec, policy, config, walking, gap=gap)
        _print_walk(figures)
        write_json(self.json, figures)
        if self.plot is not None:
            from legged_skills.tasks import plots

            arrays = evaluate_walk.command_arrays(figures)
            write_bytes(self.plot, plots.command_scatter(*arrays))
        return 0


def _print_skills(figures: Mapping[str, Any]) -> None:
    """A table of the clips, and a sentence each of them together and of the prior."""
    held_out = figures["held_out"]
    parts = [("", figures), *([("held out", held_out)] if held_out else [])]
    table(
        ["clip", "frames", "tracked", "strictly", "joint error rad", "base error m", ""],
        [
            [
                clip["name"],
                str(clip["frames"]),
                f"{clip['tracked_share']:.1%}",
                f"{clip['strictly_tracked_share']:.1%}",
                known(clip["joint_error_rad"], ".3f"),
                known(clip["root_error_m"], ".3f"),
                note,
            ]
            for note, part in parts
            for clip in part["clips"]
        ],
    )
    for note, part in parts:
        OUT.print(
            f"{note + ': ' if note else ''}tracked {part['tracked_share']:.1%} of all frames, "
            f"strictly {part['strictly_tracked_share']:.1%}, "
            f"mean joint error {known(part['joint_error_rad'], '.3f')} rad, "
            f"plays of each clip: {part['plays']}"
        )
    if held_out and held_out["seen"]:
        OUT.print("the module was trained on the recordings of held-out clips")
    prior = figures["prior"]
    low, high = prior["fall_rate_ci95"]
    OUT.print(
        f"prior alone, {prior['robots']} robots for {prior['seconds']:.0f} s: falls "
        f"{prior['fall_rate']:.1%} ({low:.1%} to {high:.1%}), median speed "
        f"{known(prior['median_speed_mps'], '.2f')} m/s (clips {figures['clips_speed_mps']:.2f}); "
        f"divergence from the prior {known(figures['kl'], '.2f')} nat a step"
    )


def _print_walk(figures: Mapping[str, Any]) -> None:
    """A table of the held commands, and sentences about everything else."""
    OUT.print(
        f"{figures['episodes']} episodes, {len(figures['commands'])} commands carried out: "
        f"velocity error {figures['velocity_error_mps']:.3f} m/s, "
        f"turning error {figures['yaw_error_radps']:.3f} rad/s, "
        f"falls {figures['fall_rate']:.1%}"
    )
    names = ("vx_mps", "vy_mps", "yaw_radps")
    table(
        ["held: forward", "left m/s", "turn rad/s", "reached", "", "", "falls"],
        [
            [
                *(f"{row[name]:+.2f}" for name in names),
                *(known(row[f"reached_{name}"], "+.3f") for name in names),
                f"{row['falls']} of {row['episodes']}",
            ]
            for row in figures["held_commands"]
        ],
    )
    standing, natural = figures["standing"], figures["naturalness"]
    drift, stood_s = standing["drift_m"], standing["to_s"] - standing["from_s"]
    OUT.print(
        f"worst mean error {known(figures['worst_velocity_error_mps'], '.3f')} m/s, "
        f"{known(figures['worst_yaw_error_radps'], '.3f')} rad/s; standing drifts by "
        f"{known(drift['mean'], '.3f')} m in {stood_s:.0f} s (95th percentile "
        f"{known(drift['p95'], '.3f')}), feet move at {known(standing['feet_mps'], '.3f')} m/s"
    )
    if "nearest_pose_rad" in natural:
        OUT.print(
            f"nearest pose of the walking clips {known(natural['nearest_pose_rad'], '.3f')} rad "
            f"away; base {known(natural['height_m'], '.3f')} m high, in the clips' range "
            f"{known(natural['height_in_range'], '.1%')} of the time"
        )
    OUT.print(
        f"parts of the robot are in each other by more than 5 mm for "
        f"{known(natural['overlap_share'], '.1%')} of the time, by "
        f"{known(1e3 * natural['overlap_m'], '.0f')} mm at most"
    )
