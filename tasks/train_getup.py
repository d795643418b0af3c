"""Training to get up: a search for key poses, then a policy that adds to them."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console

from legged_skills.robots.contract import ObservationContract, proprioception
from legged_skills.robots.errors import ContractError
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.gap import Gap, load_gap, widened
from legged_skills.sim2real.reality import simulate
from legged_skills.skill_module import training
from legged_skills.skill_module.digests import weights_digest
from legged_skills.skill_module.ppo import PpoConfig
from legged_skills.skill_module.symmetry import Symmetry, join
from legged_skills.skill_module.tracker import TrackerArchitecture, tracker_equivariance
from legged_skills.skill_module.train import gap_json
from legged_skills.skill_module.training import Result, RunConfig
from legged_skills.tasks.getup import (
    GetupAgent,
    GetupConfig,
    GetupMotion,
    KeyPoses,
)
from legged_skills.tasks.getup_env import GetupEnv, GetupTaskConfig
from legged_skills.tasks.getup_file import TASK, GetupPolicy
from legged_skills.tasks.reuse import to_numpy
from legged_skills.tasks.search_getup import Search, SearchConfig

SEARCH_FILE = "search.npz"
"""Where the search stands, in the folder of the run."""


@dataclass(frozen=True, kw_only=True)
class GetupTrainingConfig:
    """All settings of training to get up."""

    run: RunConfig = field(
        default_factory=lambda: RunConfig(total_steps=13_000_000, critic_share=0.03)
    )
    """Length, seed, number of environments; of the policy, after the search."""
    ppo: PpoConfig = field(
        default_factory=lambda: PpoConfig(
            epochs=3, gamma=0.99, kl_weight=0.0, learning_rate=3e-5, max_learning_rate=5e-4
        )
    )
    """Settings of PPO. Its first steps are small: larger ones would lose what key poses do."""
    architecture: TrackerArchitecture = field(
        default_factory=lambda: TrackerArchitecture(initial_action_std=0.3, min_action_std=0.15)
    )
    """Sizes of the networks."""
    task: GetupTaskConfig = field(default_factory=GetupTaskConfig)
    """What is rewarded."""
    getup: GetupConfig = field(default_factory=GetupConfig)
    """When the robot gets up."""
    search: SearchConfig = field(default_factory=SearchConfig)
    """How key poses are found."""
    history: int = 8
    """Frames in an observation; as in the policies that go on afterwards."""
    gap: str = "full"
    """What is between policy and physics: none, full, or a file of settings."""
    gap_factor: float = 1.1
    """Factor on the gap's ``training_level``: a policy is surer at the ends of the ranges if it has
    seen what is beyond them. The search is in the gap as it is."""


def train_getup(
    spec: RobotSpec,
    config: GetupTrainingConfig,
    out: str | Path,
    start: GetupPolicy | None = None,
) -> Result | None:
    """Searches key poses, trains a policy that adds to them, and writes ``out``/getup.npz.

    Goes on from what is in ``out``.

    Args:
        spec: the robot.
        config: all settings.
        out: folder of the run.
        start: a policy to begin with, whose key poses are kept; None searches some.

    Returns:
        The training's result; None if the search was interrupted.

    Raises:
        SettingsError: the robot has no sketch of key poses, or a setting is one that nothing can be
            trained with.
        FileFormatError: a file cannot be written, or is damaged.
        ContractError: what is in ``out`` is of another robot, contract or configuration, or the
            policy to start from has another contract or other networks.
        TrainingError: weights became infinite, or no numbers; the checkpoint before stays.
    """
    # What cannot be trained is refused before anything is searched.
    training.count_iterations(config.ppo, config.run)
    symmetry, sizes = Symmetry(spec), config.architecture
    for width in (*sizes.policy_hidden, *sizes.critic_hidden):
        symmetry.copies(width)
    gap, contract = load_gap(config.gap, spec.name), proprioception(spec, config.history)
    wide = widened(gap, config.gap_factor)
    if start is None:
        keys = search(spec, config.search, Path(out), config.run.num_threads, gap)
        if keys is None:
            return None
    else:
        _check_start(start, contract, config)
        keys = start.keys
    motion = GetupMotion.of(spec, keys, config.getup.rest_s)
    run = config.run
    sim = simulate(spec, run.num_envs, run.num_threads, wide, touches_itself=True)
    env = GetupEnv(sim, contract, motion, config.task, run.seed, wide, level=0.0)
    task, privileged = env.mirrored(symmetry)
    seen = join([symmetry.proprioception(contract), task])
    agent = GetupAgent(
        sizes,
        contract.size,
        env.privileged_size,
        spec.num_joints,
        tracker_equivariance(symmetry, sizes, seen, privileged),
        task_size=motion.told_size,
    )
    identity = {
        "task": TASK,
        "robot": spec.name,
        "contract_hash": contract.hash,
        "architecture": asdict(sizes),
        TASK: asdict(config.task),
        "poses": keys.poses.tolist(),
        "durations_s": keys.durations_s.tolist(),
        "rest_s": config.getup.rest_s,
        "start": None if start is None else weights_digest(start.params),
        "gap": gap_json(env.robots),
    }

    def write_policy(result: Result) -> None:
        GetupPolicy(
            contract=contract,
            keys=keys,
            getup=config.getup,
            architecture=sizes,
            params=to_numpy(result.learner.average),
            config=asdict(config.task),
            summary=training.summary(result, run, config.ppo)
            | {
                "gap": identity["gap"],
                "search": asdict(config.search) if start is None else None,
                "start": None if start is None else start.summary,
            },
        ).save(Path(out) / f"{TASK}.npz")

    initial = None if start is None else training.to_begin_with(start.params)
    return training.train(agent, env, config.ppo, run, out, identity, write_policy, initial=initial)


def _check_start(
    start: GetupPolicy, contract: ObservationContract, config: GetupTrainingConfig
) -> None:
    """Checks that a training can begin with a policy."""
    what = "the policy to start from"
    contract.without_noise().require_same(start.contract.without_noise(), what)
    free = ("initial_action_std", "min_action_std")  # exploration
    training.require_same_networks(start.architecture, config.architecture, what, free)
    if start.getup.rest_s != config.getup.rest_s:
        raise ContractError(
            f"{what} rests for {start.getup.rest_s} s, expected {config.getup.rest_s} s."
        )


def search(
    spec: RobotSpec,
    config: SearchConfig,
    out: Path,
    num_threads: int = 0,
    gap: Gap | None = None,
    stopped: Callable[[], bool] | None = None,
) -> KeyPoses | None:
    """Searches key poses, or goes on with it; saves after each generation.

    Args:
        spec: the robot.
        config: settings.
        out: folder of the run.
        num_threads: of the physics; 0 takes all cores.
        gap: what the last generations are under; None for nothing.
        stopped: whether to end early; by default after SIGINT or SIGTERM.

    Returns:
        The best ones; None if it ended early.
    """
    found, path = Search(spec, config, num_threads, gap), out / SEARCH_FILE
    if path.exists():
        found.restore(path)
    with training.StopOnSignals() as signalled, training.progress_bar(Console(stderr=True)) as bar:
        ended = stopped or signalled
        task = bar.add_task("key poses", total=found.generations, note="")
        while found.generation < found.generations and not ended():
            _, stood = found.step()
            found.save(path)
            note = "stood " + ", ".join(f"{share:.0%}" for share in stood)
            bar.update(task, completed=found.generation, note=note)
    # Who asks for an end in the last generation wants no training either.
    return found.best() if found.generation >= found.generations and not ended() else None
