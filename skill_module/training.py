"""The training loop: collect, update, log, checkpoint; resumes exactly."""

import json
import math
import platform
import signal
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tensorboardX import SummaryWriter

import legged_skills
from legged_skills.robots.errors import (
    ContractError,
    FileFormatError,
    SettingsError,
    TrainingError,
    require_at_least,
    require_count,
    require_seed,
    require_within,
)
from legged_skills.robots.files import write_text
from legged_skills.skill_module import checkpoint, ppo
from legged_skills.skill_module.agents import Agent, Params
from legged_skills.skill_module.distil import DistilConfig, TeachingConfig
from legged_skills.skill_module.ppo import Batch, LearnerState, PpoConfig, Schedule
from legged_skills.skill_module.rollout import Environment, collect

Update = Callable[[Any, Any, LearnerState, Batch, Schedule, jax.Array], tuple[LearnerState, Any]]
"""(agent, settings, learner, batch, schedule, key) -> learner and figures; see ``ppo.update``."""

CHECKPOINT_FILE = "checkpoint.npz"

_CRITIC_STEPS = 10.0
"""Factor on the optimiser's first step size while the policy does not move yet."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """How long a training runs, and on what."""

    total_steps: int
    """Control steps of all environments together."""
    num_envs: int = 512
    """N, environments stepped together."""
    num_threads: int = 0
    """Threads of the physics; 0 takes all cores."""
    seed: int = 0
    """Of everything random."""
    minutes: float | None = None
    """Stop after this many minutes even if steps are left; those before resumptions count [min]."""
    checkpoint_minutes: float = 2.0
    """Time between checkpoints [min]; at most this much is lost by an interruption."""
    kl_ramp_share: float = 0.5
    """Share of the training over which the weight of the KL rises, linearly, to its full value."""
    critic_share: float = 0.0
    """Share of the training, at its start, in which only the critic and the estimator learn: a
    policy that already can do something is not led by a critic that knows nothing."""
    settle_share: float = 0.25
    """Share of the training, at its end, over which the optimiser's steps shrink, linearly, to
    nothing: what is learned from noisy gradients settles."""

    def __post_init__(self) -> None:
        """Checks what is checked nowhere else.

        Raises:
            SettingsError: a number is out of its range.
        """
        require_seed(self)
        require_count(self, "num_envs")
        require_at_least(self, num_threads=0, checkpoint_minutes=0.0)
        if self.minutes is not None:
            require_at_least(self, minutes=0.0)
        require_within(
            self, kl_ramp_share=(0.0, 1.0), critic_share=(0.0, 1.0), settle_share=(0.0, 1.0)
        )


def after(run: RunConfig, seconds: float) -> RunConfig:
    """What is left of a run, whose limit of time holds for all of its stages, after so long."""
    if run.minutes is None:
        return run
    return replace(run, minutes=max(0.0, run.minutes - seconds / 60.0))


def require_same_networks(found: Any, wanted: Any, what: str, free: Collection[str] = ()) -> None:
    """Checks that weights for one architecture can be used in another.

    Args:
        found: the architecture of what is begun with, a dataclass.
        wanted: the one that shall be trained, of the same class.
        what: whose the first is, for the message.
        free: names of the fields that may differ.

    Raises:
        ContractError: another field does; the message names it.
    """
    for name, value in asdict(wanted).items():
        known = getattr(found, name)
        if name not in free and known != value:
            raise ContractError(f"{what} has {name} {known}, expected {value}.")


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a training ends with."""

    learner: LearnerState
    """The learner."""
    steps: int
    """Control steps taken in all."""
    seconds: float
    """Time spent in all, over all resumptions [s]."""
    figures: dict[str, float]
    """The last logged figures."""
    finished: bool
    """False if it stopped early, by time or by a signal."""
    interrupted: bool = False
    """True if a signal came, be it at the very end."""


def summary(
    result: Result, run: RunConfig, ppo_config: PpoConfig | TeachingConfig
) -> dict[str, Any]:
    """How something was trained, for the file that holds it."""
    return {
        "steps": result.steps,
        "seconds": result.seconds,
        "finished": result.finished,
        "figures": result.figures,
        "seed": run.seed,
        "versions": versions(),
        "ppo": asdict(ppo_config),
    }


