"""A compiled scene: the arm at its table, fixtures and objects, a little different after each reset.

Nothing is recompiled between resets. Objects are compiled at their largest size and shrunk in the model, so
that MuJoCo's bounding volumes stay valid; colours, masses, light, cameras and fixture positions are edited
as well.
"""

from __future__ import annotations

import math
from dataclasses import replace

import mujoco
import numpy as np
from numpy.typing import ArrayLike

from robot.arms.model import ArmModel
from robot.arms.wx250s import WX250S
from sim.devices import SimArm, SimCamera, SimClock
from sim.physics import Physics
from sim.rendering import SceneRenderer
from sim.scene.cloth import add_cloth
from sim.scene.cloth_state import Cloth
from sim.scene.distractors import Distractors
from sim.scene.fixtures import FIXTURES
from sim.scene.objects import OBJECTS, ObjectKind
from sim.scene.randomise import SceneRandomiser
from sim.scene.shapes import Shape, add_shapes
from sim.scene.spec import FixtureInfo, FixtureSpec, ObjectInfo, ObjectSpec, SceneSpec, Variation
from sim.scene.surroundings import add_other_textures, add_surroundings
from trajectories.errors import ConfigError

_ROOT = 0.03
"""How far fixtures reach into the table, m."""
_CLOTH_AT = (0.28, 0.0)
"""Where a cloth lies until its task puts it somewhere, m."""


