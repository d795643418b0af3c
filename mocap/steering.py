"""Motions steered another way: the same steps, taken sideways, aslant, backwards, shorter, quicker.

Animals that were recorded walk ahead, and a robot is asked to walk any way. Here the way of the
root, and what each foot does about the place under its hip, are turned and scaled along the floor;
heading, height, sway and timing stay, and the legs are solved anew.

Steps may be quicker, too, and then are smaller. A body that falls over does so the faster the
smaller it is: motions of animals of different size are alike if times go with the root of their
lengths (Alexander 1984, "The gaits of bipedal and quadrupedal animals": equal Froude numbers). A
robot a third as tall as a person would have to step in 0.6 times the time. One whose drives are
too slow for that, and which follows the person's steps in the person's time or more, stands on one
foot for so long that it cannot catch itself when it is pushed. Smaller steps can be quicker.

Points of the floor are complex numbers x + iy in this module, so that turning and scaling them is
one product.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap import signals
from legged_skills.mocap.clearance import (
    LimbClearance,
    keep_apart,
    room_between_feet,
    wider_stance,
)
from legged_skills.mocap.clip import RobotClip, finite_difference_qvel
from legged_skills.mocap.solve import PoseProblem, solve_poses
from legged_skills.mocap.stretch import RetargetSettings
from legged_skills.mocap.walking import walks
from legged_skills.robots import rotations
from legged_skills.robots.feet import Feet
from legged_skills.robots.kinematics import ROOT_QPOS, BodyPoints, Kinematics, Poses
from legged_skills.robots.self_collision import SelfCollision
from legged_skills.robots.spec import RobotSpec

Array = NDArray[np.floating]
Plane = NDArray[np.complexfloating]
"""Points of the floor."""


class Steer(NamedTuple):
    """What becomes of a motion's steps."""

    way: complex
    """Of a step ahead, as a share of it, forward + i left."""
    size: float = 1.0
    """Factor on all else that goes to and fro: sway, tilt and bounce of the base, tilt of soles,
    swing of joints that are not of the legs."""
    lift: float = 1.0
    """Factor on how high feet are lifted."""
    pace: float = 1.0
    """Factor on how fast time goes."""


STEERS: dict[str, tuple[Steer, ...]] = {
    "anymal_c": (Steer(0.5j),),
    "op3": tuple(Steer(way, 0.5, 0.7, 2.0) for way in (0.85 + 0j, 0.4 + 0j, 0j, -0.3 + 0j, 0.3j)),
}
"""How each robot's walking clips are steered, besides as they are. Their mirror images go the other
ways. OP3's walks have strides of 1.4 to 1.6 s; that of ROBOTIS's own walk takes 0.6 s by default
(op3_walking_module, config/param.yaml)."""
_WAY_CUTOFF_HZ = 0.7
"""What is slower than this is the way, what is faster is sway [Hz]."""
_BASE_WEIGHT = 1e3
"""Weight of each of the points that hold the base [1/m^2]."""
_FOOT_WEIGHT = 1e2
"""Weight of a foot [1/m^2]."""
_PULL = 1e-6
"""Weight of the pull of joints to their means [1/rad^2]."""
_WIDE_ENOUGH = 0.9
"""Feet are placed farther out until they are clear of each other in this share of the frames."""
_APART = RetargetSettings()
"""How feet keep away from each other in the other frames, and arms from the rest of the robot: as
in clips that are retargeted, in the clip's time."""
_NEAR_M = 0.02
"""A foot is missed where the leg does not bring it nearer than this [m]."""
_MAY_MISS = 0.02
"""Variants in which a foot is missed in more than this share of the frames are dropped."""
_BASE_POINTS_B = 0.2 * np.array([[1.0, 1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, -1.0, 1.0]])


def steered(clips: Sequence[RobotClip], spec: RobotSpec) -> list[RobotClip]:
    """The steered variants (``STEERS``) of those of some clips that walk.

    Args:
        clips: motions of the robot.
        spec: the robot.
    """
    ways = STEERS.get(spec.name, ())
    found = [steer(clip, spec, way) for clip in clips if walks(clip, spec) for way in ways]
    return [clip for clip in found if clip.retarget["steered"]["feet_missed"] <= _MAY_MISS]


