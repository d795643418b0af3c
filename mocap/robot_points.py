"""The robot's side of a mapping: which of its points follow the source.

Letters in the shape comments: T frames, K body markers, F feet, H handles of feet.
"""

import math
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap.mapping import Mapping
from legged_skills.robots.feet import Feet
from legged_skills.robots.kinematics import ROOT_QPOS, BodyPoints, Kinematics
from legged_skills.robots.spec import RobotSpec

Array = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class TrunkPoints:
    """The trunk of the robot, and what of the source says how it leans."""

    centre_b: Array
    """Where the source's trunk has its centre in the frame of the base [m], (3,)."""
    upper: list[int]
    """Body markers at the upper end of a human's trunk; none for a dog."""
    lower: list[int]
    """Body markers at its lower end."""
    mass_b: Array
    """Centre of mass of all but the legs over ``centre_b``, times their share of the robot's mass
    [m], (3,)."""

    @staticmethod
    def of(
        model: mujoco.MjModel, kinematics: Kinematics, feet: Feet, mapping: Mapping
    ) -> "TrunkPoints":
        """Looks up a mapping's trunk in the robot's model."""
        home = model.key("home").qpos[None]
        poses = kinematics.poses(home)
        coms = kinematics.points(poses, BodyPoints(np.arange(model.nbody), model.body_ipos))[0]
        legs = kinematics.movers(feet.centres.body_ids)
        moved = [np.any(kinematics.movers(np.array([body])) & legs) for body in range(model.nbody)]
        mass = np.where(moved, 0.0, model.body_mass)
        centre = np.array(mapping.trunk_b)
        names = [m.marker for m in mapping.body_markers] if mapping.animal == "human" else []
        over = coms - home[0, :3] - centre
        return TrunkPoints(
            centre_b=centre,
            upper=[i for i, name in enumerate(names) if name in mapping.front],
            lower=[i for i, name in enumerate(names) if name in mapping.rear],
            mass_b=(mass[:, None] * over).sum(axis=0) / model.body_mass.sum(),
        )

    def lean(self, markers_h: Array) -> float:
        """How far a trunk leans forward [rad], from its markers along its heading [m], (K, 3)."""
        if not self.upper:
            return 0.0
        along = markers_h[self.upper].mean(axis=0) - markers_h[self.lower].mean(axis=0)
        return math.atan2(float(along[0]), float(along[2]))

    def ahead(self, lean: float) -> float:
        """How far a lean brings the robot's centre of mass forward [m]."""
        x, _, z = self.mass_b
        return float(x * (math.cos(lean) - 1) + z * math.sin(lean))


@dataclass(frozen=True, kw_only=True)
class RobotPoints:
    """The robot's side of a mapping."""

    kinematics: Kinematics
    """The robot's kinematics."""
    feet: Feet
    """The robot's feet."""
    hips: BodyPoints
    """What each foot stands under and reaches from, (F,)."""
    ankles: BodyPoints
    """What reaches: the joint before a sole, or a foot without a sole itself, (F,)."""
    ankles_f: Array
    """The ankles in the frame of the foot, in the default pose [m], (F, 3)."""
    reach_m: Array
    """Greatest distance from hip to ankle [m], (F,)."""
    marker_weights: Array
    """Weights of the body markers [1/m^2], (K,)."""
    foot_weight: float
    """Weight of a foot [1/m^2]."""
    trunk: TrunkPoints
    """The robot's trunk."""

    @property
    def trunk_b(self) -> Array:
        """Where the trunk's centre is in the frame of the base [m], (3,)."""
        return self.trunk.centre_b

    @staticmethod
    def of(spec: RobotSpec, mapping: Mapping) -> "RobotPoints":
        """Looks up a mapping's bodies and feet in the robot's model."""
        model = spec.model()
        kinematics = Kinematics(model)
        feet = Feet.of(model, spec)
        hips = np.array([model.body(name).id for name in mapping.stand_under])
        hip_points = BodyPoints(hips, np.zeros((len(hips), 3)))
        if feet.has_soles:
            before = model.body_parentid[feet.centres.body_ids]
            ankles = BodyPoints(before, np.zeros((len(before), 3)))
        else:
            ankles = feet.centres
        home = kinematics.poses(spec.home_qpos[None])
        in_world = kinematics.points(home, ankles) - kinematics.points(home, feet.centres)
        return RobotPoints(
            kinematics=kinematics,
            feet=feet,
            hips=hip_points,
            ankles=ankles,
            ankles_f=in_world[0],
            reach_m=_reach(spec, kinematics, hip_points, ankles),
            marker_weights=np.array([m.weight for m in mapping.body_markers]),
            foot_weight=mapping.foot_weight,
            trunk=TrunkPoints.of(model, kinematics, feet, mapping),
        )

    def all_points(self, body_offsets_b: Array) -> BodyPoints:
        """Body markers at given offsets, then the handles of the feet, (K + H,)."""
        base = np.full(len(body_offsets_b), self.kinematics.root_body)
        return BodyPoints(
            np.concatenate([base, self.feet.handles.body_ids]),
            np.concatenate([body_offsets_b, self.feet.handles.offsets_b]),
        )

    @property
    def straight_leg_m(self) -> float:
        """Length of a straight leg from hip to floor [m]."""
        return float(np.mean(self.reach_m + self.ankles_f[:, 2]))

    @property
    def weights(self) -> Array:
        """Weights of ``all_points`` [1/m^2], (K + H,)."""
        each = self.foot_weight / self.feet.handles_per_foot
        return np.concatenate([self.marker_weights, np.full(len(self.feet.handles.body_ids), each)])


def _reach(spec: RobotSpec, kinematics: Kinematics, hips: BodyPoints, ankles: BodyPoints) -> Array:
    """Greatest distances from hips to ankles [m], (F,)."""
    extremes = np.tile(spec.home_qpos, (2, 1))
    extremes[0, ROOT_QPOS:] = spec.joint_lower
    extremes[1, ROOT_QPOS:] = spec.joint_upper
    poses = kinematics.poses(extremes)
    stretched = kinematics.points(poses, ankles) - kinematics.points(poses, hips)
    return np.linalg.norm(stretched, axis=-1).max(axis=0)
