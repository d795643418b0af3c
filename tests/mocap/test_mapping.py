"""Mappings say what they miss."""

from dataclasses import replace

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.mocap.mapping import mapping_for
from legged_skills.mocap.skeletons import HUMAN_EXTRAS, HUMAN_ROLES
from legged_skills.mocap.source import SourceMotion
from legged_skills.robots.errors import ClipError
from legged_skills.robots.spec import RobotSpec


def _human(*names: str) -> SourceMotion:
    return SourceMotion(
        marker_names=names,
        positions_w=np.zeros((2, len(names), 3)),
        fps=30.0,
        skeleton="human",
        source={"file": "walk.bvh"},
    )


def test_the_dog_maps_to_anymal_c(dog, spec: RobotSpec) -> None:
    mapping = mapping_for(dog.motion, spec)
    model = spec.model()
    assert len(mapping.feet) == len(mapping.stand_under) == 4
    # Left and right, fore and hind, match between marker, foot and thigh.
    for marker, foot, thigh in zip(mapping.feet, spec.foot_names, mapping.stand_under, strict=True):
        side, end = marker.split("_")[:2]
        assert foot == side[0].upper() + end[0].upper()
        assert thigh.startswith(foot)
        model.body(thigh)


def test_a_human_maps_to_op3() -> None:
    spec = robots.get("op3")
    mapping = mapping_for(_human(*HUMAN_ROLES, *HUMAN_EXTRAS), spec)
    model = spec.model()
    assert mapping.feet == ("left_toe", "right_toe")
    assert mapping.heels == ("left_ankle", "right_ankle")
    for foot, hip, heel, leg, limb in zip(
        spec.foot_names,
        mapping.stand_under,
        mapping.heels,
        mapping.legs,
        mapping.limbs,
        strict=True,
    ):
        side = {"l": "left", "r": "right"}[foot[0]]
        assert hip.startswith(f"{foot[0]}_hip") and heel.startswith(side)
        assert leg == (f"{side}_hip", f"{side}_knee", f"{side}_ankle")
        assert limb.markers == (f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist")
        model.body(hip)
        for body, _ in limb.points:
            model.body(body)
        # The left arm is on the robot's left.
        assert np.sign(limb.points[0][1][1]) == (1 if side == "left" else -1)


def test_without_toes_the_ankles_are_the_feet() -> None:
    mapping = mapping_for(_human(*HUMAN_ROLES, "left_toe"), robots.get("op3"))
    assert mapping.feet == ("left_ankle", "right_ankle")
    assert mapping.heels == ()


def test_what_a_dog_need_not_have_is_left_out(dog, spec: RobotSpec) -> None:
    names = tuple(f"unknown {n}" if n in ("neck", "pelvis") else n for n in dog.motion.marker_names)
    mapping = mapping_for(replace(dog.motion, marker_names=names), spec)
    assert {marker.marker for marker in mapping.body_markers} == {*mapping.front, *mapping.rear}


def test_unknown_pairs_list_the_known(dog, spec: RobotSpec) -> None:
    cat = replace(dog.motion, skeleton="cat")
    known = r"known mappings: dog to anymal_c, human to op3\."
    with pytest.raises(ClipError, match=rf"no mapping from 'cat' to 'anymal_c'; {known}"):
        mapping_for(cat, spec)
    with pytest.raises(
        ClipError, match=rf"walk.bvh: no mapping from 'human' to 'anymal_c'; {known}"
    ):
        mapping_for(_human(*HUMAN_ROLES), spec)
    with pytest.raises(ClipError, match="no mapping from 'dog' to 'op3'"):
        mapping_for(dog.motion, robots.get("op3"))


def test_a_missing_marker_is_named(dog, spec: RobotSpec) -> None:
    names = tuple("tail" if n == "left_hip" else n for n in dog.motion.marker_names)
    with pytest.raises(ClipError, match="has no marker 'left_hip'"):
        mapping_for(replace(dog.motion, marker_names=names), spec)
    for missing in HUMAN_ROLES:
        names = tuple(name for name in HUMAN_ROLES if name != missing)
        with pytest.raises(ClipError, match=f"walk.bvh: has no marker '{missing}'"):
            mapping_for(_human(*names), robots.get("op3"))


def test_there_is_one_foot_marker_a_foot(dog, spec: RobotSpec) -> None:
    mapping = mapping_for(dog.motion, spec)
    three = replace(mapping, feet=mapping.feet[:3])
    with pytest.raises(ClipError, match="dog to anymal_c: 3 foot markers for 4 feet"):
        three.check(dog.motion, spec)
