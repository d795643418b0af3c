from dataclasses import replace

import numpy as np

from legged_skills.mocap.bones import bones_of
from legged_skills.mocap.formats.dog_keypoints import MARKER_NAMES
from legged_skills.mocap.skeletons import HUMAN_ROLES
from legged_skills.mocap.source import SourceMotion


def motion(names: tuple[str, ...], parents: tuple[int, ...] | None = None) -> SourceMotion:
    """Points a metre apart in a row, which all move by 10 m."""
    places = np.zeros((3, len(names), 3))
    places[..., 0] = np.arange(len(names)) + np.array([[0.0], [5.0], [10.0]])
    return SourceMotion(marker_names=names, positions_w=places, fps=30.0, parents=parents)


def lines(source: SourceMotion) -> set[tuple[str, str]]:
    names, bones = source.marker_names, bones_of(source)
    return {(names[a], names[b]) for a, b in zip(bones.starts, bones.ends, strict=True)}


def test_bones_are_the_hierarchy() -> None:
    source = motion(("pelvis", "left_hip", "tip", "head"), (-1, 0, 1, 0))
    assert lines(source) == {("pelvis", "left_hip"), ("left_hip", "tip"), ("pelvis", "head")}


def test_sides_are_those_of_roles_and_inherited() -> None:
    # The tip stands before its parent.
    source = motion(("tip", "left_wrist", "right_hip", "spine"), (1, 3, 3, -1))
    assert bones_of(source).sides.tolist() == [1, 1, -1, 0]


def test_a_root_that_stays_behind_is_not_joined() -> None:
    source = motion(("root", "pelvis", "head"), (-1, 0, 1))
    source.positions_w[:, 0] = 0.0
    assert lines(source) == {("pelvis", "head")}


def test_dogs_have_known_bones() -> None:
    found = bones_of(motion(MARKER_NAMES))
    # All points but the hips have a parent.
    parents = dict(zip(found.ends.tolist(), found.starts.tolist(), strict=True))
    assert sorted(parents) == list(range(1, 27)) and len(found.ends) == 26
    assert (parents[4], parents[8], parents[10], parents[24]) == (3, 7, 9, 0)
    assert found.sides[[7, 13, 17, 22, 24]].tolist() == [1, -1, 1, -1, 0]


def test_without_hierarchy_roles_are_joined() -> None:
    source = motion((*HUMAN_ROLES, "noise"))
    found = lines(source)
    assert {("left_hip", "left_knee"), ("left_knee", "left_ankle")} <= found
    assert {("right_elbow", "right_wrist"), ("right_hip", "right_shoulder")} <= found
    assert not any("noise" in pair for pair in found)
    assert lines(replace(source, marker_names=tuple(f"p{i}" for i in range(13)))) == set()
