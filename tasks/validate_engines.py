"""Where a policy is validated: our model with given factors, other models, other engines."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from legged_skills.robots.contract import ObservationContract
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.simulation import BatchSim, Physics
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real import ranges
from legged_skills.sim2real.bullet import BulletSim
from legged_skills.sim2real.bullet_world import import_pybullet
from legged_skills.sim2real.fitted_model import fit_joints
from legged_skills.sim2real.gap import Gap
from legged_skills.sim2real.public_model import describe, load_public, menagerie
from legged_skills.sim2real.ranges import Factors, Side
from legged_skills.sim2real.sensed_robot import SensedRobots
from legged_skills.sim2real.terrain import gap_model
from legged_skills.tasks.validate_run import Group, Job

NOMINAL = "nominal"
"""Our model, with all factors nominal."""
EDGES = "edges"
"""Our model, with one factor at a time at an end of its range; brings ``TOGETHER`` with it."""
TOGETHER = ("all", "corners")
"""Our model, with every factor anywhere in its range; with every factor at either end."""
BULLET = "bullet"
"""The robot converted from our model, in Bullet."""
MENAGERIE = "menagerie"
"""The public model of the robot, from MuJoCo Menagerie."""

_CHUNK = 500
"""About so many robots are simulated together: enough to be quick, and several jobs for threads."""
_UNITS = {
    "payload_kg": "kg",
    "com_offset_m": "m",
    "joint_offset_rad": "rad",
    "viscous_friction": "Nm s/rad",
    "coulomb_friction_nm": "Nm",
    "backlash_rad": "rad",
    "battery_resistance_ohm": "ohm",
    "slope_rad": "rad",
    "roughness_m": "m",
    "push_force_n": "N",
    "command_delay_s": "s",
    "sensor_delay_s": "s",
    "sensor_jitter_s": "s",
    "gyro_bias": "rad/s",
    "accelerometer_bias": "m/s^2",
    "imu_tilt_rad": "rad",
    "start_joint_rad": "rad",
    "start_velocity_mps": "m/s",
}


def unit(factor: str) -> str:
    """Unit of a factor; "1" if it has none."""
    return _UNITS.get(factor, "1")


def engine_name(choice: str) -> str:
    """What an engine is called in the figures: as it was given, or the stem of a file."""
    return Path(choice).stem if choice.lower().endswith(".xml") else choice


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all engines have in common."""

    spec: RobotSpec
    """The robot."""
    contract: ObservationContract
    """What the policy is told."""
    gap: Gap
    """Timing, drives, sensors and ranges of the factors."""
    episodes: int
    """Episodes of each group."""
    seed: int
    """Of everything random."""

    @cached_property
    def num_links(self) -> int:
        """Bodies of the robot."""
        return self.spec.model().nbody - 1

    def rng(self, *what: str) -> np.random.Generator:
        """A generator of its own for each thing, whatever else is run."""
        return np.random.default_rng([self.seed, zlib.crc32("/".join(what).encode())])

    def nominal(self) -> Factors:
        """Nominal factors of the episodes of one group."""
        return ranges.nominal(self.gap.ranges, self.spec, self.num_links, self.episodes)

    def robots(self, sim: Physics, name: str, factors: Factors | None = None) -> SensedRobots:
        """Robots with these factors for good; None for nominal ones."""
        seed = int(self.rng(name, "sensors").integers(2**31))
        # At level 0 all factors are nominal.
        robots = SensedRobots(sim, self.contract, seed=seed, gap=self.gap, level=0.0)
        if factors is not None:
            robots.set_factors(factors)
        return robots


def make_jobs(choices: Sequence[str], bench: Bench) -> list[Job]:
    """What is to be run for the engines that were asked for.

    Args:
        choices: "nominal", "edges", "all", "corners", "bullet", "menagerie", or MJCF files; the
            nominal engine is always run.
        bench: the rest.

    Raises:
        SettingsError: there is no such engine, or two have the same name.
        FileFormatError: a model cannot be read, or is not of the robot.
    """
    known = (NOMINAL, EDGES, *TOGETHER, BULLET, MENAGERIE)
    wanted = list(dict.fromkeys([NOMINAL, *choices]))
    for choice in wanted:
        if choice not in known and not choice.lower().endswith(".xml"):
            raise SettingsError(
                f"engine is {choice!r}, expected {', '.join(known)} or an MJCF file (.xml)."
            )
    names = [engine_name(choice) for choice in wanted]
    taken = next((n for c, n in zip(wanted, names, strict=True) if n in known and n != c), None)
    if taken is not None and names.count(taken) == 1:
        raise SettingsError(f"an engine from a file is called {taken!r}, expected another name.")
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise SettingsError(f"two engines are called {double!r}, expected different names.")
    ours = [choice for choice in (NOMINAL, *TOGETHER) if choice in wanted or EDGES in wanted]
    # Each for itself, so that its noise is the same whatever else is run.
    jobs = [_own_job([(Group(engine=name), _factors(name, bench))], bench) for name in ours]
    if EDGES in wanted:
        jobs += _edge_jobs(_edges(bench), bench)
    others = {BULLET: _bullet_job, MENAGERIE: _menagerie_job}
    for choice in wanted:
        if choice in (NOMINAL, EDGES, *TOGETHER):
            continue
        jobs.append(others.get(choice, _public_job)(choice, bench))
    return jobs


