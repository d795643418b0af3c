"""The command line: every stage of the pipeline as a command.

Each command imports what it needs when it runs, so that ``--help`` is quick and a robot's computer
need not have what only training uses.
"""

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import OmitArgPrefixes, OmitSubcommandPrefixes, arg, subcommand
from tyro.extras import subcommand_cli_from_dict

from legged_skills.mocap.commands import Clips, Mocap, Retarget
from legged_skills.robots.console import OUT, STDOUT, known, table, write_bytes, write_json
from legged_skills.robots.errors import LeggedSkillsError
from legged_skills.sim2real.commands import Identify
from legged_skills.tasks.commands import Benchmark, Export, Validate, load_clips, load_policy

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, kw_only=True)
class _Figures:
    """What commands have in common that give figures of a robot."""

    robot: str = "anymal_c"
    """The robot."""
    json: Path | None = None
    """Write the figures to this file too; "-" or nothing is standard output."""


@dataclass(frozen=True, kw_only=True)
class EvaluateSkills(_Figures):
    """Play every clip from its start through a skill module, and measure how well it follows."""

    policy: Path | None = None
    """Skill module; by default the one that comes with the package."""
    clips: Path | None = None
    """Folder of clips; by default those that come with the package."""
    gap: str = "none"
    """What is between policy and physics: none, full, or a file of settings."""
    seed: int = 0
    """Of what the gap draws."""
    plot: Path | None = None
    """Draw the figures into this PNG file."""

    def run(self) -> int:
        """Prints a table of the clips."""
        from legged_skills import robots
        from legged_skills.sim2real.gap import load_gap
        from legged_skills.skill_module import evaluate
        from legged_skills.skill_module.module_file import SkillModule

        spec = robots.get(self.robot)
        path = self.policy or evaluate.shipped_module(self.robot)
        module = SkillModule.load(path, robot=self.robot)
        clips = load_clips(self.clips, self.robot)
        gap = load_gap(self.gap, self.robot)
        tracks = evaluate.track_clips(spec, module, clips, gap=gap, seed=self.seed)
        figures = evaluate.summarize(tracks)
        table(
            ["clip", "frames", "tracked", "joint error rad", "base error m"],
            [
                [
                    clip["name"],
                    str(clip["frames"]),
                    f"{clip['tracked_share']:.1%}",
                    known(clip["joint_error_rad"], ".3f"),
                    known(clip["root_error_m"], ".3f"),
                ]
                for clip in figures["clips"]
            ],
        )
        OUT.print(
            f"tracked {figures['tracked_share']:.1%} of all frames, "
            f"mean joint error {figures['joint_error_rad']:.3f} rad"
        )
        write_json(self.json, figures)
        if self.plot is not None:
            from legged_skills.tasks import plots

            write_bytes(self.plot, plots.clip_scores(figures["clips"]))
        return 0


@dataclass(frozen=True, kw_only=True)
class EvaluateWalk(_Figures):
    """Give a walking policy many random commands, and measure how well it obeys."""

    policy: Path | None = None
    """Walking policy; by default the one that comes with the package."""
    episodes: int = 200
    """Episodes of 20 s, with a new command every 4 s."""
    seed: int = 12345
    """Of the commands, and of what the gap draws."""
    gap: str = "none"
    """What is between policy and physics: none, full, or a file of settings."""
    plot: Path | None = None
    """Draw commanded against achieved velocity into this PNG file."""

    def run(self) -> int:
        """Prints the figures."""
        from legged_skills import robots
        from legged_skills.sim2real.gap import load_gap
        from legged_skills.tasks import evaluate_walk

        spec = robots.get(self.robot)
        policy = load_policy(self.robot, "walk", self.policy)
        config = evaluate_walk.WalkEvaluationConfig(episodes=self.episodes, seed=self.seed)
        gap = load_gap(self.gap, self.robot)
        figures = evaluate_walk.evaluate_walk(spec, policy, config, gap=gap)
        OUT.print(
            f"{figures['episodes']} episodes, {len(figures['commands'])} commands carried out: "
            f"velocity error {figures['velocity_error_mps']:.3f} m/s, "
            f"turning error {figures['yaw_error_radps']:.3f} rad/s, "
            f"falls {figures['fall_rate']:.1%}"
        )
        write_json(self.json, figures)
        if self.plot is not None:
            from legged_skills.tasks import plots

            arrays = evaluate_walk.command_arrays(figures)
            write_bytes(self.plot, plots.command_scatter(*arrays))
        return 0


