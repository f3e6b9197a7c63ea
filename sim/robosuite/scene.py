"""One of robosuite's environments as the scene of a twin: what `sim.scene.scene.Scene` offers, in its physics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
import robosuite
from numpy.typing import ArrayLike
from robosuite.utils.placement_samplers import UniformRandomSampler

import sim.robosuite.widowx as widowx
from sim.devices import SimArm, SimCamera, SimClock
from sim.physics import Physics
from sim.rendering import load_triton
from sim.robosuite.controllers import controller_settings
from sim.robosuite.drawing import make_current
from sim.robosuite.draws import Draws
from sim.robosuite.physics import ORIGIN, Body, RobosuitePhysics
from sim.robosuite.tasks import RobosuiteTask
from sim.scene.spec import FixtureInfo, ObjectInfo, SceneSpec
from sim.scene.surroundings import look_at
from trajectories.errors import ConfigError
from trajectories.types import Float64, UInt8

CAMERAS = {"front": "agentview", "side": "sideview", "top": "birdview", "wrist": "gripper0_right_eye_in_hand"}
"""Our name of a camera, by its role -> robosuite's."""
_CUBES = {"cube": 0.016, "cubeA": 0.016, "cubeB": 0.02}
"""m, half a side: smaller than robosuite's own, whose 40 to 44 mm fill our gripper's 44."""


class RobosuiteScene:
    """robosuite's scene around our arm.

    Attributes:
        physics: The world.
        arm: The simulated arm.
        clock: The simulated clock.
        cameras: Names of the cameras.
        world: robosuite's environment.
    """

    cameras: tuple[str, ...] = tuple(CAMERAS)

    def __init__(self, task: RobosuiteTask, cameras: Sequence[str] = ()) -> None:
        """Make the environment; nothing is compiled again later.

        Args:
            task: Which.
            cameras: Whether any image is wanted decides whether a renderer is made.

        Raises:
            ConfigError: There is no such camera.
        """
        unknown = [name for name in cameras if name not in CAMERAS]
        if unknown:
            raise ConfigError(f"There is no camera {unknown[0]!r}; robosuite's world has {', '.join(CAMERAS)}.")
        if cameras:
            load_triton()
        self._draws = Draws(0)
        with self._draws.taken():
            self.world = _small(task.environment)(
                robots=[widowx.ROBOT],
                controller_configs=controller_settings(None, [widowx.ROBOT]),
                use_camera_obs=False,
                has_renderer=False,
                has_offscreen_renderer=bool(cameras),
                renderer="mujoco",
                ignore_done=True,
                hard_reset=False,
                **_placed(task.environment),
                **(task.settings or {}),
            )
            self.world.reset()
        self.spec = SceneSpec((), ())
        self._objects = {name: getattr(self.world, attribute) for name, attribute in (task.bodies or {}).items()}
        bodies = {name: Body(item.root_body, _half(item)) for name, item in self._objects.items()}
        self.physics: Physics = RobosuitePhysics(self.world.sim, bodies)
        aim(self.physics.model, CAMERAS["front"], *task.front)
        self.arm, self.clock = SimArm(self.physics), SimClock(self.physics)

    def rearrange(self, rng: np.random.Generator | None) -> None:
        """Robosuite's own reset, drawn by `rng` (None: as before, anew)."""
        if rng is not None:
            self._draws.begin(int(rng.integers(2**32)))
        with self._draws.taken():
            self.world.reset()
        self.physics.changed()

    def checked(self) -> bool:
        """Robosuite's own check of success."""
        self.physics.refresh()
        return bool(self.world._check_success())

    def place(self, name: str, xyz: ArrayLike, yaw: float) -> None:
        """Stand an object up, at rest, its bottom centre at `xyz` (m, base frame), turned by `yaw` (rad)."""
        self.physics.set_free_body(name, xyz, (math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)))

    def object(self, name: str) -> ObjectInfo:
        """What an object is like.

        Raises:
            ConfigError: When there is none of that name.
        """
        if name not in self._objects:
            raise ConfigError(f"There is no object {name!r} in the scene; there are {sorted(self._objects)}.")
        half = _half(self._objects[name])
        mass = float(self.physics.model.body_mass[self.physics.body_id(name)])
        return ObjectInfo(name, "cube", half, 2 * half, (half, half), 2 * half, mass, False, False)

    def fixture(self, name: str) -> FixtureInfo:
        """Nothing: robosuite's tables have no fixtures.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(f"There is no fixture {name!r} in robosuite's world.")

    def surface_height(self, x: float, y: float) -> float:
        """Height (m) that something put down at (x, y) stands at: that of the table."""
        return 0.0

    def hinge(self) -> float:
        """Angle of the door, rad; 0 is shut."""
        return float(self.physics.data.qpos[self.world.hinge_qpos_addr])

    def door(self) -> tuple[Float64, Float64]:
        """Hinge (2,), m in the arm's base frame, and the direction (2,) from it along the shut door's panel."""
        self.physics.refresh()
        world, data, angle = self.world, self.physics.data, self.hinge()
        hinge = data.xanchor[self.physics.model.joint(world.door.joints[0]).id][:2]
        along = data.xpos[world.object_body_ids["door"]][:2] - hinge
        along = along / np.linalg.norm(along)
        c, s = math.cos(-angle), math.sin(-angle)
        return hinge - ORIGIN[:2], np.array([c * along[0] - s * along[1], s * along[0] + c * along[1]])

    def set_hinge(self, angle: float) -> None:
        """Turn the door, at rest."""
        self.physics.data.qpos[self.world.hinge_qpos_addr] = angle
        self.physics.changed()

    def camera(self, name: str, size: tuple[int, int] = (96, 96)) -> SimCamera:
        """A camera device of (height, width) pixels."""
        return SimCamera(CAMERAS[name], self.physics, _Renderer(self.world), size)  # type: ignore[arg-type]

    def close(self) -> None:
        """Free what the cameras hold."""
        make_current(self.world)
        self.world.close()


def aim(model: mujoco.MjModel, camera: str, place: tuple[float, ...], target: tuple[float, ...]) -> None:
    """Put a camera at `place` (m, base frame), upright, looking at `target`: robosuite's own look at a larger arm."""
    index = model.camera(camera).id
    model.cam_pos[index], model.cam_quat[index] = ORIGIN + place, look_at(place, target)