class Scene:
    """The arm with a table, fixtures and objects.

    Args:
        spec: What is in it.
        seed: Of the first `randomise`.
        randomise: Whether to vary it once now; without, everything is nominal.
        variation: How much it varies.
        arm: Which arm stands at the table.

    Attributes:
        physics: The world.
        arm: The simulated arm.
        clock: The simulated clock.
        cameras: Names of the cameras: front, side and wrist.

    Raises:
        ConfigError: For an unknown kind or a name used twice.
    """

    cameras: tuple[str, ...] = ("front", "side", "wrist")

    def __init__(
        self,
        spec: SceneSpec,
        seed: int = 0,
        randomise: bool = True,
        variation: Variation | None = None,
        arm: ArmModel = WX250S,
    ) -> None:
        variation = variation or Variation()
        spec = _sized(spec, variation)
        self.spec = spec
        self._fixtures = {fixture.name: fixture for fixture in spec.fixtures}
        self._objects = {item.name: item for item in spec.objects}
        self.physics = Physics(_compile(spec, arm, variation), arm)
        self.arm = SimArm(self.physics)
        self.clock = SimClock(self.physics)
        self._cloth = None if spec.cloth is None else Cloth(self.physics, spec.cloth)
        self._randomiser = SceneRandomiser(self.physics, spec, variation)
        self._renderers: dict[tuple[int, int], SceneRenderer] = {}
        if randomise:
            self.randomise(np.random.default_rng(seed))
        else:
            self.rest()

    # -- changing it --------------------------------------------------------------------------------
    def randomise(self, rng: np.random.Generator) -> None:
        """Draw sizes, colours, masses, friction, light, cameras and fixture positions; then `rest`."""
        self._randomiser.draw(rng)
        self.rest()

    def rest(self) -> None:
        """Arm in neutral with the gripper open, every object at its spec's position, nothing moving."""
        self.physics.reset()
        self._put_back()

    def rearrange(self, rng: np.random.Generator | None) -> None:
        """Vary the scene (None: don't) and put every object back, around the arm, which goes on with what it does."""
        if rng is not None:
            self._randomiser.draw(rng)
        self._put_back()

    def place(self, name: str, xyz: ArrayLike, yaw: float) -> None:
        """Stand an object up, at rest, its bottom centre at `xyz` (m, base frame), turned by `yaw` (rad)."""
        self._object_spec(name)
        self.physics.set_free_body(name, xyz, (math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)))

    def hand(self, name: str) -> None:
        """Put an object between the fingers, where it is grasped, and have them close; the arm stays where it is."""
        info = self.object(name)
        self.physics.set_fingers(info.grasp_width)
        across = self.physics.tip_rotation()[:, 1]
        if across[1] < 0.0:  # half a turn is no difference to the fingers
            across = -across
        position = self.physics.tip_position() - np.array([0.0, 0.0, info.grasp_height])
        self.place(name, position, math.atan2(-across[0], across[1]))

    # -- asking it ----------------------------------------------------------------------------------
    def fixture(self, name: str) -> FixtureInfo:
        """Where a fixture is now.

        Raises:
            ConfigError: When there is none of that name.
        """
        spec = self._fixture_spec(name)
        kind = FIXTURES[spec.kind]
        position = self.physics.model.body_pos[self.physics.body_id(name)].copy()
        position[2] = kind.floor_height
        return FixtureInfo(
            name=name,
            kind=spec.kind,
            position=position,
            half_extent=(kind.half_extent[0] * spec.scale, kind.half_extent[1] * spec.scale),
            floor_height=kind.floor_height,
            rim_height=kind.rim_height,
            yaw=spec.yaw,
            is_round=kind.is_round,
        )

    def object(self, name: str) -> ObjectInfo:
        """What an object is like now (its pose: `Physics.body_pose`).

        Raises:
            ConfigError: When there is none of that name.
        """
        spec = self._object_spec(name)
        kind, scale = OBJECTS[spec.kind], self._randomiser.scale(name)
        return ObjectInfo(
            name=name,
            kind=spec.kind,
            grasp_height=kind.grasp_height * scale,
            grasp_width=kind.grasp_width * scale,
            half_extent=(kind.half_extent[0] * scale, kind.half_extent[1] * scale),
            height=kind.height * scale,
            mass=float(self.physics.model.body_mass[self.physics.body_id(name)]),
            is_round=kind.is_round,
            is_disc=kind.is_disc,
            opening=kind.opening * scale,
            lip=(kind.lip[0] * scale, kind.lip[1] * scale),
        )

    @property
    def cloth(self) -> Cloth:
        """The cloth.

        Raises:
            ConfigError: When there is none.
        """
        if self._cloth is None:
            raise ConfigError("There is no cloth in the scene; give its SceneSpec one.")
        return self._cloth

    def surface_height(self, x: float, y: float) -> float:
        """Height (m) that something put down at (x, y) stands at: a fixture's floor, or 0 for the table."""
        inside = (self.fixture(name) for name in self._fixtures)
        return max((f.floor_height for f in inside if f.contains(x, y)), default=0.0)

    def camera(self, name: str, size: tuple[int, int] = (96, 96), depth: bool = False) -> SimCamera:
        """A camera device of (height, width) pixels, with depth or without.

        Raises:
            ConfigError: When there is no such camera.
        """
        if name not in self.cameras:
            raise ConfigError(f"There is no camera {name!r}; there are {list(self.cameras)}.")
        if size not in self._renderers:
            self._renderers[size] = SceneRenderer(self.physics.model, size)
        return SimCamera(name, self.physics, self._renderers[size], size, depth)

    def close(self) -> None:
        """Free what the cameras hold."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()

    def _put_back(self) -> None:
        for item in self.spec.objects:
            self.place(item.name, (*item.position, self.surface_height(*item.position)), 0.0)
        if self._cloth is not None:
            self._cloth.put(self._cloth.lay(_CLOTH_AT, 0.0))

    def _fixture_spec(self, name: str) -> FixtureSpec:
        if name not in self._fixtures:
            raise ConfigError(f"There is no fixture {name!r} in the scene; there are {sorted(self._fixtures)}.")
        return self._fixtures[name]

    def _object_spec(self, name: str) -> ObjectSpec:
        if name not in self._objects:
            raise ConfigError(f"There is no object {name!r} in the scene; there are {sorted(self._objects)}.")
        return self._objects[name]


def _sized(spec: SceneSpec, variation: Variation) -> SceneSpec:
    """The scene with the ranges of its objects' sizes as wide as they vary; a size that never varies stays."""
    if variation.size == 1.0:
        return spec

    def wider(low: float, high: float) -> tuple[float, float]:
        middle, half = (low + high) / 2, variation.size * (high - low) / 2
        return middle - half, middle + half

    return replace(spec, objects=tuple(replace(item, size=wider(*item.size)) for item in spec.objects))