@dataclass(frozen=True, kw_only=True)
class Play:
    """Watch a clip, a skill module following it, or a walking policy; in a window or as a video."""

    robot: str = "anymal_c"
    """The robot."""
    clip: Path | None = None
    """Show this clip; without it, the walking policy walks."""
    track: bool = False
    """Let the skill module follow the clip, instead of showing the clip itself."""
    skills: Path | None = None
    """Skill module; by default the one that comes with the package."""
    policy: Path | None = None
    """Walking policy; by default the one that comes with the package."""
    command: tuple[float, float, float] = (0.6, 0.0, 0.0)
    """Forward and left velocity [m/s] and turning rate [rad/s] for the walking policy."""
    seconds: float = 10.0
    """Show this much, or the clip if it is shorter [s]."""
    video: Path | None = None
    """Write an mp4 file instead of opening a window."""
    picture: Path | None = None
    """Write one PNG picture of the robot along its way instead of opening a window."""
    backend: Literal["auto", "gl", "raycast"] = "auto"
    """How pictures are made; "auto" takes OpenGL where hardware speeds it up."""

    def run(self) -> int:
        """Plays."""
        from legged_skills.tasks.play import PlayConfig, play

        config = {name: getattr(self, name) for name in PlayConfig.__dataclass_fields__}
        for path in play(PlayConfig(**config)):
            OUT.print(f"wrote {path}")
        return 0


