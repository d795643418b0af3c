"""Constants of arms: how they rest, and what the ends miss on average."""

from dataclasses import replace

import numpy as np
import pytest

from legged_skills.mocap.limb_fit import LimbFit, LimbFitSettings, fit_limbs
from legged_skills.mocap.limbs import Limbs
from legged_skills.mocap.mapping import mapping_for
from legged_skills.robots.kinematics import Kinematics
from legged_skills.robots.spec import RobotSpec

SETTINGS = LimbFitSettings()
FRAMES = 80


@pytest.fixture(scope="module")
def limbs(human, op3: RobotSpec) -> Limbs:
    return Limbs.of(op3, mapping_for(human.motion, op3))


@pytest.fixture(scope="module")
def kinematics(op3: RobotSpec) -> Kinematics:
    return Kinematics(op3.model())


def _vectors(
    limbs: Limbs, kinematics: Kinematics, spec: RobotSpec, joints: np.ndarray
) -> np.ndarray:
    """Upper arms and forearms of a robot in the frame of its base, (T, L, 2, 3)."""
    qpos = np.tile(spec.home_qpos, (len(joints), 1))
    qpos[:, 7:] = joints
    points = kinematics.points(kinematics.poses(qpos), limbs.points) - qpos[:, None, :3]
    elbows, hands = np.split(points, 2, axis=1)
    return np.stack([elbows - limbs.anchors_b, hands - elbows], axis=2)


def _swinging(spec: RobotSpec, middle: dict[str, float]) -> np.ndarray:
    """Joints of arms that swing around a posture; the other joints are elsewhere than at home."""
    joints = np.tile(spec.default_joint_pos, (FRAMES, 1))
    phase = np.linspace(0, 4 * np.pi, FRAMES)
    for name, angle in middle.items():
        joints[:, spec.joint_names.index(name)] = angle + 0.2 * np.sin(phase + angle)
    return joints


def _hands(limbs: Limbs, kinematics: Kinematics, spec: RobotSpec, rest: np.ndarray) -> np.ndarray:
    qpos = spec.home_qpos.copy()
    qpos[7:] = rest
    return kinematics.points(kinematics.poses(qpos[None]), limbs.points)[0]


LOW = {"l_sho_pitch": 0.1, "l_sho_roll": 1.0, "l_el": -0.5}
LOW |= {"r_sho_pitch": -0.2, "r_sho_roll": -0.9, "r_el": 0.6}
# Both arms up and ahead: from the default pose, arms down, the way there is long.
HIGH = {"l_sho_pitch": -2.0, "l_sho_roll": 0.9, "l_el": -0.8}
HIGH |= {"r_sho_pitch": 2.0, "r_sho_roll": -0.9, "r_el": 0.8}


@pytest.mark.parametrize(("middle", "near"), [(LOW, 0.015), (HIGH, 0.025)])
def test_arms_of_the_robot_itself_rest_where_they_are(
    limbs: Limbs, kinematics: Kinematics, op3: RobotSpec, middle: dict[str, float], near: float
) -> None:
    joints = _swinging(op3, middle)
    vectors = _vectors(limbs, kinematics, op3, joints)
    fit = fit_limbs(limbs, kinematics, op3, vectors, SETTINGS)
    # Elbows that are nearer than the links are long, the more the arm is up, leave some.
    expected = _hands(limbs, kinematics, op3, np.median(joints, axis=0))
    found = _hands(limbs, kinematics, op3, fit.rest)
    assert np.max(np.linalg.norm(found - expected, axis=-1)) < near
    assert np.max(np.linalg.norm(fit.offsets_b, axis=-1)) < near
    # Other joints rest in the default pose.
    others = ~limbs.joints
    np.testing.assert_array_equal(fit.rest[others], op3.default_joint_pos[others])
    assert np.all(fit.rest >= op3.joint_lower) and np.all(fit.rest <= op3.joint_upper)


