"""Joints are told by their names, whatever a studio calls them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from legged_skills.mocap.formats import deepmimic, dm_control_cmu, dog_keypoints, read_motion, smpl
from legged_skills.mocap.identify import identify, load_map
from legged_skills.mocap.skeletons import (
    DOG_EXTRAS,
    DOG_ROLES,
    HUMAN_EXTRAS,
    HUMAN_ROLES,
    ROLES,
    SKELETONS,
    plain,
)
from legged_skills.mocap.source import SourceMotion
from legged_skills.robots.errors import ClipError, FileFormatError

LIMBS = ("hip", "knee", "ankle", "toe", "shoulder", "elbow", "wrist")

CMU_ASF = """root lhipjoint lfemur ltibia lfoot ltoes rhipjoint rfemur rtibia rfoot rtoes lowerback
upperback thorax lowerneck upperneck head lclavicle lhumerus lradius lwrist lhand lfingers lthumb
rclavicle rhumerus rradius rwrist rhand rfingers rthumb"""
CMU_BVH = """Hips LHipJoint LeftUpLeg LeftLeg LeftFoot LeftToeBase LeftToeBase_end RHipJoint
RightUpLeg RightLeg RightFoot RightToeBase RightToeBase_end LowerBack Spine Spine1 Neck Neck1 Head
Head_end LeftShoulder LeftArm LeftForeArm LeftHand LeftFingerBase LeftHandIndex1 LThumb
RightShoulder RightArm RightForeArm RightHand RightFingerBase RightHandIndex1 RThumb"""
MIXAMO = """Hips Spine Spine1 Spine2 Neck Head HeadTop_End LeftShoulder LeftArm LeftForeArm LeftHand
LeftHandThumb1 LeftHandIndex1 RightShoulder RightArm RightForeArm RightHand RightHandThumb1
LeftUpLeg LeftLeg LeftFoot LeftToeBase LeftToe_End RightUpLeg RightLeg RightFoot RightToeBase
RightToe_End"""
LAFAN1 = """Hips LeftUpLeg LeftLeg LeftFoot LeftToe RightUpLeg RightLeg RightFoot RightToe Spine
Spine1 Spine2 Neck Head LeftShoulder LeftArm LeftForeArm LeftHand RightShoulder RightArm
RightForeArm RightHand"""
XSENS = """Hips Chest Chest2 Chest3 Chest4 Neck Head RightCollar RightUpperArm RightForeArm
RightHand LeftCollar LeftUpperArm LeftForeArm LeftHand RightUpperLeg RightLowerLeg RightFoot
RightToe LeftUpperLeg LeftLowerLeg LeftFoot LeftToe"""
POSER = """hip abdomen chest neck head leftEye rightEye rCollar rShldr rForeArm rHand rThumb1 rMid1
lCollar lShldr lForeArm lHand lThumb1 lMid1 rButtock rThigh rShin rFoot rFoot_end lButtock lThigh
lShin lFoot lFoot_end"""
WALK_CYCLE = """Hips Ab Chest LeftCollar LeftShoulder LeftElbow LeftWrist LeftWrist_end Neck Head
Head_end RightCollar RightShoulder RightElbow RightWrist RightWrist_end LeftHip LeftKnee LeftAnkle
LeftAnkle_end RightHip RightKnee RightAnkle RightAnkle_end"""
SMPL_BODIES = """Pelvis L_Hip L_Knee L_Ankle L_Toe R_Hip R_Knee R_Ankle R_Toe Torso Spine Chest Neck
Head L_Thorax L_Shoulder L_Elbow L_Wrist L_Hand R_Thorax R_Shoulder R_Elbow R_Wrist R_Hand"""
COCO = """nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow
right_elbow left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle
right_ankle"""
COCO_WITH_FEET = COCO + " left_big_toe left_small_toe left_heel right_big_toe right_heel"
MEDIAPIPE = """nose left_eye_inner left_eye left_eye_outer left_ear right_ear mouth_left mouth_right
left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist left_pinky right_pinky
left_index right_index left_thumb right_thumb left_hip right_hip left_knee right_knee left_ankle
right_ankle left_heel right_heel left_foot_index right_foot_index"""
PLUG_IN_GAIT = """LFHD RFHD LBHD RBHD C7 T10 CLAV STRN RBAK LSHO LUPA LELB LFRM LWRA LWRB LFIN RSHO
RUPA RELB RFRM RWRA RWRB RFIN LASI RASI LPSI RPSI LTHI LKNE LTIB LANK LHEE LTOE RTHI RKNE RTIB RANK
RHEE RTOE"""
AI4ANIMATION = """Hips Spine Spine1 Neck Head HeadSite LeftShoulder LeftArm LeftForeArm LeftHand
LeftHandSite RightShoulder RightArm RightForeArm RightHand RightHandSite LeftUpLeg LeftLeg LeftFoot
LeftFootSite RightUpLeg RightLeg RightFoot RightFootSite Tail Tail1 Tail1Site"""
OP3 = """body_link head_pan_link head_tilt_link l_sho_pitch_link l_sho_roll_link l_el_link
r_sho_pitch_link r_sho_roll_link r_el_link l_hip_yaw_link l_hip_roll_link l_hip_pitch_link
l_knee_link l_ank_pitch_link l_ank_roll_link r_hip_yaw_link r_hip_roll_link r_hip_pitch_link
r_knee_link r_ank_pitch_link r_ank_roll_link l_hand r_hand l_foot r_foot"""
ANYMAL = "base LF_HIP LF_THIGH LF_SHANK LF_FOOT RF_HIP RF_FOOT LH_HIP LH_FOOT RH_HIP RH_FOOT"

# Names, what the skeleton is called, hip to wrist of the left (or "-"), pelvis, neck and head. The
# right side's names are the left's with the other side in them.
PEOPLE = {
    "asf": (
        CMU_ASF,
        "CMU (ASF)",
        "lhipjoint lfemur ltibia lfoot lclavicle lhumerus lradius",
        "root thorax head",
    ),
    "dm_control": (
        " ".join(dm_control_cmu.MARKER_NAMES),
        "CMU (dm_control)",
        "lfemur ltibia lfoot ltoes lhumerus lradius lwrist",
        "root lowerneck head",
    ),
    "cmu_bvh": (
        CMU_BVH,
        "MotionBuilder (CMU, Mixamo, LAFAN1)",
        "LeftUpLeg LeftLeg LeftFoot LeftToeBase LeftArm LeftForeArm LeftHand",
        "Hips Neck Head",
    ),
    "mixamo": (
        " ".join(f"mixamorig:{name}" for name in MIXAMO.split()),
        "MotionBuilder (CMU, Mixamo, LAFAN1)",
        "mixamorig:LeftUpLeg mixamorig:LeftLeg mixamorig:LeftFoot mixamorig:LeftToeBase "
        "mixamorig:LeftArm mixamorig:LeftForeArm mixamorig:LeftHand",
        "mixamorig:Hips mixamorig:Neck mixamorig:Head",
    ),
    "lafan1": (
        LAFAN1,
        "MotionBuilder (CMU, Mixamo, LAFAN1)",
        "LeftUpLeg LeftLeg LeftFoot LeftToe LeftArm LeftForeArm LeftHand",
        "Hips Neck Head",
    ),
    "xsens": (
        XSENS,
        "MotionBuilder (CMU, Mixamo, LAFAN1)",
        "LeftUpperLeg LeftLowerLeg LeftFoot LeftToe LeftUpperArm LeftForeArm LeftHand",
        "Hips Neck Head",
    ),
    "poser": (
        POSER,
        "Poser (CMU)",
        "lThigh lShin lFoot lFoot_end lShldr lForeArm lHand",
        "hip neck head",
    ),
    "walk_cycle": (
        WALK_CYCLE,
        "SMPL, DeepMimic, key points",
        "LeftHip LeftKnee LeftAnkle LeftAnkle_end LeftShoulder LeftElbow LeftWrist",
        "Hips Neck Head",
    ),
    "smpl": (
        " ".join(smpl.MARKER_NAMES),
        "SMPL, DeepMimic, key points",
        "left_hip left_knee left_ankle left_foot left_shoulder left_elbow left_wrist",
        "pelvis neck head",
    ),
    "smpl_bodies": (
        SMPL_BODIES,
        "SMPL, DeepMimic, key points",
        "L_Hip L_Knee L_Ankle L_Toe L_Shoulder L_Elbow L_Wrist",
        "Pelvis Neck Head",
    ),
    "deepmimic": (
        " ".join(deepmimic.MARKER_NAMES),
        "SMPL, DeepMimic, key points",
        "left_hip left_knee left_ankle left_toe left_shoulder left_elbow left_wrist",
        "root neck head",
    ),
    "coco": (
        COCO,
        "SMPL, DeepMimic, key points",
        "left_hip left_knee left_ankle - left_shoulder left_elbow left_wrist",
        "- - -",
    ),
    "coco_with_feet": (
        COCO_WITH_FEET,
        "SMPL, DeepMimic, key points",
        "left_hip left_knee left_ankle left_big_toe left_shoulder left_elbow left_wrist",
        "- - -",
    ),
    "mediapipe": (
        MEDIAPIPE,
        "SMPL, DeepMimic, key points",
        "left_hip left_knee left_ankle left_foot_index left_shoulder left_elbow left_wrist",
        "- - -",
    ),
    "plug_in_gait": (
        " ".join(f"Subject01:{name}" for name in PLUG_IN_GAIT.split()),
        "Plug-in Gait",
        "Subject01:LASI Subject01:LKNE Subject01:LANK Subject01:LTOE Subject01:LSHO "
        "Subject01:LELB Subject01:LWRA",
        "- Subject01:C7 Subject01:LFHD",
    ),
    "op3": (
        OP3,
        "OP3",
        "l_hip_pitch_link l_knee_link l_ank_pitch_link - l_sho_pitch_link l_el_link l_hand",
        "body_link - head_tilt_link",
    ),
}


def _motion(*names: str) -> SourceMotion:
    """Each point is at its number, so that it is known again under another name."""
    positions = np.tile(np.arange(len(names), dtype=float)[:, None], (2, 1, 3))
    source = {"file": "walk.bvh"}
    if "lhipjoint" in names:  # as our reader of ASF names the ends of bones
        source["format"] = "Acclaim ASF/AMC"
    return SourceMotion(marker_names=names, positions_w=positions, fps=30.0, source=source)


def _places(motion: SourceMotion, names: Sequence[str]) -> dict[str, str]:
    """For each role that the renamed motion has, the name in the file."""
    everything = {role for roles in ROLES.values() for part in roles for role in part}
    return {
        name: names[int(motion.positions_w[0, i, 0])]
        for i, name in enumerate(motion.marker_names)
        if name in everything
    }


def _right(name: str) -> str:
    """The right side's name: the side is in the part after the namespace, at its beginning."""
    space, colon, own = name.rpartition(":")
    for left, right in (("Left", "Right"), ("left", "right"), ("L", "R"), ("l", "r")):
        if own.startswith(left):
            return space + colon + right + own[len(left) :]
    raise AssertionError(name)


