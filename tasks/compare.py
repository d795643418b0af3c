"""Reuse of a skill module beside the same training without it: is the prior worth having?

Everything but the module is the same: environment, observations, reward, gap, steps, PPO, mirrored
networks and their size.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from legged_skills.mocap.clip import RobotClip
from legged_skills.mocap.walking import Walking
from legged_skills.robots.errors import ContractError, FileFormatError, SettingsError
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.gap import Gap, load_gap
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.training import Result, count_iterations
from legged_skills.tasks.commander_file import AnyPolicy, CommanderPolicy, load_any_policy
from legged_skills.tasks.compare_tasks import ComparedTask, Examined, Metric
from legged_skills.tasks.film import Scene
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.scratch_file import ScratchPolicy
from legged_skills.tasks.train_policy import PolicyTrainingConfig
from legged_skills.tasks.train_scratch import train_scratch

SCRATCH, REUSE = "scratch", "reuse"
SMOOTHING = 0.05
"""Learning curves are averaged over this share of a training before they are compared."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What is compared, on what."""

    spec: RobotSpec
    """The robot."""
    task: ComparedTask
    """The task."""
    modules: Sequence[SkillModule]
    """Skill modules; the first is compared with training from scratch, all are in the sweep."""
    names: Sequence[str]
    """What to call each of them."""
    training: PolicyTrainingConfig
    """Settings of all trainings, or of those from scratch only."""
    reuse: PolicyTrainingConfig | None = None
    """Settings of the trainings on a module, if they are others."""
    clips: Sequence[RobotClip] = ()
    """What the modules were trained on, for reuse that begins with clips."""
    walk: TaskPolicy | None = None
    """The walk on the module that reuse commands, instead of moving the decoder itself."""
    evaluation: Any
    """Settings of the test, of the type ``task.evaluation``."""
    walking: Walking | None
    """What walks look like in clips; None if there are none to compare with."""
    sweep: Sequence[float] = ()
    """Weights of the divergence from the prior to train reuse with, per nat; if there are none but
    several modules, the task's own."""

    def __post_init__(self) -> None:
        """Checks the sweep and the walk.

        Raises:
            SettingsError: a weight is negative, there is no gap, without which torques are not
                recorded, or a walk's commander would be in a sweep.
            ContractError: the walk is on other skills.
        """
        for weight in self.sweep:
            if not 0.0 <= weight < math.inf:
                raise SettingsError(f"a KL weight is {weight}, expected at least 0.")
        if len(self.runs) > 2 and self.training.gap == "none":
            raise SettingsError(
                "a sweep compares torques, which are recorded only with a gap: gap is 'none', "
                "expected full or a file of settings."
            )
        if self.walk is None:
            return
        if len(self.runs) > 2:
            raise SettingsError("a commander has no divergence from skills' prior, and no sweep.")
        if not self.walk.decoder.is_of(self.modules[0]):
            raise ContractError(f"the walk to command is on other skills than {self.names[0]}.")

    @property
    def runs(self) -> "list[Run]":
        """All trainings: from scratch, the first module's reuse, and the rest of the sweep."""
        return planned(len(self.modules), self.sweep, self.on_module.ppo.kl_weight)

    def steps_before(self, run: "Run") -> int:
        """Steps in which a training learned from clips or rules, before those of PPO."""
        if run.module is None or self.reuse is None:
            return 0
        return self.task.first_steps(self.reuse)

    @property
    def on_module(self) -> PolicyTrainingConfig:
        """Settings of the trainings on a module."""
        return self.training if self.reuse is None else self.reuse


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training."""

    name: str
    """Its folder within that of the comparison."""
    module: int | None
    """Index of its skill module; None if it has none."""
    kl_weight: float
    """Weight of the divergence from the prior, per nat."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The learning curve of a training, by iteration."""

    steps: np.ndarray
    """(I,) control steps of all environments so far."""
    reward: np.ndarray
    """(I,) mean reward per step."""
    lost: np.ndarray
    """(I,) episodes that ended before their time, with a fall or a lost ball, per step."""

    def returns(self, length: int) -> tuple[np.ndarray, np.ndarray]:
        """``episode_return`` of smoothed rewards and losses: (K,) steps, and (K,) returns.

        Args:
            length: control steps of an episode.
        """
        steps, reward = smoothed(self.steps, self.reward)
        return steps, episode_return(reward, smoothed(self.steps, self.lost)[1], length)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What ``compare`` finds."""

    figures: dict[str, Any]
    """See ``compare``."""
    scenes: tuple[Scene, Scene]
    """The same episode without and with the skill module."""


def planned(modules: int, sweep: Sequence[float], own_weight: float) -> list[Run]:
    """The trainings of a comparison.

    Args:
        modules: number of skill modules.
        sweep: weights of the divergence from the prior, per nat.
        own_weight: that of the task's trainings.

    Returns:
        From scratch, reuse of the first module with the task's own weight, and all other pairs of
        module and weight that a sweep needs.
    """
    runs = [
        Run(name=SCRATCH, module=None, kl_weight=own_weight),
        Run(name=REUSE, module=0, kl_weight=own_weight),
    ]
    for module in range(modules if sweep or modules > 1 else 0):
        runs += [
            Run(name=f"sweep/skills{module + 1}_kl{weight}", module=module, kl_weight=weight)
            for weight in dict.fromkeys(sweep or [own_weight])
            if (module, weight) != (0, own_weight)
        ]
    return runs


def compare(
    what: Compared, out: Path, say: Callable[[str], None] = lambda text: None
) -> Comparison | None:
    """Trains all that is not trained yet, tests it, and compares.

    Args:
        what: robot, task, modules and settings.
        out: folder of the runs; they go on from their checkpoints, and finished ones are kept.
        say: is told what is being done.

    Returns:
        None if a training was stopped. The figures are: "robot", "task", "skills" (names of the
        modules), "steps", "seed", "gap"; "runs": for "scratch" and "reuse" each "steps" (with those
        that learned from clips or rules), "seconds" (without), "weights" (their number in all
        networks that act), "final_reward" (per step, in training), "steps_to_other" (after which
        the learning curve reached the other's final reward; None if it never did), "final_return"
        (see ``episode_return``), "evaluation" and "naturalness"; "curves": for both "steps",
        "reward" and "lost_per_1000_steps"; "ahead_share" and "return_ahead_share": see
        ``ahead_share``, of rewards per step and of returns; "episode_steps": of trainings;
        "ratios": of reuse to scratch by metric; "sweep": for each training on a module "run",
        "skills" (index), "skills_kl_weight", "kl_weight", "kl_prior" at the end of the training
        [nat/step], "evaluation" and "naturalness"; no entries without a sweep.

    Raises:
        FileFormatError: a file cannot be read or written.
        ContractError: a run in ``out`` is of other settings or skills.
        SettingsError: a setting is not possible.
    """
    # What cannot be trained is refused before anything is.
    for config in (what.training, what.on_module):
        count_iterations(config.ppo, config.run)
    for run in what.runs:
        say(f"{run.name}: training in {out / run.name}")
        done = _train(what, run, out / run.name)
        if not done.finished or done.interrupted:
            return None
    gap = load_gap(what.training.gap, what.spec.name, what.task.gaps)
    found: dict[str, dict[str, Any]] = {}
    scenes: list[Scene] = []
    for run in what.runs:
        say(f"{run.name}: testing")
        policy = _load(what, run, out)
        examined = _examine(what, policy, gap)
        if run.name in (SCRATCH, REUSE):
            title = "from scratch" if run.name == SCRATCH else "with skills"
            scenes.append(examined.scene(title))
        found[run.name] = _figures(policy, examined, what.steps_before(run))
    curves = {run.name: _curve(what, run, out) for run in what.runs[:2]}
    figures = _compared(what, found, curves) | {"sweep": _sweep(what, found)}
    return Comparison(figures=figures, scenes=(scenes[0], scenes[1]))


def _train(what: Compared, run: Run, out: Path) -> Result:
    spec, task = what.spec, what.task
    module = what.modules[run.module or 0]
    if run.module is None:
        env = task.make_env(spec, module, what.training)
        settings = task.settings(env)
        return train_scratch(task.name, env, task.task_size, settings, module, what.training, out)
    config = replace(what.on_module, ppo=replace(what.on_module.ppo, kl_weight=run.kl_weight))
    # A checkpoint knows the seed and steps of its skills, which may be those of others too.
    path = out / f"{task.name}.npz"
    if path.exists():
        before = load_any_policy(path, spec.name, task.name)
        if not before.decoder.is_of(module):
            raise ContractError(f"{path}: the policy is on other skills; take another folder.")
    given: dict[str, Any] = {} if what.walk is None else {"start": what.walk}
    if config.clip_steps:
        given["clips"] = what.clips
    return task.train(spec, module, config, out, **given)


def _curve(what: Compared, run: Run, out: Path) -> Curve:
    """``read_curve``, with the steps in which a training learned from clips.

    A commander acts itself while it learns from rules; afterwards only its critic learns.
    """
    folder = out / run.name
    if run.module is not None and what.walk is not None and what.task.first_folder is not None:
        return read_curve(folder / what.task.first_folder / "progress.jsonl")
    curve = read_curve(folder / "progress.jsonl")
    return replace(curve, steps=curve.steps + what.steps_before(run))


def _load(what: Compared, run: Run, out: Path) -> AnyPolicy | ScratchPolicy:
    load = ScratchPolicy.load if run.module is None else load_any_policy
    return load(out / run.name / f"{what.task.name}.npz", what.spec.name, what.task.name)


def _examine(what: Compared, policy: AnyPolicy | ScratchPolicy, gap: Gap | None) -> Examined:
    threads = what.training.run.num_threads
    return what.task.examine(what.spec, policy, what.evaluation, what.walking, gap, threads)


def _figures(policy: AnyPolicy | ScratchPolicy, examined: Examined, before: int) -> dict[str, Any]:
    acting = [policy.params]
    if isinstance(policy, CommanderPolicy):
        acting.append(policy.walk.params)
    if not isinstance(policy, ScratchPolicy):
        acting.append(policy.decoder.params)
    return {
        "steps": before + policy.summary["steps"],
        "seconds": policy.summary["seconds"],
        "weights": sum(int(np.size(leaf)) for leaf in jax.tree.leaves(acting)),
        "kl_prior": policy.summary["figures"].get("kl_prior"),
        "evaluation": examined.evaluation,
        "naturalness": examined.naturalness,
    }


def _compared(
    what: Compared,
    found: Mapping[str, Mapping[str, Any]],
    curves: Mapping[str, Curve],
) -> dict[str, Any]:
    """All figures but those of the sweep."""
    length = what.task.episode_steps(what.spec, what.training)
    reward = {name: smoothed(curve.steps, curve.reward) for name, curve in curves.items()}
    returns = {name: curve.returns(length) for name, curve in curves.items()}
    runs = {}
    for name, other in ((SCRATCH, REUSE), (REUSE, SCRATCH)):
        learning = {
            "final_reward": float(reward[name][1][-1]),
            "steps_to_other": steps_to(*reward[name], float(reward[other][1][-1])),
            "final_return": float(returns[name][1][-1]),
        }
        runs[name] = {key: x for key, x in found[name].items() if key != "kl_prior"} | learning
    return {
        "robot": what.spec.name,
        "task": what.task.name,
        "skills": list(what.names),
        "steps": what.training.run.total_steps,
        "seed": what.training.run.seed,
        "gap": what.training.gap,
        "episode_steps": length,
        "runs": runs,
        "curves": {
            name: {
                "steps": curve.steps.tolist(),
                "reward": curve.reward.tolist(),
                "lost_per_1000_steps": (1000.0 * curve.lost).tolist(),
            }
            for name, curve in curves.items()
        },
        "ahead_share": ahead_share(*reward[REUSE], *reward[SCRATCH]),
        "return_ahead_share": ahead_share(*returns[REUSE], *returns[SCRATCH]),
        "ratios": ratios(what.task.metrics, runs[REUSE], runs[SCRATCH]),
    }


def _sweep(what: Compared, found: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    if len(what.runs) <= 2:
        return []
    rows = []
    for run in what.runs:
        if run.module is None:
            continue
        summary, figures = what.modules[run.module].summary, found[run.name]
        while summary.get("ppo", {}).get("encoder_only"):
            # The decoder is what a policy is trained on.
            summary = summary["start"]
        rows.append(
            {
                "run": run.name,
                "skills": run.module,
                "skills_kl_weight": summary.get("ppo", {}).get("kl_weight"),
                "kl_weight": run.kl_weight,
                **{name: figures[name] for name in ("kl_prior", "evaluation", "naturalness")},
            }
        )
    return sorted(rows, key=lambda row: (row["skills"], row["kl_weight"]))


def value(metric: Metric, figures: Mapping[str, Any]) -> float:
    """A metric out of the figures of one run; NaN if it is not known."""
    return float(figures[metric.part].get(metric.name, float("nan")))


def ratios(
    metrics: Sequence[Metric], reuse: Mapping[str, Any], scratch: Mapping[str, Any]
) -> dict[str, float]:
    """Each metric with the skill module over that without; NaN where that is 0 or not known."""
    found = {}
    for metric in metrics:
        below = value(metric, scratch)
        found[metric.name] = value(metric, reuse) / below if below else float("nan")
    return found


def episode_return(reward: np.ndarray, lost: np.ndarray, length: int) -> np.ndarray:
    """The sum of rewards that an episode would have, if all of it went as a training did just then.

    The reward per step does not say what it costs to end early: who falls soon begins anew soon,
    and the beginning may be the best part. An episode that ends with the probability p at each of
    at most T steps lasts (1 - (1 - p)^T) / p of them in the mean.

    Args:
        reward: (K,) mean reward per step.
        lost: (K,) episodes that end early, per step, from 0 to 1.
        length: T, the steps of an episode that does not.

    Returns:
        (K,) returns, without discount.
    """
    p = np.maximum(lost, 1e-12)  # where none is lost, an episode has all T steps
    with np.errstate(divide="ignore"):
        return reward * -np.expm1(length * np.log1p(-p)) / p


def read_curve(path: Path) -> Curve:
    """The learning curve out of a training's progress.jsonl.

    A training that was killed did some iterations again, with the same outcome, and may have left
    half a line: of each iteration the last whole line counts.

    Args:
        path: the file.

    Raises:
        FileFormatError: the file cannot be read, or has no lines.
    """
    rows: dict[int, tuple[float, float, float]] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror}).") from error
    for line in lines:
        try:
            row = json.loads(line)
            rows[row["iteration"]] = (row["steps"], row["reward"], row["lost_per_1000_steps"])
        except (ValueError, KeyError, TypeError):
            continue
    if not rows:
        raise FileFormatError(f"{path}: there is no learning curve in it.")
    columns = np.array([rows[iteration] for iteration in sorted(rows)], dtype=float).T
    return Curve(steps=columns[0], reward=columns[1], lost=columns[2] / 1000.0)


def smoothed(steps: np.ndarray, reward: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over the last iterations, ``SMOOTHING`` of all.

    The first iterations have none of their own: robots that have just begun have not fallen yet.

    Args:
        steps: (I,) of all environments so far.
        reward: (I,) mean reward per step.

    Returns:
        (K,) the steps after which there is a mean, and (K,) the means.
    """
    window = max(1, round(SMOOTHING * len(reward)))
    return steps[window - 1 :], np.convolve(reward, np.full(window, 1.0 / window), mode="valid")


def steps_to(steps: np.ndarray, reward: np.ndarray, level: float) -> int | None:
    """The first of ``steps`` (I,) at which the reward (I,) is at least a level; None if never."""
    reached = np.flatnonzero(reward >= level)
    return int(steps[reached[0]]) if len(reached) else None


def ahead_share(
    steps: np.ndarray, reward: np.ndarray, other_steps: np.ndarray, other_reward: np.ndarray
) -> float:
    """Share of a training's points at which its reward is above another's after as many steps.

    Args:
        steps: (I,) of the one, increasing.
        reward: (I,) its rewards.
        other_steps: (K,) of the other, increasing.
        other_reward: (K,) its rewards, between which is interpolated.

    Returns:
        The share, of those of ``steps`` for which the other has a reward; NaN if there are none.
    """
    both = (steps >= other_steps[0]) & (steps <= other_steps[-1])
    other = np.interp(steps[both], other_steps, other_reward)
    return float(np.mean(reward[both] > other)) if both.any() else float("nan")
