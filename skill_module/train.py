"""Training a skill module from clips."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from legged_skills.mocap.clip import RobotClip
from legged_skills.mocap.steering import steered
from legged_skills.robots.contract import ObservationContract, proprioception
from legged_skills.robots.errors import (
    ContractError,
    SettingsError,
    require_at_least,
    require_not_negative,
    require_share,
)
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.gap import Gap, load_gap, widened
from legged_skills.sim2real.reality import simulate
from legged_skills.sim2real.sensed_robot import SensedRobots
from legged_skills.skill_module import distil, ppo, training
from legged_skills.skill_module.agents import (
    Architecture,
    ImitationAgent,
    imitation_equivariance,
)
from legged_skills.skill_module.digests import clip_digest, weights_digest
from legged_skills.skill_module.distil import DistilConfig
from legged_skills.skill_module.imitation import (
    ImitationConfig,
    ImitationEnv,
    privileged_representation,
    privileged_size,
)
from legged_skills.skill_module.matching import FreeConfig
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.ppo import PpoConfig
from legged_skills.skill_module.reference import build_reference
from legged_skills.skill_module.symmetry import Representation, Symmetry, join
from legged_skills.skill_module.tracker import (
    TrackerAgent,
    TrackerArchitecture,
    tracker_equivariance,
)
from legged_skills.skill_module.training import Result, RunConfig

MODULE_FILE = "skills.npz"
TRACKER_FOLDER = "tracker"
"""The tracker is trained in this folder of the module's."""
CATCHING_FOLDER = "catching"
"""And goes on in this one, if it learns to catch itself."""
DISTILLED_FOLDER = "distilled"
"""So are encoder and decoder together, if the encoder is trained further by itself."""


@dataclass(frozen=True, kw_only=True)
class CatchingConfig:
    """How a tracker, once it goes, learns the steps that catch it when it is pushed.

    Falls count for more then, and places for less. Trained so from the beginning robots go slowly,
    in order to survive; who goes already keeps its pace.
    """

    steps: int = 0
    """Control steps; with 0 there is no such training."""
    gamma: float = 0.99
    """Discount over one control step: a fall that comes of a push comes a second later."""
    rollout_steps: int = 48
    """Control steps of every environment between two updates."""
    minibatches: int = 8
    """Parts the data is cut into in each pass."""
    learning_rate: float = 5e-4
    """Adam's step size, which does not follow ``target_kl``."""
    initial_action_std: float = 0.4
    """Exploration noise on the action at the start."""
    min_action_std: float = 0.3
    """It gets no smaller than this."""
    max_action_std: float = 0.4
    """And no larger."""
    persistence: float = 0.9
    """See ``TrackerArchitecture``."""
    lasting_share: float = 0.5
    """See ``TrackerArchitecture``."""
    root_weight: float = 0.15
    """Weight of the base's pose in the world."""
    root_pos_scale: float = 1.0
    """Its kernel's part for the position, per squared leg length."""
    root_vel_weight: float = 0.1
    """Weight of the base's linear velocity in the base frame."""
    mean_vel_weight: float = 0.4
    """Weight of its mean, without which it goes ever more slowly; see ``ImitationConfig``."""
    max_root_error: float = 2.0
    """Lost when the base is farther than this from the reference, in leg lengths."""
    push_force_n: tuple[float, float] = (9.0, 16.0)
    """Force of the pushes, drawn for each robot and episode: the least and the most [N]."""
    push_interval_s: tuple[float, float] = (1.0, 2.0)
    """Shortest and longest time from one push to the next [s]."""


