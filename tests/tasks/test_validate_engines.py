import dataclasses
import re

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.contract import proprioception
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real import ranges
from legged_skills.sim2real.gap import GAPS
from legged_skills.tasks.validate_engines import (
    Bench,
    SensedRobots,
    engine_name,
    make_jobs,
    single_factors,
    unit,
)
from legged_skills.tasks.validate_run import Group, Job

SPEC = robots.get("anymal_c")
Ends = dict[str, tuple[float, float]]
HOME, REST = SPEC.home_qpos, np.zeros(18)


def bench(
    robot: str = "anymal_c", episodes: int = 2, seed: int = 1, ends: Ends | None = None
) -> Bench:
    spec, gap = robots.get(robot), GAPS[robot]
    if ends:
        own = gap.ranges
        spread = {name: getattr(own, name) for name in own.names()}
        still = {name: (v := nominal_of(gap.ranges, spec, name), v) for name in spread}
        gap = dataclasses.replace(gap, ranges=dataclasses.replace(own, **(still | ends)))
    return Bench(spec=spec, contract=proprioception(spec), gap=gap, episodes=episodes, seed=seed)


def nominal_of(own: ranges.Ranges, spec: RobotSpec, name: str) -> float:
    return float(ranges.nominal(own, spec, 1, 1)[name].flat[0])


def build(job: Job) -> SensedRobots:
    made = job.build(1)
    assert isinstance(made, SensedRobots)
    return made


def walk(measured: SensedRobots, steps: int = 25) -> np.ndarray:
    """Where the robots are after swinging their legs a little."""
    n = measured.num_envs
    measured.reset(np.arange(n), HOME, REST)
    swing = 0.2 * np.sin(np.arange(12))
    for step in range(steps):
        targets = SPEC.default_joint_pos + swing * np.sin(0.5 * step)
        measured.step_targets(np.tile(targets, (n, 1)))
    return np.array(measured.sim.qpos)


def test_edges_are_every_end_of_every_factor_that_is_not_nominal_anyway() -> None:
    own = bench()
    names = own.gap.ranges.names()
    found = single_factors(own)
    assert {name for name, _ in found} == set(names)
    assert ("payload_kg", "high") in found and ("payload_kg", "low") not in found
    assert {side for name, side in found if name == "link_mass"} == {"low", "high", "corners"}
    assert {side for name, side in found if name == "sensor_noise"} == {"low", "high"}
    # The ends left out are nominal ones.
    factors = own.nominal()
    for name in names:
        for side in ranges.sides(name):
            if (name, side) not in found:
                end = getattr(own.gap.ranges, name)[0 if side == "low" else 1]
                assert (factors[name] == end).all()


@pytest.mark.parametrize("robot", ["anymal_c", "op3"])
def test_edges_bring_all_and_corners_and_cover_every_group_once(robot: str) -> None:
    own = bench(robot, episodes=100)
    jobs = make_jobs(["edges"], own)
    groups = [group for job in jobs for group in job.groups]
    expected = [Group(engine=name) for name in ("nominal", "all", "corners")]
    expected += [Group(engine="edges", factor=f, side=s) for f, s in single_factors(own)]
    assert groups == expected
    assert all(len(job.groups) * own.episodes <= 500 for job in jobs)


