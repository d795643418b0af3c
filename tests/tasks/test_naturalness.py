"""How a walk looks."""

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.mocap.walking import Walking
from legged_skills.robots.feet import Feet
from legged_skills.robots.kinematics import Kinematics
from legged_skills.robots.rotations import from_axis_angle, from_yaw, multiply, rotate
from legged_skills.robots.self_collision import SelfCollision
from legged_skills.robots.spec import RobotSpec
from legged_skills.tasks.evaluate_walk import WalkEpisodes
from legged_skills.tasks.naturalness import foot_slides, naturalness, walking_steps

SPEC = robots.get("anymal_c")
KINEMATICS, FEET = Kinematics(SPEC.model()), Feet.of(SPEC.model(), SPEC)
# The height of the base at which the feet of the home pose just meet the floor.
FEET_DOWN_M = SPEC.standing_height_m - float(
    FEET.floor_distance(KINEMATICS, KINEMATICS.poses(SPEC.home_qpos[None])).min()
)
WALKING = Walking(
    names=("clip",), joints=SPEC.default_joint_pos[None].copy(), height_range_m=(0.5, 0.6)
)


def _run(qpos: np.ndarray, commands: np.ndarray, fallen_at: list[int]) -> WalkEpisodes:
    steps, episodes, _ = qpos.shape
    return WalkEpisodes(
        commands=commands,
        achieved=np.zeros(commands.shape),
        fallen_at=np.array(fallen_at),
        velocity=np.zeros((steps, episodes, 3)),
        qpos=qpos,
        torque_squared=np.full((steps, episodes), 7.0),
    )


def _standing(height_m: float) -> np.ndarray:
    """Standing with the feet just on the floor for a base of the default height."""
    qpos = SPEC.home_qpos.copy()
    qpos[2] = height_m
    return qpos


def _lowered(spec: RobotSpec, height_m: float) -> np.ndarray:
    """A robot at home whose lowest foot's lowest point is at a height."""
    model, qpos = spec.model(), spec.home_qpos.copy()
    kinematics = Kinematics(model)
    points = kinematics.points(kinematics.poses(qpos[None]), Feet.of(model, spec).meeting)
    qpos[2] += height_m - float(points[..., 2].min())
    return qpos


def test_only_upright_robots_that_shall_go_somewhere_count() -> None:
    commands = np.array([[[0.0, 0.0, 0.0], [0.1, 0.0, 0.0]], [[0.0, 0.2, 0.0], [0.0, 0.0, 1.0]]])
    run = _run(np.zeros((6, 2, 19)), commands, [5, 2])
    wanted = [[False] * 3 + [True] * 2 + [False], [True] * 2 + [False] * 4]
    assert walking_steps(run).T.tolist() == wanted


def test_legs_that_are_in_each_other() -> None:
    spec = robots.get("op3")
    # Both hips roll inwards, from upright legs to crossed ones, in 20 control steps.
    qpos = np.tile(spec.home_qpos, (40, 2, 1))
    left, right = (7 + spec.joint_names.index(f"{side}_hip_roll") for side in ("l", "r"))
    inwards = np.concatenate([np.zeros(20), np.linspace(0.0, 0.35, 20)])
    sign = np.sign(_between_feet(spec, qpos[0, 0], left, 0.1))
    qpos[:, 0, left] += -sign * inwards
    qpos[:, 0, right] += sign * inwards
    run = _run(qpos, np.full((2, 1, 3), 0.5), [40, 40])
    figures = naturalness(spec, run, None)
    model = spec.model()
    kinematics, collision = Kinematics(model), SelfCollision.of(model, spec)
    # 25 Hz are every second of the steps of 16 ms.
    seen = qpos[::2].reshape(-1, qpos.shape[2])
    depth = -collision.distances(kinematics, kinematics.poses(seen)).min(axis=1)
    assert depth.max() > 0.01 and 0 < (depth > 0.005).sum() < 10
    assert figures["overlap_m"] == pytest.approx(depth.max())
    assert figures["overlap_share"] == pytest.approx((depth > 0.005).mean())
    # After a fall nothing counts, and without any part that counts nothing is known.
    upright = naturalness(spec, _run(qpos, np.full((2, 1, 3), 0.5), [20, 40]), None)
    assert upright["overlap_share"] == 0.0 == upright["overlap_m"]
    none = naturalness(spec, _run(qpos, np.zeros((2, 1, 3)), [40, 40]), None)
    assert np.isnan(none["overlap_share"]) and np.isnan(none["overlap_m"])


