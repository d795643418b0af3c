"""Key poses to get up with, found by trying many: selection, crossing and mutation.

A robot gets up only if several poses fit together; what is nearly right is mostly worth nothing.
So the best ones of all so far are kept, tested again in every generation, and varied: with nominal
physics first, and then under the gap, where poses that only just suffice do not. What real robots
need on top is learned afterwards (``getup_env``).

D is the number of joints of the left side that poses move, K of key poses.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from legged_skills.robots.contract import proprioception
from legged_skills.robots.errors import (
    ContractError,
    SettingsError,
    require_at_least,
    require_not_negative,
    require_seed,
)
from legged_skills.robots.files import read_archive, write_archive
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.gap import Gap
from legged_skills.sim2real.reality import simulate
from legged_skills.sim2real.sensed_robot import SensedRobots
from legged_skills.tasks import lying
from legged_skills.tasks.getup import SIDES, GetupMotion, KeyPoses, symmetric_poses

KIND = "getup search"
_SHORTEST_S, _LONGEST_S = 0.1, 1.5
"""Of the time from one pose to the next [s]."""
_LAST_STEPS = 30
"""A robot stands at the end if it does so in all of these control steps."""


@dataclass(frozen=True, kw_only=True)
class Sketch:
    """Where the search begins: key poses by hand, the same left and right."""

    joints: tuple[str, ...]
    """(D,) the joints of the left side that move."""
    poses: tuple[tuple[tuple[float, ...], ...], ...]
    """(S, K, D) their angles [rad]."""
    durations_s: tuple[float, ...]
    """(K + 1,) time from one to the next [s]."""


SKETCHES: Mapping[str, Sketch] = {
    "op3": Sketch(
        joints=tuple(
            f"l_{joint}"
            for joint in (
                "sho_pitch",
                "sho_roll",
                "el",
                "hip_roll",
                "hip_pitch",
                "knee",
                "ank_pitch",
            )
        ),
        poses=(
            # From the front: hands ahead; knees under the body; sit on the heels; rise.
            (
                (-2.2, 1.3, -0.6, 0.0, -0.2, 0.3, 0.2),
                (-1.6, 1.3, -0.6, -0.1, -1.8, 2.3, 1.2),
                (-1.0, 1.3, -0.4, -0.1, -1.8, 2.4, 1.2),
                (-0.4, 1.2, -0.4, -0.05, -1.1, 1.7, 0.8),
            ),
            # From the back: arms behind the body; push up to sit; lean over the feet; rise.
            (
                (2.2, 1.3, 0.0, 0.0, -1.7, 2.3, 0.8),
                (1.4, 1.3, 0.0, -0.1, -1.85, 2.4, 1.0),
                (0.6, 1.2, 0.0, -0.1, -1.85, 2.4, 1.2),
                (-0.8, 1.2, -0.4, -0.05, -1.6, 2.2, 1.2),
            ),
        ),
        durations_s=(0.6, 0.6, 0.6, 0.5, 0.5),
    ),
}
"""The sketches of each robot, by name."""


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Settings of the search for key poses."""

    generations: int = 30
    """How often candidates are varied with nominal physics, for each side."""
    gap_generations: int = 36
    """And then under the gap, if there is one; each attempt is by another robot."""
    candidates: int = 128
    """Candidates of a generation, elites included."""
    starts: int = 4
    """Lying poses that each of them is tried from."""
    elites: int = 24
    """So many are kept."""
    mutation: float = 0.35
    """Largest standard deviation of changes, in halves of a joint's range, and of the logarithm of
    durations."""
    sure_starts: int = 12
    """Elites' scores are means over so many last generations."""
    time_cost: float = 0.03
    """What a second of the motion takes from a candidate's score."""
    pool: int = 1024
    """Number of lying poses that these are drawn from."""
    seed: int = 0
    """Of everything random."""

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
            SettingsError: one is out of its range.
        """
        require_at_least(
            self, generations=0, gap_generations=0, starts=1, elites=1, sure_starts=1, pool=1
        )
        require_at_least(self, candidates=self.elites)
        require_not_negative(self, "mutation", "time_cost")
        require_seed(self)


class Search:
    """The search for one robot's key poses; S sides, E elites, C candidates, G numbers each.

    Attributes:
        generation: how many are over.
        genes: (S, E, G) the elites, best first: poses, from -1 to 1 for the joints' ranges, and
            logarithms of durations [log s].
        scores: (S, E) their mean scores.
        tested: (S, E) how many generations these are means of.
    """

    def __init__(
        self,
        spec: RobotSpec,
        config: SearchConfig,
        num_threads: int = 0,
        gap: Gap | None = None,
    ) -> None:
        """Begins with the robot's sketch.

        Args:
            spec: the robot.
            config: settings.
            num_threads: of the physics; 0 takes all cores.
            gap: what the last generations are under; None for nothing.

        Raises:
            SettingsError: the robot has none, or of all lying poses none is on one of the sides.
        """
        if spec.name not in SKETCHES:
            raise SettingsError(
                f"{spec.name} has no key poses to get up with, expected {', '.join(SKETCHES)}."
            )
        self.spec, self.config = spec, config
        self._gap, self._num_threads = gap, num_threads
        self.sketch = SKETCHES[spec.name]
        self.rng = np.random.default_rng(config.seed)
        indices = [spec.joint_names.index(joint) for joint in self.sketch.joints]
        self._lower, self._upper = spec.joint_lower[indices], spec.joint_upper[indices]
        poses = np.array(self.sketch.poses)
        shares = 2.0 * (poses - self._lower) / (self._upper - self._lower) - 1.0
        times = np.tile(np.log(self.sketch.durations_s), (len(SIDES), 1))
        self._poses_shape = poses.shape[1:]
        genes = np.concatenate([shares.reshape(len(SIDES), -1), times], axis=1)
        self.genes = np.tile(genes[:, None], (1, config.elites, 1))
        self.scores, self.tested = np.zeros((2, len(SIDES), config.elites))
        self.generation = 0
        self._lying = lying.lying_states(
            spec, config.pool, np.random.default_rng(config.seed + 1), num_threads
        )
        for side, name in enumerate(SIDES):
            if side not in self._lying[2]:
                raise SettingsError(
                    f"pool is {config.pool}, of which none lies on its {name}, expected more."
                )
        self._robots = self._simulated(None)

    @property
    def generations(self) -> int:
        """How many there are in all."""
        under_gap = 0 if self._gap is None else self.config.gap_generations
        return self.config.generations + under_gap

    def step(self) -> tuple[np.ndarray, np.ndarray]:
        """One generation.

        Returns:
            (S,) mean score of the elites, and share of their attempts that ended standing.
        """
        config, elites = self.config, self.config.elites
        if self._gap is not None and self.generation == config.generations:
            # What nominal robots did with them says little of the others.
            self.scores, self.tested = np.zeros_like(self.scores), np.zeros_like(self.tested)
        children = [self._vary(genes) for genes in self.genes]
        genes = np.concatenate([self.genes, np.array(children)], axis=1)
        scores, stood = self._try(genes)
        weight = np.minimum(self.tested, config.sure_starts - 1)
        known = (self.scores * weight + scores[:, :elites]) / (weight + 1)
        figures = scores[:, :elites].mean(axis=1), stood[:, :elites].mean(axis=1)
        scores = np.concatenate([known, scores[:, elites:]], axis=1)
        tested = np.concatenate([weight + 1, np.ones_like(scores[:, elites:])], axis=1)
        # Who was tested little is not trusted much: its score counts as nearer to the elites' own.
        usual = known.mean(axis=1, keepdims=True)
        trusted = (scores * tested + usual) / (tested + 1.0)
        best = np.argsort(-trusted, axis=1, kind="stable")[:, :elites]
        self.genes = np.take_along_axis(genes, best[..., None], axis=1)
        self.scores = np.take_along_axis(scores, best, axis=1)
        self.tested = np.take_along_axis(tested, best, axis=1)
        self.generation += 1
        return figures

    def best(self) -> KeyPoses:
        """The key poses that did best on the mean of the most generations."""
        trusted = self.scores * self.tested / (self.tested + 1.0)
        chosen = trusted.argmax(axis=1)
        return self._keys(self.genes[np.arange(len(chosen)), chosen])

    def save(self, path: Path) -> None:
        """Writes where the search stands.

        Raises:
            FileFormatError: it cannot be written.
        """
        arrays = {"genes": self.genes, "scores": self.scores, "tested": self.tested}
        header = {
            "identity": self._identity(),
            "generation": self.generation,
            "rng": self.rng.bit_generator.state,
        }
        write_archive(path, KIND, arrays, header)

    def restore(self, path: Path) -> None:
        """Goes on from what ``save`` wrote.

        Raises:
            FileFormatError: the file is damaged.
            ContractError: it is of another robot, or has other settings.
        """
        arrays, header = read_archive(path, KIND)
        if header["identity"] != self._identity():
            raise ContractError(
                f"{path}: the search had other settings; it cannot be gone on with."
            )
        self.genes, self.scores = arrays["genes"], arrays["scores"]
        self.tested, self.generation = arrays["tested"], header["generation"]
        self.rng.bit_generator.state = header["rng"]

    def _identity(self) -> dict[str, Any]:
        gap = None if self._gap is None else self._gap.to_json()
        return {"robot": self.spec.name, "settings": asdict(self.config), "gap": gap}

    def _simulated(self, gap: Gap | None) -> SensedRobots:
        """A robot for each attempt."""
        n = len(SIDES) * self.config.candidates * self.config.starts
        sim = simulate(self.spec, n, self._num_threads, gap, touches_itself=True)
        return SensedRobots(sim, proprioception(self.spec), seed=self.config.seed + 2, gap=gap)

    def _begun(self) -> SensedRobots:
        """The robots of this generation.

        Under the gap what is random begins anew with each, so that a search goes on exactly.
        """
        if self._gap is not None and self.generation >= self.config.generations:
            if self._robots.reality is None:
                self._robots = self._simulated(self._gap)
            assert self._robots.reality is not None
            self._robots.reality.rng = np.random.default_rng(self.rng.integers(2**63))
        return self._robots

    def _vary(self, elites: np.ndarray) -> np.ndarray:
        """(C - E, G) children of the elites (E, G) of a side; the best have most."""
        config, rng = self.config, self.rng
        count, size = config.candidates - len(elites), elites.shape[1]
        parents = np.minimum(rng.exponential(4.0, count).astype(int), len(elites) - 1)
        others = rng.integers(0, len(elites), count)
        crossed = (rng.random((count, size)) < 0.5) & (rng.random((count, 1)) < 0.3)
        children = np.where(crossed, elites[others], elites[parents])
        spread = config.mutation * np.exp(rng.uniform(np.log(0.15), 0.0, (count, 1)))
        changed = rng.random((count, size)) < rng.choice([0.15, 0.4, 1.0], (count, 1))
        children = children + changed * spread * rng.standard_normal((count, size))
        shares = children[:, : np.prod(self._poses_shape)]
        np.clip(shares, -1.0, 1.0, out=shares)
        return children

    def _keys(self, genes: np.ndarray) -> KeyPoses:
        """The key poses of genes (..., G)."""
        split = int(np.prod(self._poses_shape))
        shares = genes[..., :split].reshape(*genes.shape[:-1], *self._poses_shape)
        left = self._lower + 0.5 * (shares + 1.0) * (self._upper - self._lower)
        times = np.clip(genes[..., split:], np.log(_SHORTEST_S), np.log(_LONGEST_S))
        return KeyPoses(
            poses=symmetric_poses(self.spec, self.sketch.joints, left), durations_s=np.exp(times)
        )

    def _try(self, genes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores (S, C) of genes (S, C, G), and shares of attempts that ended standing.

        An attempt in which the physics diverges is worth nothing.
        All candidates of a side begin with the same lying poses.
        """
        config, robots = self.config, self._begun()
        shape = (*genes.shape[:2], config.starts)
        keys = self._keys(genes.reshape(-1, genes.shape[2]))
        motion = GetupMotion.of(self.spec, keys, rest_s=0.5)
        qpos, qvel, side = self._lying
        rows = [self.rng.choice(np.flatnonzero(side == s), config.starts) for s in range(shape[0])]
        starts = np.broadcast_to(np.array(rows)[:, None], shape).ravel()
        robots.reset(np.arange(len(starts)), qpos[starts], qvel[starts])
        which = np.repeat(np.arange(len(keys.poses)), config.starts)
        # A while longer than the longest, so that who falls over falls.
        steps = int(motion.steps.max()) + _LAST_STEPS
        risen, stands = np.empty((2, steps, len(starts)))
        lost = np.zeros(len(starts), bool)
        for step in range(steps):
            action = motion.action(which, np.full_like(which, step), robots.last_action)
            lost |= robots.step(action)
            high = np.clip(robots.pos_w[:, 2] / self.spec.standing_height_m, 0.0, 1.0)
            risen[step] = high * np.clip(0.5 * (robots.up_b[:, 2] + 1.0), 0.0, 1.0)
            stands[step] = lying.standing(robots, 0.85, 0.45)
        # Where the physics diverged a robot stands again, but did not get up.
        stood = stands[-_LAST_STEPS:].all(axis=0) & ~lost
        score = stood + 0.8 * risen[-_LAST_STEPS:].mean(axis=0)
        score += 0.2 * np.sort(risen, axis=0)[-40:].mean(axis=0)
        score -= config.time_cost * np.repeat(keys.durations_s.sum(axis=1), config.starts)
        score[lost] = 0.0
        return score.reshape(shape).mean(axis=2), stood.reshape(shape).mean(axis=2)