@pytest.mark.parametrize("key", PEOPLE)
def test_people_of_all_conventions(key: str) -> None:
    joined, skeleton, left, middle = PEOPLE[key]
    names = joined.split()
    expected: dict[str, str] = {}
    expected.update(zip(("pelvis", "neck", "head"), middle.split(), strict=True))
    for part, name in zip(LIMBS, left.split(), strict=True):
        expected[f"left_{part}"] = name
        expected[f"right_{part}"] = name if name == "-" else _right(name)
    motion = identify(_motion(*names))
    assert (motion.skeleton, motion.source["skeleton"]) == ("human", skeleton)
    found = _places(motion, names)
    assert found == {role: name for role, name in expected.items() if name != "-"}
    assert set(found) >= set(HUMAN_ROLES)
    # The other joints keep their names, and all stay in their places.
    assert len(set(motion.marker_names)) == len(names)
    np.testing.assert_array_equal(motion.positions_w, _motion(*names).positions_w)


@pytest.mark.parametrize(
    ("joined", "skeleton", "expected"),
    [
        (
            AI4ANIMATION,
            "AI4Animation dog",
            "LeftShoulder RightShoulder LeftUpLeg RightUpLeg LeftHandSite RightHandSite "
            "LeftFootSite RightFootSite Hips Neck",
        ),
        (
            " ".join(dog_keypoints.MARKER_NAMES),
            "dog key points",
            "left_shoulder right_shoulder left_hip right_hip left_fore_paw right_fore_paw "
            "left_hind_paw right_hind_paw pelvis neck",
        ),
        (ANYMAL, "ANYmal", "LF_HIP RF_HIP LH_HIP RH_HIP LF_FOOT RF_FOOT LH_FOOT RH_FOOT - -"),
    ],
)
def test_dogs_of_all_conventions(joined: str, skeleton: str, expected: str) -> None:
    names = joined.split()
    motion = identify(_motion(*names))
    assert (motion.skeleton, motion.source["skeleton"]) == ("dog", skeleton)
    roles = zip((*DOG_ROLES, *DOG_EXTRAS), expected.split(), strict=True)
    assert _places(motion, names) == {role: name for role, name in roles if name != "-"}


