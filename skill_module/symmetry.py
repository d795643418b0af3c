"""Networks that know the robot's symmetry: what is mirrored in goes mirrored out.

A robot that is its own mirror image can do the mirror image of all it does. A network with
f(rho(g) x) = rho(g) f(x) for every reflection g need not learn that, and learns from each step as
much as from the step and its images (equivariant policies: Su et al. 2024, "Leveraging symmetry in
RL-based legged locomotion control"). It stays a plain network of the same size and cost. Its
weights lie in a linear subspace: they start there, and gradients are projected onto it.

The group is {1, left-right} or, for a robot whose front and back are alike too, {1, left-right,
front-back, both}. Its elements are their own inverses, and element a after element b is element
a ^ b. Hidden layers are copies of the group itself, one for each element (the regular
representation); so are latents.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from legged_skills.robots.contract import ObservationContract
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.spec import RobotSpec


@dataclass(frozen=True, eq=False)
class Representation:
    """How values change places and signs under each of G reflections: rho(g) x = sign x[index].

    Attributes:
        index: (G, D).
        sign: (G, D), 1 or -1.
    """

    index: np.ndarray
    sign: np.ndarray

    @property
    def size(self) -> int:
        """D."""
        return self.index.shape[1]

    def apply(self, element: int, x: np.ndarray) -> np.ndarray:
        """The image of values (..., D) under an element of the group."""
        return self.sign[element] * x[..., self.index[element]]

    def unsigned(self) -> "Representation":
        """The same changes of places, for sizes: they keep their signs."""
        return Representation(self.index, np.ones_like(self.sign))

    def repeated(self, count: int) -> "Representation":
        """That of ``count`` such groups of values in a row."""
        return join([self] * count)


def join(parts: Sequence[Representation]) -> Representation:
    """The representation of values one after another."""
    starts = np.cumsum([0, *(part.size for part in parts)])
    return Representation(
        np.concatenate([p.index + s for p, s in zip(parts, starts, strict=False)], axis=1),
        np.concatenate([part.sign for part in parts], axis=1),
    )


class Symmetry:
    """The reflections of a robot, and how everything that networks see or say changes under them.

    Attributes:
        order: G, number of reflections, the identity among them.
        polar: of vectors such as positions, velocities, gravity: (x, y, z).
        planar: of vectors along the floor: (x, y).
        turning: of (1,) turning rates about the vertical.
        axial: of rotation vectors and angular velocities: (x, y, z).
        joints: of (J,) values: angles, velocities, torques, actions.
    """

    def __init__(self, spec: RobotSpec) -> None:
        """Reads the mirror images of a robot."""
        planes = [np.array([1.0, -1.0, 1.0])]
        mirrors = [spec.mirror_joints]
        if spec.mirror_joints_front_back is not None:
            planes.append(np.array([-1.0, 1.0, 1.0]))
            mirrors.append(spec.mirror_joints_front_back)
        self.order = 2 ** len(planes)
        places = np.arange(3)
        # A reflection turns the other way round what turns.
        self.polar = _generated([(places, plane) for plane in planes])
        self.axial = _generated([(places, -plane) for plane in planes])
        self.planar = _part(self.polar, slice(0, 2))
        self.turning = _part(self.axial, slice(2, 3))
        self.joints = _generated(mirrors)

    def scalars(self, count: int = 1) -> Representation:
        """Of values that no reflection changes."""
        shape = (self.order, count)
        return Representation(np.tile(np.arange(count), (self.order, 1)), np.ones(shape))

    def copies(self, size: int) -> Representation:
        """Of a hidden layer or a latent: ``size`` values, the first G-th for the identity, etc.

        Raises:
            SettingsError: the size is not a multiple of G.
        """
        if size % self.order:
            raise SettingsError(
                f"a layer or latent of {size} values cannot be mirrored, expected a multiple of "
                f"{self.order}."
            )
        blocks = np.arange(size).reshape(self.order, -1)
        index = [blocks[np.arange(self.order) ^ g].ravel() for g in range(self.order)]
        return Representation(np.array(index), np.ones((self.order, size)))

    def frame(self, contract: ObservationContract) -> Representation:
        """Of one frame of a contract."""
        known = {"gravity": self.polar, "angular_velocity": self.axial}
        return join([known.get(name, self.joints) for name in contract.term_names])

    def clean_state(self, contract: ObservationContract) -> Representation:
        """Of what ``SensedRobots.clean_state`` gives."""
        velocity = [] if "joint_vel" in contract.term_names else [self.joints]
        return join([self.frame(contract), *velocity, self.polar, self.scalars()])

    def proprioception(self, contract: ObservationContract) -> Representation:
        """Of an observation: all frames of the history."""
        return self.frame(contract).repeated(contract.history)


@dataclass(frozen=True, eq=False)
class Equivariance:
    """The representations in which an agent's networks are. Equal and hashable by identity.

    Attributes:
        networks: by the name of an MLP among the parameters: of input, hidden layers and output.
        vectors: by the name of a vector among the parameters, such as a log standard deviation.
    """

    networks: Mapping[str, Sequence[Representation]]
    vectors: Mapping[str, Representation]

    def project(self, params: Any) -> Any:
        """The equivariant part of an agent's parameters, or of their gradient."""
        found = dict(params)
        for name, layers in self.networks.items():
            found[name] = project_mlp(params[name], layers)
        for name, representation in self.vectors.items():
            found[name] = project_vector(params[name], representation)
        return found

    def begin(self, params: Any) -> Any:
        """Equivariant parameters of the size of random ones, which a projection makes smaller."""
        found = self.project(params)
        for name, layers in self.networks.items():
            factor = len(layers[0].index) ** 0.5
            found[name] = jax.tree.map(lambda x, f=factor: f * x, found[name])
        return found