def steer(clip: RobotClip, spec: RobotSpec, how: Steer) -> RobotClip:
    """Takes a motion's steps another way.

    Feet that stand stay where they are, also where the robot turns. Orientations of the base and
    of soles are kept, or, with another size, brought nearer to their means and to the floor. Legs
    and arms that would be in each other are moved apart.

    Args:
        clip: a motion of the robot.
        spec: the robot.
        how: what becomes of its steps.

    Returns:
        A new clip. Its ``retarget`` says how it was steered, and "feet_missed", the share of its
        frames in which a leg does not bring its foot near enough.
    """
    model = spec.model()
    kinematics, feet = Kinematics(model), Feet.of(model, spec)
    poses = kinematics.poses(clip.qpos)
    root = _complex(clip.qpos)
    path = _complex(signals.smooth(clip.qpos[:, :2], _WAY_CUTOFF_HZ, clip.fps))
    turned = np.unwrap(rotations.yaw(clip.qpos[:, 3:ROOT_QPOS]))
    turns = signals.smooth(turned, _WAY_CUTOFF_HZ, clip.fps)
    heading = np.exp(1j * turns)
    qpos = _smaller(clip.qpos, turned, turns, how.size)
    qpos[:, :2] = _real(how.way * path + how.size * (root - path))
    # Each foot's steps are taken about its mean place in the frame of path and heading.
    centres_w = kinematics.points(poses, feet.centres)
    places = _complex(centres_w)
    about = ((places - path[:, None]) / heading[:, None]).mean(axis=0)
    under = about * _held(heading, clip.foot_contact)
    centres_w[..., :2] = _real(how.way * places + (1.0 - how.way) * under)
    soles = _orientations(spec, model, poses)
    if (how.size, how.lift) != (1.0, 1.0):
        lifted = centres_w[..., 2] - feet.standing_height(soles)
        soles = _flatter(soles, how.size)
        centres_w[..., 2] = feet.standing_height(soles) + how.lift * lifted
    # Feet that pass each other ahead meet when they are taken aside or hardly ahead. Where they
    # would all the time the stance is wider; where they would now and then, one gives way.
    margin = _APART.foot_margin * spec.leg_length_m
    room, sole_yaw = room_between_feet(spec, kinematics, feet, margin), rotations.yaw(soles)
    wider = wider_stance(centres_w, turned, sole_yaw, room, _WIDE_ENOUGH)
    centres_w[..., :2] += _real(_complex(wider) * _held(heading, clip.foot_contact))
    centres_w = keep_apart(
        centres_w, clip.foot_contact, turned, sole_yaw, room, clip.fps, _APART.sole_cutoff_hz
    )
    handles_w = feet.handle_targets(centres_w, soles)
    qpos = _with_legs(spec, kinematics, feet, qpos, handles_w)
    qpos = _with_clear_arms(spec, model, kinematics, feet, qpos, clip.fps)
    found_w = kinematics.points(kinematics.poses(qpos), feet.handles)
    beyond = np.linalg.norm(found_w - handles_w, axis=-1).max(axis=1) > _NEAR_M
    noted = {
        "forward": how.way.real,
        "left": how.way.imag,
        "size": how.size,
        "lift": how.lift,
        "pace": how.pace,
    }
    fps = clip.fps * how.pace
    return dataclasses.replace(
        clip,
        fps=fps,
        qpos=qpos,
        qvel=finite_difference_qvel(qpos, fps),
        retarget={**clip.retarget, "steered": noted | {"feet_missed": float(beyond.mean())}},
        name=f"{clip.name}_steered_{how.way.real:+.2f}_{how.way.imag:+.2f}"
        + ("" if how.pace == 1.0 else f"_pace_{how.pace:g}"),
    )


def _smaller(qpos: Array, turned: Array, turns: Array, size: float) -> Array:
    """States whose base and joints go to and fro by another size about their means.

    Args:
        qpos: (T, 7 + J) states.
        turned: (T,) their headings [rad].
        turns: (T,) the same without what goes to and fro [rad].
        size: factor.
    """
    out = qpos.copy()
    if size == 1.0:
        return out
    tilts = rotations.multiply(rotations.from_yaw(-turned), qpos[:, 3:ROOT_QPOS])
    vectors = rotations.to_rotvec(tilts)
    vectors = vectors.mean(axis=0) + size * (vectors - vectors.mean(axis=0))
    yaws = turns + size * (turned - turns)
    out[:, 3:ROOT_QPOS] = rotations.multiply(
        rotations.from_yaw(yaws), rotations.from_rotvec(vectors)
    )
    for columns in (slice(2, 3), slice(ROOT_QPOS, None)):
        mean = qpos[:, columns].mean(axis=0)
        out[:, columns] = mean + size * (qpos[:, columns] - mean)
    return out


