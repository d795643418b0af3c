"""The command line: every stage of the pipeline as a command.

Each command imports what it needs when it runs, so that ``--help`` is quick and a robot's computer
need not have what only training uses.
"""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import OmitArgPrefixes, OmitSubcommandPrefixes, arg, subcommand
from tyro.extras import subcommand_cli_from_dict

from legged_skills.mocap.commands import Clips, Mocap, Retarget
from legged_skills.robots.console import OUT, STDOUT, print_anything, table, write_json
from legged_skills.robots.errors import FileFormatError, LeggedSkillsError, require_ending
from legged_skills.robots.files import is_device
from legged_skills.sim2real.commands import Identify
from legged_skills.tasks.commands import Benchmark, Export, Validate, load_clips, load_policy
from legged_skills.tasks.compare_commands import Compare
from legged_skills.tasks.deploy_commands import Deploy, Teleop
from legged_skills.tasks.dribble_commands import EvaluateDribble
from legged_skills.tasks.evaluate_commands import EvaluateSkills, EvaluateWalk, Figures
from legged_skills.tasks.getup_commands import EvaluateGetup
from legged_skills.tasks.replay_commands import Replay
from legged_skills.tasks.twin_commands import RunTwin


@dataclass(frozen=True, kw_only=True)
class Play:
    """Watch a clip, a skill module following it, or a task policy; in a window or as a video."""

    robot: str = "anymal_c"
    """The robot."""
    clip: Path | None = None
    """Show this clip; without it, a task policy acts."""
    track: bool = False
    """Let the skill module follow the clip, instead of showing the clip itself."""
    skills: Path | None = None
    """Skill module; by default the one that comes with the package."""
    task: Literal["walk", "dribble", "getup"] = "walk"
    """What the task policy does."""
    policy: Path | None = None
    """Task policy; by default the one that comes with the package."""
    path: Literal["straight", "slalom", "square", "jumps"] | None = None
    """The way of the target for dribbling."""
    command: tuple[float, float, float] | None = None
    """Forward and left velocity [m/s] and turning rate [rad/s] for the walking policy; by default
    straight ahead at a pace that suits the robot."""
    seconds: float = 10.0
    """Show this much, or the clip if it is shorter [s]."""
    video: Path | None = None
    """Write an mp4 or gif file instead of opening a window."""
    picture: Path | None = None
    """Write one PNG picture of the robot along its way instead of opening a window."""
    backend: Literal["auto", "gl", "raycast", "sketch"] = "auto"
    """How pictures are made; "auto" takes OpenGL where hardware speeds it up."""

    def run(self) -> int:
        """Plays."""
        from legged_skills.tasks.play import PlayConfig, play

        config = {name: getattr(self, name) for name in PlayConfig.__dataclass_fields__}
        for path in play(PlayConfig(**config)):
            OUT.print(f"wrote {path}")
        return 0


@dataclass(frozen=True, kw_only=True)
class Demo(Figures):
    """Track a clip, walk a course, and more, with what comes with the package; video and report."""

    out: Path = Path("demo")
    """Folder for the video and the report."""
    backend: Literal["auto", "gl", "raycast", "sketch"] = "auto"
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
    """Write the findings to this file too; "-" or nothing is standard output."""

    def run(self) -> int:
        """Prints a table."""
        from legged_skills.robots.doctor import examine

        findings = examine()
        table(
            ["", "what it costs that it is missing", "found"],
            [[f.name, f.cost or "-", f.found or "-"] for f in findings],
        )
        write_json(self.json, {"findings": [asdict(f) for f in findings]})
        return 0


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure a skill module or a task policy."""

    command: (
        Annotated[EvaluateSkills, subcommand("skills")]
        | Annotated[EvaluateWalk, subcommand("walk")]
        | Annotated[EvaluateDribble, subcommand("dribble")]
        | Annotated[EvaluateGetup, subcommand("getup")]
    )


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a skill module from clips, or a task policy on a skill module."""


