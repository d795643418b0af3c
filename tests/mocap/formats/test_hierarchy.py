import numpy as np
import pytest

from legged_skills.mocap.formats import hierarchy
from legged_skills.robots import rotations
from legged_skills.robots.errors import ClipError

ELEMENTARY = {
    "x": lambda a: [[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]],
    "y": lambda a: [[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]],
    "z": lambda a: [[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]],
}


def test_euler_turns_about_turned_axes() -> None:
    # Rz(90) Rx(90): y goes to z by the x turn and stays there; z goes to -y and then to x.
    quat = hierarchy.euler("zx", np.radians([90, 90]))
    np.testing.assert_allclose(rotations.rotate(quat, np.array([0.0, 1, 0])), [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(rotations.rotate(quat, np.array([0.0, 0, 1])), [1, 0, 0], atol=1e-12)


@pytest.mark.parametrize("axes", ["", "y", "xz", "xyz", "xzy", "yxz", "yzx", "zxy", "zyx", "zxz"])
def test_euler_is_the_product_of_elementary_matrices(axes: str) -> None:
    angles = np.random.default_rng(0).uniform(-4, 4, (5, 2, len(axes)))
    matrices = rotations.to_matrix(hierarchy.euler(axes, angles))
    for place in np.ndindex(5, 2):
        product = np.eye(3)
        for axis, angle in zip(axes, angles[place], strict=True):
            product = product @ ELEMENTARY[axis](angle)
        np.testing.assert_allclose(matrices[place], product, atol=1e-14)


def test_euler_refuses_another_number_of_angles() -> None:
    with pytest.raises(ValueError, match="must have 2 as their last axis"):
        hierarchy.euler("xy", np.zeros((4, 3)))


def test_poses_of_an_arm_by_hand() -> None:
    # Shoulder at (1, 2, 3); elbow and hand one unit along local x; elbow bent about z. The
    # shoulder turns about z by 0 and 90 degrees, the elbow always by 90.
    positions = np.zeros((2, 3, 3))
    positions[:, 0] = [1, 2, 3]
    positions[:, 1:] = [1, 0, 0]
    quats = rotations.identity((2, 3))
    quats[1, 0] = quats[:, 1] = rotations.from_yaw(np.array(np.pi / 2))
    places, turns = hierarchy.forward_kinematics((-1, 0, 1), positions, quats)
    np.testing.assert_allclose(places[0], [[1, 2, 3], [2, 2, 3], [2, 3, 3]], atol=1e-12)
    np.testing.assert_allclose(places[1], [[1, 2, 3], [1, 3, 3], [0, 3, 3]], atol=1e-12)
    np.testing.assert_allclose(
        rotations.yaw(turns) % (2 * np.pi), np.radians([[0, 90, 90], [90, 180, 180]]), atol=1e-12
    )
    # The arguments stay as they were.
    np.testing.assert_array_equal(positions[:, 1:], np.broadcast_to([1.0, 0, 0], (2, 2, 3)))


def test_poses_of_a_random_tree_are_products_of_matrices() -> None:
    rng = np.random.default_rng(1)
    parents = (-1, 0, 1, 1, -1, 3, 0, 4)
    positions = rng.normal(size=(3, 8, 3))
    quats = rotations.normalize(rng.normal(size=(3, 8, 4)))
    places, turns = hierarchy.forward_kinematics(parents, positions, quats)
    for t in range(3):
        world = []
        for m, parent in enumerate(parents):
            local = np.eye(4)
            local[:3, :3] = rotations.to_matrix(quats[t, m])
            local[:3, 3] = positions[t, m]
            world.append(local if parent < 0 else world[parent] @ local)
            np.testing.assert_allclose(places[t, m], world[m][:3, 3], atol=1e-12)
            np.testing.assert_allclose(
                rotations.to_matrix(turns[t, m]), world[m][:3, :3], atol=1e-12
            )


def test_poses_need_parents_first_and_fitting_shapes() -> None:
    positions, quats = np.zeros((2, 2, 3)), rotations.identity((2, 2))
    with pytest.raises(ValueError, match="joint 0 has the parent 1, which must come before it"):
        hierarchy.forward_kinematics((1, -1), positions, quats)
    with pytest.raises(ValueError, match="must be"):
        hierarchy.forward_kinematics((-1, 0, 1), positions, quats)


def test_names_become_distinct() -> None:
    assert hierarchy.unique_names(["a", "b"]) == ("a", "b")
    assert hierarchy.unique_names(["a", "a", "b", "a"]) == ("a", "a_2", "b", "a_3")
    # A name that is there already is not taken away from its joint.
    assert hierarchy.unique_names(["a", "a", "a_2"]) == ("a", "a_3", "a_2")
    assert hierarchy.unique_names(["a_2", "a", "a", "a_2"]) == ("a_2", "a", "a_3", "a_2_2")


def test_sizes() -> None:
    hierarchy.check_size(2, 1000, "file")
    with pytest.raises(ClipError, match=r"file: has 1 frame\(s\), a motion needs at least 2"):
        hierarchy.check_size(1, 10, "file")
    with pytest.raises(ClipError, match="file: has 30000 frames of 1000 points, expected at most"):
        hierarchy.check_size(30_000, 1000, "file")
