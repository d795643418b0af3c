"""Dribbling: a ball shall be where a moving target is."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from legged_skills.robots.ball import BALLS, Ball
from legged_skills.robots.contract import ObservationContract
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.simulation import BatchSim
from legged_skills.sim2real.ball_camera import (
    BallCamera,
    CameraConfig,
    in_heading_frame,
    within,
)
from legged_skills.sim2real.gap import Gap
from legged_skills.sim2real.ranges import BallRanges
from legged_skills.sim2real.sensed_robot import SensedRobots, clean_state_size
from legged_skills.skill_module.environment import Outcome, WithRobots
from legged_skills.skill_module.symmetry import Representation, Symmetry, join
from legged_skills.tasks.dribble_config import DribbleConfig, Sizes, task_scale
from legged_skills.tasks.estimator import told_velocity
from legged_skills.tasks.standing import fallen, standing_qpos
from legged_skills.tasks.target_paths import WAY_SIZE, displacements, draw, velocities

_FIRST_SPEED = 0.2
"""Share of the targets' speed at the start of a training."""
_FIRST_BEARING_RAD = 0.5
"""At the start of a training balls lie within this to both sides of straight ahead [rad]."""


class DribbleEnv(WithRobots):
    """N robots that shall bring a ball to a moving target, with auto-reset.

    The world is that of the floor, and all positions are along it. Observation groups:
    "proprioception" (what the robot measures), "task" (what a camera says of ball and target,
    scaled), "privileged" (a clean frame, base velocity, height, and ball and target as they are,
    for the critic) and "velocity" (for the estimator).

    Attributes:
        robots: the robots.
        ball: what they play with.
        camera: what they see of it.
        ways: (N, 6) of the targets, see ``target_paths.Way``.
        target: (N, 2) where the targets are in the world [m].
        age: (N,) control steps since the start of the episode.
    """

    def __init__(
        self,
        sim: BatchSim,
        contract: ObservationContract,
        config: DribbleConfig,
        seed: int = 0,
        noise_scale: float = 0.0,
        gap: Gap | None = None,
        level: float = 1.0,
        progress: float = 1.0,
    ) -> None:
        """Starts every robot standing, with a ball.

        Args:
            sim: the physics, of a model with a ball (``reality.simulate``).
            contract: what a policy is told of the robot.
            config: the task.
            seed: of everything random.
            noise_scale: factor on the contract's sensor noise, if there is no gap.
            gap: what is between policy and physics, ball and camera included (``ball_gap``).
            level: width of the gap's ranges in force, over their full width.
            progress: how much of a training is over, from 0 to 1.

        Raises:
            SettingsError: the gap is one without a ball, or episodes have no control step.
        """
        delay_s = _longest_delay_s(gap)
        self.robots = SensedRobots(sim, contract, noise_scale, seed + 1, gap, level)
        self.config, self.sizes = config, config.sizes(sim.spec.name)
        self.ball: Ball = BALLS[sim.spec.name]
        self.rng = np.random.default_rng(seed)
        self.progress = progress
        n = sim.num_envs
        self.max_steps = episode_steps(config, self.spec.control_period_s)
        self.camera = BallCamera(
            CameraConfig(range_m=self.sizes.range_m), n, self.spec.control_period_s, delay_s
        )
        self.ways, self.target = np.zeros((n, WAY_SIZE)), np.zeros((n, 2))
        self.age, self._way_time = np.zeros(n, dtype=np.int64), np.zeros(n)
        # Ball, its velocity, target, its velocity, from the robot and in its heading frame.
        self._truth = np.zeros((n, 4, 2), np.float32)
        self._scale = task_scale(self.sizes)
        self.reset(np.arange(n))
        # Not all at once: episodes would end together, and the critic would learn the clock.
        self.age[:] = self.rng.integers(0, self.max_steps, n)

    @property
    def privileged_size(self) -> int:
        """Length of a privileged observation."""
        return clean_state_size(self.robots.contract) + 8

    def mirrored(self, symmetry: Symmetry) -> tuple[Representation, Representation]:
        """How "task" and "privileged" observations are mirrored."""
        point, age = symmetry.planar, symmetry.scalars()
        task = join([point, point, age, point])
        return task, join([symmetry.clean_state(self.robots.contract), point.repeated(4)])

    @property
    def ball_w(self) -> np.ndarray:
        """(N, 2) live: where the balls are in the world [m]."""
        return self.robots.batch.objects_qpos[:, :2]

    @property
    def distance(self) -> np.ndarray:
        """(N,) between ball and target, along the floor [m]."""
        return np.linalg.norm(self._truth[:, 0] - self._truth[:, 2], axis=1)

    def observe(self) -> dict[str, np.ndarray]:
        """Present observations by group, (N, size) float32; copies."""
        return {
            "proprioception": self.robots.proprioception(),
            "task": self.told() * self._scale,
            "privileged": self._observe_privileged(slice(None)),
            "velocity": told_velocity(self.robots),
        }

    def told(self) -> np.ndarray:
        """What the camera says, (N, 7) float32, in the robot's heading frame (x forward, y left).

        Where the ball was seen [m], how fast that changed [m/s], how long ago it was seen [s], and
        where the target was [m].
        """
        eye = self.camera
        return np.concatenate([eye.ball, eye.velocity, eye.told_age[:, None], eye.target], axis=1)

    def reset(self, ids: np.ndarray) -> None:
        """Robots stand somewhere near the default pose, heading anywhere, with a ball near them."""
        n, rng, sizes = len(ids), self.rng, self.sizes
        share = self._share()
        qpos = standing_qpos(self.spec, n, self.config.start_noise, rng)
        farthest = sizes.start_m[0] + share * (sizes.start_m[1] - sizes.start_m[0])
        side = _FIRST_BEARING_RAD + share * (np.pi - _FIRST_BEARING_RAD)
        bearing = 2.0 * np.arctan2(qpos[:, 6], qpos[:, 3]) + rng.uniform(-side, side, n)
        ball = _polar(rng.uniform(sizes.start_m[0], farthest, n), bearing)
        apart = 0.5 * share * sizes.kernel_m * rng.random(n)
        target = ball + _polar(apart, rng.uniform(-np.pi, np.pi, n))
        speed = sizes.target_speed_mps * (_FIRST_SPEED + share * (1.0 - _FIRST_SPEED))
        self.place(ids, qpos, ball, target, draw(rng, n, speed))

    def place(
        self,
        ids: np.ndarray,
        qpos: np.ndarray,
        ball: np.ndarray,
        target: np.ndarray,
        ways: np.ndarray,
    ) -> None:
        """Begins episodes of some robots, at rest.

        Args:
            ids: (n,) which robots.
            qpos: (n, 7 + J) their states on a level floor.
            ball: (n, 2) where their balls lie in the world [m].
            target: (n, 2) where the targets start in the world [m].
            ways: (n, 6) of the targets.
        """
        self.robots.reset(ids, qpos, np.zeros(6 + self.spec.num_joints))
        reality, sim = self.robots.reality, self.robots.batch
        height = np.full(len(ids), self.ball.radius_m)
        if reality is not None:
            height *= reality.factor("ball_radius", ids)[:, 0]
            height += reality.floor_top_m(ids)
        sim.objects_qpos[ids] = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
        sim.objects_qpos[ids, :2], sim.objects_qpos[ids, 2] = ball, height
        sim.objects_qvel[ids] = 0.0
        self.target[ids], self.ways[ids] = target, ways
        self.age[ids], self._way_time[ids] = 0, 0.0
        self._look(ids)
        self._give_factors(ids)
        self.camera.reset(ids, self._truth[ids, 0], self._truth[ids, 2], self.rng)

    def fallen(self) -> np.ndarray:
        """(N,) True where the base is too low or too tilted."""
        return fallen(self.robots, self.config.max_tilt_rad)

    def advance(self, action: np.ndarray) -> np.ndarray:
        """One control step without resets.

        Args:
            action: (N, J), without unit.

        Returns:
            (N,) True where the physics diverged.
        """
        step_s = self.spec.control_period_s
        diverged = self.robots.step(action)
        self.target += displacements(self.ways, self._way_time, step_s)
        self._way_time += step_s
        self.age += 1
        self._look(slice(None))
        self.camera.step(self._truth[:, 0], self._truth[:, 2], self.rng)
        return diverged

    def step(self, action: np.ndarray) -> Outcome:
        """One control step of all environments; those that end are reset.

        Args:
            action: (N, J), without unit.
        """
        diverged = self.advance(action)
        to_ball = np.linalg.norm(self._truth[:, 0], axis=1)
        reward, terms = dribble_reward(self.config, self.sizes, self.distance, to_ball)
        lost = self.distance > self.config.lost_scales * self.sizes.kernel_m
        terminated = self.fallen() | diverged | lost
        truncated = (self.age >= self.max_steps) & ~terminated
        final = self._observe_privileged(truncated)
        ended = np.flatnonzero(terminated | truncated)
        if ended.size:
            self.reset(ended)
        return Outcome(reward, terminated, truncated, final, terms)

    def set_progress(self, progress: float) -> None:
        """Makes new episodes harder, and widens the gap's ranges, as the training goes on."""
        self.progress = progress
        super().set_progress(progress)
        self._give_factors(np.arange(self.num_envs))

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Everything needed to go on exactly: arrays, and what JSON can hold."""
        arrays, rest = self.robots.state()
        arrays |= {
            "ways": self.ways.copy(),
            "way_time": self._way_time.copy(),
            "target": self.target.copy(),
            "age": self.age.copy(),
        }
        arrays |= self.camera.state()
        return arrays, rest | {"rng": self.rng.bit_generator.state, "progress": self.progress}

    def restore(self, arrays: Mapping[str, np.ndarray], rest: Mapping[str, Any]) -> None:
        """Goes on from what ``state`` gave."""
        self.robots.restore(arrays, rest)
        self.ways[:], self._way_time[:] = arrays["ways"], arrays["way_time"]
        self.target[:], self.age[:] = arrays["target"], arrays["age"]
        self.rng.bit_generator.state = rest["rng"]
        self.progress = rest["progress"]
        self._give_factors(np.arange(self.num_envs))
        self.camera.restore(arrays)
        self._look(slice(None))

    def _share(self) -> float:
        """How much of the ramp is over, from 0 to 1."""
        ramp = self.config.ramp_share
        return 1.0 if ramp <= 0.0 else min(1.0, self.progress / ramp)

    def _give_factors(self, ids: np.ndarray) -> None:
        """Gives cameras their errors, if there is a gap."""
        reality = self.robots.reality
        if reality is not None:
            names = ("camera_delay_s", "camera_noise", "camera_drop_rate")
            self.camera.set_factors(ids, *(reality.factor(name, ids)[:, 0] for name in names))

    def _look(self, rows: np.ndarray | slice) -> None:
        """Brings ``_truth`` up to date."""
        sim = self.robots.batch
        base, ball = sim.qpos[rows, :2], sim.objects_qpos[rows, :2]
        vectors = np.stack(
            [
                ball - base,
                sim.objects_qvel[rows, :2],
                self.target[rows] - base,
                velocities(self.ways[rows], self._way_time[rows]),
            ],
            axis=1,
        )
        self._truth[rows] = in_heading_frame(sim.qpos[rows, 3:7], vectors)

    def _observe_privileged(self, rows: np.ndarray | slice) -> np.ndarray:
        truth = self._truth[rows].copy()
        for points in (0, 2):
            truth[:, points] = within(truth[:, points], self.sizes.range_m)
        things = truth.reshape(len(truth), 8) * self._scale[0]
        return np.concatenate([*self.robots.clean_state(rows), things], axis=1)


def dribble_reward(
    config: DribbleConfig, sizes: Sizes, distance: np.ndarray, to_ball: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """One kernel on the distance between ball and target, and nothing about gaits or kicks.

    It falls off slowly, so that even far balls tell the way back.

    Args:
        config: weights.
        sizes: scale of the kernel.
        distance: (N,) between ball and target [m].
        to_ball: (N,) between robot and ball [m].

    Returns:
        (N,) float32 reward, at most 1 but for ``approach_weight``, and its parts.
    """
    terms = {
        "ball": np.exp(-distance / sizes.kernel_m),
        "approach": np.exp(-to_ball / sizes.kernel_m),
    }
    reward = terms["ball"] + config.approach_weight * terms["approach"]
    terms["ball_distance_m"] = distance
    return reward.astype(np.float32), terms


def episode_steps(config: DribbleConfig, period_s: float) -> int:
    """Control steps of an episode, if nothing ends it earlier.

    Raises:
        SettingsError: there is none.
    """
    steps = round(config.episode_s / period_s)
    if steps < 1:
        raise SettingsError(
            f"episode_s is {config.episode_s}, expected at least the {period_s:g} s of a step."
        )
    return steps


def _longest_delay_s(gap: Gap | None) -> float:
    """The longest delay of the camera [s].

    Raises:
        SettingsError: the gap is one without a ball.
    """
    if gap is None:
        return 0.0
    if not isinstance(gap.ranges, BallRanges):
        raise SettingsError("the gap has no ball, expected one of ball_gap.")
    return gap.ranges.camera_delay_s[1] * max(1.0, gap.training_level)


def _polar(distance: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """(n, 2) points."""
    return distance[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