def test_the_nominal_engine_is_always_run_and_nothing_twice() -> None:
    def names(*choices: str) -> list[str]:
        return [job.groups[0].engine for job in make_jobs(choices, bench())]

    assert names() == names("nominal", "nominal") == ["nominal"]
    assert names("all") == ["nominal", "all"]
    assert names("corners", "all", "corners") == ["nominal", "all", "corners"]


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (["buller"], "engine is 'buller', expected nominal, edges, all, corners, bullet, "),
        (["a/scene.xml", "b/scene.xml"], "two engines are called 'scene'"),
        (["bullet.xml", "bullet"], "two engines are called 'bullet'"),
        (["edges.xml"], "an engine from a file is called 'edges'"),
    ],
)
def test_engines_that_cannot_be(choices: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        make_jobs(choices, bench())


def test_names_of_engines() -> None:
    assert engine_name("edges") == "edges"
    assert engine_name("/some/where/scene.XML") == "scene"


def test_groups_of_a_job_do_not_touch_each_other() -> None:
    ends = {"payload_kg": (0.0, 5.0), "sensor_noise": (0.5, 1.5), "link_mass": (0.7, 1.3)}
    own = bench(ends=ends)
    (alone, together) = make_jobs(["edges"], own)[0], make_jobs(["edges"], own)[-1]
    assert len(together.groups) == 6  # payload high, noise low and high, masses three times
    nominal = walk(build(alone))
    edges = walk(build(together)).reshape(6, 2, -1)
    factors = [group.factor for group in together.groups]
    for factor, qpos in zip(factors, edges, strict=True):
        # The targets are given, so noise moves nothing; masses do.
        same = factor == "sensor_noise"
        assert np.array_equal(qpos, nominal) == same
    assert not np.array_equal(edges[factors.index("payload_kg")], edges[-1])


def test_robots_are_made_again_exactly() -> None:
    for name in ("all", "corners"):
        first, second, other = (
            walk(build(make_jobs([name], bench(seed=seed))[-1])) for seed in (1, 1, 2)
        )
        np.testing.assert_array_equal(first, second)
        assert not np.array_equal(first, other)
    # The same, whatever else is run.
    among_others = make_jobs(["edges"], bench())
    corners = next(job for job in among_others if job.groups[0].engine == "corners")
    np.testing.assert_array_equal(
        walk(build(corners)), walk(build(make_jobs(["corners"], bench())[-1]))
    )


def test_corners_are_at_both_ends_of_everything() -> None:
    own = bench(episodes=40)
    measured = build(make_jobs(["corners"], own)[-1])
    assert measured.reality is not None
    for name in own.gap.ranges.names():
        values = measured.reality.factors[name]
        np.testing.assert_allclose(np.unique(values), getattr(own.gap.ranges, name))


def test_what_a_gap_fixes_is_so_in_corners_too() -> None:
    own = bench(episodes=3)
    ice = dataclasses.replace(own.gap.ranges, floor_friction=(0.1, 0.1), payload_kg=(3.0, 3.0))
    own = dataclasses.replace(own, gap=dataclasses.replace(own.gap, ranges=ice))
    for engine in ("all", "corners"):
        reality = build(make_jobs([engine], own)[-1]).reality
        assert reality is not None
        np.testing.assert_allclose(reality.factors["floor_friction"], 0.1)
        np.testing.assert_allclose(reality.factors["payload_kg"], 3.0)


def test_the_nominal_model_is_told_as_it_was_identified(make_fit) -> None:
    own = bench()
    fit = make_fit(own.spec, friction=np.full(12, 0.5))
    fitted = dataclasses.replace(own, gap=dataclasses.replace(own.gap, fit=fit))
    told = [make_jobs([], one)[0].about["joint friction"] for one in (own, fitted)]
    assert told == ["0.1 Nm", "0.5 Nm"]


def test_effort_is_the_mean_of_the_torque_squared() -> None:
    measured = build(make_jobs([], bench())[0])
    walk(measured)
    # Standing takes tens of newton metres squared; all limits together are 12 * 80^2.
    effort = measured.torque_squared
    assert effort.shape == (2,) and (effort > 100.0).all() and (effort < 12 * 80.0**2).all()


def test_every_factor_with_a_unit_in_its_name_has_it() -> None:
    by_suffix = {"kg": "kg", "m": "m", "rad": "rad", "nm": "Nm", "ohm": "ohm", "n": "N", "s": "s"}
    by_suffix |= {"mps": "m/s"}
    for field in dataclasses.fields(ranges.Ranges):
        suffix = field.name.rpartition("_")[2]
        if suffix in by_suffix:
            assert unit(field.name) == by_suffix[suffix]
    assert unit("viscous_friction") == "Nm s/rad"
    assert unit("gyro_bias") == "rad/s" and unit("accelerometer_bias") == "m/s^2"
    assert unit("armature") == "1"