def _between_feet(spec: RobotSpec, qpos: np.ndarray, joint: int, angle: float) -> float:
    """How much wider a joint's angle sets the feet, to the left of each other [m]."""
    kinematics, feet = Kinematics(spec.model()), Feet.of(spec.model(), spec)
    moved = np.tile(qpos, (2, 1))
    moved[1, joint] += angle
    y = kinematics.points(kinematics.poses(moved), feet.centres)[..., 1]
    return float(np.ptp(y[1]) - np.ptp(y[0]))


def test_figures_by_hand() -> None:
    # One robot at 0.55 m, one at 0.45 m whose joints are all 0.2 rad off.
    qpos = np.stack([_standing(0.55), _standing(0.45)])[None].repeat(40, axis=0)
    qpos[:, 1, 7:] += 0.2
    # The first rolls steadily by 1 rad/s.
    qpos[:, 0, 3:7] = from_axis_angle(np.array([1.0, 0.0, 0.0]), 0.02 * np.arange(40))
    # A joint of the second is accelerated by 3 rad/s^2.
    qpos[:, 1, 7] += 0.5 * 3.0 * np.square(0.02 * np.arange(40))
    run = _run(qpos, np.full((2, 1, 3), 0.5), [40, 40])
    figures = naturalness(SPEC, run, WALKING)
    assert figures["height_in_range"] == 0.5 and figures["height_m"] == pytest.approx(0.5)
    assert figures["walking_clips"] == ["clip"]
    # Every tenth of 40 steps, at 5 Hz. The second robot's first joint goes on by 0, 0.06, ...
    rows = 0.02 * np.arange(0, 40, 10)
    first = 0.2 + 1.5 * np.square(rows)
    second = np.sqrt((11 * 0.04 + np.square(first)) / 12.0).mean()
    assert figures["nearest_pose_rad"] == pytest.approx(0.5 * second)
    assert figures["roll_pitch_rate_radps"] == pytest.approx(np.sqrt(0.5), rel=1e-3)
    assert figures["joint_acceleration_radps2"] == pytest.approx(3.0 / np.sqrt(24.0), rel=1e-6)
    assert figures["torque_squared"] == 7.0
    assert "nearest_pose_rad" not in naturalness(SPEC, run, None)
    # Nobody is told to go anywhere.
    still = naturalness(SPEC, _run(qpos, np.zeros((2, 1, 3)), [40, 40]), WALKING)
    assert all(
        np.isnan(still[name])
        for name in ("nearest_pose_rad", "height_in_range", "foot_slide_mps", "torque_squared")
    )


def test_standing_feet_that_slide() -> None:
    qpos = np.tile(_standing(FEET_DOWN_M), (5, 1))
    # The whole robot is moved at 0.3 m/s, and is in the air in the last step.
    qpos[:, 1] = 0.3 * 0.02 * np.arange(5)
    qpos[4, 2] += 0.1
    slides = foot_slides(KINEMATICS, FEET, qpos, 0.02)
    assert slides.shape == (4, 4)
    stands = np.isfinite(slides[0])
    assert stands.any()
    np.testing.assert_allclose(slides[:3, stands], 0.3, rtol=1e-9)
    assert np.isnan(slides[3]).all()


