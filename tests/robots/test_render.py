import math
import os
import subprocess
import sys

import mujoco
import numpy as np
import pytest

from legged_skills.robots import gl, lighting, render
from legged_skills.robots.errors import RenderError, SettingsError
from legged_skills.robots.gl import GLRenderer, GLStatus
from legged_skills.robots.raycast import RaycastRenderer
from legged_skills.robots.render import (
    Backend,
    Camera,
    Renderer,
    TrackingCamera,
    make_renderer,
    project,
    render_ahead,
    render_trajectory,
    with_ghost,
)

WIDTH, HEIGHT = 160, 120
NOTHING = np.empty(0)

SCENE = """
<mujoco>
  <asset>
    <texture name="checker" type="2d" builtin="checker" rgb1="0.2 0.6 0.2" rgb2="0.6 0.6 0.2"
             width="64" height="64"/>
    <texture type="skybox" builtin="gradient" rgb1="0.6 0.72 0.86" rgb2="1 1 0.98"
             width="64" height="384"/>
    <material name="floor" texture="checker" texrepeat="2 4" texuniform="true"/>
    <material name="matt" rgba="0.1 0.1 0.8 1" specular="0"/>
  </asset>
  <worldbody>
    <geom name="floor" type="plane" size="0 0 1" material="floor"/>
    <geom name="hidden" type="box" size="5 5 5" group="3" rgba="1 1 1 1"/>
    <body pos="0 0 0.5">
      <freejoint/>
      <geom name="ball" type="sphere" size="0.1" rgba="0.8 0.1 0.1 1"/>
      <geom name="box" type="box" size="0.05 0.2 0.05" pos="0.4 0.3 0" material="matt"/>
    </body>
  </worldbody>
</mujoco>
"""
ROBOT = """
<mujoco>
  <asset><material name="red" rgba="1 0 0 1"/></asset>
  <default><geom contype="1" conaffinity="1"/></default>
  <worldbody>
    <light pos="0 0 3"/>
    <geom name="floor" type="plane" size="0 0 1"/>
    <body name="base" pos="0 0 1">
      <freejoint name="root"/>
      <geom name="trunk" type="box" size="0.2 0.1 0.1" material="red"/>
      <site name="imu"/>
      <body name="leg">
        <joint name="knee" axis="0 1 0"/>
        <geom name="shank" type="capsule" size="0.03" fromto="0 0 0 0 0 -0.4"/>
      </body>
    </body>
  </worldbody>
  <actuator><position joint="knee"/></actuator>
  <sensor><framepos objtype="site" objname="imu"/></sensor>
  <keyframe><key name="home" qpos="0 0 1 1 0 0 0 0.3"/></keyframe>
</mujoco>
"""


@pytest.fixture(params=["raycast", "gl"])
def backend(request: pytest.FixtureRequest) -> Backend:
    if request.param == "gl" and not render.gl_status().works:
        pytest.skip(render.gl_status().problem)
    return request.param


@pytest.fixture(scope="module")
def scene() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(SCENE)


def model_of(*geoms: str) -> mujoco.MjModel:
    world = "".join(f"<geom {geom}/>" for geom in geoms)
    asset = '<asset><material name="matt" specular="0"/></asset>'
    return mujoco.MjModel.from_xml_string(f"<mujoco>{asset}<worldbody>{world}</worldbody></mujoco>")


def picture(model: mujoco.MjModel, camera: Camera, backend: Backend = "raycast") -> np.ndarray:
    """(H, W, 3) colours from 0 to 1, of a model in its reference pose."""
    with make_renderer(model, WIDTH, HEIGHT, backend) as renderer:
        assert renderer.backend == backend
        return renderer.render(model.qpos0, camera) / 255.0


def pixel_of(point_w: tuple[float, float, float], camera: Camera) -> tuple[int, int]:
    """The row and column that show a point."""
    column, row = project(np.array(point_w), camera, WIDTH, HEIGHT)
    return int(row), int(column)


def middle_of(mask: np.ndarray) -> np.ndarray:
    """(2,) mean column and row of the marked pixels' middles [pixels]."""
    rows, columns = np.nonzero(mask)
    return np.array([columns.mean(), rows.mean()]) + 0.5


# --- which renderer ---


