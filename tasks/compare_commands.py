"""The command that compares reuse with training from scratch; ``cli.py`` puts all together."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from legged_skills.robots.console import OUT, table, write_json
from legged_skills.robots.errors import SettingsError
from legged_skills.tasks.commands import load_clips, load_policy, load_walking

if TYPE_CHECKING:
    from legged_skills.tasks.compare import Compared
    from legged_skills.tasks.train_policy import PolicyTrainingConfig


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Train a task with and without the skill module, and compare learning, obedience and motion.

    Started again it goes on; runs that are finished are kept.
    """

    out: Path
    """Folder of the runs, figures, plots, film and report."""
    robot: str = "anymal_c"
    """The robot."""
    json: Path | None = None
    """Write the figures to this file too; "-" or nothing is standard output."""
    task: Literal["walk", "dribble"] = "walk"
    """The task."""
    skills: tuple[Path, ...] = ()
    """Skill module; by default the one that comes with the package. More than one, e.g. trained
    with other KL weights, are all in the sweep, and the first is compared with none."""
    sweep: tuple[float, ...] = ()
    """Weights of the divergence from the prior in reuse, per nat: a training for each, and a plot
    of error against torque^2."""
    steps: int | None = None
    """Control steps of each training, those that a recipe learns from clips or rules among them; by
    default 8 million, with ``--recipe`` as many as it has."""
    recipe: bool = False
    """With skills, train as the package's own policy was trained: walks first learn to go as clips
    go, and dribbling is to command the walk in the package's dribbling policy as rules would. From
    scratch the task is the same, and there are as many steps in all."""
    envs: int = 512
    """Environments stepped together."""
    threads: int = 0
    """Threads of the physics; 0 takes all cores."""
    seed: int = 0
    """Of the trainings; the tests have one of their own."""
    gap: str = "full"
    """What is between policy and physics, in trainings and tests: none (then there are no torques),
    full, or a file of settings."""
    episodes: int = 200
    """Episodes of each test."""
    clips: Path | None = None
    """Folder of clips whose walks motions are compared with, and that a recipe begins with; by
    default those that come with the package."""

    def run(self) -> int:
        """Prints a table, and says where the report is."""
        from legged_skills.tasks import compare, compare_report
        from legged_skills.tasks.stages import Stages

        what = self._what()
        found = compare.compare(what, self.out, OUT.print)
        if found is None:
            OUT.print("stopped; the same command goes on")
            return 0
        table(
            ["", "from scratch", "with skills", "ratio"],
            [
                *compare_report.learning_rows(found.figures),
                *compare_report.metric_rows(what.task.metrics, found.figures),
            ],
        )
        with Stages() as stages, stages.stage("making the film", "film") as advance:
            report = compare_report.write_comparison(self.out, what, found, advance)
        OUT.print(f"report: {report}")
        write_json(self.json, found.figures)
        return 0

    def _what(self) -> "Compared":
        from legged_skills import robots
        from legged_skills.skill_module.evaluate import shipped_module
        from legged_skills.skill_module.module_file import SkillModule
        from legged_skills.tasks.compare import Compared
        from legged_skills.tasks.compare_tasks import TASKS

        spec, task = robots.get(self.robot), TASKS[self.task]
        if self.envs < 1:
            raise SettingsError(f"envs is {self.envs}, expected at least 1.")
        paths = self.skills or (shipped_module(self.robot),)
        training, reuse, walk = task.training(), None, None
        training = self._sized(training, self.steps)
        if self.recipe:
            if self.robot not in task.recipes:
                raise SettingsError(f"there is no recipe for {self.task} of {self.robot}.")
            recipe = task.recipes[self.robot]
            reuse = task.lasting(self._sized(recipe, None), self.steps)
            training = replace(
                self._sized(training, task.first_steps(reuse) + reuse.run.total_steps),
                architecture=recipe.architecture,
                policy_trim_steps=recipe.policy_trim_steps,
                gap_factor=recipe.gap_factor,
                **{self.task: getattr(recipe, self.task)},
            )
            if self.task == "dribble":
                walk = getattr(load_policy(self.robot, self.task), "walk", None)
        return Compared(
            spec=spec,
            task=task,
            modules=[SkillModule.load(path, robot=self.robot) for path in paths],
            names=[str(path) for path in self.skills] or ["the package's skills"],
            training=training,
            reuse=reuse,
            clips=load_clips(self.clips, self.robot) if self.recipe else (),
            walk=walk,
            evaluation=task.evaluation(episodes=self.episodes),
            walking=load_walking(self.clips, spec),
            sweep=self.sweep,
        )

    def _sized(self, config: "PolicyTrainingConfig", steps: int | None) -> "PolicyTrainingConfig":
        """With what was given; ``steps``: None for as many as there are."""
        run = replace(
            config.run,
            total_steps=config.run.total_steps if steps is None else steps,
            num_envs=self.envs,
            num_threads=self.threads,
            seed=self.seed,
        )
        return replace(config, run=run, gap=self.gap)
