"""Mappings say what they miss."""

from dataclasses import replace

import pytest

from legged_skills.mocap.mapping import mapping_for
from legged_skills.robots.errors import ClipError
from legged_skills.robots.spec import RobotSpec


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


def test_unknown_pairs_list_the_known(dog, spec: RobotSpec) -> None:
    cat = replace(dog.motion, skeleton="cat")
    with pytest.raises(
        ClipError, match="no mapping from 'cat' to 'anymal_c'; known mappings: dog_keypoints to"
    ):
        mapping_for(cat, spec)


def test_a_missing_marker_is_named(dog, spec: RobotSpec) -> None:
    names = tuple("tail" if n == "left_hip" else n for n in dog.motion.marker_names)
    with pytest.raises(ClipError, match="has no marker 'left_hip'"):
        mapping_for(replace(dog.motion, marker_names=names), spec)