def single_factors(bench: Bench) -> list[tuple[str, Side]]:
    """Every factor that varies, with each end at which it is not nominal anyway."""
    found, nominals = [], bench.nominal()
    for name in bench.gap.ranges.names():
        nominal = nominals[name].flat[0]
        low, high = getattr(bench.gap.ranges, name)
        ends: dict[Side, float] = {"low": low, "high": high}
        found += [(name, side) for side in ranges.sides(name) if ends.get(side) != nominal]
    return found


def _factors(name: str, bench: Bench) -> Factors:
    """Factors of the episodes on our model that are not about a single one."""
    rng, own = bench.rng(name), bench.gap.ranges
    spec, links, n = bench.spec, bench.num_links, bench.episodes
    if name == "all":
        return ranges.draw(own, spec, links, n, rng)
    factors = bench.nominal()
    if name == "corners":
        for factor in own.names():
            factors[factor] = ranges.at_edge(own, spec, links, n, factor, "corners", rng)[factor]
        for factor, value in own.fixed().items():
            factors[factor] = np.full_like(factors[factor], value)
    return factors


def _edges(bench: Bench) -> list[tuple[Group, Factors]]:
    own, links, n = bench.gap.ranges, bench.num_links, bench.episodes
    found = []
    for name, side in single_factors(bench):
        rng = bench.rng(EDGES, name, side)
        factors = ranges.at_edge(own, bench.spec, links, n, name, side, rng)
        found.append((Group(engine=EDGES, factor=name, side=side), factors))
    return found


def _edge_jobs(groups: Sequence[tuple[Group, Factors]], bench: Bench) -> list[Job]:
    """Groups on our model, in jobs of equal size; which go together depends on settings only."""
    size = max(1, _CHUNK // bench.episodes)
    return [_own_job(groups[i : i + size], bench) for i in range(0, len(groups), size)]


def _own_job(groups: Sequence[tuple[Group, Factors]], bench: Bench) -> Job:
    together = {
        name: np.concatenate([factors[name] for _, factors in groups]) for name in groups[0][1]
    }

    first = groups[0][0]

    def build(threads: int) -> SensedRobots:
        n = bench.episodes * len(groups)
        sim = BatchSim(bench.spec, n, threads, models=gap_model(bench.spec, bench.gap))
        return bench.robots(sim, f"{first.engine}/{first.factor}/{first.side}", together)

    about = {}
    if first.engine == NOMINAL:
        model = bench.spec.model()
        fit_joints(model, bench.spec, bench.gap.fit)
        about = describe(model, bench.spec)
    return Job(groups=[group for group, _ in groups], build=build, about=about)


def _bullet_job(name: str, bench: Bench) -> Job:
    import_pybullet()  # if it is missing, that should be said before anything is simulated

    def build(threads: int) -> SensedRobots:
        del threads
        return bench.robots(BulletSim(bench.spec, bench.episodes, fit=bench.gap.fit), name)

    return Job(groups=[Group(engine=name)], build=build)


def _menagerie_job(name: str, bench: Bench) -> Job:
    return _model_job(name, str(menagerie(bench.spec.name)), bench)


def _public_job(choice: str, bench: Bench) -> Job:
    return _model_job(engine_name(choice), choice, bench)


def _model_job(name: str, path: str, bench: Bench) -> Job:
    """The robot as a file has it, with nominal drives and sensors, or with identified drives."""
    model = load_public(path, bench.spec)
    fit_joints(model, bench.spec, bench.gap.fit)

    def build(threads: int) -> SensedRobots:
        sim = BatchSim(bench.spec, bench.episodes, threads, models=model)
        return bench.robots(sim, name)

    return Job(groups=[Group(engine=name)], build=build, about=describe(model, bench.spec))