@dataclass(frozen=True, kw_only=True)
class SkillTrainingConfig:
    """All settings of a skill module's training."""

    run: RunConfig = field(
        default_factory=lambda: RunConfig(total_steps=8_000_000, kl_ramp_share=0.4)
    )
    """Length, seed, number of environments."""
    method: Literal["distil", "end_to_end"] = "distil"
    """Train a tracker and distil it, or train encoder and decoder end to end by PPO."""
    tracker: TrackerArchitecture = field(default_factory=TrackerArchitecture)
    """Sizes of the tracker's networks."""
    tracker_steps: int = 10_000_000
    """Control steps of the tracker's training, before it learns to catch itself."""
    catching: CatchingConfig = field(default_factory=CatchingConfig)
    """How it does. What is distilled then is shown as hard pushes."""
    ppo: PpoConfig = field(
        default_factory=lambda: PpoConfig(epochs=3, kl_weight=5e-3, target_kl=0.02)
    )
    """Settings of PPO, which trains the tracker, or all end to end."""
    distil: DistilConfig = field(default_factory=DistilConfig)
    """Settings of the distillation."""
    free: FreeConfig = field(default_factory=FreeConfig)
    """When robots follow the prior during the distillation."""
    encoder_steps: int = 0
    """Control steps, after the distillation, in which the encoder alone is trained further: the
    decoder, the prior alone and whatever is trained on them stay as they are."""
    encoder_kl_weight: float = 3e-2
    """Weight of the latent's divergence from the prior then, per nat."""
    architecture: Architecture = field(default_factory=Architecture)
    """Sizes of the networks."""
    prior_alpha: float | None = None
    """Autocorrelation of the prior in the module's file; by default that of the training. What
    moves a robot is that the latent moves: with less its prior alone goes faster."""
    imitation: ImitationConfig = field(default_factory=ImitationConfig)
    """The environment and its reward."""
    history: int = 8
    """Frames of proprioception the decoder sees: as long as the longest delays and more, so that it
    can tell how late it is."""
    mirrored: bool = True
    """Whether the left-right mirror images of the clips are references too."""
    front_back: bool = True
    """Whether a quadruped's references are the front-back mirror images too, on which it walks
    backwards. Its networks are mirrored in any case."""
    steered: bool = True
    """Whether variants of the walking clips that go other ways are references too: sideways, and
    OP3 backwards and in shorter steps (``mocap.steering``)."""
    gap: str = "full"
    """What is between policy and physics: none, full, or a file of settings."""
    gap_ramp_share: float | None = None
    """Share of each training over which it grows, but of learning to catch itself, where it has its
    full width from the start; None for what the gap says."""
    noise_scale: float = 0.0
    """Factor on the contract's sensor noise, if there is no gap."""
    push_force_n: tuple[float, float] | None = None
    """Force of the pushes, drawn for each robot and episode: the least and the most [N]; None for
    what the gap says. What is rare and hard is learned sooner where it is frequent. Where a tracker
    learns to catch itself, the pushes of ``catching`` hold from then on."""
    push_interval_s: tuple[float, float] | None = None
    """Shortest and longest time from one push to the next [s], likewise."""

    def __post_init__(self) -> None:
        """Checks what would show only in the end.

        Raises:
            SettingsError: a number is out of its range.
        """
        catches = self.catching.steps and self.method == "distil"
        pushed = self.push_force_n or self.push_interval_s or catches
        if self.gap == "none" and pushed:
            raise SettingsError(
                "gap is none, where nobody pushes, but pushes are asked for (push_force_n, "
                "push_interval_s, or more than 0 catching.steps)."
            )
        require_at_least(self, encoder_steps=0)
        require_not_negative(self, "encoder_kl_weight", "noise_scale")
        if self.prior_alpha is not None:
            require_share(self, "prior_alpha")


def _recipe(tracker_steps: int, steps: int, kl_weight: float, **other: Any) -> SkillTrainingConfig:
    config = SkillTrainingConfig(tracker_steps=tracker_steps, **other)
    return replace(
        config,
        run=replace(config.run, total_steps=steps),
        distil=replace(config.distil, kl_weight=kl_weight),
    )