def versions() -> dict[str, str]:
    """Versions of what decides a training's numbers."""
    return {
        "legged_skills": legged_skills.__version__,
        "mujoco": mujoco.__version__,
        "jax": jax.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def train(
    agent: Agent,
    env: Environment,
    ppo_config: PpoConfig | TeachingConfig,
    run: RunConfig,
    out: str | Path,
    identity: Mapping[str, Any],
    on_checkpoint: Callable[[Result], None] | None = None,
    console: Console | None = None,
    initial: Params | None = None,
    update: Update = ppo.update,
) -> Result:
    """Trains an agent; goes on from the checkpoint in ``out`` if there is one.

    Writes to ``out``: config.json, progress.jsonl (one line an iteration), TensorBoard events and
    checkpoint.npz. SIGINT and SIGTERM end it after the present iteration, with a checkpoint.

    Args:
        agent: what is trained.
        env: where.
        ppo_config: settings of PPO.
        run: length, seed and so on.
        out: folder of the run.
        identity: what a checkpoint must share to be resumed: robot, contract hash, task, ...
        on_checkpoint: called after each checkpoint, e.g. to write the trained module.
        console: where the progress bar goes.
        initial: parameters to begin with, by their name in the agent's; what is not among them
            begins at random.
        update: what an iteration does with what was collected.

    Raises:
        FileFormatError: a file cannot be written, or the checkpoint is damaged.
        ContractError: the checkpoint in ``out`` is of another robot, contract or configuration.
        SettingsError: there are fewer steps than one iteration has, or what it collects cannot be
            cut into minibatches.
        TrainingError: weights became infinite, or no numbers; the checkpoint before stays.
    """
    loop = Loop(agent, env, ppo_config, run, Path(out), identity, initial, update)
    with StopOnSignals() as stopped:
        result = loop.run_to_end(stopped, on_checkpoint, console or Console(stderr=True))
        return replace(result, interrupted=stopped())


def to_begin_with(params: Params) -> Params:
    """The weights of a policy to begin with: how much is explored is for the settings to say."""
    return {name: part for name, part in params.items() if not name.endswith("log_std")}


def count_iterations(settings: PpoConfig | TeachingConfig, run: RunConfig) -> int:
    """How many iterations a training has.

    Raises:
        SettingsError: there is not one, or what one collects cannot be cut into minibatches.
    """
    steps = settings.steps * run.num_envs
    if run.total_steps < steps:
        raise SettingsError(
            f"total_steps is {run.total_steps}, expected at least the {steps} of one iteration."
        )
    # A distillation needs whole stretches of time, and cuts by robots.
    by_robots = isinstance(settings, DistilConfig)
    most, what = (run.num_envs, "robots") if by_robots else (steps, "steps of one iteration")
    if settings.minibatches > most:
        raise SettingsError(
            f"minibatches is {settings.minibatches}, expected at most the {most} {what}."
        )
    return run.total_steps // steps


class Loop:
    """One training; the state between iterations, and what is done with it."""

    def __init__(
        self,
        agent: Agent,
        env: Environment,
        ppo_config: PpoConfig | TeachingConfig,
        run: RunConfig,
        out: Path,
        identity: Mapping[str, Any],
        initial: Params | None = None,
        update: Update = ppo.update,
    ) -> None:
        """Starts anew, or from the checkpoint in ``out``; arguments as in ``train``."""
        self.agent, self.env, self.ppo, self.run, self.out = agent, env, ppo_config, run, out
        self.update = update
        self.steps_per_iteration = ppo_config.steps * env.num_envs
        self.iterations = count_iterations(ppo_config, run)
        # What a teacher says costs nothing, but in a distillation.
        costs = isinstance(ppo_config, PpoConfig | DistilConfig)
        self.kl_weight = ppo_config.kl_weight if costs else 0.0
        # Only PPO has a critic: what is learned from a teacher is learned from the beginning.
        critic_share = run.critic_share if isinstance(ppo_config, PpoConfig) else 0.0
        self.critic_iterations = math.ceil(critic_share * self.iterations)
        # Time limits may change from one resumption to the next; they do not change the numbers.
        settings = {"ppo": asdict(ppo_config), "run": asdict(run)}
        for name in ("minutes", "checkpoint_minutes", "num_threads"):
            del settings["run"][name]
        self.identity = json.loads(json.dumps({**identity, "settings": settings}))
        self.learner = ppo.init(agent, ppo_config, jax.random.key(run.seed))
        if initial:
            begun = jax.tree.map(jnp.asarray, {**self.learner.params, **initial})
            self.learner = ppo.begin(begun, ppo_config)
        self.z = np.zeros((env.num_envs, agent.carried_size), np.float32)
        self.iteration = 0
        self.seconds = 0.0
        self.figures: dict[str, float] = {}
        self.path = out / CHECKPOINT_FILE
        if self.path.exists():
            self._resume()
        else:
            write_text(
                out / "config.json", json.dumps({**self.identity, "versions": versions()}, indent=1)
            )

    def _resume(self) -> None:
        found = checkpoint.load(self.path, self.learner, self.identity)
        self.learner = jax.tree.map(jnp.asarray, found.tree)
        environment = dict(found.environment)
        self.z = environment.pop("z")
        self.env.restore(environment, found.header["environment"])
        self.iteration = found.header["iteration"]
        self.seconds = found.header["seconds"]
        # Those of a training that is over already; older checkpoints have none.
        self.figures = found.header.get("figures", {})

    def save(self) -> None:
        """Writes the checkpoint."""
        arrays, rest = self.env.state()
        header = {
            **self.identity,
            "versions": versions(),
            "iteration": self.iteration,
            "seconds": self.seconds,
            "figures": self.figures,
            "environment": rest,
        }
        checkpoint.save(
            self.path,
            checkpoint.Checkpoint(
                tree=self.learner, environment={**arrays, "z": self.z}, header=header
            ),
        )

    def schedule(self) -> Schedule:
        """What changes over the training, for the iteration to come."""
        run, done, left = self.run, self.iteration + 1, self.iterations - self.iteration
        ramp, settle = run.kl_ramp_share * self.iterations, run.settle_share * self.iterations
        waits = self.iteration < self.critic_iterations
        return Schedule(
            kl_weight=self.kl_weight * min(1.0, done / max(ramp, 1.0)),
            step_share=_CRITIC_STEPS if waits else min(1.0, left / max(settle, 1.0)),
            policy_share=0.0 if waits else 1.0,
        )

    def step(self) -> None:
        """One iteration: collect, update."""
        key = jax.random.fold_in(jax.random.key(self.run.seed + 1), self.iteration)
        collect_key, update_key = jax.random.split(key)
        schedule = self.schedule()
        if self.iteration == self.critic_iterations > 0:
            # Adam has seen no gradient of the policy yet, and would take it for a small one.
            self.learner = ppo.restarted(self.learner, self.ppo)
        self.env.set_progress(self.iteration / self.iterations)
        began = time.perf_counter()
        data = collect(
            self.agent, self.learner.params, self.env, self.ppo.steps, self.z, collect_key
        )
        self.z = data.z
        collected = time.perf_counter()
        self.learner, figures = self.update(
            self.agent,
            self.ppo,
            self.learner,
            data.batch,
            jax.tree.map(jnp.float32, schedule),
            update_key,
        )
        figures = {name: float(value) for name, value in figures.items()}
        ended = time.perf_counter()
        self.iteration += 1
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(self.learner.params)):
            raise TrainingError(
                f"{self.out}: weights are no finite numbers after iteration {self.iteration}; the "
                "checkpoint before is kept, expected settings that do not lead there, such as a "
                "smaller learning rate."
            )
        self.learner = ppo.averaged(self.learner, self.ppo, self.iteration)
        self.seconds += ended - began
        self.figures = {
            **data.figures,
            **figures,
            **schedule._asdict(),
            "steps": float(self.iteration * self.steps_per_iteration),
            "minutes": self.seconds / 60.0,
            "collect_seconds": collected - began,
            "update_seconds": ended - collected,
            "steps_per_second": self.steps_per_iteration / (ended - began),
        }

    def result(self) -> Result:
        """Where the training stands."""
        return Result(
            learner=self.learner,
            steps=self.iteration * self.steps_per_iteration,
            seconds=self.seconds,
            figures=self.figures,
            finished=self.iteration >= self.iterations,
        )

    def run_to_end(
        self,
        stopped: Callable[[], bool],
        on_checkpoint: Callable[[Result], None] | None,
        console: Console,
    ) -> Result:
        """Iterates until the steps, the time or the user's patience are used up."""
        budget = float("inf") if self.run.minutes is None else 60.0 * self.run.minutes
        last_save = time.monotonic()
        with progress_bar(console) as bar, _board(self.out) as board:
            # Stages of a training have folders of their own.
            what = escape(f"training {self.out.resolve().name}")
            task = bar.add_task(what, total=self.iterations, completed=self.iteration, note="")
            while self.iteration < self.iterations and self.seconds < budget and not stopped():
                self.step()
                self._log(board)
                bar.update(task, completed=self.iteration, note=_note(self.figures))
                if time.monotonic() - last_save > 60.0 * self.run.checkpoint_minutes:
                    self.save()
                    last_save = time.monotonic()
                    if on_checkpoint is not None:
                        on_checkpoint(self.result())
            self.save()
            if on_checkpoint is not None:
                on_checkpoint(self.result())
        return self.result()

    def _log(self, board: SummaryWriter) -> None:
        path = self.out / "progress.jsonl"
        try:
            with path.open("a") as file:
                file.write(json.dumps({"iteration": self.iteration, **self.figures}) + "\n")
        except OSError as error:
            raise FileFormatError(f"{path}: cannot be written ({error.strerror}).") from error
        for name, value in self.figures.items():
            board.add_scalar(name, value, self.iteration)


@contextmanager
def _board(folder: Path) -> Iterator[SummaryWriter]:
    """TensorBoard's events. They are a convenience: that they cannot be written ends nothing."""
    board = SummaryWriter(str(folder))
    try:
        yield board
    finally:
        with suppress(OSError):
            board.close()


def _note(figures: Mapping[str, float]) -> str:
    return (
        f"reward {figures['reward']:.3f}  lost/1000 {figures['lost_per_1000_steps']:.2f}  "
        f"KL {figures['kl_prior']:.1f}  {figures['steps_per_second']:,.0f} steps/s"
    )


def progress_bar(console: Console) -> Progress:
    """A bar with counts, time left and a note; tasks have a field "note"."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
    )


class StopOnSignals:
    """Within the block SIGINT and SIGTERM set a flag; a second one acts as it did before."""

    def __enter__(self) -> Callable[[], bool]:
        self._seen = False
        self._before: dict[int, Any] = {}

        def note(number: int, frame: Any) -> None:
            del frame
            self._seen = True
            signal.signal(number, self._before[number])

        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, note)
        except ValueError:  # Not in the main thread: signals are someone else's business.
            pass
        return lambda: self._seen

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
