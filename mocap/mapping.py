"""Which marker of a source goes to which part of a robot."""

from dataclasses import dataclass

from legged_skills.mocap.source import SourceMotion
from legged_skills.robots.errors import ClipError
from legged_skills.robots.spec import RobotSpec


@dataclass(frozen=True, kw_only=True)
class BodyMarker:
    """A marker that a body of the robot follows, at an offset fitted to each clip."""

    marker: str
    """Name of the marker in the source."""
    body: str
    """Name of the body in the robot's model."""
    weight: float
    """Weight in the fit of poses [1/m^2]."""


@dataclass(frozen=True, kw_only=True)
class Mapping:
    """How the markers of one skeleton drive one robot."""

    skeleton: str
    """``SourceMotion.skeleton`` that this is for."""
    robot: str
    """``RobotSpec.name`` that this is for."""
    front: tuple[str, ...]
    """Markers whose mean is the front of the trunk; with ``rear`` gives heading and pitch."""
    rear: tuple[str, ...]
    """Markers whose mean is the rear of the trunk."""
    body_markers: tuple[BodyMarker, ...]
    """Markers that bodies follow."""
    feet: tuple[str, ...]
    """The foot markers, in the order of the robot's feet."""
    stand_under: tuple[str, ...]
    """For each foot the body whose origin it stands under, fore and aft, on average."""
    foot_weight: float
    """Weight of a foot in the fit of poses [1/m^2]."""

    def check(self, motion: SourceMotion, spec: RobotSpec) -> None:
        """Checks that source and robot have what the mapping names.

        Raises:
            ClipError: a marker is missing, or there is not one foot marker a foot.
        """
        for name in (*self.front, *self.rear, *self.feet):
            motion.index(name)
        for marker in self.body_markers:
            motion.index(marker.marker)
        if not len(self.feet) == len(self.stand_under) == len(spec.foot_names):
            raise ClipError(
                f"mapping of {self.skeleton} to {self.robot}: {len(self.feet)} foot markers "
                f"for {len(spec.foot_names)} feet."
            )


_DOG_TO_ANYMAL_C = Mapping(
    skeleton="dog_keypoints",
    robot="anymal_c",
    front=("left_shoulder", "right_shoulder"),
    rear=("left_hip", "right_hip"),
    # The spine bends and the shoulder blades slide; the rigid trunk takes the middle of it all.
    body_markers=(
        BodyMarker(marker="left_shoulder", body="base", weight=1.0),
        BodyMarker(marker="right_shoulder", body="base", weight=1.0),
        BodyMarker(marker="left_hip", body="base", weight=1.0),
        BodyMarker(marker="right_hip", body="base", weight=1.0),
        BodyMarker(marker="pelvis", body="base", weight=0.3),
        BodyMarker(marker="neck", body="base", weight=0.3),
    ),
    feet=("left_fore_paw", "right_fore_paw", "left_hind_paw", "right_hind_paw"),
    # The thighs turn about the hip joints: strides are then symmetric to the hips, and no leg is
    # stretched to its end.
    stand_under=("LF_THIGH", "RF_THIGH", "LH_THIGH", "RH_THIGH"),
    foot_weight=3.0,
)

_MAPPINGS = (_DOG_TO_ANYMAL_C,)


def mapping_for(motion: SourceMotion, spec: RobotSpec) -> Mapping:
    """The mapping from a source's skeleton to a robot.

    Raises:
        ClipError: there is none, or the source lacks a marker it names.
    """
    for mapping in _MAPPINGS:
        if (mapping.skeleton, mapping.robot) == (motion.skeleton, spec.name):
            mapping.check(motion, spec)
            return mapping
    known = ", ".join(f"{m.skeleton} to {m.robot}" for m in _MAPPINGS)
    raise ClipError(
        f"{motion.source.get('file', 'motion')}: no mapping from {motion.skeleton!r} "
        f"to {spec.name!r}; known mappings: {known}."
    )