@pytest.mark.parametrize(("width", "height"), [(0, 120), (160, -2), (9000, 120)])
def test_impossible_size(scene: mujoco.MjModel, width: int, height: int) -> None:
    with pytest.raises(SettingsError, match=r"pixels, expected 1 to 8192"):
        make_renderer(scene, width, height, "raycast")


def test_unknown_backend(scene: mujoco.MjModel) -> None:
    with pytest.raises(SettingsError, match="'vulkan', expected one of auto, gl, raycast"):
        make_renderer(scene, WIDTH, HEIGHT, "vulkan")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (GLStatus("OpenGL does not work here (no library).", ""), RaycastRenderer),
        (GLStatus("", "llvmpipe (LLVM 15.0.6, 256 bits)"), RaycastRenderer),
        (GLStatus("", "NVIDIA H100/PCIe/SSE2"), GLRenderer),
    ],
)
def test_auto_takes_hardware_or_casts_rays(
    scene: mujoco.MjModel, monkeypatch: pytest.MonkeyPatch, status: GLStatus, expected: type
) -> None:
    class NoContext(GLRenderer):
        def __init__(self, model: mujoco.MjModel, width: int, height: int) -> None:
            pass

    monkeypatch.setattr(render, "gl_status", lambda: status)
    monkeypatch.setattr(render, "GLRenderer", NoContext)
    assert isinstance(make_renderer(scene, WIDTH, HEIGHT), expected)


