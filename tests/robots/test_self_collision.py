"""Distances of segments in closed form and by brute force; distances of parts by MuJoCo."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots import rotations
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.kinematics import Kinematics
from legged_skills.robots.self_collision import SelfCollision, segment_distance
from legged_skills.robots.spec import RobotSpec

X, Y, Z = np.eye(3)
ZERO = np.zeros(3)


@pytest.mark.parametrize(
    ("p0", "p1", "q0", "q1", "expected"),
    [
        # Crossing at right angles, one 0.5 above the other; touching; one ends short of the other.
        (-X, X, -Y + 0.5 * Z, Y + 0.5 * Z, 0.5),
        (-X, X, -Y, Y, 0.0),
        (ZERO, X, 0.5 * X + Y, 0.5 * X + 3 * Y, 1.0),
        (ZERO, X, 3 * X - Y, 3 * X + Y, 2.0),
        # An end of each: from (1, 0, 0) to (4, 4, 0).
        (ZERO, X, 4 * X + 4 * Y, 9 * X + 9 * Y, 5.0),
        # Parallel: side by side, shifted but overlapping, end to end, and turned around.
        (ZERO, X, Y, X + Y, 1.0),
        (ZERO, X, 0.7 * X + Y, 2.7 * X + Y, 1.0),
        (ZERO, X, 4 * X + 4 * Y, 9 * X + 4 * Y, 5.0),
        (ZERO, X, 9 * X + 4 * Y, 4 * X + 4 * Y, 5.0),
        (ZERO, X, X + Y, Y, 1.0),
        # On one line: overlapping, apart, one within the other.
        (ZERO, X, 0.5 * X, 2 * X, 0.0),
        (ZERO, X, 3 * X, 2 * X, 1.0),
        (ZERO, 9 * X, 3 * X, 2 * X, 0.0),
        # Nearly parallel: 1e-6 rad, crossing in the middle of a gap of 0.2.
        (-X, X, -X - 1e-6 * Y + 0.2 * Z, X + 1e-6 * Y + 0.2 * Z, 0.2),
        # Points instead of segments.
        (ZERO, ZERO, 3 * X, 3 * X + 4 * Y, 3.0),
        (3 * X, 3 * X + 4 * Y, ZERO, ZERO, 3.0),
        (ZERO, ZERO, 3 * X + 4 * Y, 3 * X + 4 * Y, 5.0),
        (ZERO, ZERO, -X, X, 0.0),
        (X, X, X, X, 0.0),
    ],
)
def test_known_distances(
    p0: np.ndarray, p1: np.ndarray, q0: np.ndarray, q1: np.ndarray, expected: float
) -> None:
    rotation = rotations.normalize(np.array([0.3, -0.5, 0.2, 0.7]))
    away = np.array([5.0, -2.0, 1.0])
    for turn in (rotations.identity(), rotation):
        a, b, c, d = (rotations.rotate(turn, p) + away for p in (p0, p1, q0, q1))
        # The order of the ends, and of the segments, does not matter.
        for ends in ((a, b, c, d), (b, a, c, d), (a, b, d, c), (c, d, a, b), (d, c, b, a)):
            np.testing.assert_allclose(segment_distance(*ends), expected, atol=1e-9)


def _brute_force(p0: np.ndarray, p1: np.ndarray, q0: np.ndarray, q1: np.ndarray) -> np.ndarray:
    """(N,) least of an end's distance from the other segment, and of the lines' if inside both."""

    def to_segment(p: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        along = b - a
        length = np.sum(along * along, axis=-1)
        share = np.sum((p - a) * along, axis=-1) / np.where(length > 0, length, 1.0)
        nearest = a + np.clip(share, 0.0, 1.0)[:, None] * along
        return np.linalg.norm(p - nearest, axis=-1)

    ends = [to_segment(p0, q0, q1), to_segment(p1, q0, q1)]
    ends += [to_segment(q0, p0, p1), to_segment(q1, p0, p1)]
    least = np.min(ends, axis=0)
    for i in range(len(p0)):
        # Where the two lines are nearest: both gradients vanish.
        lines = np.stack([p1[i] - p0[i], q0[i] - q1[i]], axis=1)
        (s, t), *_ = np.linalg.lstsq(lines, q0[i] - p0[i], rcond=None)
        if 0 <= s <= 1 and 0 <= t <= 1:
            gap = p0[i] + s * (p1[i] - p0[i]) - q0[i] - t * (q1[i] - q0[i])
            least[i] = min(least[i], float(np.linalg.norm(gap)))
    return least


def test_random_segments_agree_with_brute_force() -> None:
    rng = np.random.default_rng(0)
    ends = rng.uniform(-1, 1, (4, 3000, 3))
    # Some are points, some parallel, some nearly.
    ends[1, :200] = ends[0, :200]
    ends[3, 100:300] = ends[2, 100:300]
    ends[3, 300:500] = ends[2, 300:500] + 2 * (ends[1, 300:500] - ends[0, 300:500])
    small = 1e-4 * rng.standard_normal((200, 3))
    ends[3, 500:700] = ends[2, 500:700] + 0.5 * (ends[1, 500:700] - ends[0, 500:700]) + small
    # As short and as long as parts of robots.
    ends[:, 700:] *= rng.choice([0.01, 0.1, 1.0], (1, 2300, 1))
    np.testing.assert_allclose(segment_distance(*ends), _brute_force(*ends), atol=2e-9)


def test_batches_have_any_shape() -> None:
    rng = np.random.default_rng(1)
    ends = rng.uniform(-1, 1, (4, 5, 6, 3))
    found = segment_distance(*ends)
    assert found.shape == (5, 6)
    np.testing.assert_allclose(found[2, 3], segment_distance(*ends[:, 2, 3]), atol=1e-12)


@pytest.mark.parametrize("robot", robots.names())
def test_distances_of_parts_are_mujocos(robot: str) -> None:
    spec = robots.get(robot)
    model = spec.model()
    kinematics, collision = Kinematics(model), SelfCollision.of(model, spec)
    rng = np.random.default_rng(2)
    qpos = np.tile(spec.home_qpos, (40, 1))
    qpos[:, 3:7] = rotations.normalize(rng.standard_normal((40, 4)))
    qpos[:, 7:] = rng.uniform(spec.joint_lower, spec.joint_upper, (40, spec.num_joints))
    found = collision.distances(kinematics, kinematics.poses(qpos))
    assert found.shape == (40, len(spec.self_collision))
    data = mujoco.MjData(model)
    ends = np.zeros(6)
    deepest = 0.0
    for t, pose in enumerate(qpos):
        data.qpos[:] = pose
        mujoco.mj_kinematics(model, data)
        for i, pair in enumerate(spec.self_collision):
            one, other = (model.geom(name).id for name in pair)
            expected = mujoco.mj_geomDistance(model, data, one, other, 10.0, ends)
            # Where axes cross, MuJoCo's depth is not unique; ours is that of the axes.
            if found[t, i] > -0.5 * collision.radii_m[i]:
                assert found[t, i] == pytest.approx(expected, abs=1e-6), pair
            else:
                assert expected < 0
            deepest = min(deepest, found[t, i])
    # Random poses do meet: the test has seen both signs.
    assert deepest < -0.003 < 0.05 < found.max()


PARTS = """
<mujoco><worldbody>
  <body name="base"><freejoint/><geom size="0.01"/>
    <geom name="rod" type="capsule" size="0.1" fromto="-1 0 0 1 0 0"/>
    <body name="arm" pos="0 0 0.5"><joint name="slide" axis="1 0 0"/>
      <geom name="ball" size="0.2"/>
      <geom name="bar" type="capsule" size="0.05" fromto="0 -1 0 0 1 0"/>
      <geom name="crate" type="box" size="0.1 0.1 0.1"/>
    </body>
  </body>
