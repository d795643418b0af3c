"""Pictures with OpenGL, on screenless machines too, and the question whether that works here."""

import copy
import math
import os
import subprocess
import sys
import weakref
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import mujoco
import numpy as np

from legged_skills.robots import lighting
from legged_skills.robots.camera import Camera
from legged_skills.robots.errors import RenderError

_PROBE = "from legged_skills.robots.gl import probe; print(probe())"
_PROBE_SECONDS = 30.0
_SWITCHED_OFF = ("disable", "disabled", "off", "false", "0")
"""Values of MUJOCO_GL by which MuJoCo does without OpenGL."""
_SOFTWARE_DEVICES = ("llvmpipe", "softpipe", "swrast", "software", "swiftshader")
"""What the names of OpenGL devices that are no graphics hardware contain."""
_SHADOW_REACH_M = 2.0
"""Shadows are computed this far around the lookat point [m]."""


@dataclass(frozen=True)
class GLStatus:
    """Whether pictures can be made with OpenGL on this machine."""

    problem: str
    """Why not: one sentence; "" if they can."""
    device: str
    """What OpenGL calls the device it renders on; "" if unknown."""

    @property
    def works(self) -> bool:
        """Whether pictures can be made."""
        return not self.problem

    @property
    def accelerated(self) -> bool:
        """Whether they are made by graphics hardware, rather than emulated on the processor."""
        device = self.device.lower()
        return self.works and not any(name in device for name in _SOFTWARE_DEVICES)


def gl_status() -> GLStatus:
    """Finds out whether OpenGL works here.

    The first call makes a picture in a process of its own, because a broken driver can end the
    process it is loaded into; it takes about half a second. Later calls remember the answer.
    """
    return _gl_status(os.environ.get("MUJOCO_GL", ""))


@lru_cache(maxsize=4)
def _gl_status(mujoco_gl: str) -> GLStatus:
    if mujoco_gl.lower().strip() in _SWITCHED_OFF:
        return GLStatus(f"OpenGL is switched off by MUJOCO_GL={mujoco_gl}.", "")
    if not sys.executable:
        return GLStatus("there is no Python interpreter to try OpenGL with.", "")
    environment = {**os.environ, "MUJOCO_GL": mujoco_gl, "PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return GLStatus(f"trying OpenGL failed ({error}).", "")
    if done.returncode == 0:
        return GLStatus("", _last_line(done.stdout))
    reason = _last_line(done.stderr) or f"the process ended with code {done.returncode}"
    return GLStatus(f"OpenGL does not work here ({reason.rstrip('.')}).", "")


def probe() -> str:
    """Renders a white ball with OpenGL; for a process of its own, see ``gl_status``.

    Returns:
        What OpenGL calls the device it renders on; "" if unknown.

    Raises:
        RenderError: the ball is not in the picture.
        Exception: whatever OpenGL libraries raise where they do not work.
    """
    model = mujoco.MjModel.from_xml_string(
        '<mujoco><worldbody><geom size="0.2" rgba="1 1 1 1"/></worldbody></mujoco>'
    )
    with GLRenderer(model, 32, 32) as renderer:
        frame = renderer.render(np.empty(0), Camera(lookat=(0.0, 0.0, 0.0), distance=1.0))
        device = _device_name()
    if frame[16, 16].min() < 64:
        raise RenderError("OpenGL renders empty pictures.")
    return device


class GLRenderer:
    """Renders a model with MuJoCo's OpenGL renderer, in the light of ``lighting``."""

    backend = "gl"

    def __init__(self, model: mujoco.MjModel, width: int, height: int) -> None:
        """Makes an OpenGL context for a model.

        Args:
            model: it is copied; later changes have no effect.
            width: picture width [pixels].
            height: picture height [pixels].

        Raises:
            Exception: whatever OpenGL libraries raise where they do not work; call
                ``gl_status`` first.
        """
        self.width, self.height = width, height
        self._model = copy.copy(model)
        self._model.vis.global_.offwidth, self._model.vis.global_.offheight = width, height
        _set_looks(self._model)
        self._data = mujoco.MjData(self._model)
        self._scene = mujoco.MjvScene(self._model, maxgeom=self._model.ngeom + 100)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_FOG] = True
        self._option = mujoco.MjvOption()
        self._option.geomgroup[:] = lighting.SHOWN_GROUPS
        self._option.sitegroup[:] = 0
        self._rect = mujoco.MjrRect(0, 0, width, height)
        self._gl = _context_class()(width, height)
        self._gl.make_current()
        self._mjr = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._mjr)
        self.close = weakref.finalize(self, _free, self._gl, self._mjr)
        """Frees the OpenGL context; happens by itself when the renderer is no longer used."""

    def render(self, qpos: np.ndarray, camera: Camera) -> np.ndarray:
        """Renders one picture.

        Args:
            qpos: (nq,) positions [m, rad].
            camera: where from.

        Returns:
            (H, W, 3) uint8, a new array.

        Raises:
            RenderError: the renderer is closed.
            ValueError: there are more or fewer positions, or they are not finite.
        """
        if not self.close.alive:
            raise RenderError("the renderer is closed; make a new one.")
        if np.shape(qpos) != self._data.qpos.shape or not np.isfinite(qpos).all():
            raise ValueError(f"expected {len(self._data.qpos)} finite positions, got {qpos}")
        self._data.qpos[:] = qpos
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(
            self._model,
            self._data,
            self._option,
            None,
            mujoco.MjvCamera(),
            everything,
            self._scene,
        )
        _place_camera(self._scene, camera)
        _place_lights(self._scene, camera)
        pixels = np.empty((self.height, self.width, 3), dtype=np.uint8)
        self._gl.make_current()
        mujoco.mjr_render(self._rect, self._scene, self._mjr)
        mujoco.mjr_readPixels(pixels, None, self._rect, self._mjr)
        return pixels[::-1].copy()

    def __enter__(self) -> "GLRenderer":
        """Returns itself."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Closes."""
        self.close()