def test_a_ball_that_rolls_does_not_slide() -> None:
    qpos = np.tile(_standing(FEET_DOWN_M), (2, 1))
    # A small pitch of the whole robot, about the point where the first foot meets the floor.
    angle = np.array(1e-3)
    quat = from_axis_angle(np.array([0.0, 1.0, 0.0]), angle)
    centre = KINEMATICS.points(KINEMATICS.poses(qpos[:1]), FEET.centres)[0, 0]
    pivot = centre - [0.0, 0.0, SPEC.foot_radius_m]
    arm = qpos[0, :3] - pivot
    qpos[1, :3] = pivot + arm + angle * np.cross([0.0, 1.0, 0.0], arm)
    qpos[1, 3:7] = quat
    speed = foot_slides(KINEMATICS, FEET, qpos, 0.02)[0, 0]
    # The centre moves at 1e-3 * radius / 20 ms; the point on the floor hardly.
    assert speed < 0.02 * 1e-3 * SPEC.foot_radius_m / 0.02


def test_what_robots_do_after_a_fall_does_not_count() -> None:
    rng = np.random.default_rng(0)
    qpos = np.tile(_standing(FEET_DOWN_M), (40, 2, 1))
    # Both slide at 0.3 m/s; the second falls after 20 steps, and then does anything.
    qpos[..., 1] = 0.3 * 0.02 * np.arange(40)[:, None]
    qpos[20:, 1, 1] += 3.0 * 0.02 * np.arange(20)
    qpos[20:, 1, 7:] += rng.normal(0.0, 0.1, (20, 12))
    qpos[20:, 1, 3:7] = from_axis_angle(np.array([1.0, 0.0, 0.0]), 1.0 + 0.1 * np.arange(20))
    figures = naturalness(SPEC, _run(qpos, np.full((2, 1, 3), 0.5), [40, 20]), WALKING)
    assert figures["foot_slide_mps"] == pytest.approx(0.3, rel=1e-6)
    assert figures["joint_acceleration_radps2"] == pytest.approx(0.0, abs=1e-6)
    assert figures["roll_pitch_rate_radps"] == pytest.approx(0.0, abs=1e-6)
    assert figures["nearest_pose_rad"] == pytest.approx(0.0, abs=1e-9)


def test_the_interval_of_the_nearest_pose_is_about_its_mean() -> None:
    qpos = np.tile(SPEC.home_qpos, (40, 3, 1))
    qpos[:, 1, 7:] += 0.1
    qpos[:, 2, 7:] += 0.2
    figures = naturalness(SPEC, _run(qpos, np.full((3, 1, 3), 0.5), [40, 20, 30]), WALKING)
    assert np.mean(figures["nearest_pose_rad_ci95"]) == pytest.approx(figures["nearest_pose_rad"])


def test_who_turns_on_the_spot_does_not_walk() -> None:
    commands = np.array([[[0.0, 0.0, 1.0]], [[0.0, 0.1, 1.0]]])
    walks = walking_steps(_run(np.zeros((4, 2, 19)), commands, [4, 4]))
    assert walks.T.tolist() == [[False] * 4, [True] * 4]


def test_heights_over_and_under_those_of_clips_are_out_of_range() -> None:
    qpos = np.tile(SPEC.home_qpos, (4, 4, 1))
    qpos[..., 2] = [0.499, 0.501, 0.599, 0.601]
    figures = naturalness(SPEC, _run(qpos, np.full((4, 1, 3), 0.5), [4] * 4), WALKING)
    assert figures["height_in_range"] == 0.5 and figures["height_range_m"] == [0.5, 0.6]


def test_figures_are_by_the_second_on_every_robot() -> None:
    spec = robots.get("op3")
    period = spec.control_period_s
    assert period != SPEC.control_period_s
    time, radius = period * np.arange(20), spec.foot_radius_m
    qpos = np.tile(_lowered(spec, radius), (20, 2, 1))
    # The first one pitches steadily by 0.2 rad/s, far above the floor. The second one is moved to
    # the left by 0.3 m/s, and turns its head with 3 rad/s^2.
    qpos[:, 0, 2] += 1.0
    qpos[:, 0, 3:7] = from_axis_angle(np.array([0.0, 1.0, 0.0]), 0.2 * time)
    qpos[:, 1, 1] = 0.3 * time
    qpos[:, 1, 7] += 0.5 * 3.0 * np.square(time)
    figures = naturalness(spec, _run(qpos, np.full((2, 1, 3), 0.5), [20, 20]), None)
    assert figures["roll_pitch_rate_radps"] == pytest.approx(0.2 / np.sqrt(2.0), rel=1e-6)
    assert figures["foot_slide_mps"] == pytest.approx(0.3, rel=1e-6)
    acceleration = 3.0 / np.sqrt(2.0 * spec.num_joints)
    assert figures["joint_acceleration_radps2"] == pytest.approx(acceleration, rel=1e-6)


