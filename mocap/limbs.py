"""Limbs besides the legs: directions from the source, lengths from the robot.

Letters in the shape comments: T frames, L limbs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap import signals
from legged_skills.mocap.mapping import Mapping
from legged_skills.mocap.source import SourceMotion
from legged_skills.robots import rotations
from legged_skills.robots.kinematics import ROOT_QPOS, BodyPoints, Kinematics
from legged_skills.robots.spec import RobotSpec

Array = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class Limbs:
    """The robot's side of a mapping's limbs."""

    anchors_b: Array
    """Where the limbs begin in the frame of the base [m], (L, 3)."""
    points: BodyPoints
    """Elbows, then hands, (2 L,)."""
    lengths_m: Array
    """Lengths of upper arms and forearms [m], (L, 2)."""
    weights: Array
    """Weights of elbows, then hands [1/m^2], (2 L,)."""
    joints_of: NDArray[np.bool_]
    """Which of the robot's joints move each limb, and nothing else, (L, J)."""

    @staticmethod
    def of(spec: RobotSpec, mapping: Mapping) -> "Limbs":
        """Looks up a mapping's limbs in the robot's model."""
        model = spec.model()
        limbs = mapping.limbs
        if not limbs:
            none = np.zeros((0, 3))
            points = BodyPoints(np.zeros(0, dtype=int), none)
            return Limbs(
                anchors_b=none,
                points=points,
                lengths_m=np.zeros((0, 2)),
                weights=np.zeros(0),
                joints_of=np.zeros((0, spec.num_joints), dtype=bool),
            )
        kinematics = Kinematics(model)
        home = kinematics.poses(spec.home_qpos[None])
        shoulders, elbows, hands = (
            BodyPoints(
                np.array([model.body(limb.points[i][0]).id for limb in limbs]),
                np.array([limb.points[i][1] for limb in limbs]),
            )
            for i in range(3)
        )
        places = [kinematics.points(home, p)[0] for p in (shoulders, elbows, hands)]
        upper = np.linalg.norm(places[1] - places[0], axis=-1)
        fore = np.linalg.norm(places[2] - places[1], axis=-1)
        return Limbs(
            anchors_b=shoulders.offsets_b,
            points=BodyPoints(
                np.concatenate([elbows.body_ids, hands.body_ids]),
                np.concatenate([elbows.offsets_b, hands.offsets_b]),
            ),
            lengths_m=np.stack([upper, fore], axis=-1),
            weights=np.array([limb.weights for limb in limbs]).T.ravel(),
            joints_of=np.array(
                [kinematics.movers(hands.body_ids[i : i + 1]) for i in range(len(limbs))]
            ),
        )

    @property
    def joints(self) -> NDArray[np.bool_]:
        """Which of the robot's joints move limbs, (J,)."""
        return np.any(self.joints_of, axis=0)

    def targets(self, root: Array, vectors_w: Array, offsets_b: Array) -> Array:
        """Where elbows, then hands, should be.

        Args:
            root: positions [m] and quaternions wxyz of the base, (T, 7).
            vectors_w: from ``limb_vectors`` [m], (T, L, 2, 3).
            offsets_b: what is added to the hands, in the frame of the base [m], (L, 3).

        Returns:
            Positions [m], (T, 2 L, 3).
        """
        turn = root[:, None, 3:ROOT_QPOS]
        elbows = root[:, None, :3] + rotations.rotate(turn, self.anchors_b) + vectors_w[:, :, 0]
        hands = elbows + vectors_w[:, :, 1] + rotations.rotate(turn, offsets_b)
        return np.concatenate([elbows, hands], axis=1)


def limb_vectors(
    motion: SourceMotion, mapping: Mapping, lengths_m: Array, cutoff_hz: float
) -> Array:
    """Upper arms and forearms of the source at the robot's lengths.

    Args:
        motion: the source.
        mapping: names its limbs.
        lengths_m: the robot's lengths [m], (L, 2).
        cutoff_hz: low-pass filter of the directions [Hz].

    Returns:
        Vectors from shoulder to elbow and from elbow to wrist in the world [m], (T, L, 2, 3).
    """
    out = np.empty((motion.num_frames, len(mapping.limbs), 2, 3))
    for i, limb in enumerate(mapping.limbs):
        path = [motion.positions_w[:, motion.index(name)] for name in limb.markers]
        for j in range(2):
            vector = signals.smooth(path[j + 1] - path[j], cutoff_hz, motion.fps)
            length = np.linalg.norm(vector, axis=-1, keepdims=True)
            out[:, i, j] = vector / np.maximum(length, 1e-6) * lengths_m[i, j]
    return out