class _Renderer:
    """robosuite's own renderer behind the method of `sim.rendering.SceneRenderer`."""

    def __init__(self, world: Any) -> None:
        self._world = world

    def render(self, physics: Physics, name: str, size: tuple[int, int]) -> UInt8:
        """The view of a camera, uint8 (H, W, 3), the right way up."""
        physics.refresh()
        make_current(self._world)
        seen = self._world.sim.render(camera_name=name, height=size[0], width=size[1])
        return np.ascontiguousarray(seen[::-1])


def _placed(environment: str) -> dict[str, Any]:
    """Where the door stands: to the arm's right, since this arm, shorter than a Panda, would stand in its panel."""
    if environment != "Door":
        return {}
    sampler = UniformRandomSampler(
        name="ObjectSampler",
        x_range=[0.07, 0.09],
        y_range=[-0.13, -0.11],
        rotation=(-math.pi / 2 - 0.05, -math.pi / 2 + 0.05),
        rotation_axis="z",
        ensure_object_boundary_in_range=False,
        ensure_valid_placement=True,
        reference_pos=np.array((0.0, 0.0, widowx.TABLE_Z)),
    )
    return {"placement_initializer": sampler}


def _half(item: Any) -> float:
    return float(item.size[2])


def _small(environment: str) -> type:
    """Robosuite's environment with cubes that fit between our fingers."""
    base = robosuite.environments.base.REGISTERED_ENVS[environment]

    def load(self: Any) -> None:
        base._load_model(self)
        for attribute, half in _CUBES.items():
            _shrink(getattr(self, attribute, None), half)

    # robosuite's metaclass registers what is made here under its name, which is put back
    made = type(environment, (base,), {"_load_model": load})
    robosuite.environments.base.REGISTERED_ENVS[environment] = base
    return made


def _shrink(item: Any, half: float) -> None:
    """Make a box smaller before it is compiled."""
    if item is not None:
        item.size = [half, half, half]
        for geom in item.get_obj().iter("geom"):
            geom.set("size", f"{half} {half} {half}")