def _train_command(whose: str) -> type:
    """The command "train" with all settings of the trainings as options.

    Args:
        whose: the robot; the defaults are what its weights in the package were trained with.
    """
    from legged_skills import robots
    from legged_skills.mocap.library import split_clips
    from legged_skills.skill_module.evaluate import shipped_module
    from legged_skills.skill_module.module_file import SkillModule
    from legged_skills.skill_module.train import RECIPES as SKILL_RECIPES
    from legged_skills.skill_module.train import SkillTrainingConfig, train_skills
    from legged_skills.skill_module.training import Result
    from legged_skills.tasks.commander_file import load_any_policy
    from legged_skills.tasks.getup_file import GetupPolicy
    from legged_skills.tasks.train_dribble import DribbleTrainingConfig, train_dribble
    from legged_skills.tasks.train_getup import GetupTrainingConfig, train_getup
    from legged_skills.tasks.train_walk import RECIPES as WALK_RECIPES
    from legged_skills.tasks.train_walk import WalkTrainingConfig, train_walk

    def report(result: Result, path: Path) -> int:
        if result.finished:
            state = "finished"
        elif result.interrupted:
            state = "stopped; the same command goes on"
        else:
            state = "stopped by run.minutes; the same command with more of them goes on"
        # Of the last stage, as what comes first has steps of its own.
        done = f"{result.steps:,} steps in {result.seconds / 60:.1f} min"
        # What comes first, a tracker or learning from clips, may not be over yet.
        wrote = f"wrote {path}" if path.exists() else "of an earlier stage"
        OUT.print(f"{state}: {done}, {wrote}")
        return 0

    @dataclass(frozen=True, kw_only=True)
    class TrainSkills:
        """Train a skill module by imitating clips; goes on from a checkpoint in the out folder."""

        out: Path
        """Folder of the run: skills.npz, checkpoint, logs."""
        robot: str = "anymal_c"
        """The robot."""
        clips: Path | None = None
        """Folder of clips, all of which are trained on; by default those that come with the
        package, but for held-out ones."""
        all_clips: bool = False
        """Train on the held-out clips that come with the package too."""
        start: Path | None = None
        """Skill module to begin with, instead of at random; "shipped" is the package's own."""
        config: Annotated[SkillTrainingConfig, arg(name="")] = field(
            default_factory=partial(SKILL_RECIPES.get, whose, SkillTrainingConfig())
        )
        """All settings."""

        def run(self) -> int:
            """Trains."""
            spec = robots.get(self.robot)
            clips = load_clips(self.clips, self.robot)
            if self.clips is None and not self.all_clips:
                clips = split_clips(clips)[0]
            path = shipped_module(self.robot) if str(self.start) == "shipped" else self.start
            start = None if path is None else SkillModule.load(path, robot=self.robot)
            result = train_skills(spec, clips, self.config, self.out, start)
            return report(result, self.out / "skills.npz")

    @dataclass(frozen=True, kw_only=True)
    class OnSkills:
        out: Path
        """Folder of the run: policy, checkpoint, logs."""
        robot: str = "anymal_c"
        """The robot."""
        skills: Path | None = None
        """Skill module; by default the one that comes with the package."""

        def train(
            self, task: str, trainer: Callable[..., Result], config: object, start: Any
        ) -> int:
            spec = robots.get(self.robot)
            path = self.skills or shipped_module(self.robot)
            module = SkillModule.load(path, robot=self.robot)
            if isinstance(start, Path):
                start = load_any_policy(start, robot=self.robot)
            result = trainer(spec, module, config, self.out, start)
            return report(result, self.out / f"{task}.npz")

    @dataclass(frozen=True, kw_only=True)
    class TrainWalk(OnSkills):
        """Train a walk on a frozen skill module; goes on from a checkpoint in the out folder."""

        start: Path | None = None
        """Walk on the same skill module to begin with, instead of at random."""
        clips: Path | None = None
        """Folder of the clips that the module was trained on, for ``--clip-commands.steps``; by
        default those that come with the package."""
        config: Annotated[WalkTrainingConfig, arg(name="")] = field(
            default_factory=partial(WALK_RECIPES.get, whose, WalkTrainingConfig())
        )
        """All settings."""

        def run(self) -> int:
            """Trains."""
            clips = load_clips(self.clips, self.robot) if self.config.clip_steps else []
            trainer = partial(train_walk, clips=clips)
            return self.train("walk", trainer, self.config, self.start)

    @dataclass(frozen=True, kw_only=True)
    class TrainDribble(OnSkills):
        """Train dribbling on a frozen skill module; goes on from a checkpoint in the out folder."""

        start: Path | None = None
        """Policy on the same skill module to begin with: a walk, which is commanded, or one that
        dribbles. By default the walk in the package's own policy, if the skill module is the
        package's; "none" for a policy that moves the decoder itself, at random at first."""
        config: Annotated[DribbleTrainingConfig, arg(name="")] = field(
            default_factory=DribbleTrainingConfig
        )
        """All settings."""

        def run(self) -> int:
            """Trains."""
            start: Any = self.start
            if str(start) == "none":
                start = None
            elif start is None and self.skills is None:
                start = getattr(load_policy(self.robot, "dribble"), "walk", None)
            return self.train("dribble", train_dribble, self.config, start)

    @dataclass(frozen=True, kw_only=True)
    class TrainGetup:
        """Train to get up: key poses first, then a policy that adds to them.

        Goes on from what is in the out folder.
        """

        out: Path
        """Folder of the run: policy, search, checkpoint, logs."""
        robot: str = "op3"
        """The robot."""
        start: Path | None = None
        """Policy to begin with, whose key poses are kept, instead of a search and at random."""
        config: Annotated[GetupTrainingConfig, arg(name="")] = field(
            default_factory=GetupTrainingConfig
        )
        """All settings."""

        def run(self) -> int:
            """Trains."""
            spec = robots.get(self.robot)
            start = None if self.start is None else GetupPolicy.load(self.start, self.robot)
            result = train_getup(spec, self.config, self.out, start)
            if result is None:
                OUT.print("stopped; the same command goes on")
                return 0
            return report(result, self.out / "getup.npz")

    @dataclass(frozen=True, kw_only=True)
    class FullTrain:
        """Train a skill module from clips, or a task policy on a skill module."""

        command: (
            Annotated[TrainSkills, subcommand("skills")]
            | Annotated[TrainWalk, subcommand("walk")]
            | Annotated[TrainDribble, subcommand("dribble")]
            | Annotated[TrainGetup, subcommand("getup")]
        )

    return FullTrain


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command and exits: 0 done, 1 a check failed, 2 something given cannot be used."""
    arguments = _json_to_stdout(list(sys.argv[1:] if arguments is None else arguments))
    print_anything()
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
                "train": _train_command(_robot(arguments)) if training else Train,
                "evaluate": Evaluate,
                "compare": Compare,
                "export": Export,
                "validate": Validate,
                "identify": Identify,
                "twin": RunTwin,
                "deploy": Deploy,
                "teleop": Teleop,
                "replay": Replay,
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
        _require_files(chosen)
        sys.exit(chosen.run())
    except LeggedSkillsError as error:
        sys.exit(_fail(str(error)))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(_fail(f"{where}{error.strerror or error}."))
    except MemoryError as error:
        sys.exit(_fail(f"there is not enough memory for that ({error})."))
    except KeyboardInterrupt:
        sys.exit(130)


def _require_files(chosen: object) -> None:
    """Checks where a command shall write at its end, before it does its work.

    Raises:
        FileFormatError: a folder is where a file shall be, or the other way round, or nothing may
            be written there, or figures would overwrite what is no file of figures.
        SettingsError: a file's name is that of something else.
    """
    files = {"json", "plot", "picture", "video", "joint_log"}
    if isinstance(chosen, Export | Identify):
        files.add("out")
    for name in sorted(files | {"out"}):
        path, option = getattr(chosen, name, None), "--" + name.replace("_", "-")
        if not isinstance(path, Path) or path == STDOUT:
            continue
        if name in files and path.is_dir():
            raise FileFormatError(f"{path}: is a folder, expected a file for {option}.")
        # Without a file of its own, the option takes the next argument: a recording or a clip.
        if name == "json" and path.is_file() and path.suffix.lower() != ".json":
            raise FileFormatError(
                f"{path}: exists already, expected a new file or a .json file for {option}."
            )
        if name == "plot":
            require_ending(path, "picture", [".png"])
        if name == "out" and isinstance(chosen, Identify):
            require_ending(path, "JSON", [".json"])
        folder = path.parent if name in files else path
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        if not folder.is_dir():
            raise FileFormatError(f"{path}: {folder} is a file, expected a folder for {option}.")
        if not is_device(path) and not os.access(folder, os.W_OK):
            raise FileFormatError(f"{path}: {folder} may not be written to, as {option} needs.")


def _robot(arguments: Sequence[str]) -> str:
    """The robot that a command is for; "anymal_c" without ``--robot``."""
    found = "anymal_c"
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, equals, value = argument.partition("=")
        if name == "--robot":
            found = value if equals else following
    return found


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
