"""A walking policy to begin with: one that goes as the clips go.

A prior that hardly leads anywhere is a poor beginning, since nothing is learned of commands that
nobody obeys by chance. But the encoder can make the robot go as the clips go. Here a policy learns
to say what the encoder says, being told of the coming reference no more than how fast it goes: its
velocity is the command. It acts in the meantime, so that it learns from the states that it gets
into, and its reference goes on from there (``matching``).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from jax import Array

from legged_skills.mocap.clip import RobotClip
from legged_skills.mocap.steering import steered
from legged_skills.robots import rotations
from legged_skills.robots.errors import ClipError
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.gap import Gap
from legged_skills.sim2real.reality import simulate
from legged_skills.skill_module import training
from legged_skills.skill_module.agents import ImitationAgent, Observations, Params
from legged_skills.skill_module.digests import clip_digest, weights_digest
from legged_skills.skill_module.distil import TeachingConfig
from legged_skills.skill_module.imitation import ImitationEnv, privileged_representation
from legged_skills.skill_module.matching import FreeConfig
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.reference import Reference, build_reference
from legged_skills.skill_module.symmetry import Representation, Symmetry, join
from legged_skills.skill_module.train import gap_json
from legged_skills.skill_module.training import Result, RunConfig
from legged_skills.tasks import imitate
from legged_skills.tasks.estimator import told_velocity
from legged_skills.tasks.reuse import FrozenDecoder, PolicyArchitecture
from legged_skills.tasks.stride_clock import stride_phases
from legged_skills.tasks.train_policy import make_agent
from legged_skills.tasks.walk import COMMAND_SCALE, COMMAND_SIZE

AVERAGE_S = 1.0
"""A clip's velocity is averaged over this time [s]: about two strides."""
_IN_TIME_SHARE = 0.75
"""With a clock, clips are followed whose strides are about as long for so much of their time."""


@dataclass(frozen=True, kw_only=True)
class ClipCommandConfig:
    """Settings of learning to go as the clips go."""

    steps: int = 0
    """Control steps of it, before the walk's own training; 0 for none: to begin as the prior."""
    learner: TeachingConfig = field(default_factory=TeachingConfig)
    """Settings of the learner."""
    free: FreeConfig = field(default_factory=lambda: FreeConfig(share=0.8))
    """When the reference goes on from where robots are."""


def clip_velocities(reference: Reference, period_s: float) -> np.ndarray:
    """How fast a reference goes, at each of its M rows.

    Args:
        reference: the clips.
        period_s: time from row to row [s].

    Returns:
        (M, 3) float32: forward and left [m/s] and turning [rad/s], in the heading frame of the row,
        averaged over ``AVERAGE_S`` around it, or as much of that as the clip has.
    """
    half = max(1, round(0.5 * AVERAGE_S / period_s))
    rows = np.arange(reference.num_rows)
    first = np.repeat(reference.starts, reference.lengths)
    before, after = np.maximum(rows - half, first), np.minimum(rows + half, reference.last)
    pos, heading = reference.qpos[:, :2], rotations.yaw(reference.qpos[:, 3:7])
    moved = pos[after] - pos[before]
    cosine, sine = np.cos(heading), np.sin(heading)
    forward = cosine * moved[:, 0] + sine * moved[:, 1]
    left = cosine * moved[:, 1] - sine * moved[:, 0]
    # Nobody turns by half a circle from one row to the next.
    turns = np.diff(heading, prepend=heading[:1])
    turned = np.cumsum((turns + np.pi) % (2.0 * np.pi) - np.pi)
    time = (after - before) * period_s
    velocity = np.stack([forward, left, turned[after] - turned[before]], axis=1)
    return (velocity / time[:, None]).astype(np.float32)


def _keeps_time(spec: RobotSpec, clip: RobotClip, stride_s: float) -> bool:
    """Whether a clip has strides about as long as a clock's, two at least, most of the time."""
    if clip.duration_s < 2.0 * stride_s:
        return False
    phases = stride_phases(spec, build_reference(spec, [clip]), stride_s)
    return bool((phases != 0.0).any(axis=1).mean() >= _IN_TIME_SHARE)