@dataclass(frozen=True, kw_only=True)
class Demo(_Figures):
    """Track a clip and walk a course, with what comes with the package; writes video and report."""

    out: Path = Path("demo")
    """Folder for the video and the report."""
    backend: Literal["auto", "gl", "raycast"] = "auto"
    """How pictures are made; "auto" takes OpenGL where hardware speeds it up."""

    def run(self) -> int:
        """Runs the demo, and ends by naming what it wrote."""
        from legged_skills.tasks.demo import run_demo

        result = run_demo(self.robot, self.out, backend=self.backend)
        OUT.print(f"video:  {result.video}\nreport: {result.report}")
        write_json(self.json, result.figures)
        return 0


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Say what this machine has, and what each missing thing costs."""

    json: Path | None = None
    """Write the findings to this file too."""

    def run(self) -> int:
        """Prints a table."""
        from legged_skills.robots.doctor import examine

        findings = examine()
        table(
            ["", "found", "what it costs that it is missing"],
            [[f.name, f.found or "-", f.cost] for f in findings],
        )
        write_json(self.json, {"findings": [asdict(f) for f in findings]})
        return 0


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure a skill module or a task policy."""

    command: (
        Annotated[EvaluateSkills, subcommand("skills")]
        | Annotated[EvaluateWalk, subcommand("walk")]
    )


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a skill module from clips, or a task policy on a skill module."""


def _train_command() -> type:
    """The command "train" with all settings of the trainings as options."""
    from legged_skills import robots
    from legged_skills.skill_module.evaluate import shipped_module
    from legged_skills.skill_module.module_file import SkillModule
    from legged_skills.skill_module.train import SkillTrainingConfig, train_skills
    from legged_skills.skill_module.training import Result
    from legged_skills.tasks.train_walk import WalkTrainingConfig, train_walk

    def report(result: Result, path: Path) -> int:
        state = "finished" if result.finished else "stopped; the same command goes on"
        done = f"{result.steps:,} steps in {result.seconds / 60:.1f} min"
        OUT.print(f"{state}: {done}, wrote {path}")
        return 0

    @dataclass(frozen=True, kw_only=True)
    class TrainSkills:
        """Train a skill module by imitating clips; goes on from a checkpoint in the out folder."""

        out: Path
        """Folder of the run: skills.npz, checkpoint, logs."""
        robot: str = "anymal_c"
        """The robot."""
        clips: Path | None = None
        """Folder of clips; by default those that come with the package."""
        start: Path | None = None
        """Skill module to begin with, instead of at random; "shipped" is the package's own."""
        config: Annotated[SkillTrainingConfig, arg(name="")] = field(
            default_factory=SkillTrainingConfig
        )
        """All settings."""

        def run(self) -> int:
            """Trains."""
            spec = robots.get(self.robot)
            clips = load_clips(self.clips, self.robot)
            path = shipped_module(self.robot) if str(self.start) == "shipped" else self.start
            start = None if path is None else SkillModule.load(path, robot=self.robot)
            result = train_skills(spec, clips, self.config, self.out, start)
            return report(result, self.out / "skills.npz")

    @dataclass(frozen=True, kw_only=True)
    class TrainWalk:
        """Train a walk on a frozen skill module; goes on from a checkpoint in the out folder."""

        out: Path
        """Folder of the run: walk.npz, checkpoint, logs."""
        robot: str = "anymal_c"
        """The robot."""
        skills: Path | None = None
        """Skill module; by default the one that comes with the package."""
        start: Path | None = None
        """Walking policy on the same skill module to begin with, instead of at random."""
        config: Annotated[WalkTrainingConfig, arg(name="")] = field(
            default_factory=WalkTrainingConfig
        )
        """All settings."""

        def run(self) -> int:
            """Trains."""
            spec = robots.get(self.robot)
            path = self.skills or shipped_module(self.robot)
            module = SkillModule.load(path, robot=self.robot)
            start = None
            if self.start is not None:
                start = load_policy(self.robot, "walk", self.start)
            result = train_walk(spec, module, self.config, self.out, start)
            return report(result, self.out / "walk.npz")

    @dataclass(frozen=True, kw_only=True)
    class FullTrain:
        """Train a skill module from clips, or a task policy on a skill module."""

        command: (
            Annotated[TrainSkills, subcommand("skills")] | Annotated[TrainWalk, subcommand("walk")]
        )

    return FullTrain


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command and exits: 0 done, 1 a check failed, 2 something given cannot be used."""
    arguments = _json_to_stdout(list(sys.argv[1:] if arguments is None else arguments))
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    # On a machine without an accelerator JAX would look for one first, and say so.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    try:
        # What training can be told is known only once JAX is imported, which takes a while.
        training = arguments[:1] == ["train"]
        chosen = subcommand_cli_from_dict(
            {
                "retarget": Retarget,
                "clips": Clips,
                "mocap": Mocap,
                "train": _train_command() if training else Train,
                "evaluate": Evaluate,
                "export": Export,
                "validate": Validate,
                "identify": Identify,
                "benchmark": Benchmark,
                "play": Play,
                "demo": Demo,
                "doctor": Doctor,
            },
            prog="legged-skills",
            description=(
                "Motion capture in, a policy on a robot out. The way through: retarget, "
                "clips check, train skills, train walk, evaluate walk; demo shows it all."
            ),
            args=arguments,
            # The settings of a training have prefixes: two groups of them share some names.
            config=(OmitSubcommandPrefixes,)
            if training
            else (OmitSubcommandPrefixes, OmitArgPrefixes),
        )
        while hasattr(chosen, "command") and not hasattr(chosen, "run"):
            chosen = chosen.command
        OUT.json_on_stdout = getattr(chosen, "json", None) == STDOUT
        sys.exit(chosen.run())
    except LeggedSkillsError as error:
        sys.exit(_fail(str(error)))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(_fail(f"{where}{error.strerror or error}."))
    except KeyboardInterrupt:
        sys.exit(130)


def _json_to_stdout(arguments: list[str]) -> list[str]:
    """Lets ``--json`` stand without a file: the figures then go to standard output."""
    out = []
    for i, argument in enumerate(arguments):
        out.append(argument)
        following = arguments[i + 1] if i + 1 < len(arguments) else "--"
        if argument == "--json" and following.startswith("-") and following != str(STDOUT):
            out.append(str(STDOUT))
    return out


def _fail(message: str) -> int:
    print(f"legged-skills: {message}", file=sys.stderr)
    return 2