</worldbody></mujoco>
"""


def _parts(*pairs: tuple[str, str]) -> tuple[mujoco.MjModel, RobotSpec]:
    model = mujoco.MjModel.from_xml_string(PARTS)
    return model, replace(robots.get("anymal_c"), self_collision=pairs)


def test_capsules_and_balls_by_hand() -> None:
    model, spec = _parts(("rod", "ball"), ("rod", "bar"))
    collision = SelfCollision.of(model, spec)
    kinematics = Kinematics(model)
    assert collision.pairs == (("rod", "ball"), ("rod", "bar"))
    # 0.5 between the axes, less both radii.
    poses = kinematics.poses(np.array([[3.0, 2, 1, 1, 0, 0, 0, 0.4]]))
    np.testing.assert_allclose(collision.radii_m, [0.3, 0.15])
    np.testing.assert_allclose(collision.distances(kinematics, poses)[0, 0], 0.2, atol=1e-12)
    # The bar turns about x: in the plane across the rod, a line 0.5 cos(0.4) away.
    np.testing.assert_allclose(
        collision.distances(kinematics, poses)[0, 1], 0.5 * np.cos(0.4) - 0.15, atol=1e-12
    )


def test_a_robot_without_pairs_has_no_distances() -> None:
    model, spec = _parts()
    kinematics = Kinematics(model)
    found = SelfCollision.of(model, spec).distances(
        kinematics, kinematics.poses(np.array([[0.0, 0, 0, 1, 0, 0, 0, 0.4]]))
    )
    assert found.shape == (1, 0)
    assert np.all(found.min(axis=1, initial=np.inf) == np.inf)


@pytest.mark.parametrize("name", ["tail", "crate"])
def test_parts_must_be_round_and_exist(name: str) -> None:
    model, spec = _parts(("rod", name))
    message = rf"anymal_c: self_collision names '{name}', which is no capsule or sphere"
    with pytest.raises(SettingsError, match=message):
        SelfCollision.of(model, spec)