RECIPES: Mapping[str, SkillTrainingConfig] = {
    "anymal_c": _recipe(
        tracker_steps=12_000_000,
        steps=8_000_000,
        kl_weight=0.06,
        prior_alpha=0.88,
        encoder_steps=3_000_000,
    ),
    "op3": _recipe(
        tracker_steps=5_000_000,
        catching=CatchingConfig(steps=16_000_000),
        steps=6_000_000,
        kl_weight=0.05,
    ),
}
"""By robot: the settings of the module that comes with the package."""


def make_env(
    spec: RobotSpec,
    clips: Sequence[RobotClip],
    config: SkillTrainingConfig,
    free: FreeConfig | None = None,
) -> ImitationEnv:
    """The environments a skill module or a tracker is trained in; see ``ImitationEnv``."""
    gap = training_gap(spec, config)
    front_back = config.front_back and spec.mirror_joints_front_back is not None
    if config.steered:
        clips = [*clips, *steered(clips, spec)]
    return ImitationEnv(
        simulate(spec, config.run.num_envs, config.run.num_threads, gap),
        proprioception(spec, config.history),
        build_reference(spec, clips, config.mirrored, front_back),
        config.imitation,
        seed=config.run.seed,
        noise_scale=config.noise_scale,
        gap=gap,
        level=0.0,
        free=free,
    )


def training_gap(spec: RobotSpec, config: SkillTrainingConfig) -> Gap | None:
    """What is between policy and physics in the training; None for nothing.

    Raises:
        FileFormatError: the file of the gap's ``fit`` cannot be read.
        SettingsError: the gap's file is missing or wrong, or there are no such pushes.
    """
    gap = widened(load_gap(config.gap, spec.name), 1.0, config.gap_ramp_share)
    if gap is None:
        return None
    pushes, ranges = gap.pushes, gap.ranges
    if config.push_interval_s is not None:
        pushes = replace(pushes, interval_s=config.push_interval_s)
    if config.push_force_n is not None:
        ranges = replace(ranges, push_force_n=config.push_force_n)
    return replace(gap, pushes=pushes, ranges=ranges)


def make_agent(spec: RobotSpec, config: SkillTrainingConfig) -> ImitationAgent:
    """The agent of the encoder and decoder that a training gives.

    Raises:
        SettingsError: a layer or the latent cannot be mirrored.
    """
    contract, sizes = proprioception(spec, config.history), config.architecture
    if config.method == "distil":
        std = config.distil.action_std
        sizes = replace(sizes, initial_action_std=std, min_action_std=std)
    return ImitationAgent(
        architecture=sizes,
        proprioception_size=contract.size,
        privileged_size=privileged_size(spec, contract, config.imitation),
        action_size=spec.num_joints,
        equivariance=imitation_equivariance(
            Symmetry(spec), sizes, *_representations(spec, contract, config)
        ),
    )


def make_tracker(spec: RobotSpec, config: SkillTrainingConfig) -> TrackerAgent:
    """The agent of the tracker.

    Raises:
        SettingsError: a layer cannot be mirrored.
    """
    contract = proprioception(spec, config.history)
    told, privileged = _representations(spec, contract, config)
    return TrackerAgent(
        architecture=config.tracker,
        proprioception_size=contract.size,
        privileged_size=privileged_size(spec, contract, config.imitation),
        action_size=spec.num_joints,
        equivariance=tracker_equivariance(
            Symmetry(spec), config.tracker, join([told, privileged]), privileged
        ),
    )


def _representations(
    spec: RobotSpec, contract: ObservationContract, config: SkillTrainingConfig
) -> tuple[Representation, Representation]:
    """How proprioception and privileged observations are mirrored."""
    symmetry = Symmetry(spec)
    privileged = privileged_representation(symmetry, contract, config.imitation)
    return symmetry.proprioception(contract), privileged


