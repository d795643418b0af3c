"""Learning to go as the clips go, with an untrained skill module."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.mocap.clip import RobotClip
from legged_skills.robots.errors import ClipError, ContractError
from legged_skills.robots.rotations import from_yaw
from legged_skills.skill_module import ppo
from legged_skills.skill_module.digests import clip_digest
from legged_skills.skill_module.distil import TeachingConfig
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.ppo import Batch, PpoConfig, Schedule
from legged_skills.skill_module.reference import Reference
from legged_skills.skill_module.training import RunConfig
from legged_skills.tasks import imitate
from legged_skills.tasks.clip_commands import ClipCommandConfig, Encoder, clip_velocities
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.reuse import FrozenDecoder, PolicyArchitecture, ReuseAgent
from legged_skills.tasks.train_walk import WalkTrainingConfig, train_walk

SPEC = robots.get("anymal_c")
SMALL = PolicyArchitecture(policy_hidden=(16,), critic_hidden=(8,), estimator_hidden=(16,))
CONFIG = WalkTrainingConfig(
    run=RunConfig(total_steps=2 * 6 * 8, num_envs=8, num_threads=1),
    ppo=PpoConfig(steps=6, epochs=1, minibatches=2),
    architecture=PolicyArchitecture(policy_hidden=(8,), critic_hidden=(8,)),
    clip_commands=ClipCommandConfig(
        steps=12 * 6 * 8, learner=TeachingConfig(steps=6, minibatches=2, learning_rate=1e-2)
    ),
    gap="none",
)


def test_velocities_of_a_curve_and_of_a_straight_line() -> None:
    # At 50 Hz a circle of 2 m radius to the left at 0.5 rad/s, heading along it, over the seam of
    # headings; then a walk along y, heading along x: to the left.
    time, period = np.arange(400) / 50.0, 0.02
    angle = 0.5 * time + 2.0
    circle = np.zeros((400, 19))
    circle[:, 0], circle[:, 1] = 2.0 * np.sin(angle), -2.0 * np.cos(angle)
    circle[:, 3:7] = from_yaw(angle)
    line = np.zeros((100, 19))
    line[:, 1], line[:, 3] = 0.3 * time[:100], 1.0
    reference = SimpleNamespace(
        qpos=np.concatenate([circle, line]).astype(np.float32),
        starts=np.array([0, 400]),
        lengths=np.array([400, 100]),
        last=np.repeat([399, 499], [400, 100]),
        num_rows=500,
    )
    found = clip_velocities(cast(Reference, reference), period)
    # The chord of half a radian on either side is a little shorter than the arc.
    chord = 2.0 * 2.0 * np.sin(0.25)
    np.testing.assert_allclose(found[25:375], [[chord, 0.0, 0.5]] * 350, atol=2e-3)
    np.testing.assert_allclose(found[400:], [[0.0, 0.3, 0.0]] * 100, atol=1e-4)
    # At the ends there is half of the time, and the way bends.
    np.testing.assert_allclose(found[[0, 399], 2], 0.5, atol=1e-3)
    assert found[0, 1] > 0.1 and found[399, 1] < -0.1


@pytest.fixture(scope="module")
def run(
    still_module: SkillModule, wiggling_clip: RobotClip, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("walk")
    with jax.numpy_dtype_promotion("standard"):
        train_walk(SPEC, still_module, CONFIG, out, clips=[wiggling_clip])
    return out


@pytest.mark.standard_dtypes  # Adam in optax.
def test_the_policy_learns_what_the_encoder_says(still_module: SkillModule) -> None:
    module = still_module
    agent = ReuseAgent(SMALL, FrozenDecoder.of(module), 3, module.agent.privileged_size)
    # An untrained encoder adds next to nothing to the latent before.
    encoder = jax.tree.map(lambda x: np.float32(10.0) * x, module.params["encoder"])
    rng, shape = np.random.default_rng(0), (6, 32)
    sizes = {
        "proprioception": module.contract.size,
        "privileged": module.agent.privileged_size,
        "task": 3,
        "velocity": 3,
    }

    def drawn(size: int) -> jax.Array:
        return jnp.asarray(rng.standard_normal((*shape, size)), jnp.float32)

    zeros, none = jnp.zeros(shape), jnp.zeros(shape, bool)
    batch = Batch(
        {name: drawn(size) for name, size in sizes.items()},
        {"z_tm1": drawn(4), "mean_velocity": drawn(3)},
        zeros,
        none,
        none,
        zeros,
        zeros,
    )
    config = TeachingConfig(epochs=4, minibatches=2, learning_rate=1e-2)
    state, errors = ppo.begin(agent.init(jax.random.key(0)), config), []
    for i in range(20):
        state, figures = imitate.update(
            Encoder(module.agent),
            {**module.params, "encoder": encoder},
            agent,
            config,
            state,
            batch,
            Schedule(0.0),
            jax.random.key(i),
        )
        errors.append((float(figures["latent_error"]), float(figures["auxiliary"])))
    first, last = np.array(errors[0]), np.array(errors[-1])
    assert first[0] > 0.3 and (last < 0.5 * first).all()


def test_the_walk_begins_with_that(run: Path) -> None:
    policy = TaskPolicy.load(run / "walk.npz", robot="anymal_c", task="walk")
    assert policy.summary["initial_from"]["steps"] == 12 * 6 * 8
    assert (run / "clips" / "progress.jsonl").read_text().count("latent_error") == 12
    # Two updates do not undo twelve.
    share = 1.0 / (1.0 + np.exp(-policy.params["filter_logit"]))
    assert share != pytest.approx(0.95, abs=1e-4)


def test_a_run_is_not_gone_on_with_by_another_encoder_or_other_clips(
    run: Path, still_module: SkillModule, wiggling_clip: RobotClip
) -> None:
    encoder = jax.tree.map(lambda x: x + np.float32(1e-6), still_module.params["encoder"])
    other = dataclasses.replace(still_module, params={**still_module.params, "encoder": encoder})
    with pytest.raises(ContractError, match="checkpoint's module is"):
        train_walk(SPEC, other, CONFIG, run, clips=[wiggling_clip])
    faster = dataclasses.replace(wiggling_clip, qvel=wiggling_clip.qvel * 1.01)
    with pytest.raises(ContractError, match="checkpoint's clips is wiggle = "):
        train_walk(SPEC, still_module, CONFIG, run, clips=[faster])


@pytest.mark.standard_dtypes
def test_it_begins_at_once_where_the_walks_critic_begins_alone(
    still_module: SkillModule, wiggling_clip: RobotClip, tmp_path: Path
) -> None:
    config = dataclasses.replace(
        CONFIG,
        run=dataclasses.replace(CONFIG.run, critic_share=0.5, settle_share=0.5),
        clip_commands=dataclasses.replace(CONFIG.clip_commands, steps=4 * 6 * 8),
    )
    train_walk(SPEC, still_module, config, tmp_path, clips=[wiggling_clip])
    steps = {
        folder: [json.loads(line)["step_share"] for line in path.read_text().splitlines()]
        for folder in (".", "clips")
        for path in [tmp_path / folder / "progress.jsonl"]
    }
    assert steps == {"clips": [1.0, 1.0, 1.0, 0.5], ".": [10.0, 1.0]}


def test_clips_of_other_modules_are_not_followed(
    still_module: SkillModule, wiggling_clip: RobotClip, tmp_path: Path
) -> None:
    other = dataclasses.replace(still_module, clips=("another",))
    with pytest.raises(ClipError, match="there are no clips"):
        train_walk(SPEC, other, CONFIG, tmp_path, clips=[wiggling_clip])


def test_another_motion_of_the_same_name_is_refused(
    still_module: SkillModule, wiggling_clip: RobotClip
) -> None:
    summary = dict(still_module.summary) | {"clips": {"wiggle": clip_digest(wiggling_clip)}}
    module = dataclasses.replace(still_module, summary=summary)
    unknown = dataclasses.replace(wiggling_clip, name="unknown")
    assert module.known([unknown, wiggling_clip]) == [wiggling_clip]
    faster = dataclasses.replace(wiggling_clip, qvel=wiggling_clip.qvel * 1.01)
    with pytest.raises(ClipError, match="wiggle is another motion than the clip of that name"):
        module.known([faster])
    # A module of before there were digests knows names only.
    assert still_module.known([faster]) == [faster]


@pytest.mark.standard_dtypes
def test_with_a_clock_only_clips_that_keep_its_time_are_followed(
    still_module: SkillModule, wiggling_clip: RobotClip, tmp_path: Path
) -> None:
    def with_clock(clock_s: float) -> WalkTrainingConfig:
        sizes = dataclasses.replace(CONFIG.architecture, clock_s=clock_s)
        return dataclasses.replace(CONFIG, architecture=sizes)

    # Its feet go up and down 6 rad/s fast.
    assert train_walk(SPEC, still_module, with_clock(0.95), tmp_path / "in", clips=[wiggling_clip])
    policy = TaskPolicy.load(tmp_path / "in" / "walk.npz", robot="anymal_c", task="walk")
    assert policy.agent.clock is not None
    assert policy.agent.clock.angle_rad == pytest.approx(2.0 * np.pi * 0.02 / 0.95)
    with pytest.raises(ClipError, match=r"none of the clips has strides of about 0\.5 s"):
        train_walk(SPEC, still_module, with_clock(0.5), tmp_path / "out", clips=[wiggling_clip])
