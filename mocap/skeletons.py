"""Which joints of a source are which: tables of their names.

Every format and every studio calls joints differently. The rest of the package knows
roles: "left_hip", "right_wrist", "left_fore_paw". A skeleton is a table from roles to
names; a source is of the first skeleton of which it has all the required names.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Animal = Literal["human", "dog"]

_SIDES = ("left", "right")
HUMAN_ROLES = tuple(
    f"{side}_{part}"
    for part in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
    for side in _SIDES
)
"""What a human source has to have."""
HUMAN_EXTRAS = ("pelvis", "neck", "head", "left_toe", "right_toe")
"""What is used if a human source has it; a toe is the ball of the foot or the tip."""
DOG_ROLES = tuple(
    f"{side}_{part}" for part in ("shoulder", "hip", "fore_paw", "hind_paw") for side in _SIDES
)
"""What a four-legged source has to have; shoulder and hip are where the legs leave the trunk."""
DOG_EXTRAS = ("pelvis", "neck")
"""What is used if a four-legged source has it."""

ROLES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = MappingProxyType(
    {"human": (HUMAN_ROLES, HUMAN_EXTRAS), "dog": (DOG_ROLES, DOG_EXTRAS)}
)
"""Required and optional roles of each animal."""


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """A convention of names."""

    name: str
    """What messages call it."""
    animal: Animal
    """What it is the skeleton of."""
    roles: Mapping[str, tuple[str, ...]]
    """For each role the names that may stand for it, the best first."""
    marks: tuple[str, ...] = ()
    """Names that must exist too, which tell it from others of the same names."""
    formats: tuple[str, ...] = ()
    """Formats that alone use the names in this sense; none for any."""

    def place(self, names: Iterable[str]) -> dict[str, str]:
        """Finds roles among the names of a source.

        Args:
            names: the source's marker names.

        Returns:
            The name that has each role, for the roles that were found.
        """
        known = {}
        for name in names:
            known.setdefault(plain(name), name)
        return {
            role: known[plain(wanted)]
            for role, choices in self.roles.items()
            for wanted in reversed(choices)  # the best comes last, and stays
            if plain(wanted) in known
        }

    def missing(self, names: Iterable[str]) -> list[str]:
        """The required roles, and marks, that a source with these names lacks."""
        names = list(names)
        found = self.place(names)
        required, _ = ROLES[self.animal]
        known = {plain(name) for name in names}
        return [role for role in required if role not in found] + [
            mark for mark in self.marks if plain(mark) not in known
        ]


def plain(name: str) -> str:
    """A name without namespace, separators and case: "mixamorig:Left_Foot" is "leftfoot"."""
    return re.sub(r"[\s_.\-]", "", name.rsplit(":", 1)[-1]).lower()


def subjects(names: Iterable[str]) -> tuple[str, ...]:
    """What stands before the last ":" of some names, each once, in order."""
    found = (name.rpartition(":")[0] for name in names)
    return tuple(dict.fromkeys(subject for subject in found if subject))


def bodies(names: Iterable[str]) -> list[list[str]]:
    """The names that may be of one body, the likeliest first.

    Args:
        names: the source's marker names.

    Returns:
        All of them, if they are of one subject or of none. Of several subjects the names of each,
        and those of none, and then each subject's with those of none.
    """
    names = list(names)
    if len(subjects(names)) < 2:
        return [names]
    subject_of = {name: name.rpartition(":")[0] for name in names}
    several = dict.fromkeys(subject_of.values())
    alone = [[name for name in names if subject_of[name] == one] for one in several]
    shared = [[name for name in names if subject_of[name] in (one, "")] for one in several]
    return alone + shared


def _both(**parts: str) -> dict[str, tuple[str, ...]]:
    """Roles of both sides from names with {L} for Left, {l} for left, {i} for l, {I} for L.

    Several names for one role are separated by spaces.
    """
    out = {}
    for part, names in parts.items():
        for side in _SIDES:
            letters = {"L": side.title(), "l": side, "i": side[0], "I": side[0].upper()}
            out[f"{side}_{part}"] = tuple(names.format(**letters).split())
    return out


def _one(**roles: str) -> dict[str, tuple[str, ...]]:
    """Roles that have no side; several names are separated by spaces."""
    return {role: tuple(names.split()) for role, names in roles.items()}


SKELETONS: tuple[Skeleton, ...] = (
    Skeleton(
        name="dog key points",
        animal="dog",
        roles={role: (role,) for role in (*DOG_ROLES, *DOG_EXTRAS)},
    ),
    # The hierarchy of the same data set (Zhang et al. 2018): the names are a person's, but it has
    # a tail.
    Skeleton(
        name="AI4Animation dog",
        animal="dog",
        marks=("Tail",),
        roles={
            **_both(
                shoulder="{L}Shoulder",
                hip="{L}UpLeg",
                fore_paw="{L}HandSite {L}Hand_end {L}Hand",
                hind_paw="{L}FootSite {L}Foot_end {L}Foot",
            ),
            **_one(pelvis="Hips", neck="Neck"),
        },
    ),
    Skeleton(
        name="ANYmal",
        animal="dog",
        roles={
            "left_shoulder": ("LF_HIP",),
            "right_shoulder": ("RF_HIP",),
            "left_hip": ("LH_HIP",),
            "right_hip": ("RH_HIP",),
            "left_fore_paw": ("LF_FOOT",),
            "right_fore_paw": ("RF_FOOT",),
            "left_hind_paw": ("LH_FOOT",),
            "right_hind_paw": ("RH_FOOT",),
        },
    ),
    # Markers of our ASF reader are the ends of bones: the femur ends at the knee.
    Skeleton(
        name="CMU (ASF)",
        formats=("Acclaim ASF/AMC",),
        animal="human",
        marks=("lhipjoint", "rhipjoint", "root"),
        roles={
            **_both(
                hip="{i}hipjoint",
                knee="{i}femur",
                ankle="{i}tibia",
                toe="{i}foot",
                shoulder="{i}clavicle",
                elbow="{i}humerus",
                wrist="{i}radius",
            ),
            **_one(pelvis="root", neck="thorax", head="head"),
        },
    ),
    # Bodies begin where bones do: the femur's origin is the hip.
    Skeleton(
        name="CMU (dm_control)",
        animal="human",
        roles={
            **_both(
                hip="{i}femur",
                knee="{i}tibia",
                ankle="{i}foot",
                toe="{i}toes",
                shoulder="{i}humerus",
                elbow="{i}radius",
                wrist="{i}wrist {i}hand",
            ),
            **_one(pelvis="root", neck="lowerneck", head="head"),
        },
    ),
    # MotionBuilder's names, in CMU's BVH files, Mixamo, LAFAN1 and many others.
    Skeleton(
        name="MotionBuilder (CMU, Mixamo, LAFAN1)",
        animal="human",
        roles={
            **_both(
                hip="{L}UpLeg {L}UpperLeg",
                knee="{L}Leg {L}LowerLeg",
                ankle="{L}Foot",
                toe="{L}ToeBase {L}Toe {L}Toes {L}Foot_end",
                shoulder="{L}Arm {L}UpperArm",
                elbow="{L}ForeArm {L}LowerArm",
                wrist="{L}Hand",
            ),
            **_one(pelvis="Hips Hip", neck="Neck Neck1", head="Head"),
        },
    ),
    Skeleton(
        name="Poser (CMU)",
        animal="human",
        roles={
            **_both(
                hip="{i}Thigh",
                knee="{i}Shin",
                ankle="{i}Foot",
                toe="{i}Toe {i}Toes {i}Foot_end",
                shoulder="{i}Shldr",
                elbow="{i}ForeArm",
                wrist="{i}Hand",
            ),
            **_one(pelvis="hip", neck="neck", head="head"),
        },
    ),
    # SMPL, DeepMimic, and key points of people (COCO, MediaPipe, Human3.6M).
    Skeleton(
        name="SMPL, DeepMimic, key points",
        animal="human",
        roles={
            **_both(
                hip="{l}_hip {I}_Hip",
                knee="{l}_knee {I}_Knee",
                ankle="{l}_ankle {I}_Ankle",
                toe=(
                    "{l}_toe {l}_foot {l}_big_toe {l}_foot_index {I}_Toe {I}_Foot "
                    "{L}Ankle_end {L}Toe_end"
                ),
                shoulder="{l}_shoulder {I}_Shoulder",
                elbow="{l}_elbow {I}_Elbow",
                wrist="{l}_wrist {I}_Wrist",
            ),
            **_one(pelvis="pelvis root Hips", neck="neck", head="head"),
        },
    ),
    # Vicon's Plug-in Gait: markers on the skin; the pelvis's front stands for the hip.
    Skeleton(
        name="Plug-in Gait",
        animal="human",
        roles={
            **_both(
                hip="{I}ASI",
                knee="{I}KNE",
                ankle="{I}ANK",
                toe="{I}TOE",
                shoulder="{I}SHO",
                elbow="{I}ELB",
                wrist="{I}WRA {I}WRB {I}WRI",
            ),
            **_one(neck="C7 CLAV", head="LFHD"),
        },
    ),
    Skeleton(
        name="OP3",
        animal="human",
        roles={
            **_both(
                hip="{i}_hip_pitch_link",
                knee="{i}_knee_link",
                ankle="{i}_ank_pitch_link",
                shoulder="{i}_sho_pitch_link",
                elbow="{i}_el_link",
                wrist="{i}_hand",
            ),
            **_one(pelvis="body_link", head="head_tilt_link"),
        },
    ),
)
"""All known conventions; the first that fits is taken."""