def test_what_robots_do_before_they_walk_does_not_count() -> None:
    qpos = np.tile(_standing(FEET_DOWN_M), (40, 1, 1))
    # Told to stand it is moved to and fro, with other joints each time; then it slides at 0.3 m/s.
    qpos[:20, 0, 1] = np.arange(20) % 2
    qpos[:20, 0, 7:] += 0.1 * (np.arange(20) % 2)[:, None]
    qpos[20:, 0, 1] = 0.3 * 0.02 * np.arange(20)
    commands = np.array([[[0.0, 0.0, 0.0], [0.5, 0.0, 0.0]]])
    figures = naturalness(SPEC, _run(qpos, commands, [40]), WALKING)
    assert figures["foot_slide_mps"] == pytest.approx(0.3, rel=1e-6)
    assert figures["joint_acceleration_radps2"] == pytest.approx(0.0, abs=1e-6)


def test_poses_are_those_of_the_steps_that_count() -> None:
    # Every tenth step is looked at: the first, and the one with bent joints; it falls at the 16th.
    qpos = np.tile(SPEC.home_qpos, (40, 1, 1))
    qpos[10, 0, 7:] += 0.12
    figures = naturalness(SPEC, _run(qpos, np.full((1, 1, 3), 0.5), [15]), WALKING)
    assert figures["nearest_pose_rad"] == pytest.approx(0.06, rel=1e-6)


def test_a_foot_stands_up_to_some_height_and_may_be_lifted() -> None:
    qpos = np.tile(_standing(FEET_DOWN_M), (5, 1))
    lowest = int(FEET.floor_distance(KINEMATICS, KINEMATICS.poses(qpos[:1]))[0].argmin())
    qpos[:, 2] += [0.0, 0.002, 0.0049, 0.0051, 0.0]
    slides = foot_slides(KINEMATICS, FEET, qpos, 0.02)[:, lowest]
    np.testing.assert_allclose(slides[:2], 0.0, atol=1e-9)
    assert np.isnan(slides[2:]).all()


def test_a_sole_slides_where_it_meets_the_floor_at_first() -> None:
    spec = robots.get("op3")
    model = spec.model()
    kinematics, feet = Kinematics(model), Feet.of(model, spec)
    home = _lowered(spec, spec.foot_radius_m)
    # Its toes are down, then its heels, while it turns about where its left toe meets the floor.
    for sign in (1.0, -1.0):
        tips = np.array([0.01, -0.01]) * sign
        pitched = from_axis_angle(np.array([0.0, 1.0, 0.0]), tips)
        quats = multiply(from_yaw(np.array([0.0, 0.02])), pitched)
        points = kinematics.points(kinematics.poses(home[None]), feet.meeting)[0]
        arms = rotate(quats[0], points - home[:3])
        down = int(arms[: len(points) // 2, 2].argmin())
        qpos = np.tile(home, (2, 1))
        qpos[:, 3:7] = quats
        pivot = [0.0, 0.0, spec.foot_radius_m]
        qpos[:, :3] = pivot - rotate(quats, np.tile(points[down] - home[:3], (2, 1)))
        assert foot_slides(kinematics, feet, qpos, 0.02)[0, 0] == pytest.approx(0.0, abs=1e-3)


def test_the_slide_of_feet_is_a_mean_over_those_that_stand() -> None:
    qpos = np.tile(_standing(FEET_DOWN_M), (9, 1, 1))
    qpos[:, 0, 1] = 0.3 * 0.02 * np.arange(9)
    qpos[4:, 0, 2] += 0.1  # then it is in the air
    figures = naturalness(SPEC, _run(qpos, np.full((1, 1, 3), 0.5), [9]), None)
    assert figures["foot_slide_mps"] == pytest.approx(0.3, rel=1e-6)