def test_what_hands_miss_on_average_is_their_offset(
    limbs: Limbs, kinematics: Kinematics, op3: RobotSpec
) -> None:
    # A forearm that points backwards over the shoulder: no elbow of the robot bends so.
    vectors = _vectors(limbs, kinematics, op3, _swinging(op3, LOW))
    vectors[:, 0, 1] = [-0.05, -0.1, 0.06]
    fit = fit_limbs(limbs, kinematics, op3, vectors, SETTINGS)
    free = np.linalg.norm(fit.offsets_b, axis=-1)
    most = SETTINGS.most_offset * op3.leg_length_m
    assert 0.01 < free[0] <= most + 1e-12
    assert free[1] < 0.012
    # It is never greater than the settings allow, and then only shorter.
    short = fit_limbs(limbs, kinematics, op3, vectors, replace(SETTINGS, most_offset=0.02))
    assert np.linalg.norm(short.offsets_b[0]) == pytest.approx(0.02 * op3.leg_length_m)
    cosine = short.offsets_b[0] @ fit.offsets_b[0] / (0.02 * op3.leg_length_m * free[0])
    assert cosine == pytest.approx(1.0, abs=1e-6)


def test_starts_all_over_the_ranges_find_what_the_default_pose_does_not(
    limbs: Limbs, kinematics: Kinematics, op3: RobotSpec
) -> None:
    # Arms that are held still, their links anywhere: mostly in ways that the robot's arms cannot
    # be held, so that there are several nearest ways.
    rng = np.random.default_rng(3)
    errors = []
    for _ in range(8):
        directions = rng.standard_normal((2, 2, 3))
        directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
        vectors = np.tile(directions * limbs.lengths_m[..., None], (3, 1, 1, 1))
        missed = []
        for good in (SETTINGS.good, 1e9):
            fit = fit_limbs(limbs, kinematics, op3, vectors, replace(SETTINGS, good=good))
            hands = _hands(limbs, kinematics, op3, fit.rest)[2:] - op3.home_qpos[:3]
            wanted = limbs.anchors_b + vectors[0].sum(axis=1) + fit.offsets_b
            missed.append(np.linalg.norm(hands - wanted, axis=-1))
        errors.append(missed)
    searched, not_searched = np.swapaxes(errors, 0, 1)
    assert np.all(searched <= not_searched + 1e-3)
    # Some start badly, and are found better: hands half as far away.
    assert np.any(searched < 0.5 * not_searched - 0.01)


def test_the_other_side_is_the_mirror_image(
    limbs: Limbs, kinematics: Kinematics, op3: RobotSpec
) -> None:
    vectors = _vectors(limbs, kinematics, op3, _swinging(op3, LOW))
    mirrored = vectors[:, ::-1] * [1.0, -1.0, 1.0]
    fit, other = (fit_limbs(limbs, kinematics, op3, v, SETTINGS) for v in (vectors, mirrored))
    order, sign = op3.mirror_joints
    np.testing.assert_allclose(other.rest, fit.rest[order] * sign, atol=0.01)
    np.testing.assert_allclose(other.offsets_b, fit.offsets_b[::-1] * [1, -1, 1], atol=1e-3)


def test_few_frames_and_none_of_the_limbs(
    limbs: Limbs, kinematics: Kinematics, op3: RobotSpec, dog, spec: RobotSpec
) -> None:
    vectors = _vectors(limbs, kinematics, op3, _swinging(op3, LOW))
    for count in (1, 2):
        fit = fit_limbs(limbs, kinematics, op3, vectors[:count], SETTINGS)
        assert np.all(np.isfinite(fit.rest)) and np.all(np.isfinite(fit.offsets_b))
    none = Limbs.of(spec, mapping_for(dog.motion, spec))
    fit = fit_limbs(none, Kinematics(spec.model()), spec, np.zeros((5, 0, 2, 3)), SETTINGS)
    assert isinstance(fit, LimbFit) and fit.offsets_b.shape == (0, 3)
    np.testing.assert_array_equal(fit.rest, spec.default_joint_pos)
    # A copy: the robot's own numbers are not handed out.
    fit.rest[0] = 9.0
    assert spec.default_joint_pos[0] == 0.0


def test_arguments_are_untouched(limbs: Limbs, kinematics: Kinematics, op3: RobotSpec) -> None:
    vectors = _vectors(limbs, kinematics, op3, _swinging(op3, HIGH))
    vectors.flags.writeable = False
    fit_limbs(limbs, kinematics, op3, vectors, SETTINGS)