UNMIRRORED = Equivariance({}, {})
"""Of networks that know of no symmetry: nothing is projected."""


def mlp_layers(
    symmetry: Symmetry, inputs: Representation, hidden: Sequence[int], out: Representation
) -> list[Representation]:
    """Representations of an MLP's layers.

    Raises:
        SettingsError: a hidden layer cannot be mirrored.
    """
    return [inputs, *(symmetry.copies(width) for width in hidden), out]


def _generated(generators: Sequence[tuple[np.ndarray, np.ndarray]]) -> Representation:
    """All products of reflections that each are given as index (D,) and sign (D,)."""
    size = len(generators[0][0])
    index, sign = [np.arange(size)], [np.ones(size)]
    for more, signs in generators:
        for i, s in list(zip(index, sign, strict=True)):
            index.append(i[more])
            sign.append(signs * s[more])
    return Representation(np.array(index), np.array(sign))


def _part(representation: Representation, which: slice) -> Representation:
    """That of some of the values, which stay in their places."""
    sign = representation.sign[:, which]
    return Representation(np.tile(np.arange(sign.shape[1]), (len(sign), 1)), sign)


def project_mlp(params: Any, layers: Sequence[Representation]) -> Any:
    """The equivariant part of an MLP's weights, or of their gradient.

    Args:
        params: of an ``Mlp``: {"Dense_0": {"kernel": (D, H), "bias": (H,)}, ...}, or of a
            ``Gaussian``, which has one inside.
        layers: representations of its input, its hidden layers and its output.
    """
    if "Mlp_0" in params:
        return {"Mlp_0": project_mlp(params["Mlp_0"], layers)}
    return {
        f"Dense_{i}": _project_dense(params[f"Dense_{i}"], before, after)
        for i, (before, after) in enumerate(pairwise(layers))
    }


def project_vector(values: ArrayLike, representation: Representation) -> Array:
    """The part of values (D,) that no reflection changes."""
    vector = jnp.asarray(values)
    images = [s * vector[i] for i, s in _elements(representation)]
    return jnp.stack(images).mean(axis=0)


def _project_dense(
    params: dict[str, Array], before: Representation, after: Representation
) -> dict[str, Array]:
    kernel = params["kernel"]
    total = jnp.zeros_like(kernel)
    for (i, s), (j, t) in zip(_elements(before), _elements(after), strict=True):
        total = total + s[:, None] * kernel[i][:, j] * t[None, :]
    order = len(before.index)
    return {"kernel": total / order, "bias": project_vector(params["bias"], after)}


def _elements(representation: Representation) -> list[tuple[np.ndarray, np.ndarray]]:
    signs = representation.sign.astype(np.float32)
    return list(zip(representation.index, signs, strict=True))