def _flatter(soles: Array, size: float) -> Array:
    """Orientations (..., 4) whose tilt off the horizontal is smaller; headings stay."""
    yaws = rotations.yaw(soles)
    tilts = rotations.to_rotvec(rotations.multiply(rotations.from_yaw(-yaws), soles))
    return rotations.multiply(rotations.from_yaw(yaws), rotations.from_rotvec(size * tilts))


def _with_legs(
    spec: RobotSpec, kinematics: Kinematics, feet: Feet, qpos: Array, handles_w: Array
) -> Array:
    """The poses whose legs bring the feet's handles to (T, H, 3) [m], all else as it was."""
    base = BodyPoints(np.full(3, kinematics.root_body), _BASE_POINTS_B)
    base_w = qpos[:, None, :3] + rotations.rotate(qpos[:, None, 3:ROOT_QPOS], base.offsets_b)
    foot_weights = np.full(len(feet.handles.body_ids), _FOOT_WEIGHT / feet.handles_per_foot)
    problem = PoseProblem(
        kinematics=kinematics,
        points=BodyPoints(
            np.concatenate([base.body_ids, feet.handles.body_ids]),
            np.concatenate([base.offsets_b, feet.handles.offsets_b]),
        ),
        weights=np.concatenate([np.full(3, _BASE_WEIGHT), foot_weights]),
        rest=qpos[:, ROOT_QPOS:].mean(axis=0),
        pull=_PULL,
        lower=spec.joint_lower,
        upper=spec.joint_upper,
    )
    solved = solve_poses(problem, qpos, np.concatenate([base_w, handles_w], axis=1))
    legs = ROOT_QPOS + np.flatnonzero(_of_legs(kinematics, feet))
    out = qpos.copy()
    out[:, legs] = solved[:, legs]
    return out


def _of_legs(kinematics: Kinematics, feet: Feet) -> NDArray[np.bool_]:
    """Which joints move feet, (J,)."""
    return kinematics.movers(feet.centres.body_ids)


def _with_clear_arms(
    spec: RobotSpec,
    model: mujoco.MjModel,
    kinematics: Kinematics,
    feet: Feet,
    qpos: Array,
    fps: float,
) -> Array:
    """The poses, whose arms give way to legs that are elsewhere now."""
    clearance = LimbClearance(
        kinematics=kinematics,
        collision=SelfCollision.of(model, spec),
        joints=np.flatnonzero(~_of_legs(kinematics, feet)),
        lower=spec.joint_lower,
        upper=spec.joint_upper,
        margin_m=0.5 * _APART.foot_margin * spec.leg_length_m,
    )
    return clearance.clear(qpos, _APART.limb_window(fps))


def _orientations(spec: RobotSpec, model: mujoco.MjModel, poses: Poses) -> Array:
    """Orientations of the feet's sites, wxyz, (T, F, 4)."""
    sites = [model.site(name).id for name in spec.foot_sites]
    bodies = poses.body_quat_w[model.site_bodyid[sites]]
    return rotations.multiply(bodies, model.site_quat[sites][:, None]).swapaxes(0, 1)


def _held(heading: Plane, contact: NDArray[np.bool_]) -> Plane:
    """A heading (T,) as each foot has it, (T, F): it does not turn while the foot stands."""
    frames = np.arange(len(heading))
    out = np.repeat(heading[:, None], contact.shape[1], axis=1)
    for foot in range(contact.shape[1]):
        stands = signals.runs(contact[:, foot])
        if stands:
            means = [heading[start:stop].mean() for start, stop in stands]
            ends = np.array([(start, stop - 1) for start, stop in stands]).ravel()
            out[:, foot] = np.interp(frames, ends, np.repeat(means, 2))
    return out


def _complex(points: Array) -> Plane:
    """Points (..., 2 or more) seen from above, (...)."""
    return points[..., 0] + 1j * points[..., 1]


def _real(points: Plane) -> Array:
    """The reverse of ``_complex``, (..., 2)."""
    return np.stack([points.real, points.imag], axis=-1)