def train_skills(
    spec: RobotSpec,
    clips: Sequence[RobotClip],
    config: SkillTrainingConfig,
    out: str | Path,
    start: SkillModule | None = None,
) -> Result:
    """Trains a skill module by imitation, and writes it to ``out``/skills.npz.

    Distilling needs a tracker, which is trained first, in ``out``/tracker, and learns to catch
    itself (``catching``) in ``out``/catching. What is distilled before the encoder is trained
    further by itself (``encoder_steps``) is in ``out``/distilled. All go on from their checkpoints
    if there are any.

    Args:
        spec: the robot.
        clips: what it shall learn to move like.
        config: all settings.
        out: folder of the run.
        start: a module whose encoder and decoder the training begins with, e.g. one that was
            trained without a gap. Its contract, architecture and ``future_steps`` must be the same,
            but for noise, exploration, the prior's alpha, and a history that may be shorter.

    Raises:
        ClipError: the clips cannot be used.
        FileFormatError: a file cannot be written, or a checkpoint is damaged.
        ContractError: the checkpoint in ``out`` is of another robot, contract or configuration, or
            ``start`` does not fit.
        SettingsError: a decoder shall be left as it is, and there is none to begin with; or there
            are not enough steps for an update.
        TrainingError: weights became infinite, or no numbers; the checkpoint before stays.
    """
    if config.method == "distil" and config.distil.encoder_only and start is None:
        raise SettingsError(
            "only the encoder shall be trained: expected a module to start from, whose decoder "
            "stays."
        )
    out = Path(out)
    agent = make_agent(spec, config)
    contract = proprioception(spec, config.history)
    initial = None if start is None else begin_with(start, contract, config)
    if config.method == "end_to_end":
        return _train_module(spec, clips, config, out, agent, start, initial, None)
    # What cannot be trained later is refused before anything is.
    training.count_iterations(config.distil, config.run)
    catching, taught = catching_itself(config), shown_pushes(config)
    alone = encoder_alone(taught)
    if alone is not None:
        training.count_iterations(alone.distil, alone.run)
    if catching is not None:
        training.count_iterations(catching.ppo, _tracker_run(catching))
        training_gap(spec, catching)
    tracked = train_tracker(spec, clips, config, out / TRACKER_FOLDER)
    if not tracked.finished or tracked.interrupted:
        return tracked
    if catching is not None:
        catching = _without(catching, tracked.seconds)
        caught = train_tracker(spec, clips, catching, out / CATCHING_FOLDER, tracked)
        if not caught.finished or caught.interrupted:
            return caught
        tracked = replace(
            caught,
            steps=tracked.steps + caught.steps,
            seconds=tracked.seconds + caught.seconds,
        )
    config = _without(taught, tracked.seconds)
    if alone is None:
        return _train_module(spec, clips, config, out, agent, start, initial, tracked)
    before = out / DISTILLED_FOLDER
    distilled = _train_module(spec, clips, config, before, agent, start, initial, tracked)
    if not distilled.finished or distilled.interrupted:
        return distilled
    alone = _without(alone, tracked.seconds + distilled.seconds)
    start = SkillModule.load(before / MODULE_FILE, spec.name)
    initial = begin_with(start, contract, alone)
    return _train_module(spec, clips, alone, out, agent, start, initial, tracked)


def encoder_alone(config: SkillTrainingConfig) -> SkillTrainingConfig | None:
    """Settings of the further training of the encoder by itself; None if there shall be none."""
    if not config.encoder_steps:
        return None
    distilling = replace(config.distil, encoder_only=True, kl_weight=config.encoder_kl_weight)
    return replace(
        config,
        run=replace(config.run, total_steps=config.encoder_steps),
        distil=distilling,
        # Free robots do without the encoder.
        free=replace(config.free, share=0.0),
    )


