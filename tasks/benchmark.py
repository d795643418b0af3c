"""Speed of simulation and training, against bare physics in the same run."""

import dataclasses
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from mujoco.rollout import Rollout

from legged_skills.mocap.clip import RobotClip
from legged_skills.robots.simulation import BatchSim
from legged_skills.robots.spec import RobotSpec
from legged_skills.skill_module.imitation import ImitationEnv
from legged_skills.skill_module.train import SkillTrainingConfig, make_env, make_tracker
from legged_skills.skill_module.training import Loop


class BarePhysics:
    """``mujoco.rollout`` on the same model, states and targets, and nothing else."""

    def __init__(self, sim: BatchSim) -> None:
        """Prepares a thread pool of the simulation's size, and all arrays."""
        self.sim, model = sim, sim.model
        n, steps = sim.num_envs, sim.spec.substeps
        full = mujoco.mjtState.mjSTATE_FULLPHYSICS.value
        self._models = [model] * n
        self._data = [mujoco.MjData(model) for _ in range(sim.num_threads)]
        self._pool = Rollout(nthread=sim.num_threads)
        self._start = np.zeros((n, mujoco.mj_stateSize(model, full)))
        self._control = np.empty((n, steps, model.nu))
        self._state = np.empty((n, steps, self._start.shape[1]))
        self._sensors = np.empty((n, steps, model.nsensordata))

    def step(self, joint_targets: np.ndarray) -> float:
        """Seconds that one control step takes from where the simulation is; it stays there."""
        model = self.sim.model
        self._start[:, 1 : 1 + model.nq] = self.sim.qpos
        self._start[:, 1 + model.nq : 1 + model.nq + model.nv] = self.sim.qvel
        self._control[:] = joint_targets[:, None]
        began = time.perf_counter()
        self._pool.rollout(
            self._models,
            self._data,
            self._start,
            self._control,
            nstep=self.sim.spec.substeps,
            state=self._state,
            sensordata=self._sensors,
        )
        return time.perf_counter() - began


def benchmark_sim(
    spec: RobotSpec,
    clips: Sequence[RobotClip],
    num_envs: int = 512,
    num_threads: int = 0,
    seconds: float = 15.0,
    gap: str = "none",
) -> dict[str, Any]:
    """Rate of full environment steps, and of bare physics from the very same states.

    The robots are driven along the reference with noise, so that they stay on their feet mostly,
    and are lost and reset now and then. Each control step is timed both ways; with a gap clean
    environments take their own steps in turn with them.

    Args:
        spec: the robot.
        clips: what is imitated.
        num_envs: environments stepped together.
        num_threads: of the physics; 0 takes all cores.
        seconds: how long to measure [s].
        gap: "none", "full", or a file of settings.

    Returns:
        "steps_per_second" (observation, physics, reward and resets of all environments),
        "bare_steps_per_second" (``mujoco.rollout``), "ratio_to_bare", and the settings. With a gap
        also "clean_steps_per_second", of environments without it, and "ratio_to_clean".
    """
    envs = [make_env(spec, clips, _config(num_envs, num_threads, gap))]
    if gap != "none":
        envs.append(make_env(spec, clips, _config(num_envs, num_threads, "none")))
    for env in envs:
        env.set_progress(1.0)
    bare = BarePhysics(envs[-1].robots.batch)
    rng = np.random.default_rng(0)
    times: list[list[float]] = []
    deadline = time.perf_counter() + seconds + 1.0
    warm = time.perf_counter() + 1.0
    while time.perf_counter() < deadline:
        targets = spec.joint_targets(_along_reference(envs[-1], rng))
        row = [bare.step(targets), *(_timed_step(env, rng) for env in envs)]
        if time.perf_counter() > warm:
            times.append(row)
    alone, *own = len(times) * num_envs / np.sum(times, axis=0)
    figures = _figures(own[0], alone, envs[0]) | {"gap": gap}
    if gap != "none":
        figures["clean_steps_per_second"] = float(own[1])
        figures["ratio_to_clean"] = float(own[0] / own[1])
    return figures


def _timed_step(env: ImitationEnv, rng: np.random.Generator) -> float:
    """Seconds that observation, physics, reward and resets of one control step take."""
    action = _along_reference(env, rng)
    began = time.perf_counter()
    env.observe()
    env.step(action)
    return time.perf_counter() - began


def benchmark_train(
    spec: RobotSpec,
    clips: Sequence[RobotClip],
    num_envs: int = 512,
    num_threads: int = 0,
    seconds: float = 20.0,
) -> dict[str, Any]:
    """Rate of training a skill module, all in, and of bare physics from the very same states.

    What is timed is the longest part, the tracker's training.

    Args:
        spec: the robot.
        clips: what is imitated.
        num_envs: environments stepped together.
        num_threads: of the physics; 0 takes all cores.
        seconds: how long to measure, after compilation [s].

    Returns:
        As ``benchmark_sim``, and "resident_mb": the most memory this process has held [MB].
    """
    config = _config(num_envs, num_threads, "none")
    env = make_env(spec, clips, config)
    agent = make_tracker(spec, config)
    bare = BarePhysics(env.robots.batch)
    rng = np.random.default_rng(0)
    full_s = bare_s = 0.0
    iterations = bare_steps = 0
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop(agent, env, config.ppo, config.run, Path(folder), {})
        for _ in range(2):
            loop.step()
        while full_s + bare_s < seconds:
            began = time.perf_counter()
            loop.step()
            full_s += time.perf_counter() - began
            iterations += 1
            for _ in range(config.ppo.steps):
                bare_s += bare.step(spec.joint_targets(_along_reference(env, rng)))
                bare_steps += 1
    rate = iterations * loop.steps_per_iteration / full_s
    return {
        **_figures(rate, bare_steps * num_envs / bare_s, env),
        "resident_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0,
    }


def _config(num_envs: int, num_threads: int, gap: str) -> SkillTrainingConfig:
    default = SkillTrainingConfig()
    run = dataclasses.replace(default.run, num_envs=num_envs, num_threads=num_threads)
    return dataclasses.replace(default, run=run, gap=gap)


def _along_reference(env: ImitationEnv, rng: np.random.Generator) -> np.ndarray:
    """Actions that ask for the next reference pose, with noise as in training."""
    spec = env.spec
    pose = env.reference.qpos[env.row, 7:] - spec.default_joint_pos
    return pose / spec.action_scale + 0.3 * rng.standard_normal(pose.shape)


def _figures(rate: float, bare_rate: float, env: ImitationEnv) -> dict[str, Any]:
    sim = env.robots.batch
    return {
        "robot": sim.spec.name,
        "num_envs": sim.num_envs,
        "num_threads": sim.num_threads,
        "physics_step_s": sim.spec.physics_step_s,
        "substeps": sim.spec.substeps,
        "steps_per_second": float(rate),
        "bare_steps_per_second": float(bare_rate),
        "ratio_to_bare": float(rate / bare_rate),
    }