def test_every_skeleton_has_its_required_roles() -> None:
    tried = {skeleton for _, skeleton, _, _ in PEOPLE.values()}
    tried |= {"AI4Animation dog", "dog key points", "ANYmal"}
    assert {skeleton.name for skeleton in SKELETONS} == tried
    for skeleton in SKELETONS:
        required, extras = ROLES[skeleton.animal]
        assert set(required) <= set(skeleton.roles) <= {*required, *extras}


def test_names_are_compared_without_namespace_separators_and_case() -> None:
    assert plain("mixamorig:Left_Foot") == plain("left foot") == plain("LEFT-FOOT") == "leftfoot"
    assert plain("Skeleton:01:Left.Toe") == "lefttoe"
    spaced = [name.replace("_", " ").upper() for name in COCO.split()]
    assert identify(_motion(*spaced)).source["skeleton"] == "SMPL, DeepMimic, key points"


def test_identifying_twice_changes_nothing() -> None:
    for names in (CMU_ASF, LAFAN1.replace("Shoulder", "Collar"), PLUG_IN_GAIT, WALK_CYCLE):
        first = identify(_motion(*names.split()))
        assert identify(first).marker_names == first.marker_names


def test_the_source_is_left_as_it_is() -> None:
    motion = _motion(*CMU_BVH.split())
    identify(motion)
    assert motion.marker_names == tuple(CMU_BVH.split())
    assert (motion.skeleton, motion.source) == ("", {"file": "walk.bvh"})