def catching_itself(config: SkillTrainingConfig) -> SkillTrainingConfig | None:
    """Settings of a tracker's training that follows on the first; None if there shall be none."""
    catching = config.catching
    if not catching.steps:
        return None
    config = shown_pushes(config)
    return replace(
        config,
        tracker_steps=catching.steps,
        tracker=replace(
            config.tracker,
            initial_action_std=catching.initial_action_std,
            min_action_std=catching.min_action_std,
            max_action_std=catching.max_action_std,
            persistence=catching.persistence,
            lasting_share=catching.lasting_share,
        ),
        ppo=replace(
            config.ppo,
            steps=catching.rollout_steps,
            minibatches=catching.minibatches,
            gamma=catching.gamma,
            learning_rate=catching.learning_rate,
            min_learning_rate=catching.learning_rate,
            max_learning_rate=catching.learning_rate,
        ),
        imitation=replace(
            config.imitation,
            root_weight=catching.root_weight,
            root_pos_scale=catching.root_pos_scale,
            root_vel_weight=catching.root_vel_weight,
            mean_vel_weight=catching.mean_vel_weight,
        ),
        # It knows the gap already.
        gap_ramp_share=0.0,
    )


def shown_pushes(config: SkillTrainingConfig) -> SkillTrainingConfig:
    """Settings of what is trained after catching begins, with its pushes; the same if it does not.

    After such a push a robot may be far off, and come back.
    """
    catching = config.catching
    if not catching.steps:
        return config
    return replace(
        config,
        imitation=replace(config.imitation, max_root_error=catching.max_root_error),
        push_force_n=catching.push_force_n,
        push_interval_s=catching.push_interval_s,
    )


def _without(config: SkillTrainingConfig, seconds: float) -> SkillTrainingConfig:
    """The settings with so much less of the time that there is, if there is a limit."""
    return replace(config, run=training.after(config.run, seconds))


def train_tracker(
    spec: RobotSpec,
    clips: Sequence[RobotClip],
    config: SkillTrainingConfig,
    out: Path,
    begun: Result | None = None,
) -> Result:
    """Trains a policy without a latent that follows the clips, to be distilled.

    Args:
        spec: the robot.
        clips: what is followed.
        config: all settings.
        out: folder of the run.
        begun: what a tracker's training gave that this one goes on from, exploring anew.

    Raises:
        ClipError: the clips cannot be used.
        FileFormatError: a file cannot be written, or a checkpoint is damaged.
        ContractError: the checkpoint in ``out`` is of another robot, contract or configuration.
        SettingsError: there are fewer steps than one iteration has, or what it collects cannot be
            cut into minibatches.
        TrainingError: weights became infinite, or no numbers; the checkpoint before stays.
    """
    env = make_env(spec, clips, config)
    identity = _identity(spec, clips, config, env) | {
        "task": "tracker",
        "architecture": asdict(config.tracker),
        "begun": None if begun is None else begun.steps,
    }
    initial = None
    if begun is not None:
        average = begun.learner.average
        initial = {name: average[name] for name in ("policy", "critic")}
    run, tracker = _tracker_run(config), make_tracker(spec, config)
    return training.train(tracker, env, config.ppo, run, out, identity, initial=initial)


def _tracker_run(config: SkillTrainingConfig) -> RunConfig:
    return replace(config.run, total_steps=config.tracker_steps)


