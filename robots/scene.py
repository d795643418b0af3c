"""What robots stand on."""

import mujoco


def add_floor(spec: mujoco.MjSpec, friction: float) -> None:
    """Adds a checkered floor that robots touch, a sky and a sun.

    Args:
        spec: changed in place.
        friction: sliding friction coefficient of the floor.
    """
    spec.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.60, 0.72, 0.86],
        rgb2=[1.0, 1.0, 0.98],
        width=64,
        height=384,
    )
    spec.add_texture(
        name="checker",
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        rgb1=[0.74, 0.77, 0.80],
        rgb2=[0.68, 0.71, 0.75],
        width=256,
        height=256,
    )
    textures = [""] * mujoco.mjtTextureRole.mjNTEXROLE
    textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "checker"
    spec.add_material(
        name="floor", textures=textures, texrepeat=[2, 2], texuniform=True, reflectance=0.0
    )
    spec.visual.headlight.ambient = [0.35, 0.35, 0.35]
    spec.visual.headlight.diffuse = [0.35, 0.35, 0.35]
    spec.visual.headlight.specular = [0.1, 0.1, 0.1]
    world = spec.worldbody
    world.add_light(
        name="sun",
        pos=[-1.0, 1.5, 4.0],
        dir=[0.25, -0.35, -1.0],
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        diffuse=[0.55, 0.55, 0.55],
    )
    # contype must be said: a model's default class may switch contacts off, and a floor that
    # inherits that lets the robot fall through.
    world.add_geom(
        name="floor",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=[0, 0, 1],
        material="floor",
        contype=1,
        conaffinity=1,
        condim=3,
        friction=[friction, 0.005, 0.0001],
    )
