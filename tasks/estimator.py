"""How fast a robot seems to move: an estimator that is trained beside a policy, and its memory.

Robots do not measure how fast they move. The estimator, trained on what the simulation knows, says
it from proprioception (Ji et al. 2022, "Concurrent training of a control policy and a state
estimator"). What it says sways with every step of a gait; its running mean tells a policy how fast
it goes on the whole, and so what this very robot, on this very floor, makes of its commands.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.sensed_robot import SensedRobots
from legged_skills.skill_module.agents import Observations, Params
from legged_skills.skill_module.networks import Mlp
from legged_skills.skill_module.symmetry import Representation, Symmetry, mlp_layers

VELOCITY_SIZE = 3
"""Length of a velocity, which is also what is carried from step to step: the running mean."""
TOLD_SIZE = 2 * VELOCITY_SIZE
"""Length of what a policy is told: the velocity as it is estimated now, and the running mean."""


def velocity_unit_mps(spec: RobotSpec) -> float:
    """The unit of "velocity" [m/s]: a quarter of ``froude_speed_mps``, about a walk's speed."""
    return 0.25 * spec.froude_speed_mps


def told_velocity(robots: SensedRobots) -> np.ndarray:
    """(N, 3) float32, the observation "velocity": what the estimator is trained on.

    The velocity of the base in the base frame, over ``velocity_unit_mps``.
    """
    return robots.lin_vel_b / np.float32(velocity_unit_mps(robots.spec))


@dataclass(frozen=True)
class VelocityEstimator:
    """Proprioception -> velocity of the base in the base frame, in the unit of "velocity".

    Attributes:
        hidden: widths of the hidden layers.
        memory_steps: time constant of the running mean, in control steps.
    """

    hidden: tuple[int, ...]
    memory_steps: float

    @cached_property
    def network(self) -> Mlp:
        """The network."""
        return Mlp(self.hidden, VELOCITY_SIZE, out_scale=0.01)

    @property
    def memory_share(self) -> float:
        """Weight of the present estimate in the running mean."""
        return 1.0 / self.memory_steps

    def init(self, key: Array, proprioception_size: int) -> Params:
        """New parameters; the key is consumed."""
        return self.network.init(key, jnp.zeros((1, proprioception_size)))["params"]

    def estimate(self, params: Params, obs: Observations) -> Array:
        """(N, 3) how fast the robots seem to move."""
        found: Any = self.network.apply({"params": params}, obs["proprioception"])
        return found

    def remember(self, mean: Array, velocity: Array) -> Array:
        """(N, 3) the running mean after one more estimate, on which no gradient runs."""
        return mean + self.memory_share * (jax.lax.stop_gradient(velocity) - mean)

    def told(self, params: Params, obs: Observations, mean: Array) -> Array:
        """(N, 6) what a policy is told, given the running mean; no gradient runs through it."""
        velocity = jax.lax.stop_gradient(self.estimate(params, obs))
        return jnp.concatenate([velocity, mean], axis=-1)

    def loss(self, params: Params, obs: Observations) -> Array:
        """(N,) squared error."""
        return jnp.square(self.estimate(params, obs) - obs["velocity"]).sum(axis=-1)

    def layers(self, symmetry: Symmetry, proprioception: Representation) -> Any:
        """How its network is mirrored, for ``Equivariance``.

        Raises:
            SettingsError: a layer cannot be mirrored.
        """
        return mlp_layers(symmetry, proprioception, self.hidden, symmetry.polar)
