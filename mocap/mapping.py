"""Which joint of an animal goes to which part of a robot."""

from dataclasses import dataclass, replace

from legged_skills.mocap.source import SourceMotion
from legged_skills.robots.errors import ClipError
from legged_skills.robots.spec import RobotSpec

Point = tuple[str, tuple[float, float, float]]


@dataclass(frozen=True, kw_only=True)
class BodyMarker:
    """A marker that the robot's base follows, at an offset fitted to each clip."""

    marker: str
    """Role of the marker in the source."""
    weight: float
    """Weight in the fit of poses [1/m^2]."""


@dataclass(frozen=True, kw_only=True)
class Limb:
    """An arm: two links whose directions the robot's links follow, at the robot's lengths.

    Points of the robot are a body's name and a place in its frame [m].
    """

    markers: tuple[str, str, str]
    """Roles of the source's shoulder, elbow and wrist."""
    points: tuple[Point, Point, Point]
    """The robot's shoulder, elbow and hand; the first is fixed to the base."""
    weights: tuple[float, float]
    """Weights of elbow and hand in the whole-clip pass, where a standing foot has 1 [1/m^2]."""


@dataclass(frozen=True, kw_only=True)
class Mapping:
    """How the joints of one animal drive one robot."""

    animal: str
    """``SourceMotion.skeleton`` that this is for: "human" or "dog"."""
    robot: str
    """``RobotSpec.name`` that this is for."""
    front: tuple[str, ...]
    """Markers whose mean is the front of the trunk (a dog's) or its upper end (a human's)."""
    rear: tuple[str, ...]
    """Markers whose mean is the rear of the trunk (a dog's) or its lower end (a human's)."""
    trunk_b: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Where the middle of the trunk (a dog's) or of the hips (a human's) is in the frame of the
    robot's base [m]."""
    body_markers: tuple[BodyMarker, ...]
    """Markers that the base follows."""
    feet: tuple[str, ...]
    """The foot markers, in the order of the robot's feet."""
    heels: tuple[str, ...] = ()
    """For each foot a marker behind the foot marker, which tells where the foot points; without
    it, feet point where the trunk does."""
    legs: tuple[tuple[str, str, str], ...] = ()
    """Roles of hip, knee and ankle of each leg, which tell the length of a straight leg; without
    it, the height in which the source stands says how long its legs are."""
    stand_under: tuple[str, ...]
    """For each foot the body whose origin it stands under, fore and aft, on average, and from
    which its leg reaches."""
    foot_weight: float
    """Weight of a foot in the fit of poses [1/m^2]."""
    limbs: tuple[Limb, ...] = ()
    """Limbs besides the legs."""

    def check(self, motion: SourceMotion, spec: RobotSpec) -> None:
        """Checks that source and robot have what the mapping names.

        Raises:
            ClipError: a marker is missing, or there is not one foot marker a foot.
        """
        chains = [name for limb in self.limbs for name in limb.markers]
        chains += [name for leg in self.legs for name in leg]
        for name in (*self.front, *self.rear, *self.feet, *self.heels, *chains):
            motion.index(name)
        for marker in self.body_markers:
            motion.index(marker.marker)
        if not len(self.feet) == len(self.stand_under) == len(spec.foot_names):
            raise ClipError(
                f"mapping of {self.animal} to {self.robot}: {len(self.feet)} foot markers "
                f"for {len(spec.foot_names)} feet."
            )


_DOG_TO_ANYMAL_C = Mapping(
    animal="dog",
    robot="anymal_c",
    front=("left_shoulder", "right_shoulder"),
    rear=("left_hip", "right_hip"),
    # The spine bends and the shoulder blades slide; the rigid trunk takes the middle of it all.
    body_markers=(
        BodyMarker(marker="left_shoulder", weight=1.0),
        BodyMarker(marker="right_shoulder", weight=1.0),
        BodyMarker(marker="left_hip", weight=1.0),
        BodyMarker(marker="right_hip", weight=1.0),
        BodyMarker(marker="pelvis", weight=0.3),
        BodyMarker(marker="neck", weight=0.3),
    ),
    feet=("left_fore_paw", "right_fore_paw", "left_hind_paw", "right_hind_paw"),
    # The thighs turn about the hip joints: strides are then symmetric to the hips, and no leg is
    # stretched to its end.
    stand_under=("LF_THIGH", "RF_THIGH", "LH_THIGH", "RH_THIGH"),
    foot_weight=3.0,
)


def _arm(side: str, letter: str, left: float) -> Limb:
    """An arm of OP3; ``left`` is 1 for the left, -1 for the right."""
    # Three joints an arm bring a hand to any place near, but not also the elbow.
    return Limb(
        markers=(f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist"),
        points=(
            ("body_link", (-0.001, 0.0885 * left, 0.111)),
            (f"{letter}_el_link", (-0.019, 0.0, 0.0)),
            (f"{letter}_el_link", (-0.019, 0.13 * left, 0.002)),
        ),
        weights=(0.02, 0.05),
    )


_HUMAN_TO_OP3 = Mapping(
    animal="human",
    robot="op3",
    front=("left_shoulder", "right_shoulder"),
    rear=("left_hip", "right_hip"),
    # The pitch axes of the hips.
    trunk_b=(0.0, 0.0, -0.0285),
    body_markers=(
        BodyMarker(marker="left_hip", weight=1.0),
        BodyMarker(marker="right_hip", weight=1.0),
        BodyMarker(marker="left_shoulder", weight=0.5),
        BodyMarker(marker="right_shoulder", weight=0.5),
    ),
    feet=("left_toe", "right_toe"),
    heels=("left_ankle", "right_ankle"),
    legs=tuple((f"{s}_hip", f"{s}_knee", f"{s}_ankle") for s in ("left", "right")),
    stand_under=("l_hip_pitch_link", "r_hip_pitch_link"),
    foot_weight=3.0,
    limbs=(_arm("left", "l", 1.0), _arm("right", "r", -1.0)),
)

_MAPPINGS = (_DOG_TO_ANYMAL_C, _HUMAN_TO_OP3)


def mapping_for(motion: SourceMotion, spec: RobotSpec) -> Mapping:
    """The mapping from a source to a robot.

    Args:
        motion: the source, its joints identified (``identify.identify``).
        spec: the robot.

    Returns:
        The mapping, without what the source does not have: toes, pelvis, neck.

    Raises:
        ClipError: there is none, or the source lacks a marker it names.
    """
    for mapping in _MAPPINGS:
        if (mapping.animal, mapping.robot) == (motion.skeleton, spec.name):
            fitting = _without_missing(mapping, motion)
            fitting.check(motion, spec)
            return fitting
    known = ", ".join(f"{m.animal} to {m.robot}" for m in _MAPPINGS)
    raise ClipError(
        f"{motion.source.get('file', 'motion')}: no mapping from {motion.skeleton!r} "
        f"to {spec.name!r}; known mappings: {known}."
    )


def _without_missing(mapping: Mapping, motion: SourceMotion) -> Mapping:
    """The mapping without markers that are optional and that the source does not have."""
    has = set(motion.marker_names)
    needed = {*mapping.front, *mapping.rear}
    markers = tuple(m for m in mapping.body_markers if m.marker in has | needed)
    out = replace(mapping, body_markers=markers)
    if mapping.heels and not has.issuperset(mapping.feet):
        return replace(out, feet=mapping.heels, heels=())
    return out
