"""Bundles of the shipped policy do what the policy does, and nothing that cannot run is written."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.contract import ObservationContract
from legged_skills.robots.errors import ContractError, FileFormatError, SettingsError
from legged_skills.robots.simulation import BatchSim
from legged_skills.sim2real.bundle import Bundle
from legged_skills.sim2real.raw_frame import frame_offset, frame_scale, term_slices
from legged_skills.sim2real.runtime import Runtime
from legged_skills.skill_module.rollout import act
from legged_skills.tasks.evaluate_walk import shipped_policy
from legged_skills.tasks.export import export_bytes, export_policy, policy_bundle
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.stride_clock import CLOCK_SIZE
from legged_skills.tasks.walk import COMMAND_SCALE, WalkConfig, WalkEnv

SPEC = robots.get("anymal_c")


@pytest.fixture(
    scope="module",
    params=[(0.0, 0.0, 0.0), (20.0, 0.0, 0.0), (20.0, 0.5, 0.0), (20.0, 0.5, 0.7)],
    ids=["untrimmed", "trimmed", "corrected", "clocked"],
)
def policy(request: pytest.FixtureRequest) -> TaskPolicy:
    shipped = TaskPolicy.load(shipped_policy("anymal_c"), "anymal_c", "walk")
    trim, correction, clock = request.param
    sizes = dataclasses.replace(
        shipped.architecture, trim_steps=trim, correction_std=correction, clock_s=clock
    )
    policy, params = dataclasses.replace(shipped, architecture=sizes), shipped.params
    if correction:
        # As a training begins: the robot walks on.
        params = params | {"correction": policy.agent.init(jax.random.key(4))["correction"]}
    if clock:
        # It steps a little to the clock's time, too.
        first = params["policy"]["Dense_0"]
        rows = 0.05 * np.random.default_rng(5).standard_normal(
            (CLOCK_SIZE, first["kernel"].shape[1])
        )
        end = len(first["kernel"]) - shipped.decoder.latent_size
        kernel = np.insert(np.asarray(first["kernel"]), [end] * CLOCK_SIZE, rows, axis=0)
        more = {"Dense_0": first | {"kernel": kernel.astype(np.float32)}}
        params = params | {"policy": params["policy"] | more}
    return dataclasses.replace(policy, params=params)


@pytest.fixture(scope="module")
def bundle(policy: TaskPolicy) -> Bundle:
    return policy_bundle(policy)


def random_raw_frames(contract: ObservationContract, count: int, seed: int) -> np.ndarray:
    """(count, history, frame_size) what sensors of moving robots say: each history drifts."""
    rng = np.random.default_rng(seed)
    raw = np.empty((count, contract.history, contract.frame_size), np.float32)
    up = rng.normal([0.0, 0.0, -1.0], 0.3, (count, 3))
    pose = rng.uniform(SPEC.joint_lower, SPEC.joint_upper, (count, 12))
    start = {
        "gravity": up / np.linalg.norm(up, axis=1, keepdims=True),
        "angular_velocity": rng.normal(0.0, 1.0, (count, 3)),
        "joint_pos": pose,
        "joint_vel": rng.normal(0.0, 3.0, (count, 12)),
        "last_action": (pose - SPEC.default_joint_pos) / SPEC.action_scale,
    }
    for name, where in term_slices(contract).items():
        size = start[name].shape[1]
        drift = rng.normal(0.0, 0.1, (count, contract.history, size)).cumsum(axis=1)
        raw[:, :, where] = start[name][:, None] + drift
    return raw


def test_parity_on_10_000_observations(policy: TaskPolicy, bundle: Bundle) -> None:
    count, contract, rng = 10_000, policy.contract, np.random.default_rng(1)
    raw = random_raw_frames(contract, count, seed=0)
    low, high = (-0.3, -0.3, -0.8), (1.0, 0.3, 0.8)
    command = rng.uniform(low, high, (count, 3)).astype(np.float32)
    command[:100] = 0.0
    z_tm1 = rng.standard_normal((count, bundle.header.latent_size), dtype=np.float32)
    signals = {name: raw[..., where] for name, where in term_slices(contract).items()}
    obs = {
        "proprioception": contract.frame(signals).reshape(count, -1),
        "task": command * COMMAND_SCALE,
    }
    decision = act(policy.agent, policy.params, obs, z_tm1, jax.random.key(0), deterministic=True)
    wanted = SPEC.joint_targets(np.asarray(decision.action))
    targets, z = bundle.infer(raw, command, z_tm1)
    assert np.abs(targets - wanted).max() <= 1e-5
    assert np.abs(z - np.asarray(decision.z)).max() <= 1e-4
    # Many targets are inside of the limits, so that clamping does not hide the comparison.
    inside = (wanted > SPEC.joint_lower) & (wanted < SPEC.joint_upper)
    assert inside.mean() > 0.4


class Episode(NamedTuple):
    """T control steps of the policy in JAX."""

    signals: list[dict[str, np.ndarray]]
    """What the sensors said: by term (size,)."""
    last_action: np.ndarray
    """(T, J) the action in force before each step."""
    command: np.ndarray
    """(T, 1, 3) [m/s, rad/s]."""
    targets: np.ndarray
    """(T, 1, J) joint targets [rad]."""
    z: np.ndarray
    """(T, 1, L) latents after each step."""


@pytest.fixture(scope="module")
def episode(policy: TaskPolicy) -> Episode:
    """20 s of walking on changing commands."""
    steps, contract = 1000, policy.contract
    env = WalkEnv(BatchSim(SPEC, 1, 1), contract, WalkConfig(max_steps=steps + 1), seed=3)
    env.robots.reset(np.array([0]), SPEC.home_qpos, np.zeros(6 + SPEC.num_joints))
    env.age[:] = 0  # random at first, which would cut the episode short
    z, key = np.zeros((1, policy.agent.carried_size), np.float32), jax.random.key(0)
    signals, actions, commands, targets, latents = [], [], [], [], []
    for _ in range(steps):
        obs = env.observe()
        newest = obs["proprioception"].reshape(contract.history, -1)[-1]
        raw = (newest / frame_scale(contract) + frame_offset(contract)).astype(np.float32)
        signals.append({name: raw[where] for name, where in term_slices(contract).items()})
        actions.append(signals[-1].pop("last_action"))
        commands.append(env.command.copy())
        decision = act(policy.agent, policy.params, obs, z, key, deterministic=True)
        z = np.asarray(decision.z)
        targets.append(SPEC.joint_targets(np.asarray(decision.action)))
        latents.append(z)
        outcome = env.step(np.asarray(decision.action))
        assert not (outcome.terminated | outcome.truncated).any()
    assert np.abs(env.robots.pos_w[0, :2]).max() > 1.0  # [m]: it went somewhere
    return Episode(
        signals, np.array(actions), np.array(commands), np.array(targets), np.array(latents)
    )


def feed(runtime: Runtime, episode: Episode, step: int) -> None:
    for name, signal in runtime.signals.items():
        signal[0] = episode.signals[step][name]
    runtime.command[:] = episode.command[step]


def test_parity_at_every_step_of_an_episode(bundle: Bundle, episode: Episode) -> None:
    # Latent and last action are set to JAX's before each step. Left alone, the policy's loop
    # through them amplifies rounding errors while sensor values are recorded ones: JAX, started
    # with a latent of 1e-7, leaves JAX started with 0 by more than 1e-5 rad within some hundred
    # steps. The two tests below leave them alone.
    runtime = Runtime(bundle)
    for step, wanted in enumerate(episode.targets):
        feed(runtime, episode, step)
        if step:
            runtime.z[:] = episode.z[step - 1]
            runtime.last_action[:] = episode.last_action[step]
        assert np.abs(runtime.step() - wanted).max() <= 1e-5
        assert np.abs(runtime.z - episode.z[step]).max() <= 1e-4


def test_parity_of_the_free_runtime_for_two_seconds(bundle: Bundle, episode: Episode) -> None:
    runtime = Runtime(bundle)
    for step in range(100):
        feed(runtime, episode, step)
        assert np.abs(runtime.step() - episode.targets[step]).max() <= 1e-5


def test_runtime_carries_its_state_exactly_through_an_episode(
    bundle: Bundle, episode: Episode
) -> None:
    # The loop of policy, latent, last action and history, written out again around the graph.
    default = SPEC.default_joint_pos.astype(np.float32)
    runtime, z = Runtime(bundle), np.zeros((1, bundle.header.latent_size), np.float32)
    action, frames = np.zeros(12, np.float32), []
    for step, signals in enumerate(episode.signals):
        feed(runtime, episode, step)
        if step == 0:
            action = (signals["joint_pos"] - default) / np.float32(SPEC.action_scale)
        frame = np.concatenate([*signals.values(), action])
        frames = [*frames[1:], frame] if step else [frame] * bundle.contract.history
        targets, z = bundle.infer(np.stack(frames)[None], episode.command[step], z)
        np.testing.assert_array_equal(runtime.step(), targets)
        np.testing.assert_array_equal(runtime.z, z)
        action = (targets[0] - default) / np.float32(SPEC.action_scale)


def test_runtime_walks_as_commanded_by_itself(bundle: Bundle, policy: TaskPolicy) -> None:
    commands = np.array([[0.8, 0.0, 0.0], [0.4, 0.2, 0.5]], np.float32)
    env = WalkEnv(BatchSim(SPEC, 2, 1), policy.contract, WalkConfig(start_noise=0.0))
    env.robots.reset(np.arange(2), SPEC.home_qpos, np.zeros(6 + SPEC.num_joints))
    runtime, slices = Runtime(bundle, batch=2), term_slices(policy.contract)
    runtime.command[:] = commands
    velocity = []
    for _ in range(200):  # 4 s
        newest = env.robots.proprioception().reshape(2, policy.contract.history, -1)[:, -1]
        raw = newest / frame_scale(policy.contract) + frame_offset(policy.contract)
        for name, signal in runtime.signals.items():
            signal[:] = raw[:, slices[name]]
        env.robots.step((runtime.step() - SPEC.default_joint_pos) / SPEC.action_scale)
        now = env.velocity()
        velocity.append(np.column_stack([now.linear, now.yaw]))
        assert not env.fallen().any()
    error = np.abs(np.mean(velocity[100:], axis=0) - commands)
    assert error[:, :2].max() < 0.15  # [m/s]
    assert error[:, 2].max() < 0.2  # [rad/s]


def test_file_is_the_bytes_and_always_the_same(policy: TaskPolicy, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "walk.onnx"
    export_policy(policy, path)
    assert path.read_bytes() == export_bytes(policy)
    Bundle.load(path, "anymal_c", "walk", policy.contract)


def test_timing_travels_along(still_policy: TaskPolicy, tmp_path: Path) -> None:
    path, timing = tmp_path / "walk.onnx", {"policy_period_s": 0.02, "setpoint": "hold"}
    export_policy(still_policy, path, timing)
    assert Bundle.load(path).header.timing == timing
    assert policy_bundle(still_policy, timing).header.timing == timing
    assert policy_bundle(still_policy).header.timing is None


def test_still_policy_asks_for_the_default_pose(still_policy: TaskPolicy) -> None:
    runtime = Runtime(policy_bundle(still_policy))
    runtime.signals["joint_pos"][:] = 0.3
    np.testing.assert_allclose(runtime.step()[0], SPEC.default_joint_pos, atol=1e-6)


def test_weights_that_are_not_finite_are_not_written(
    still_policy: TaskPolicy, tmp_path: Path
) -> None:
    path = tmp_path / "walk.onnx"
    path.write_text("before")
    broken = still_policy.params | {"filter_logit": np.float32(np.nan)}
    with pytest.raises(FileFormatError, match=r"walk\.onnx: the policy's outputs are not finite"):
        export_policy(dataclasses.replace(still_policy, params=broken), path)
    assert path.read_text() == "before"


def test_policies_that_cannot_be_exported(still_policy: TaskPolicy) -> None:
    with pytest.raises(SettingsError, match="of task 'jump'; known tasks: walk, dribble"):
        export_bytes(dataclasses.replace(still_policy, task="jump"))
    newer = {**still_policy.config, "hills_m": 1.0}
    for task, kind in (("walk", "WalkConfig"), ("dribble", "DribbleConfig")):
        message = f"the policy to export: {kind} has no field 'hills_m' here"
        with pytest.raises(FileFormatError, match=message):
            export_bytes(dataclasses.replace(still_policy, task=task, config=newer))
    with pytest.raises(ContractError, match="told 4 numbers of its task, expected a command of 3"):
        export_bytes(dataclasses.replace(still_policy, task_size=4))
    contract = dataclasses.replace(still_policy.contract, kp=(60.0, *[80.0] * 11))
    with pytest.raises(ContractError, match=r"the kp of LF_HAA is 60\.0 Nm/rad, expected 80\.0"):
        export_bytes(dataclasses.replace(still_policy, contract=contract))