def _train_module(
    spec: RobotSpec,
    clips: Sequence[RobotClip],
    config: SkillTrainingConfig,
    out: Path,
    agent: ImitationAgent,
    start: SkillModule | None,
    initial: dict[str, Any] | None,
    tracked: Result | None,
) -> Result:
    """Trains encoder and decoder: by distilling what ``tracked`` gave, or without it by PPO."""
    env = make_env(spec, clips, config, None if tracked is None else config.free)
    settings: PpoConfig | DistilConfig = config.ppo
    update, told = ppo.update, None
    if tracked is not None:
        settings = config.distil
        update = partial(distil.update, make_tracker(spec, config), tracked.learner.average)
        told = {"steps": tracked.steps, "seconds": tracked.seconds, "figures": tracked.figures}
    identity = _identity(spec, clips, config, env) | {
        "task": "skills",
        "architecture": asdict(agent.architecture),
        "start": None if start is None else weights_digest(start.params),
        "tracker": None if told is None else told["steps"],
        "free": None if told is None else asdict(config.free),
    }

    def write_module(result: Result) -> None:
        params = jax.tree.map(np.asarray, result.learner.average)
        if tracked is not None and config.distil.encoder_only and initial is not None:
            # To the last bit, which a running mean of what does not change is not.
            params |= {"decoder": initial["decoder"]}
        more = ("clips", "mirrored", "front_back", "steered", "gap", "free")
        SkillModule(
            contract=env.robots.contract,
            architecture=with_prior(agent.architecture, config.prior_alpha),
            imitation=config.imitation,
            params=params,
            clips=tuple(clip.name for clip in clips),
            summary=training.summary(result, config.run, settings)
            | {name: identity[name] for name in more}
            | {"start": None if start is None else start.summary, "tracker": told},
        ).save(out / MODULE_FILE)

    return training.train(
        agent,
        env,
        settings,
        config.run,
        out,
        identity,
        write_module,
        initial=initial,
        update=update,
    )


def _identity(
    spec: RobotSpec, clips: Sequence[RobotClip], config: SkillTrainingConfig, env: ImitationEnv
) -> dict[str, Any]:
    """What a checkpoint must share to be resumed, whatever is trained."""
    return {
        "robot": spec.name,
        "contract_hash": env.robots.contract.hash,
        # By content too: other motions under the same name are another training.
        "clips": {clip.name: clip_digest(clip) for clip in clips},
        "imitation": asdict(config.imitation),
        "mirrored": config.mirrored,
        "front_back": config.front_back,
        "steered": config.steered,
        "noise_scale": config.noise_scale,
        "gap": gap_json(env.robots),
    }


def with_prior(architecture: Architecture, alpha: float | None) -> Architecture:
    """The same networks with a prior of another autocorrelation; of their own if it is None."""
    if alpha is None:
        return architecture
    return replace(architecture, alpha=alpha, encoder_filter=architecture.filtered)


def begin_with(
    start: SkillModule, contract: ObservationContract, config: SkillTrainingConfig
) -> dict[str, Any]:
    """The weights of a module, for a contract with as much history or more.

    The decoder's weights on frames that it has not seen are zero: at first it does as before.

    Raises:
        ContractError: it has another contract but for noise and less history, other networks,
            another filter of the encoder, or sees the reference at other steps.
    """
    what = "the module to start from"
    frames, size = start.contract.history, contract.frame_size
    more = contract.history - frames
    silent = dataclasses.replace(contract, history=frames).without_noise()
    silent.require_same(start.contract.without_noise(), what)
    free = ("initial_action_std", "min_action_std", "alpha", "encoder_filter")
    training.require_same_networks(start.architecture, config.architecture, what, free)
    begun, filtered = start.architecture.filtered, config.architecture.filtered
    if begun != filtered:
        raise ContractError(f"{what} has an encoder with filter {begun}, expected {filtered}.")
    if more < 0:
        raise ContractError(f"{what} has {frames} frames, expected at most {contract.history}.")
    if start.imitation.future_steps != config.imitation.future_steps:
        raise ContractError(
            f"{what} sees the reference {start.imitation.future_steps} steps ahead, expected "
            f"{config.imitation.future_steps}."
        )
    first = start.params["decoder"]["Dense_0"]
    kernel = np.asarray(first["kernel"])
    older = np.zeros((more * size, kernel.shape[1]), kernel.dtype)
    decoder = start.params["decoder"] | {
        "Dense_0": first | {"kernel": np.concatenate([older, kernel])}
    }
    return training.to_begin_with(start.params) | {"decoder": decoder}


def gap_json(robots: SensedRobots) -> dict[str, Any] | None:
    """The gap that robots are under, as plain values, or None."""
    return None if robots.reality is None else robots.reality.gap.to_json()