def test_of_two_people_the_first_is_taken() -> None:
    names = [f"{who}:{name}" for who in ("Ann", "Bob") for name in PLUG_IN_GAIT.split()]
    places = _places(identify(_motion(*names)), names)
    assert {name.split(":")[0] for name in places.values()} == {"Ann"}


def test_roles_are_not_mixed_from_two_people() -> None:
    ann, bob = ([f"{who}:{name}" for name in PLUG_IN_GAIT.split()] for who in ("Ann", "Bob"))
    # Ann has no toes, or no ankle, without which Bob is taken.
    names = [name for name in ann if "TOE" not in name] + bob
    places = _places(identify(_motion(*names)), names)
    assert {name.split(":")[0] for name in places.values()} == {"Ann"}
    names = [name for name in ann if name != "Ann:LANK"] + bob
    places = _places(identify(_motion(*names)), names)
    assert {name.split(":")[0] for name in places.values()} == {"Bob"}
    names = [name for name in ann if name != "Ann:LANK"] + ["Bob:LANK", "Bob:LTOE"]
    with pytest.raises(
        ClipError, match=r"walk.bvh: has joints of Ann, Bob, of whom none has all that is needed"
    ):
        identify(_motion(*names))


def test_joints_of_nobody_are_those_of_a_subject_beside_others() -> None:
    mixed = [f"Ann:{n}" if n.startswith("L") else n for n in PLUG_IN_GAIT.split()]
    for names in (mixed, [*mixed, "Ball:top"], [*PLUG_IN_GAIT.split(), "Ann:LTOE", "Ball:LANK"]):
        motion = identify(_motion(*names))
        assert motion.source["skeleton"] == "Plug-in Gait"
        assert _places(motion, names)["left_ankle"] == next(n for n in names if "LANK" in n)