class ClipCommandEnv(ImitationEnv):
    """Robots that follow references; the command is how fast they go.

    Further observation groups: "task", the command, and "velocity", both as in ``WalkEnv``; and
    "clock", the phase of the strides, if there are ``phases``.

    Attributes:
        phases: (M, 2) by row of the reference (``stride_phases``); None for none.
    """

    phases: np.ndarray | None = None

    @cached_property
    def commands(self) -> np.ndarray:
        """(M, 3) by row of the reference."""
        return clip_velocities(self.reference, self.spec.control_period_s)

    def mirrored(self, symmetry: Symmetry) -> tuple[Representation, Representation]:
        """How "task" and "privileged" observations are mirrored."""
        command = join([symmetry.planar, symmetry.turning])
        return command, privileged_representation(symmetry, self.robots.contract, self.config)

    def observe(self) -> dict[str, np.ndarray]:
        """Present observations by group, (N, size) float32; copies."""
        told = {"task": self.commands[self.row] * COMMAND_SCALE}
        if self.phases is not None:
            told["clock"] = self.phases[self.row]
        return super().observe() | told | {"velocity": told_velocity(self.robots)}


@dataclass(frozen=True)
class Encoder:
    """A teacher: the encoder of a skill module, which sees the reference.

    Attributes:
        agent: the module's agent.
    """

    agent: ImitationAgent

    def latent(self, params: Params, obs: Observations, record: dict[str, Array]) -> Array:
        """The mean of what the encoder says."""
        return self.agent.encode(params, obs["privileged"], record["z_tm1"])[0]


def learn_clip_commands(
    spec: RobotSpec,
    module: SkillModule,
    clips: Sequence[RobotClip],
    architecture: PolicyArchitecture,
    config: ClipCommandConfig,
    run: RunConfig,
    gap: Gap | None,
    out: str | Path,
    noise_scale: float = 0.0,
) -> Result:
    """Trains a walking policy that goes as the clips go, told how fast that is.

    Goes on from the checkpoint in ``out`` if there is one.

    Args:
        spec: the robot.
        module: its skill module.
        clips: among others those that the module was trained on; others are not followed.
        architecture: sizes of the policy's networks.
        config: settings.
        run: length, seed and so on; ``config.steps`` stands for its length.
        gap: what is between policy and physics; None for nothing.
        out: folder of the run.
        noise_scale: factor on the contract's sensor noise, if there is no gap.

    Returns:
        The result; its learner's average holds the weights, the critic's are of no use.

    Raises:
        ClipError: the clips cannot be used, or are others than those of these names that the
            module was trained on.
        FileFormatError: a file cannot be written, or a checkpoint is damaged.
        ContractError: the checkpoint in ``out`` is of another robot, contract or configuration.
        SettingsError: there are fewer steps than one iteration has, or what it collects cannot be
            cut into minibatches.
        TrainingError: weights became infinite, or no numbers; the checkpoint before stays.
    """
    known = module.known(clips)
    if module.summary.get("steered", False):
        known += steered(known, spec)
    stride_s, free = architecture.clock_s, config.free
    if stride_s:
        known = [clip for clip in known if _keeps_time(spec, clip, stride_s)]
        if not known:
            raise ClipError(
                f"none of the clips has strides of about {stride_s:g} s, as the policy's clock has."
            )
        # Whoever lags is not to be waited for: the clock is that of the clip.
        free = replace(free, reach_s=1e-3)
    reference = build_reference(spec, known, True, spec.mirror_joints_front_back is not None)
    env = ClipCommandEnv(
        simulate(spec, run.num_envs, run.num_threads, gap),
        module.contract,
        reference,
        module.imitation,
        seed=run.seed,
        noise_scale=noise_scale,
        gap=gap,
        level=0.0,
        free=free,
    )
    if stride_s:
        env.phases = stride_phases(spec, reference, stride_s)
    decoder = FrozenDecoder.of(module)
    agent = make_agent("clip commands", env, COMMAND_SIZE, decoder, architecture)
    identity = {
        "task": "clip commands",
        "robot": spec.name,
        "contract_hash": module.contract.hash,
        "architecture": asdict(architecture),
        "clips": {clip.name: clip_digest(clip) for clip in known},
        "imitation": asdict(module.imitation),
        "free": asdict(free),
        "noise_scale": noise_scale,
        "gap": gap_json(env.robots),
        "module": weights_digest(module.params),
        "alpha": decoder.alpha,
    }
    length = replace(run, total_steps=config.steps)
    learn = partial(imitate.update, Encoder(module.agent), module.params)
    return training.train(agent, env, config.learner, length, out, identity, update=learn)