def test_auto_survives_a_failing_context(
    scene: mujoco.MjModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise ImportError("no EGL device")

    monkeypatch.setattr(render, "gl_status", lambda: GLStatus("", "a GPU"))
    monkeypatch.setattr(render, "GLRenderer", fail)
    assert make_renderer(scene, WIDTH, HEIGHT).backend == "raycast"
    with pytest.raises(RenderError, match="no EGL device"):
        make_renderer(scene, WIDTH, HEIGHT, "gl")


def test_switched_off_gl_is_a_clear_error(
    scene: mujoco.MjModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUJOCO_GL", "disable")
    assert not gl.gl_status().works
    with pytest.raises(RenderError, match=r"OpenGL is switched off by MUJOCO_GL=disable\."):
        make_renderer(scene, WIDTH, HEIGHT, "gl")
    assert make_renderer(scene, WIDTH, HEIGHT).backend == "raycast"


def test_broken_gl_is_found_out_in_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    # A GL platform that MuJoCo's EGL context refuses; any other failure takes the same way.
    monkeypatch.setenv("PYOPENGL_PLATFORM", "nonsense")
    gl._gl_status.cache_clear()
    status = gl.gl_status()
    gl._gl_status.cache_clear()
    if sys.platform == "linux" and not os.environ.get("MUJOCO_GL"):
        assert status.problem.startswith("OpenGL does not work here (")
        assert "PYOPENGL_PLATFORM" in status.problem
        assert not status.works
        assert not status.accelerated


def test_import_has_no_side_effects() -> None:
    code = (
        "import os, sys; before = dict(os.environ); import legged_skills.robots.render; "
        "assert dict(os.environ) == before; assert 'OpenGL' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)


def test_closed_gl_renderer_says_so(scene: mujoco.MjModel) -> None:
    if not render.gl_status().works:
        pytest.skip(render.gl_status().problem)
    renderer = make_renderer(scene, WIDTH, HEIGHT, "gl")
    renderer.close()
    renderer.close()
    with pytest.raises(RenderError, match="the renderer is closed"):
        renderer.render(scene.qpos0, Camera())


@pytest.mark.parametrize("qpos", [np.zeros(1), np.zeros(8), np.full(7, np.nan)])
def test_wrong_positions_are_refused(
    scene: mujoco.MjModel, backend: Backend, qpos: np.ndarray
) -> None:
    with (
        make_renderer(scene, WIDTH, HEIGHT, backend) as renderer,
        pytest.raises(ValueError, match="expected 7 finite positions"),
    ):
        renderer.render(qpos, Camera())


def test_model_is_not_changed(backend: Backend) -> None:
    model = mujoco.MjModel.from_xml_string(SCENE)
    colours, materials = model.geom_rgba.copy(), model.geom_matid.copy()
    picture(model, Camera(), backend)
    np.testing.assert_array_equal(model.geom_rgba, colours)
    np.testing.assert_array_equal(model.geom_matid, materials)
    assert model.vis.global_.offwidth == 640


# --- what is seen, and where ---


@pytest.mark.parametrize(
    "camera",
    [
        Camera(lookat=(0.2, 0.1, 0.4), distance=1.6),
        Camera(lookat=(0.0, 0.3, 0.4), distance=2.0, azimuth=-60, elevation=-60, fovy=30),
        Camera(lookat=(0.3, 0.0, 0.5), distance=1.0, azimuth=100, elevation=5, fovy=80),
    ],
)
def test_ball_and_box_are_where_project_says(
    scene: mujoco.MjModel, backend: Backend, camera: Camera
) -> None:
    seen = picture(scene, camera, backend)
    red = seen[..., 0] > 2.0 * seen[..., 1]
    expected = project(np.array([0.0, 0.0, 0.5]), camera, WIDTH, HEIGHT)
    # A ball off the picture's middle looks like an ellipse, whose middle is a little further out.
    np.testing.assert_allclose(middle_of(red), expected, atol=1.0)
    row, column = pixel_of((0.0, 0.0, 0.5), camera)
    np.testing.assert_allclose(
        seen[row, column] / seen[row, column, 0], [1, 1 / 8, 1 / 8], atol=0.3
    )
    blue = seen[..., 2] > 2.0 * seen[..., 0]
    corners = [
        [0.4 + x, 0.3 + y, 0.5 + z]
        for x in (-0.05, 0.05)
        for y in (-0.2, 0.2)
        for z in (-0.05, 0.05)
    ]
    outline = project(np.array(corners), camera, WIDTH, HEIGHT)
    rows, columns = np.nonzero(blue)
    np.testing.assert_allclose([columns.min(), rows.min()], outline.min(axis=0), atol=1.0)
    np.testing.assert_allclose([columns.max() + 1, rows.max() + 1], outline.max(axis=0), atol=1.0)


def test_backends_agree(scene: mujoco.MjModel) -> None:
    if not render.gl_status().works:
        pytest.skip(render.gl_status().problem)
    camera = Camera(lookat=(0.1, 0.0, 0.3), distance=1.5)
    rays, opengl = picture(scene, camera), picture(scene, camera, "gl")
    for main, other in ((0, 1), (2, 0)):
        masks = [seen[..., main] > 2.0 * seen[..., other] for seen in (rays, opengl)]
        assert (masks[0] & masks[1]).sum() > 0.93 * (masks[0] | masks[1]).sum() > 100
    assert np.abs(rays - opengl).mean() < 0.03


def test_checks_have_the_textures_colours_and_sizes(
    scene: mujoco.MjModel, backend: Backend
) -> None:
    camera = Camera(lookat=(0.0, 0.0, 0.0), distance=4.0, azimuth=90, elevation=-90)
    seen = picture(scene, camera, backend)
    # Repeats of 2 and 4 in a metre make checks of 1/2 m by 1/4 m, "rgb2" where x and y are
    # positive. Far from the ball and the box, and from their shadows. Red tells them apart.
    for x in (-1.35, -0.85):
        for y in (0.90, 1.15):
            first = (math.floor(x / 0.5) + math.floor(y / 0.25)) % 2 == 0
            row, column = pixel_of((x, y, 0.0), camera)
            albedo = np.array([0.6, 0.6, 0.2]) if first else np.array([0.2, 0.6, 0.2])
            bright = seen[row, column, 1] / 0.6
            assert 0.8 < bright < 1.3
            np.testing.assert_allclose(seen[row, column], albedo * bright, atol=0.05)


def test_far_checks_blend_into_their_mean() -> None:
    # 10 m up, a pixel covers more than one check of 0.5 m: no flicker, one even colour.
    model = model_of('type="plane" size="0 0 1" rgba="0.4 0.4 0.4 1"')
    camera = Camera(lookat=(0.0, 0.0, 0.0), distance=10.0, azimuth=90, elevation=-90, fovy=170)
    seen = picture(model, camera)
    assert seen[HEIGHT // 2, :10].std(axis=0).max() < 0.02


def test_plane_ends_and_has_no_lower_side() -> None:
    model = model_of('type="plane" size="0.5 0.25 1" rgba="0.9 0 0 1"')
    above = Camera(lookat=(0.0, 0.0, 0.0), distance=2.0, azimuth=90, elevation=-90)
    red = picture(model, above)[..., 1] < 0.1
    # 60 pixels per slope of tan(22.5 deg), at 2 m: 1 m x 0.5 m are 72.4 x 36.2 pixels.
    assert abs(red.any(axis=0).sum() - 72.4) <= 1.5
    assert abs(red.any(axis=1).sum() - 36.2) <= 1.5
    below = Camera(lookat=(0.0, 0.0, 0.0), distance=2.0, azimuth=90, elevation=60)
    assert (picture(model, below)[..., 1] > 0.5).all()


def test_surface_has_the_light_of_the_sun_and_shadow_has_not() -> None:
    camera = Camera(lookat=(0.0, 0.0, 0.0), distance=3.0, azimuth=90, elevation=-90)
    seen = picture(
        model_of(
            'type="box" size="3 3 0.1" pos="0 0 -0.1" rgba="0.6 0.6 0.6 1" material="matt"',
            'size="0.2" pos="0 0 0.8" rgba="0.9 0 0 1"',
        ),
        camera,
    )
    sun_w = lighting.sun_direction_w(camera)
    shadow_w = np.array([0.0, 0.0, 0.8]) - sun_w * 0.8 / sun_w[2]
    row, column = pixel_of(tuple(shadow_w), camera)
    slope = np.linalg.norm(shadow_w[:2]) / 3.0
    shade = lighting.AMBIENT + lighting.HEADLIGHT / math.hypot(1.0, slope)
    np.testing.assert_allclose(seen[row, column], 0.6 * shade, atol=0.004)
    # Opposite, at the same angle to the camera, there is sun.
    row, column = pixel_of(tuple(-shadow_w), camera)
    lit = shade - lighting.SUN * sun_w[2]
    np.testing.assert_allclose(seen[row, column], 0.6 * lit, atol=0.004)


def test_edges_are_smooth() -> None:
    # A red box before the sky: its slanted edges have pixels that mix both colours.
    box = 'type="box" size="0.3 0.3 0.3" euler="0 20 0" rgba="0.9 0 0 1" material="matt"'
    camera = Camera(lookat=(0.0, 0.0, 0.0), distance=2.0, azimuth=90, elevation=0)
    seen, sky = picture(model_of(box), camera), picture(model_of(), camera)
    covered = 1.0 - seen[..., 1] / sky[..., 1]
    partly = (covered > 0.05) & (covered < 0.95)
    assert 100 < partly.sum() < 500
    # In all, the box covers its front's area: (0.6 m * 60 pixels / (1.7 m * tan(22.5 deg)))^2.
    side = 0.6 * 60 / (1.7 * math.tan(math.pi / 8))
    assert covered.sum() == pytest.approx(side**2, rel=0.01)


def test_translucent_things_let_through_what_is_behind(backend: Backend) -> None:
    behind = 'type="box" size="0.05 2 2" pos="1 0 0" rgba="0.1 0.7 0.1 1"'
    veil = 'type="box" size="0.05 0.5 0.5" rgba="0.8 0.2 0.8 {}"'
    camera = Camera(lookat=(0.0, 0.0, 0.0), distance=3.0, azimuth=0, elevation=0)
    middle = np.s_[HEIGHT // 2, WIDTH // 2]
    without = picture(model_of(behind), camera, backend)
    opaque = picture(model_of(behind, veil.format(1)), camera, backend)
    mixed = picture(model_of(behind, veil.format(0.25)), camera, backend)
    invisible = picture(model_of(behind, veil.format(0)), camera, backend)
    # 0.75 gets through the front, 0.75 of that through the back.
    share = 0.75**2
    np.testing.assert_allclose(
        mixed[middle], share * without[middle] + (1.0 - share) * opaque[middle], atol=0.005
    )
    np.testing.assert_array_equal(invisible, without)


def test_geom_colour_beats_material() -> None:
    spec = mujoco.MjSpec.from_string(SCENE)
    spec.geom("box").rgba = [0.1, 0.6, 0.6, 1.0]
    looks = lighting.looks_of(spec.compile())
    np.testing.assert_allclose(looks.rgba[3], [0.1, 0.6, 0.6, 1.0])
    np.testing.assert_allclose(
        lighting.looks_of(mujoco.MjModel.from_xml_string(SCENE)).rgba[3, 2], 0.8
    )


def test_eye_within_a_thing_and_things_behind_the_eye() -> None:
    model = model_of('size="1" rgba="1 0 0 1"', 'size="0.5" pos="-3 0 0" rgba="0 1 0 1"')
    camera = Camera(lookat=(0.5, 0.0, 0.0), distance=0.5, azimuth=0, elevation=0)
    seen = picture(model, camera)
    assert np.isfinite(seen).all()
    # Of the ball behind, which is green alone, nothing is seen.
    assert (seen[..., 1] <= seen[..., 2] + 1e-6).all()


# MuJoCo keeps boxes around the geoms of each body that collide, and lets rays pass by the body
# where they miss its box.
ARM = """
<mujoco>
  <worldbody>
    <body name="base">
      <freejoint/>
      <geom size="0.02" rgba="0.8 0.1 0.1 1"/>
      <geom type="box" size="0.1 0.1 0.1" pos="0 0 0.6" rgba="0.1 0.1 0.8 1"
            contype="0" conaffinity="0"/>
      <body name="hand" pos="0 0 -0.2">
        <joint axis="0 1 0"/>
        <geom size="0.02" rgba="0.8 0.1 0.1 1"/>
        <geom size="0.02" pos="0 0 -0.05" rgba="0.8 0.1 0.1 1"/>
        <geom type="box" size="0.1 0.1 0.1" pos="0.5 0 0" rgba="0.1 0.1 0.8 {}"
              contype="0" conaffinity="0"/>
      </body>
    </body>
  </worldbody>
</mujoco>
"""


@pytest.mark.parametrize("alpha", [1, 0.8])
def test_what_only_is_seen_is_seen_far_from_what_collides(backend: Backend, alpha: float) -> None:
    model = mujoco.MjModel.from_xml_string(ARM.format(alpha))
    camera = Camera(lookat=(0.2, 0.0, 0.2), distance=3.0, azimuth=90, elevation=0)
    seen = picture(model, camera, backend)
    for place in ((0.0, 0.0, 0.6), (0.5, 0.0, -0.2)):
        row, column = pixel_of(place, camera)
        window = seen[row - 1 : row + 2, column - 1 : column + 2]
        assert (window[..., 2] > 2.0 * window[..., 0]).all(), place
    # Both boxes whole: fronts 2.9 m away, 10 pixels wide, and of a side a pixel more.
    blue = seen[..., 2] > 2.0 * seen[..., 0]
    side = 0.2 * HEIGHT / 2 / (2.9 * math.tan(math.pi / 8))
    assert blue.sum() == pytest.approx(2 * side**2, rel=0.3)


# --- motions and ghosts ---


def test_trajectory_is_followed(scene: mujoco.MjModel) -> None:
    qpos = np.tile(scene.qpos0, (20, 1))
    qpos[:, 0] = np.linspace(0.0, 3.0, 20)
    camera = Camera(distance=2.0, azimuth=90, elevation=-20)
    with make_renderer(scene, WIDTH, HEIGHT, "raycast") as renderer:
        still = list(render_trajectory(renderer, qpos, 5.0, camera))
        tracked = list(render_trajectory(renderer, qpos, 5.0, TrackingCamera(camera)))
    assert len(still) == len(tracked) == 20
    red = [frame[..., 0] > 2.0 * frame[..., 1] for frame in (still[-1], tracked[0], tracked[-1])]
    assert not red[0].any()
    np.testing.assert_allclose(middle_of(red[1]), [WIDTH / 2, HEIGHT / 2], atol=1.0)
    np.testing.assert_allclose(middle_of(red[2]), [WIDTH / 2, HEIGHT / 2], atol=1.0)


@pytest.mark.parametrize("cores", [1, 2, 3])
@pytest.mark.parametrize("backend", ["raycast", "sketch"])
def test_pictures_made_ahead_come_in_turn(
    scene: mujoco.MjModel, monkeypatch: pytest.MonkeyPatch, backend: Backend, cores: int
) -> None:
    monkeypatch.setattr(render, "usable_cores", lambda: cores)
    qpos = np.tile(scene.qpos0, (8, 1))
    qpos[:, 1] = np.linspace(-0.5, 0.5, 8)
    cameras = [Camera(distance=2.0, azimuth=20.0 * n, elevation=-20) for n in range(8)]
    with make_renderer(scene, WIDTH, HEIGHT, backend) as renderer:
        wanted = [renderer.render(*shot) for shot in zip(qpos, cameras, strict=True)]
    shots = zip(qpos, cameras, strict=True)
    np.testing.assert_array_equal(
        list(render_ahead(scene, shots, WIDTH, HEIGHT, backend)), np.array(wanted)
    )


def test_a_picture_that_fails_ends_what_is_made_ahead(scene: mujoco.MjModel) -> None:
    shots = [(scene.qpos0, Camera()), (scene.qpos0[:-1], Camera()), (scene.qpos0, Camera())]
    pictures = render_ahead(scene, shots, WIDTH, HEIGHT, "raycast")
    next(pictures)
    with pytest.raises(ValueError, match="finite positions"):
        list(pictures)


def test_ghost_doubles_bodies_only() -> None:
    spec = mujoco.MjSpec.from_string(ROBOT)
    before = spec.to_xml()
    model = with_ghost(spec, rgba=(0.0, 0.5, 1.0, 0.3))
    assert spec.to_xml() == before
    assert (model.nq, model.nv, model.nbody, model.njnt) == (16, 14, 5, 4)
    assert (model.nu, model.nsensor, model.nlight, model.nsite, model.nkey) == (1, 1, 1, 1, 0)
    assert (model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE).sum() == 1
    assert model.joint("root").qposadr[0] == 0
    assert model.joint("ghost_root").qposadr[0] == 8
    assert model.joint("ghost_knee").qposadr[0] == 15
    for name in ("ghost_trunk", "ghost_shank"):
        geom = model.geom(name)
        assert geom.contype[0] == geom.conaffinity[0] == 0
        assert geom.matid[0] == -1
        np.testing.assert_allclose(geom.rgba, [0.0, 0.5, 1.0, 0.3])
    assert model.geom("trunk").contype[0] == 1
    # The ghost stands elsewhere, in another pose.
    data = mujoco.MjData(model)
    data.qpos[:] = [0, 0, 1, 1, 0, 0, 0, 0.3, 5, 0, 2, 1, 0, 0, 0, math.pi / 2]
    mujoco.mj_kinematics(model, data)
    np.testing.assert_allclose(data.geom("ghost_trunk").xpos, [5, 0, 2])
    np.testing.assert_allclose(data.geom("ghost_shank").xpos, [4.8, 0, 2], atol=1e-9)
    np.testing.assert_allclose(data.geom("trunk").xpos, [0, 0, 1])


def test_ghost_is_seen_through(backend: Backend) -> None:
    model = with_ghost(mujoco.MjSpec.from_string(ROBOT), rgba=(0.0, 0.0, 1.0, 0.5))
    camera = Camera(lookat=(0.0, 0.0, 1.0), distance=2.0, azimuth=90, elevation=0)
    # The ghost stands 0.5 m closer to the camera and 0.2 m to its right.
    qpos = np.array([0, 0, 1, 1, 0, 0, 0, 0, 0.2, -0.5, 1, 1, 0, 0, 0, 0], dtype=float)
    with make_renderer(model, WIDTH, HEIGHT, backend) as renderer:
        seen = renderer.render(qpos, camera).astype(int)
    left, right = (seen[pixel_of((x, -0.1, 1.0), camera)] for x in (-0.15, 0.15))
    assert left[0] > 100 > 40 > left[2]
    # Half of the red gets through the ghost's front, half of that through its back.
    assert right[0] / left[0] == pytest.approx(0.25, abs=0.05)
    assert right[2] > 60


def test_ghost_needs_a_robot() -> None:
    spec = mujoco.MjSpec.from_string(
        '<mujoco><worldbody><geom type="plane" size="0 0 1"/></worldbody></mujoco>'
    )
    with pytest.raises(SettingsError, match="no body, expected a robot"):
        with_ghost(spec)


def test_renderers_are_renderers(scene: mujoco.MjModel) -> None:
    renderer: Renderer = RaycastRenderer(scene, 8, 6)
    assert renderer.render(scene.qpos0, Camera()).shape == (6, 8, 3)
