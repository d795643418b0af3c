"""Training end to end, small: files, exact resume, refusals, kill -9."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
from rich.console import Console

from legged_skills import robots
from legged_skills.robots.contract import proprioception
from legged_skills.robots.errors import (
    ContractError,
    FileFormatError,
    SettingsError,
    TrainingError,
)
from legged_skills.sim2real.gap import GAPS
from legged_skills.skill_module import checkpoint, training
from legged_skills.skill_module.agents import Architecture
from legged_skills.skill_module.digests import clip_digest
from legged_skills.skill_module.distil import DistilConfig
from legged_skills.skill_module.imitation import ImitationConfig
from legged_skills.skill_module.matching import FreeConfig
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.ppo import PpoConfig
from legged_skills.skill_module.tracker import TrackerArchitecture
from legged_skills.skill_module.train import (
    CatchingConfig,
    SkillTrainingConfig,
    begin_with,
    catching_itself,
    make_env,
    train_skills,
    train_tracker,
)
from legged_skills.skill_module.training import Result, RunConfig

pytestmark = pytest.mark.standard_dtypes

SPEC = robots.get("anymal_c")
SMALL = SkillTrainingConfig(
    run=RunConfig(total_steps=4 * 6 * 8, num_envs=8, num_threads=1, seed=1),
    ppo=PpoConfig(steps=6, epochs=1, minibatches=2),
    architecture=Architecture(
        latent_size=4, encoder_hidden=(16,), decoder_hidden=(16,), critic_hidden=(16,)
    ),
    history=1,
    method="end_to_end",
    front_back=False,
)
DISTIL = dataclasses.replace(
    SMALL,
    method="distil",
    tracker=TrackerArchitecture(policy_hidden=(16,), critic_hidden=(16,)),
    tracker_steps=2 * 6 * 8,
    distil=DistilConfig(steps=6, epochs=1, minibatches=2),
    free=FreeConfig(share=0.5, mean_s=0.1),
)


def _with_run(config: SkillTrainingConfig, **changes) -> SkillTrainingConfig:
    return dataclasses.replace(config, run=dataclasses.replace(config.run, **changes))


def _train_in_parts(clip, config: SkillTrainingConfig, out: Path) -> Result:
    """Trains with a limit of time over all stages that grows from call to call; at first none."""
    calls, minutes = 0, 1e-9
    while True:
        part = train_skills(SPEC, [clip], _with_run(config, minutes=minutes), out)
        calls, minutes = calls + 1, minutes + 0.02
        if part.finished and (out / "skills.npz").exists():
            assert calls >= 2
            return part


def _check_same(found: Result, wanted: Result) -> None:
    pairs = zip(jax.tree.leaves(found.learner), jax.tree.leaves(wanted.learner), strict=True)
    for one, other in pairs:
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def trained(wiggling_clip, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return train_skills(SPEC, [wiggling_clip], SMALL, out), out


def test_writes_module_checkpoint_config_and_logs(trained, wiggling_clip):
    result, out = trained
    assert result.finished and result.steps == 192
    lines = [json.loads(line) for line in (out / "progress.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [1, 2, 3, 4]
    assert all(np.isfinite(value) for line in lines for value in line.values())
    config = json.loads((out / "config.json").read_text())
    assert config["robot"] == "anymal_c"
    assert config["settings"]["run"]["seed"] == 1
    assert config["versions"]["mujoco"]
    module = SkillModule.load(out / "skills.npz", robot="anymal_c")
    assert module.clips == ("wiggle",)
    assert module.summary["steps"] == 192
    assert module.summary["clips"] == {"wiggle": clip_digest(wiggling_clip)}
    assert (module.summary["mirrored"], module.summary["front_back"]) == (True, False)
    wanted = jax.tree.leaves(result.learner.average["decoder"])
    for found, leaf in zip(jax.tree.leaves(module.params["decoder"]), wanted, strict=True):
        np.testing.assert_array_equal(found, leaf)


def test_the_weight_of_the_kl_rises_and_the_steps_shrink(wiggling_clip, tmp_path):
    config = _with_run(SMALL, kl_ramp_share=0.5, settle_share=0.75)
    train_skills(SPEC, [wiggling_clip], config, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "progress.jsonl").read_text().splitlines()]
    weight = config.ppo.kl_weight
    np.testing.assert_allclose(
        [line["kl_weight"] for line in lines], weight * np.array([0.5, 1.0, 1.0, 1.0])
    )
    np.testing.assert_allclose([line["step_share"] for line in lines], [1.0, 1.0, 2 / 3, 1 / 3])


def test_the_optimiser_begins_anew_when_the_policy_does(wiggling_clip, tmp_path):
    """Its moments of a policy that did not move are zeros, which it would divide by."""
    whole = train_skills(SPEC, [wiggling_clip], SMALL, tmp_path / "whole").learner
    config = _with_run(SMALL, critic_share=0.5)
    halved = train_skills(SPEC, [wiggling_clip], config, tmp_path / "halved").learner
    # Four iterations of two minibatches, or the last two of them.
    assert [int(learner.opt_state[1].count) for learner in (whole, halved)] == [8, 4]
    assert halved.opt_state[1].nu["decoder"]["Dense_0"]["kernel"].max() > 0.0


def test_front_back_images_are_tracked_if_asked_for(wiggling_clip):
    images = [
        make_env(SPEC, [wiggling_clip], dataclasses.replace(SMALL, mirrored=m, front_back=f))
        for m, f in ((False, False), (True, False), (False, True), (True, True))
    ]
    assert [env.reference.num_rows for env in images] == [100, 200, 200, 400]


def test_interrupted_training_resumes_exactly(trained, wiggling_clip, tmp_path):
    result, _ = trained
    # A time limit of nearly nothing ends it after each iteration.
    steps = []
    for _ in range(4):
        minutes = (steps[-1].seconds / 60 if steps else 0.0) + 1e-9
        config = _with_run(SMALL, minutes=minutes)
        steps.append(train_skills(SPEC, [wiggling_clip], config, tmp_path))
    assert [step.steps for step in steps] == [48, 96, 144, 192]
    # Once more there is nothing to do, and what was last logged is still known.
    again = train_skills(SPEC, [wiggling_clip], config, tmp_path)
    assert again.finished and again.figures == steps[-1].figures
    _check_same(steps[-1], result)


def test_distillation_trains_a_tracker_first_and_resumes_exactly(wiggling_clip, tmp_path):
    whole = train_skills(SPEC, [wiggling_clip], DISTIL, tmp_path / "whole")
    assert whole.finished and whole.steps == 192
    module = SkillModule.load(tmp_path / "whole" / "skills.npz", robot="anymal_c")
    assert module.summary["tracker"]["steps"] == 96
    assert module.summary["free"]["share"] == DISTIL.free.share
    _check_same(_train_in_parts(wiggling_clip, DISTIL, tmp_path / "parts"), whole)


def test_who_goes_learns_to_catch_itself_and_is_distilled(wiggling_clip, tmp_path):
    catching = CatchingConfig(steps=2 * 12 * 8, rollout_steps=12, minibatches=2, gamma=0.9)
    config = dataclasses.replace(
        DISTIL, gap="full", catching=dataclasses.replace(catching, push_force_n=(90.0, 200.0))
    )
    whole = train_skills(SPEC, [wiggling_clip], config, tmp_path / "whole")
    assert whole.finished
    first, second, last = (
        json.loads((tmp_path / "whole" / folder / "config.json").read_text())
        for folder in ("tracker", "catching", ".")
    )
    assert (first["begun"], second["begun"]) == (None, 96)
    ppo = first["settings"]["ppo"] | {"steps": 12, "gamma": 0.9, "learning_rate": 5e-4}
    ppo |= {"min_learning_rate": 5e-4, "max_learning_rate": 5e-4}
    assert second["settings"]["ppo"] == ppo
    noise = {"initial_action_std": 0.4, "min_action_std": 0.3, "max_action_std": 0.4}
    noise |= {"persistence": 0.9, "lasting_share": 0.5}
    assert second["architecture"] == first["architecture"] | noise
    told = first["imitation"] | {"root_weight": 0.15, "root_pos_scale": 1.0, "max_root_error": 2.0}
    assert second["imitation"] == told | {"root_vel_weight": 0.1, "mean_vel_weight": 0.4}
    assert last["imitation"] == first["imitation"] | {"max_root_error": 2.0}
    for shown in (second, last):
        assert shown["gap"]["ranges"]["push_force_n"] == [90.0, 200.0]
        assert shown["gap"]["pushes"]["interval_s"] == [1.0, 2.0]
    assert second["gap"]["ramp_share"] == 0.0 and last["gap"] != second["gap"]
    module = SkillModule.load(tmp_path / "whole" / "skills.npz", robot="anymal_c")
    assert module.summary["tracker"]["steps"] == 96 + 192
    _check_same(_train_in_parts(wiggling_clip, config, tmp_path / "parts"), whole)


def test_catching_goes_on_from_what_the_tracker_learned(wiggling_clip, tmp_path):
    first = train_tracker(SPEC, [wiggling_clip], DISTIL, tmp_path / "first")
    still = CatchingConfig(steps=96, rollout_steps=6, minibatches=2, learning_rate=0.0)
    second = catching_itself(dataclasses.replace(DISTIL, gap="full", catching=still))
    assert second is not None and catching_itself(DISTIL) is None
    caught = train_tracker(SPEC, [wiggling_clip], second, tmp_path / "second", first)
    for name in ("policy", "critic"):
        wanted = jax.tree.leaves(first.learner.average[name])
        found = jax.tree.leaves(caught.learner.params[name])
        for one, other in zip(wanted, found, strict=True):
            np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(caught.learner.params["action_log_std"], np.log(0.4), rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"distil": DistilConfig(steps=6, minibatches=9)},
            "minibatches is 9, expected at most the 8",
        ),
        ({"architecture": Architecture(latent_size=6)}, "of 6 values cannot be mirrored"),
        (
            {"run": RunConfig(total_steps=47, num_envs=8)},
            "total_steps is 47, expected at least the",
        ),
        (
            {"gap": "full", "catching": CatchingConfig(steps=100)},
            "total_steps is 100, expected at least the 384 of one",
        ),
        (
            {"gap": "full", "catching": CatchingConfig(steps=384, push_force_n=(16.0, 9.0))},
            r"push_force_n is \(16.0, 9.0\), expected a low and a high end",
        ),
    ],
)
def test_what_cannot_be_distilled_is_refused_before_the_tracker(
    changes, message, wiggling_clip, tmp_path
):
    with pytest.raises(SettingsError, match=message):
        train_skills(SPEC, [wiggling_clip], dataclasses.replace(DISTIL, **changes), tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_encoder_alone_is_trained_on_the_decoder_that_there_is(wiggling_clip, tmp_path):
    train_skills(SPEC, [wiggling_clip], DISTIL, tmp_path / "first")
    start = SkillModule.load(tmp_path / "first" / "skills.npz")
    only = dataclasses.replace(DISTIL.distil, encoder_only=True)
    config = dataclasses.replace(DISTIL, distil=only)
    with pytest.raises(SettingsError, match="expected a module to start from, whose decoder"):
        train_skills(SPEC, [wiggling_clip], config, tmp_path / "second")
    train_skills(SPEC, [wiggling_clip], config, tmp_path / "second", start)
    module = SkillModule.load(tmp_path / "second" / "skills.npz")
    for old, new in zip(
        jax.tree.leaves(start.params["decoder"]),
        jax.tree.leaves(module.params["decoder"]),
        strict=True,
    ):
        np.testing.assert_array_equal(old, new)
    old, new = (jax.tree.leaves(m.params["encoder"])[0] for m in (start, module))
    assert np.abs(old - new).max() > 1e-4


def test_the_encoder_is_trained_further_by_itself_and_resumes_exactly(wiggling_clip, tmp_path):
    config = dataclasses.replace(DISTIL, encoder_steps=96, encoder_kl_weight=0.02, prior_alpha=0.8)
    whole = train_skills(SPEC, [wiggling_clip], config, tmp_path / "whole")
    assert whole.finished and whole.steps == 96
    before = SkillModule.load(tmp_path / "whole" / "distilled" / "skills.npz")
    module = SkillModule.load(tmp_path / "whole" / "skills.npz")
    assert (before.summary["steps"], module.summary["steps"]) == (192, 96)
    assert module.summary["start"]["tracker"]["steps"] == 96
    assert (module.summary["free"]["share"], module.summary["ppo"]["kl_weight"]) == (0.0, 0.02)
    assert module.architecture == before.architecture and module.architecture.alpha == 0.8
    for part in ("decoder", "encoder"):
        old, new = (jax.tree.leaves(m.params[part]) for m in (before, module))
        same = all(np.array_equal(a, b) for a, b in zip(old, new, strict=True))
        assert same is (part == "decoder")
    _check_same(_train_in_parts(wiggling_clip, config, tmp_path / "parts"), whole)
    short = dataclasses.replace(config, encoder_steps=47)
    with pytest.raises(SettingsError, match="total_steps is 47"):
        train_skills(SPEC, [wiggling_clip], short, tmp_path / "short")
    assert not (tmp_path / "short").exists()


def test_a_module_that_looks_otherwise_ahead_is_no_beginning(trained):
    start = SkillModule.load(trained[1] / "skills.npz")
    other = dataclasses.replace(SMALL, imitation=ImitationConfig(future_steps=(1, 2)))
    with pytest.raises(ContractError, match=r"sees the reference .* steps ahead, expected"):
        begin_with(start, proprioception(SPEC, 1), other)


def test_other_settings_clips_or_damage_refuse_to_resume(trained, wiggling_clip, tmp_path):
    _, out = trained
    checkpoint = (out / "checkpoint.npz").read_bytes()
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(checkpoint)
    with pytest.raises(ContractError, match=r"checkpoint.npz: .*cannot be resumed"):
        train_skills(SPEC, [wiggling_clip], _with_run(SMALL, seed=2), tmp_path)
    other = dataclasses.replace(wiggling_clip, name="other")
    with pytest.raises(ContractError, match="the checkpoint's clips is"):
        train_skills(SPEC, [other], SMALL, tmp_path)
    moved = wiggling_clip.qpos.copy()
    moved[:, 1] += 1.0
    with pytest.raises(ContractError, match="the checkpoint's clips is wiggle = "):
        train_skills(SPEC, [dataclasses.replace(wiggling_clip, qpos=moved)], SMALL, tmp_path)
    # The same poses at other speeds, or at another rate, are another motion too.
    faster = dataclasses.replace(wiggling_clip, qvel=wiggling_clip.qvel * 1.01)
    with pytest.raises(ContractError, match="the checkpoint's clips is wiggle = "):
        train_skills(SPEC, [faster], SMALL, tmp_path)
    quicker = dataclasses.replace(wiggling_clip, fps=50.5)
    with pytest.raises(ContractError, match="the checkpoint's clips is wiggle = "):
        train_skills(SPEC, [quicker], SMALL, tmp_path)
    with pytest.raises(ContractError, match="the checkpoint's front back is False"):
        train_skills(SPEC, [wiggling_clip], dataclasses.replace(SMALL, front_back=True), tmp_path)
    with pytest.raises(ContractError, match="contract hash"):
        train_skills(SPEC, [wiggling_clip], dataclasses.replace(SMALL, history=2), tmp_path)
    path.write_bytes(checkpoint[: len(checkpoint) // 3])
    with pytest.raises(FileFormatError, match=r"checkpoint.npz: not a readable"):
        train_skills(SPEC, [wiggling_clip], SMALL, tmp_path)
    assert path.read_bytes() == checkpoint[: len(checkpoint) // 3]


def test_too_few_steps_are_refused(wiggling_clip, tmp_path):
    with pytest.raises(SettingsError, match="total_steps is 10, expected at least the 48"):
        train_skills(SPEC, [wiggling_clip], _with_run(SMALL, total_steps=10), tmp_path)


def test_full_disk_during_a_checkpoint_keeps_the_last_one(
    trained, wiggling_clip, tmp_path, monkeypatch
):
    _, out = trained
    before = (out / "checkpoint.npz").read_bytes()
    (tmp_path / "checkpoint.npz").write_bytes(before)

    def full(handle: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileFormatError, match="No space left on device"):
        train_skills(SPEC, [wiggling_clip], SMALL, tmp_path)
    assert (tmp_path / "checkpoint.npz").read_bytes() == before
    assert not list(tmp_path.glob(".*.tmp"))


_ENDLESS = """
import dataclasses, sys
from legged_skills import robots
from legged_skills.mocap.clip import RobotClip
from legged_skills.skill_module.agents import Architecture
from legged_skills.skill_module.ppo import PpoConfig
from legged_skills.skill_module.train import SkillTrainingConfig, train_skills
from legged_skills.skill_module.training import Result, RunConfig
config = SkillTrainingConfig(
    run=RunConfig(total_steps=10**9, num_envs=8, num_threads=1, checkpoint_minutes=0.0),
    ppo=PpoConfig(steps=6, epochs=1, minibatches=2),
    architecture=Architecture(
        latent_size=4, encoder_hidden=(16,), decoder_hidden=(16,), critic_hidden=(16,)
    ),
    method="end_to_end",
)
train_skills(robots.get("anymal_c"), [RobotClip.load(sys.argv[1])], config, sys.argv[2])
"""


def _start(clip_path, out) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", _ENDLESS, str(clip_path), str(out)],
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    deadline = time.monotonic() + 120.0
    while not (out / "skills.npz").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    return process


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_training_leaves_whole_files(wiggling_clip, tmp_path, number):
    clip_path, out = tmp_path / "wiggle.npz", tmp_path / "run"
    wiggling_clip.save(clip_path)
    process = _start(clip_path, out)
    try:
        time.sleep(0.3)
        process.send_signal(number)
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    SkillModule.load(out / "skills.npz")
    with np.load(out / "checkpoint.npz", allow_pickle=False) as arrays:
        header = json.loads(str(arrays["header"]))
        assert all(np.isfinite(arrays[name]).all() for name in arrays.files if "leaf" in name)
    assert header["iteration"] >= 1


def test_begins_with_a_module_that_has_seen_less_history(trained, wiggling_clip, tmp_path):
    _, out = trained
    start = SkillModule.load(out / "skills.npz")
    longer = dataclasses.replace(SMALL, history=3, ppo=dataclasses.replace(SMALL.ppo, epochs=1))
    contract = proprioception(SPEC, 3)
    begun = begin_with(start, contract, longer)
    # What a decoder makes of old frames and new ones: only the newest frame counts at first.
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(5, 3, contract.frame_size)).astype(np.float32)
    z = rng.normal(size=(5, 4)).astype(np.float32)
    agent = dataclasses.replace(start.agent, proprioception_size=contract.size)
    seen = agent.decode(begun, frames.reshape(5, -1), z)
    np.testing.assert_allclose(seen, start.agent.decode(start.params, frames[:, -1], z), atol=1e-5)
    result = train_skills(SPEC, [wiggling_clip], longer, tmp_path, start)
    assert result.finished
    assert SkillModule.load(tmp_path / "skills.npz").summary["start"]["steps"] == 192


def test_a_module_that_does_not_fit_is_no_beginning(trained):
    start = SkillModule.load(trained[1] / "skills.npz")
    wider = dataclasses.replace(SMALL.architecture, latent_size=5)
    with pytest.raises(
        ContractError, match="the module to start from has latent_size 4, expected 5"
    ):
        begin_with(start, proprioception(SPEC, 1), dataclasses.replace(SMALL, architecture=wider))
    with pytest.raises(ContractError, match=r"the module to start from has 1 frames, .* most 0"):
        begin_with(start, dataclasses.replace(proprioception(SPEC, 1), history=0), SMALL)
    with pytest.raises(ContractError, match=r"the module to start from: .* robot is"):
        begin_with(start, proprioception(robots.get("op3"), 1), SMALL)


def test_the_gap_widens_with_the_training(wiggling_clip):
    env = make_env(SPEC, [wiggling_clip], dataclasses.replace(SMALL, gap="full"))
    assert env.robots.reality is not None and env.robots.reality.level == 0.0
    env.set_progress(0.15)
    assert env.robots.reality.level == 0.5
    clean = make_env(SPEC, [wiggling_clip], dataclasses.replace(SMALL, gap="none"))
    clean.set_progress(1.0)
    assert clean.robots.reality is None


def test_pushes_of_a_training_are_its_own(wiggling_clip):
    settings = {"gap": "full", "push_force_n": (9.0, 16.0), "push_interval_s": (1.0, 2.0)}
    env = make_env(SPEC, [wiggling_clip], dataclasses.replace(SMALL, **settings))
    assert env.robots.reality is not None
    gap, own = env.robots.reality.gap, GAPS[SPEC.name]
    assert gap.ranges.push_force_n == (9.0, 16.0)
    assert gap.pushes.interval_s == (1.0, 2.0)
    assert gap.pushes.duration_s == own.pushes.duration_s
    assert dataclasses.replace(gap.ranges, push_force_n=own.ranges.push_force_n) == own.ranges


def test_pushes_without_a_gap_are_refused():
    with pytest.raises(SettingsError, match="gap is none"):
        dataclasses.replace(SMALL, gap="none", push_force_n=(5.0, 9.0))
    with pytest.raises(SettingsError, match="gap is none"):
        dataclasses.replace(DISTIL, gap="none", catching=CatchingConfig(steps=96))
    # What is trained end to end has no tracker that could catch itself.
    dataclasses.replace(SMALL, gap="none", catching=CatchingConfig(steps=96))


def test_a_limit_of_time_holds_for_all_stages():
    run = RunConfig(total_steps=1, minutes=10.0)
    assert training.after(run, 540.0) == dataclasses.replace(run, minutes=1.0)
    assert training.after(run, 601.0).minutes == 0.0
    free = RunConfig(total_steps=1)
    assert training.after(free, 540.0) == free


def test_iterations_have_keys_of_their_own_and_know_how_far_the_training_is(tmp_path, monkeypatch):
    keys, progress = [], []

    def collect(agent, params, env, steps, z, key):
        keys.append(key)
        return SimpleNamespace(z=z, batch=None, figures={})

    def update(agent, config, learner, batch, schedule, key):
        keys.append(key)
        return learner, {}

    monkeypatch.setattr(training, "collect", collect)
    env: Any = SimpleNamespace(num_envs=8, set_progress=progress.append)
    agent: Any = SimpleNamespace(carried_size=0, init=lambda key: {"w": jax.numpy.zeros(1)})
    run = RunConfig(total_steps=4 * 6 * 8, num_envs=8, seed=1)
    ppo = PpoConfig(steps=6, minibatches=2)
    loop = training.Loop(agent, env, ppo, run, tmp_path, {}, update=update)
    for _ in range(4):
        loop.step()
    assert progress == [0.0, 0.25, 0.5, 0.75]
    told = [jax.random.key_data(key).tolist() for key in keys]
    wanted = [jax.random.split(jax.random.fold_in(jax.random.key(2), i)) for i in range(4)]
    assert told == [row.tolist() for pair in wanted for row in jax.random.key_data(pair)]
    assert len({tuple(key) for key in told}) == 8


def test_weights_that_are_no_numbers_end_a_training(tmp_path, monkeypatch):
    def update(agent, config, learner, batch, schedule, key):
        return learner._replace(params={"w": jax.numpy.full(1, np.nan)}), {}

    seen = SimpleNamespace(z=None, batch=None, figures={})
    monkeypatch.setattr(training, "collect", lambda *given: seen)
    env: Any = SimpleNamespace(num_envs=8, set_progress=lambda progress: None)
    agent: Any = SimpleNamespace(carried_size=0, init=lambda key: {"w": jax.numpy.zeros(1)})
    run, ppo = RunConfig(total_steps=96, num_envs=8), PpoConfig(steps=6, minibatches=2)
    loop = training.Loop(agent, env, ppo, run, tmp_path, {}, update=update)
    with pytest.raises(TrainingError, match="no finite numbers after iteration 1; the checkpoint"):
        loop.run_to_end(lambda: False, None, Console(quiet=True))
    assert not (tmp_path / "checkpoint.npz").exists()


def test_how_much_is_explored_is_for_the_settings_to_say():
    begun = training.to_begin_with({"policy": 1, "log_std": 2, "action_log_std": 3, "encoder": 4})
    assert begun == {"policy": 1, "encoder": 4}


def test_the_first_setting_that_differs_is_named_with_where_it_is():
    found = {"run": {"seed": 1, "steps": 2}, "robot": "op3", "none": None}
    other = {"run": {"seed": 1, "steps": 3}, "robot": "op3", "none": None}
    assert checkpoint._difference(found, other) == "run.steps = 2, expected 3"
    assert checkpoint._difference(found, {**found, "gap": 1}) == "gap = None, expected 1"
    assert checkpoint._difference("a", "b") == "'a', expected 'b'"


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        (PpoConfig, {"kl_weight": np.nan}, "kl_weight is nan, expected a finite number of at lea"),
        (PpoConfig, {"clip": np.nan}, "clip is nan, expected more than 0"),
        (PpoConfig, {"max_learning_rate": np.inf}, "max_learning_rate is inf, expected a finite"),
        (PpoConfig, {"gamma": 1.0}, "gamma is 1.0, expected"),
        (DistilConfig, {"kl_weight": np.nan}, "kl_weight is nan"),
        (DistilConfig, {"max_grad_norm": 0.0}, "max_grad_norm is 0.0, expected more than 0"),
        (SkillTrainingConfig, {"noise_scale": np.nan}, "noise_scale is nan"),
    ],
)
def test_settings_that_lead_to_no_numbers_are_refused(kind, given, said):
    with pytest.raises(SettingsError, match=said):
        kind(**given)