def test_joints_called_like_a_role_of_others_are_renamed() -> None:
    # The thorax ends at the neck; what this file calls its neck is something else. So are the
    # toes of a map that names none.
    motion = identify(_motion(*CMU_ASF.split(), "neck", "left_hip"))
    assert motion.marker_names[-2:] == ("neck (other)", "left_hip (other)")
    assert motion.marker_names[motion.marker_names.index("neck")] == "neck"
    assert motion.positions_w[0, motion.index("neck"), 0] == CMU_ASF.split().index("thorax")


# --- what is no known skeleton ---


def test_nearly_known_skeletons_say_what_is_missing() -> None:
    names = [n for n in CMU_BVH.split() if n not in ("LeftForeArm", "RightFoot")]
    with pytest.raises(ClipError) as error:
        identify(_motion(*names))
    text = str(error.value)
    assert text.startswith("walk.bvh: of no known skeleton.")
    assert "nearest is MotionBuilder (CMU, Mixamo, LAFAN1)" in text
    assert "these have no joint: right_ankle, left_elbow." in text
    assert "Joints found: Hips, LHipJoint, LeftUpLeg, LeftLeg, " in text
    assert text.endswith("Say which is which with --map file.yaml.")


def test_an_asf_without_its_marks_is_not_taken_for_bodies() -> None:
    # Bodies begin where bones do, ends of bones are one joint further down: telling the two
    # apart needs the hip joints, which only bones have.
    names = [name for name in CMU_ASF.split() if "hipjoint" not in name]
    assert identify(_motion(*names)).source["skeleton"] == "CMU (dm_control)"


def test_unknown_skeletons_list_the_roles() -> None:
    with pytest.raises(ClipError, match=r"No joint has a name of one; a human has left_hip, "):
        identify(_motion("foo", "bar"))
    with pytest.raises(ClipError, match=r"a dog has left_shoulder, .*Joints found: foo, bar\."):
        identify(_motion("foo", "bar"))


def test_long_lists_of_joints_are_cut() -> None:
    with pytest.raises(ClipError, match=r"Joints found: p0, .*, p59, \.\.\.\. Say"):
        identify(_motion(*(f"p{i}" for i in range(1000))))


# --- the user's own table ---

MINE = {role: f"J{i}" for i, role in enumerate(HUMAN_ROLES)}


def _write(folder: Path, roles: dict[str, str], animal: str = "human") -> Path:
    path = folder / "mine.yaml"
    lines = [f"animal: {animal}", "roles:", *(f"  {role}: {name}" for role, name in roles.items())]
    path.write_text("\n".join(lines))
    return path