def _context_class() -> Any:
    """MuJoCo's class of OpenGL contexts that fits this machine.

    MuJoCo itself chooses when it is imported, and without MUJOCO_GL it chooses one that needs a
    screen. EGL needs none, so on Linux it is the better choice.
    """
    if sys.platform == "linux" and not os.environ.get("MUJOCO_GL"):
        from mujoco.egl import GLContext

        return GLContext
    from mujoco.gl_context import GLContext

    return GLContext


def _device_name() -> str:
    """What the current OpenGL context calls its device; "" if it will not say."""
    try:
        from OpenGL import GL

        name: Any = GL.glGetString(GL.GL_RENDERER)
    except Exception:
        # PyOpenGL raises errors of many kinds; the name is not worth failing for.
        return ""
    return name.decode(errors="replace") if isinstance(name, bytes) else ""


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _free(gl: Any, mjr: mujoco.MjrContext) -> None:
    gl.make_current()
    mjr.free()
    gl.free()


def _set_looks(model: mujoco.MjModel) -> None:
    """Sets a model's shadows, and its haze as that of ``lighting``."""
    model.vis.quality.shadowsize = 4096
    model.vis.map.shadowclip = _SHADOW_REACH_M / model.stat.extent
    model.vis.rgba.haze[:3] = model.vis.rgba.fog[:3] = lighting.HORIZON_RGB
    # OpenGL's fog grows linearly, ours with the square of the distance.
    model.vis.map.fogstart = 0.2 * lighting.HAZE_M / model.stat.extent
    model.vis.map.fogend = 1.6 * lighting.HAZE_M / model.stat.extent


def _place_camera(scene: mujoco.MjvScene, camera: Camera) -> None:
    """Sets both of the scene's eyes to our camera."""
    forward_w, _, up_w = camera.axes_w()
    for eye in scene.camera:
        eye.pos[:], eye.forward[:], eye.up[:] = camera.eye_w(), forward_w, up_w
        half = eye.frustum_near * math.tan(math.radians(camera.fovy) / 2.0)
        eye.frustum_center, eye.frustum_width = 0.0, 0.0
        eye.frustum_bottom, eye.frustum_top = -half, half


def _place_lights(scene: mujoco.MjvScene, camera: Camera) -> None:
    """Replaces the scene's lights by a headlight and a sun with shadows."""
    scene.nlight = 2
    headlight, sun = scene.lights[0], scene.lights[1]
    for light, strength in ((headlight, lighting.HEADLIGHT), (sun, lighting.SUN)):
        light.type = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
        light.diffuse[:], light.ambient[:], light.specular[:] = strength, 0.0, 0.0
        light.attenuation[:] = (1.0, 0.0, 0.0)
        light.texid = -1
    headlight.headlight, headlight.castshadow = 1, 0
    headlight.ambient[:] = lighting.AMBIENT
    headlight.pos[:], headlight.dir[:] = camera.eye_w(), camera.axes_w()[0]
    direction_w = lighting.sun_direction_w(camera)
    sun.headlight, sun.castshadow = 0, 1
    sun.specular[:] = lighting.SUN_HIGHLIGHT
    sun.pos[:], sun.dir[:] = np.asarray(camera.lookat) - _SHADOW_REACH_M * direction_w, direction_w
