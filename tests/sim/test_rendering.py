"""What the cameras see."""

import ctypes
import importlib.util
import subprocess
import sys

import numpy as np
import pytest
from helpers import ROOT

from sim import rendering
from sim.rendering import SceneRenderer
from sim.scene.scene import Scene
from sim.scene.spec import FixtureSpec, ObjectSpec, SceneSpec
from sim.scene.surroundings import FRONT_FOVY
from trajectories.errors import ConfigError

SPEC = SceneSpec((FixtureSpec("rack", "rack", (0.28, -0.1)),), (ObjectSpec("pot", "pot", (0.28, 0.1)),))


def project(scene: Scene, point, size: int) -> np.ndarray:
    """Pixel (column, row) of a point in the front camera."""
    camera = scene.physics.model.camera("front").id
    scene.physics.refresh()
    eye = scene.physics.data.cam_xpos[camera]
    axes = scene.physics.data.cam_xmat[camera].reshape(3, 3)
    x, y, z = axes.T @ (np.asarray(point) - eye)
    focal = 0.5 * size / np.tan(np.radians(FRONT_FOVY) / 2)
    return np.array([size / 2 + focal * x / -z, size / 2 - focal * y / -z])


def red_centre(image: np.ndarray) -> tuple[np.ndarray, int]:
    """Mean (column, row) of clearly red pixels, and how many there are."""
    red, green, blue = (image[:, :, i].astype(int) for i in range(3))
    rows, columns = np.nonzero((red > 90) & (red > 2 * green) & (red > 2 * blue))
    return np.array([columns.mean(), rows.mean()]), len(rows)


@pytest.mark.parametrize("xy", [(0.22, 0.12), (0.34, -0.12), (0.28, 0.0)])
def test_pot_is_seen_where_it_stands(xy):
    scene = Scene(SPEC, randomise=False)
    scene.place("pot", (*xy, 0.0), 0.0)
    centre, count = red_centre(scene.camera("front", (96, 96)).latest(0).image)
    assert count > 60
    assert np.linalg.norm(centre - project(scene, (*xy, 0.025), 96)) < 4


def test_target_box_is_in_the_picture():
    scene = Scene(SPEC, randomise=False)
    corners = [project(scene, (x, y, 0.0), 96) for x in (0.19, 0.36) for y in (-0.15, 0.15)]
    assert np.min(corners) > 0
    assert np.max(corners) < 96


def test_scenes_drawn_in_turn_do_not_disturb_each_other():
    first, second = Scene(SPEC, seed=1), Scene(SPEC, seed=2)
    cameras = first.camera("front", (64, 64)), second.camera("front", (64, 64))
    a, b = cameras[0].latest(0).image.copy(), cameras[1].latest(0).image.copy()
    assert np.abs(a.astype(int) - b).mean() > 2
    for scene in (first, second):
        scene.physics.changed()
    np.testing.assert_array_equal(cameras[0].latest(0).image, a)
    np.testing.assert_array_equal(cameras[1].latest(0).image, b)
    second.close()
    first.physics.changed()
    np.testing.assert_array_equal(cameras[0].latest(0).image, a)


def test_seed_decides_the_picture():
    images = [Scene(SPEC, seed=s).camera("front", (48, 48)).latest(0).image for s in (7, 7, 8)]
    np.testing.assert_array_equal(images[0], images[1])
    assert (images[0] != images[2]).any()


def test_sizes_and_cameras():
    scene = Scene(SPEC, randomise=False)
    for name in scene.cameras:
        frame = scene.camera(name, (40, 60)).latest(0)
        assert frame.image.shape == (40, 60, 3)
        assert frame.image.dtype == np.uint8
        assert frame.image.flags.c_contiguous
        assert frame.image.std() > 10


def test_renderer_refuses_what_it_cannot_draw():
    scene = Scene(SPEC, randomise=False)
    with pytest.raises(ConfigError, match="1 to 1024"):
        SceneRenderer(scene.physics.model, (4000, 10))
    renderer = SceneRenderer(scene.physics.model, (32, 32))
    with pytest.raises(ConfigError, match="up to"):
        renderer.render(scene.physics, "front", (64, 64))
    with pytest.raises(ConfigError, match="no camera 'back'"):
        renderer.render(scene.physics, "back", (32, 32))
    renderer.close()
    with pytest.raises(ConfigError, match="closed"):
        renderer.render(scene.physics, "front", (32, 32))


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
def test_torch_compiler_can_be_loaded_after_drawing():
    program = (
        "from sim.scene.scene import Scene; from sim.scene.spec import SceneSpec\n"
        "camera = Scene(SceneSpec((), ())).camera('front', (32, 32)); camera.latest(0)\n"
        "import triton\n"  # what torch._dynamo imports; crashes the process if Mesa's LLVM came first
        "assert camera.latest(0).image.std() > 5; print('alive')"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "alive", f"exit code {done.returncode}: {done.stderr[-500:]}"


def test_ctrl_c_during_an_opengl_call_is_ctrl_c(monkeypatch):
    class Interrupted:
        @classmethod
        def from_param(cls, value):
            raise KeyboardInterrupt

    class Context:
        def make_current(self):
            call = ctypes.CDLL(None).abs
            call.argtypes = [Interrupted]
            call(1)

    with pytest.raises(ctypes.ArgumentError):  # what ctypes makes of it
        Context().make_current()
    monkeypatch.setattr(rendering, "_context", [Context()])
    with pytest.raises(KeyboardInterrupt):
        rendering._make_current()