def test_a_table_names_the_joints(tmp_path: Path) -> None:
    skeleton = load_map(_write(tmp_path, {**MINE, "left_toe": "T", "right_toe": "12"}))
    assert (skeleton.name, skeleton.animal) == ("mine.yaml", "human")
    names = ["other", "T", "12", *(name.lower() for name in MINE.values())]
    motion = identify(_motion(*names), skeleton)
    assert (motion.skeleton, motion.source["skeleton"]) == ("human", "mine.yaml")
    places = _places(motion, names)
    assert places == {**{r: n.lower() for r, n in MINE.items()}, "left_toe": "T", "right_toe": "12"}
    # It wins over a known skeleton of the same joints.
    swapped = {role: _other_side(role) for role in HUMAN_ROLES}
    own = load_map(_write(tmp_path, swapped))
    assert _places(identify(_motion(*COCO.split()), own), COCO.split()) == swapped


def _other_side(role: str) -> str:
    side, part = role.split("_")
    return f"{ {'left': 'right', 'right': 'left'}[side] }_{part}"


def test_a_table_of_a_dog(tmp_path: Path) -> None:
    roles = {role: f"D{i}" for i, role in enumerate(DOG_ROLES)}
    skeleton = load_map(_write(tmp_path, roles, "dog"))
    assert identify(_motion(*roles.values()), skeleton).skeleton == "dog"


def test_without_an_animal_a_table_is_a_humans(tmp_path: Path) -> None:
    path = _write(tmp_path, MINE)
    path.write_text(path.read_text().replace("animal: human\n", ""))
    assert load_map(path).animal == "human"


def test_the_exact_name_wins(tmp_path: Path) -> None:
    names = [f"{who}:{name}" for who in ("Ann", "Bob", "Cid") for name in MINE.values()]
    for who in ("Ann", "Bob", "Cid"):
        own = load_map(_write(tmp_path, {role: f'"{who}:{name}"' for role, name in MINE.items()}))
        places = _places(identify(_motion(*names), own), names)
        assert places == {role: f"{who}:{name}" for role, name in MINE.items()}
    # Without a name of its own the first of the same is meant, as for known skeletons.
    places = _places(identify(_motion(*names), load_map(_write(tmp_path, MINE))), names)
    assert set(places.values()) == {f"Ann:{name}" for name in MINE.values()}


def test_roles_that_a_table_leaves_out_are_nobodys(tmp_path: Path) -> None:
    names = [*MINE.values(), "left_toe", "right_toe", "left_hip"]
    motion = identify(_motion(*names), load_map(_write(tmp_path, MINE)))
    assert motion.marker_names[-3:] == ("left_toe (other)", "right_toe (other)", "left_hip (other)")


def test_joints_that_the_file_has_not(tmp_path: Path) -> None:
    own = load_map(_write(tmp_path, MINE))
    names = [name for name in MINE.values() if name not in ("J2", "J5")]
    message = (
        r"mine.yaml: names joints that walk.bvh has not \(left_knee: J2; right_ankle: J5\)\. "
        r"Joints found: J0, J1, J3"
    )
    with pytest.raises(ClipError, match=message):
        identify(_motion(*names), own)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"left_hip": None}, r"unknown roles: none; missing roles: left_hip; roles of a human: "),
        (
            {"left_hip": None, "tail": "J0"},
            r"unknown roles: tail; missing roles: left_hip; roles of a human: left_hip, .*, head, ",
        ),
        ({"left_fore_paw": "P"}, r"unknown roles: left_fore_paw; missing roles: none"),
        ({"left_hip": "J9", "head": "j_9"}, r"J9, j_9 has more than one role\."),
        ({"left_hip": "[a, b]"}, r"roles must be a table of role: joint name"),
        ({"left_hip": "{a: b}"}, r"roles must be a table of role: joint name"),
    ],
)
def test_wrong_tables(tmp_path: Path, changes: dict, message: str) -> None:
    roles = {**MINE, **changes}
    path = _write(tmp_path, {role: name for role, name in roles.items() if name is not None})
    with pytest.raises(ClipError, match=message) as error:
        load_map(path)
    assert str(error.value).startswith(str(path))