def _compile(spec: SceneSpec, arm: ArmModel, variation: Variation) -> mujoco.MjModel:
    """Compile the arm, the table and what the spec adds."""
    names = [fixture.name for fixture in spec.fixtures] + [item.name for item in spec.objects]
    names += [] if spec.cloth is None else [spec.cloth.name]
    if len(set(names)) != len(names):
        raise ConfigError(f"Fixtures, objects and cloth of a scene need different names; got {names}.")
    model = mujoco.MjSpec.from_file(str(arm.mjcf))
    add_surroundings(model)
    for fixture in spec.fixtures:
        _add_fixture(model, fixture)
    for item in spec.objects:
        _add_object(model, item)
    if spec.cloth is not None:
        add_cloth(model, spec.cloth)
    if variation.other_textures:
        add_other_textures(model)
    if variation.distractors:
        Distractors(spec, variation.distractors).add(model)
    return model.compile()


def _add_fixture(model: mujoco.MjSpec, spec: FixtureSpec) -> None:
    if spec.kind not in FIXTURES:
        raise ConfigError(f"Unknown kind {spec.kind!r} of fixture {spec.name!r}; choose one of {sorted(FIXTURES)}.")
    kind = FIXTURES[spec.kind]
    body = model.worldbody.add_body(
        name=spec.name,
        pos=(*spec.position, 0.0),
        quat=(math.cos(spec.yaw / 2), 0.0, 0.0, math.sin(spec.yaw / 2)),
    )
    shapes = tuple(_rooted(_widened(shape, spec.scale)) for shape in kind.shapes)
    add_shapes(body, shapes, spec.colour or kind.colour, movable=False, material="smooth")


def _widened(shape: Shape, factor: float) -> Shape:
    """A fixture's shape, larger along x and y only."""
    x, y, z = shape.at
    if shape.kind == "box":
        size: tuple[float, ...] = (shape.size[0] * factor, shape.size[1] * factor, shape.size[2])
    else:
        size = (shape.size[0] * factor, *shape.size[1:])
    return replace(shape, size=size, at=(x * factor, y * factor, z))


def _rooted(shape: Shape) -> Shape:
    """A colliding shape of a fixture, its underside deep in the table: objects don't sink into what is thick."""
    if not shape.touch or shape.axis != (0.0, 0.0, 1.0):
        return shape
    top = shape.at[2] + shape.size[-1]
    half = (top + _ROOT) / 2
    return replace(shape, size=(*shape.size[:-1], half), at=(*shape.at[:2], top - half))


def _add_object(model: mujoco.MjSpec, spec: ObjectSpec) -> None:
    if spec.kind not in OBJECTS:
        raise ConfigError(f"Unknown kind {spec.kind!r} of object {spec.name!r}; choose one of {sorted(OBJECTS)}.")
    kind, scale = OBJECTS[spec.kind], spec.size[1]
    body = model.worldbody.add_body(name=spec.name, pos=(*spec.position, 0.0))
    body.add_freejoint()
    shapes = tuple(
        Shape(
            s.kind, tuple(scale * v for v in s.size), tuple(scale * v for v in s.at),  # type: ignore[arg-type]
            s.tone, s.touch, s.visible, s.axis, s.yaw,
        )
        for s in kind.shapes
    )  # fmt: skip
    add_shapes(body, shapes, spec.colour or kind.colour, movable=True, material="smooth")
    _set_inertia(body, kind, scale)


def _set_inertia(body: mujoco.MjsBody, kind: ObjectKind, scale: float) -> None:
    """Inertia of a solid box of the object's outline around its centre of mass."""
    x, y, z = (scale * 2 * kind.half_extent[0], scale * 2 * kind.half_extent[1], scale * kind.height)
    body.explicitinertial = True
    body.mass = kind.mass
    body.ipos = (0.0, 0.0, kind.balance * z)
    body.inertia = tuple(kind.mass / 12 * v for v in (y * y + z * z, x * x + z * z, x * x + y * y))
