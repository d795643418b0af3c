"""A dribbling policy to begin with: one that walks to where the ball is.

Nothing is learned of a ball that nobody touches. A policy that already walks as commanded touches
it soon, if it is told the way to the ball as its command; that takes no more than other weights on
what it is told of its task.
"""

from dataclasses import replace

import numpy as np

from legged_skills import robots
from legged_skills.tasks.dribble_config import TASK_SIZE, Sizes, task_scale
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.walk import COMMAND_SCALE, WalkConfig


def walk_to_ball(walk: TaskPolicy, sizes: Sizes) -> TaskPolicy:
    """A policy for dribbling that does what a walking policy does on the way to the ball.

    Commanded is a velocity straight to the ball in proportion to the distance, the fastest where
    balls lie farthest at the start of an episode. A robot whose front and back are not alike turns
    to the ball, too. (Where they are alike, it would have to turn the other way to a ball behind
    it, which takes more than weights.)

    Args:
        walk: the walking policy.
        sizes: of the dribbling task.
    """
    spec, paces = robots.get(walk.robot), WalkConfig().paces(walk.robot)
    rate = paces.vx_range[1] / sizes.start_m[1]  # [1/s]
    command = np.zeros((TASK_SIZE, walk.task_size))
    command[0, 0] = command[1, 1] = rate
    if spec.mirror_joints_front_back is None:
        command[1, 2] = paces.yaw_range[1] / sizes.start_m[1]  # [rad/s/m]
    scaled = command * COMMAND_SCALE / task_scale(sizes)[:, None]
    kernel = np.asarray(walk.params["policy"]["Dense_0"]["kernel"])
    end = len(kernel) - walk.decoder.latent_size
    start = end - walk.task_size
    told = scaled @ kernel[start:end]
    first = np.concatenate([kernel[:start], told, kernel[end:]]).astype(np.float32)
    layer = walk.params["policy"]["Dense_0"] | {"kernel": first}
    params = walk.params | {"policy": walk.params["policy"] | {"Dense_0": layer}}
    return replace(walk, task="dribble", task_size=TASK_SIZE, params=params)
