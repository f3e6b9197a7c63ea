"""The graphics processor: for networks, and for rendering without a screen."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from commands.doctor.report import Finding, fail, ok, warn

_NVIDIA = Path("/dev/nvidia0")
_FREE_GIB = 4.0
_RENDER_S = 90.0
_TAIL = 300
_SOFTWARE = ("llvmpipe", "softpipe", "swrast")
_RENDER = """
import time
import mujoco
scene = '<mujoco><worldbody><light pos="0 0 3"/><geom size=".3" rgba="1 0 0 1"/></worldbody></mujoco>'
model = mujoco.MjModel.from_xml_string(scene)
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 96, 96) as renderer:
    start = time.monotonic()
    for _ in range(20):
        renderer.update_scene(data)
        image = renderer.render()
    per_frame = (time.monotonic() - start) / 20
    from OpenGL.GL import GL_RENDERER, glGetString
    print("rendered", int(image.max()), per_frame, glGetString(GL_RENDERER).decode(), sep="|")
"""


def check_gpu() -> Iterator[Finding]:
    """What torch can compute on."""
    import torch

    if not torch.cuda.is_available():
        advice = (
            "The learner trains on the processor, many times slower. With an NVIDIA card: does `nvidia-smi` show it?"
        )
        if _NVIDIA.exists():
            advice = f"There is a card ({_NVIDIA}), but torch {torch.__version__} can't use it: update NVIDIA's driver."
        yield warn("gpu", "no CUDA device", advice)
        return
    name = torch.cuda.get_device_name()
    try:
        free, total = (size / 2**30 for size in torch.cuda.mem_get_info())
        torch.ones(8, device="cuda").sum().item()
    except RuntimeError as error:
        yield fail(
            "gpu", f"{name} doesn't compute: {error}", "Restart the computer or update the driver, or use compute=cpu."
        )
        return
    found = f"{name}, {total:.0f} GiB of memory, {free:.0f} free"
    if free < _FREE_GIB:
        yield warn(
            "gpu", found, "Somebody else uses most of it (`nvidia-smi` says who): training may run out of memory."
        )
    else:
        yield ok("gpu", found)


def check_rendering() -> Iterator[Finding]:
    """Draw a scene with MuJoCo in a process of its own, which a broken driver may take down."""
    way = os.environ.get("MUJOCO_GL", "egl")
    advice = (
        "Install EGL: `sudo apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri libgl1`, and NVIDIA's own driver "
        "where there is such a card. The twin, the virtual arm and `collect` need it."
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", _RENDER],
            env={**os.environ, "MUJOCO_GL": way},
            capture_output=True,
            text=True,
            timeout=_RENDER_S,
            check=False,
            encoding="utf-8",
        )
    except subprocess.TimeoutExpired:
        yield fail("rendering", f"MUJOCO_GL={way} hung for {_RENDER_S:.0f} s", advice)
        return
    lines = [line for line in done.stdout.splitlines() if line.startswith("rendered|")]
    if done.returncode or not lines:
        yield fail("rendering", f"MUJOCO_GL={way} failed: {_last(done.stderr)}", advice)
        return
    _, brightest, seconds, renderer = lines[-1].split("|", 3)
    found = f"MUJOCO_GL={way}, {renderer}, {1e3 * float(seconds):.1f} ms for an image of 96 x 96"
    if int(brightest) == 0:
        yield fail("rendering", f"{found}, all black", advice)
    elif _NVIDIA.exists() and any(name in renderer for name in _SOFTWARE):
        yield warn("rendering", f"{found}: the processor renders in spite of the card", advice)
    else:
        yield ok("rendering", found)


def _last(errors: str) -> str:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return (lines[-1] if lines else "it ended without a word")[-_TAIL:]
