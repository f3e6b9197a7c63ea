"""Off-screen rendering on one OpenGL context a process.

Two traps of software EGL are met here. Mesa's renderer and triton, which torch's compiler loads, each bring
an LLVM: if Mesa's is loaded first, `import torch._dynamo` ends in a segmentation fault. So triton's
library, where there is one, is loaded before the context is made; whether torch is used later does not
matter then. And destroying contexts while others live may crash: so there is one, which stays until the
process ends, and scenes only create and free their own resources in it. Use it from one thread, and start
worker processes with "spawn".

`MUJOCO_GL` chooses the OpenGL library, egl when it is not set; here it works even when MuJoCo was imported
before.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from sim.physics import Physics
from trajectories.errors import ConfigError, MissingDependencyError
from trajectories.types import Float32, UInt8, UInt16

MAX_SIZE = 1024
_MM = 1000.0
_FARTHEST_MM = 10_000.0
VISIBLE_GROUPS = (True, True, True, False, False, False)

BACKENDS = ("egl", "osmesa", "glfw")

_context: list[Any] = []


def load_triton() -> None:
    """Load triton's library, if triton is installed, without importing triton (0.1 s against seconds).

    Whoever makes an OpenGL context of another library's has to call this first.
    """
    found = importlib.util.find_spec("triton")
    for folder in (found.submodule_search_locations or ()) if found else ():
        for library in Path(folder).glob("_C/libtriton*.so"):
            ctypes.CDLL(str(library))


def _make_current() -> None:
    """Make the process's OpenGL context current, creating it on the first call."""
    if not _context:
        load_triton()
        backend = os.environ.setdefault("MUJOCO_GL", "egl")
        if backend not in BACKENDS:
            raise ConfigError(f"MUJOCO_GL is {backend!r}; Regrasp can draw with one of {BACKENDS}.")
        try:
            with _interruptible():
                _context.append(importlib.import_module(f"mujoco.{backend}").GLContext(MAX_SIZE, MAX_SIZE))
        except Exception as error:
            raise MissingDependencyError(
                f"Can't create an off-screen OpenGL context ({error}). Install the system packages libegl1 "
                "and libgl1-mesa-dri, or set MUJOCO_GL to a renderer that this machine has (egl, osmesa)."
            ) from error
    with _interruptible():
        _context[0].make_current()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let a Ctrl-C through: to ctypes, whatever is raised while it converts arguments is an ArgumentError."""
    try:
        yield
    except ctypes.ArgumentError as error:
        if "KeyboardInterrupt" in str(error):
            raise KeyboardInterrupt from error
        raise


def depth_in_mm(metres: Float32) -> UInt16:
    """What a depth camera would send of float32 (H, W) m: uint16 (H, W) mm, 0 from 10 m on."""
    millimetres = metres * _MM
    return np.where(millimetres < _FARTHEST_MM, millimetres, 0.0).round().astype(np.uint16)


class SceneRenderer:
    """Draws one model.

    Args:
        model: The model; its off-screen buffer is enlarged to `max_size` here.
        max_size: Largest (height, width) that will be asked for, pixels.
    """

    def __init__(self, model: mujoco.MjModel, max_size: tuple[int, int] = (96, 96)) -> None:
        height, width = max_size
        if not (0 < height <= MAX_SIZE and 0 < width <= MAX_SIZE):
            raise ConfigError(
                f"An image of {height} x {width} pixels can't be drawn; each side may be 1 to {MAX_SIZE}."
            )
        self._model = model
        self._max_size = max_size
        model.vis.global_.offheight, model.vis.global_.offwidth = height, width
        _make_current()
        self._scene = mujoco.MjvScene(model, maxgeom=400)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SKYBOX] = False
        self._scene.flags[mujoco.mjtRndFlag.mjRND_HAZE] = False
        self._option = mujoco.MjvOption()
        self._option.geomgroup[:] = VISIBLE_GROUPS
        self._option.sitegroup[:] = False
        self._perturb = mujoco.MjvPerturb()
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._resources: mujoco.MjrContext | None = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50)
        self._resources.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._resources)

    def render(self, physics: Physics, camera: str, size: tuple[int, int]) -> UInt8:
        """The view of a named camera: uint8 (height, width, 3) RGB, a new array.

        Raises:
            ConfigError: When the size is above `max_size`, the renderer is closed or there is no such camera.
        """
        image = np.empty((*size, 3), dtype=np.uint8)
        self._draw(physics, camera, size, image, None)
        return np.ascontiguousarray(image[::-1])

    def render_deep(self, physics: Physics, camera: str, size: tuple[int, int]) -> tuple[UInt8, Float32]:
        """The same, and how far away everything is along the optical axis: float32 (height, width) m.

        Raises:
            ConfigError: See `render`.
        """
        image, depth = np.empty((*size, 3), dtype=np.uint8), np.empty(size, dtype=np.float32)
        self._draw(physics, camera, size, image, depth)
        extent, clip = self._model.stat.extent, self._model.vis.map
        near, far = clip.znear * extent, clip.zfar * extent
        # The buffer is 1 at the near plane and 0 at the far one, linear in 1 / distance.
        metres = (far * near / (depth[::-1].astype(np.float64) * (far - near) + near)).astype(np.float32)
        return np.ascontiguousarray(image[::-1]), metres

    def close(self) -> None:
        """Free this scene's textures and buffers; the process's context stays."""
        if self._resources is not None:
            _make_current()
            self._resources.free()
            self._resources = None

    def _draw(self, physics: Physics, camera: str, size: tuple[int, int], image: UInt8, depth: Float32 | None) -> None:
        """Draw into `image` and, where asked for, `depth`, lowest row first."""
        height, width = size
        if height > self._max_size[0] or width > self._max_size[1]:
            raise ConfigError(f"This renderer draws up to {self._max_size} pixels; {size} was asked for.")
        if self._resources is None:
            raise ConfigError("The renderer is closed; make a new scene to draw from.")
        self._camera.fixedcamid = mujoco.mj_name2id(self._model, mujoco.mjtObj.mjOBJ_CAMERA, camera)
        if self._camera.fixedcamid < 0:
            names = [self._model.camera(i).name for i in range(self._model.ncam)]
            raise ConfigError(f"There is no camera {camera!r} in the scene; there are {names}.")
        physics.refresh()
        _make_current()
        mujoco.mjv_updateScene(
            self._model, physics.data, self._option, self._perturb, self._camera,
            mujoco.mjtCatBit.mjCAT_ALL.value, self._scene,
        )  # fmt: skip
        viewport = mujoco.MjrRect(0, 0, width, height)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._resources)
        mujoco.mjr_render(viewport, self._scene, self._resources)
        mujoco.mjr_readPixels(image, depth, viewport, self._resources)