# Tables within tables, merged with themselves: in some readers 9^10 entries.
BOMB = "a: &a {k: v}\n" + "".join(
    f"{after}: &{after} {{<<: [{', '.join([f'*{before}'] * 9)}]}}\n"
    for before, after in zip("abcdefghij", "bcdefghijk", strict=True)
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"expected the fields animal and roles"),
        ("just text", r"expected the fields animal and roles"),
        ("- human\n- dog", r"expected the fields animal and roles"),
        ('!!int ""', r"expected the fields animal and roles"),
        ("!!bool maybe", r"expected the fields animal and roles"),
        ("animal: human", r"roles must be a table of role: joint name"),
        ("roles: [a, b]", r"roles must be a table of role: joint name"),
        ("when: !!timestamp never", r"roles must be a table of role: joint name"),
        ("animal: cat\nroles: {}", r"animal is 'cat', expected human or dog"),
        ("animal: [human]\nroles: {}", r"animal is \['human'\], expected human or dog"),
        (BOMB, r"roles must be a table of role: joint name"),
        ("animal: &a [*a]", r"is not YAML \(.*recursive"),
        ("roles: {", r"is not YAML \(.*line 1"),
        ("? [a]\n: b", r"is not YAML \(.*unhashable key"),
        ("roles: *nothing", r"is not YAML \(.*undefined alias"),
        ("[" * 2000, r"is not YAML"),
        (bytes(range(256)), r"is not YAML \(.*can't decode byte 0x80"),
        (b"\0" * 40, r"is not YAML"),
        ("a" * 100_001, r"is too large for a map of joints"),
    ],
)
def test_what_is_no_table(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises((ClipError, FileFormatError), match=message) as error:
        load_map(path)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.yaml", tmp_path):
        with pytest.raises(FileFormatError, match="cannot be read"):
            load_map(path)


def test_the_real_files_are_identified(mocap_dir: Path) -> None:
    expected = {
        "bvh/cmu_12_01_walk.bvh": "MotionBuilder (CMU, Mixamo, LAFAN1)",
        "bvh/pirouette.bvh": "Poser (CMU)",
        "bvh/walk_cycle.bvh": "SMPL, DeepMimic, key points",
        "deepmimic/humanoid3d_walk.txt": "SMPL, DeepMimic, key points",
        "asf_amc/pirouette.amc": "CMU (ASF)",
        "dog_keypoints/dog_walk09.txt": "dog key points",
    }
    for name, skeleton in expected.items():
        motion = identify(read_motion(mocap_dir / name))
        assert motion.source["skeleton"] == skeleton
        if motion.skeleton != "human":
            continue
        # Bones have plausible proportions (CMU's forearms are short): thigh and shank are nearly
        # as long as each other, and both sides are.
        for upper, middle, lower, least in (
            ("hip", "knee", "ankle", 0.7),
            ("shoulder", "elbow", "wrist", 0.4),
        ):
            lengths = [
                np.linalg.norm(
                    motion.positions_w[:, motion.index(f"{side}_{a}")]
                    - motion.positions_w[:, motion.index(f"{side}_{b}")],
                    axis=-1,
                ).mean()
                for side in ("left", "right")
                for a, b in ((upper, middle), (middle, lower))
            ]
            assert least < lengths[0] / lengths[1] < 1 / least
            np.testing.assert_allclose(lengths[:2], lengths[2:], rtol=0.1)
    assert set(HUMAN_EXTRAS) == {"pelvis", "neck", "head", "left_toe", "right_toe"}


def test_names_of_asf_in_another_format_are_where_bones_begin() -> None:
    names = CMU_ASF.split()
    motion = replace(_motion(*names), source={"file": "walk.bvh", "format": "BVH"})
    places = _places(identify(motion), names)
    assert (places["left_hip"], places["left_knee"]) == ("lfemur", "ltibia")
