"""Varying a compiled scene in place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from sim.physics import Physics
from sim.scene.cloth import WEAVES
from sim.scene.distractors import Distractors
from sim.scene.fixtures import FIXTURES
from sim.scene.objects import OBJECTS
from sim.scene.shapes import OBJECT_FRICTION, PAD_PRIORITY, Shape, tint
from sim.scene.spec import ClothSpec, Colour, SceneSpec, Variation
from sim.scene.surroundings import (
    FRONT_POSITION,
    FRONT_TARGET,
    LIGHTS,
    OBJECT_MATERIALS,
    OTHER_MATERIALS,
    OTHER_TABLES,
    TABLE_GEOM,
    TABLES,
    look_at,
)
from trajectories.types import Float64, Int64


@dataclass(frozen=True)
class _Part:
    """Geoms and nominal values of one fixture or object."""

    body: int
    geoms: Int64
    shapes: tuple[Shape, ...]
    colour: Colour


class SceneRandomiser:
    """Draws what varies between resets and writes it into the model.

    Args:
        physics: The compiled scene, as compiled.
        spec: What it was compiled from.
        variation: How much varies.
    """

    def __init__(self, physics: Physics, spec: SceneSpec, variation: Variation) -> None:
        self._physics = physics
        self._model = physics.model
        self._spec = spec
        self._variation = variation
        model = physics.model
        self._scratch = mujoco.MjData(model)
        self._fixtures = {
            f.name: self._part(f.name, FIXTURES[f.kind].shapes, f.colour or FIXTURES[f.kind].colour)
            for f in spec.fixtures
        }
        self._objects = {
            o.name: self._part(o.name, OBJECTS[o.kind].shapes, o.colour or OBJECTS[o.kind].colour) for o in spec.objects
        }
        self._sizes: Float64 = model.geom_size.copy()
        self._positions: Float64 = model.geom_pos.copy()
        self._masses: Float64 = model.body_mass.copy()
        self._inertias: Float64 = model.body_inertia.copy()
        self._centres: Float64 = model.body_ipos.copy()
        self._light_positions: Float64 = model.light_pos.copy()
        self._light_diffuse: Float64 = model.light_diffuse.copy()
        self._pads = np.flatnonzero(model.geom_priority == PAD_PRIORITY)
        self._pad_friction: Float64 = model.geom_friction[self._pads, 0].copy()
        self._cloth_friction = 0.0 if spec.cloth is None else float(model.flex_friction[0, 0])
        other = variation.other_textures
        self._tables = [model.material(name).id for name in (OTHER_TABLES if other else TABLES)]
        self._materials = [model.material(name).id for name in (OTHER_MATERIALS if other else OBJECT_MATERIALS)]
        self._distractors = Distractors(spec, variation.distractors) if variation.distractors else None
        self._scales = {o.name: o.size[1] for o in spec.objects}
        for item in spec.objects:
            self._resize(item.name, min(1.0, item.size[1]), 1.0, 1.0)
        mujoco.mj_setConst(model, self._scratch)

    def scale(self, name: str) -> float:
        """Present size of an object relative to its kind's nominal size."""
        return self._scales[name]

    def draw(self, rng: np.random.Generator) -> None:
        """Draw everything anew."""
        self._draw_surroundings(rng)
        self._draw_fixtures(rng)
        self._draw_objects(rng)
        self._draw_pads(rng)
        if self._spec.cloth is not None:
            self._draw_cloth(self._spec.cloth, rng)
        if self._distractors is not None:
            self._distractors.draw(self._model, rng)
        mujoco.mj_setConst(self._model, self._scratch)
        self._physics.changed()

    def _draw_surroundings(self, rng: np.random.Generator) -> None:
        model, vary = self._model, self._variation
        table = model.geom(TABLE_GEOM).id
        choice = int(rng.integers(len(self._tables)))
        model.geom_matid[table] = self._tables[choice if vary.tables else 0]
        # a shade below white: an rgba of MuJoCo's default grey would be ignored
        model.geom_rgba[table, :3] = np.clip(0.95 + _shift(rng, 3, vary.least_colour) * 0.5 * vary.colour, 0.0, 1.0)
        for name in LIGHTS:
            light = model.light(name).id
            position = self._light_positions[light] + _shift(rng, 3, vary.least_light) * vary.light
            model.light_pos[light] = position
            model.light_dir[light] = -position / np.linalg.norm(position)
            strength = 1 + float(_shift(rng, 1, vary.least_light)[0]) * vary.light
            model.light_diffuse[light] = self._light_diffuse[light] * strength
        camera = model.camera("front").id
        position = np.asarray(FRONT_POSITION) + _shift(rng, 3, vary.least_camera) * vary.camera_position
        target = np.asarray(FRONT_TARGET) + _shift(rng, 3, vary.least_camera) * vary.camera_target
        model.cam_pos[camera] = position
        model.cam_quat[camera] = look_at(position, target)

    def _draw_fixtures(self, rng: np.random.Generator) -> None:
        for spec in self._spec.fixtures:
            part = self._fixtures[spec.name]
            self._model.body_pos[part.body, :2] = np.asarray(spec.position) + rng.uniform(-1, 1, 2) * spec.jitter
            self._paint(part, rng)

    def _draw_objects(self, rng: np.random.Generator) -> None:
        vary, sizes = self._variation, _Sizes(self._variation.least_size)
        for spec in self._spec.objects:
            part = self._objects[spec.name]
            self._paint(part, rng)
            self._model.geom_matid[part.geoms] = self._materials[int(rng.integers(len(self._materials)))]
            mass, friction = 1 + rng.uniform(-1, 1) * vary.mass, self._slipperiness(rng)
            self._resize(spec.name, sizes.draw(rng, *spec.size), mass, friction)

    def _draw_pads(self, rng: np.random.Generator) -> None:
        """What the grip holds by: a contact takes the pads' friction, not the object's."""
        self._model.geom_friction[self._pads, 0] = self._pad_friction * self._slipperiness(rng)

    def _slipperiness(self, rng: np.random.Generator) -> float:
        """A factor on a friction."""
        return 1 + float(_shift(rng, 1, self._variation.least_friction)[0]) * self._variation.friction

    def _draw_cloth(self, spec: ClothSpec, rng: np.random.Generator) -> None:
        """Colour, weave and how slippery it is."""
        model, vary = self._model, self._variation
        flex = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_FLEX, spec.name)
        shift = rng.uniform(-1, 1, 3) * spec.colour_range + _shift(rng, 3, vary.least_colour) * 0.5 * vary.colour
        model.flex_rgba[flex, :3] = np.clip(np.asarray(spec.colour) + shift, 0.05, 0.98)
        model.flex_matid[flex] = model.material(WEAVES[int(rng.integers(len(WEAVES)))]).id
        model.flex_friction[flex, 0] = self._cloth_friction * self._slipperiness(rng)

    def _paint(self, part: _Part, rng: np.random.Generator) -> None:
        vary = self._variation
        shift = _shift(rng, 3, vary.least_colour) * 0.5 * vary.colour + rng.uniform(-0.5, 0.5) * vary.colour
        red, green, blue = np.clip(np.asarray(part.colour) + shift, 0.02, 0.98)
        for geom, shape in zip(part.geoms, part.shapes, strict=True):
            self._model.geom_rgba[geom] = tint(shape.tone, (float(red), float(green), float(blue)))

    def _resize(self, name: str, scale: float, mass: float, friction: float) -> None:
        """Set an object's size, mass and friction, each relative to its nominal one."""
        model, part = self._model, self._objects[name]
        spec = next(o for o in self._spec.objects if o.name == name)
        ratio = scale / spec.size[1]
        model.geom_size[part.geoms] = self._sizes[part.geoms] * ratio
        model.geom_pos[part.geoms] = self._positions[part.geoms] * ratio
        model.geom_friction[part.geoms, 0] = OBJECT_FRICTION[0] * friction
        model.body_ipos[part.body] = self._centres[part.body] * ratio
        model.body_mass[part.body] = self._masses[part.body] * mass
        model.body_inertia[part.body] = self._inertias[part.body] * mass * ratio**2
        self._scales[name] = scale

    def _part(self, name: str, shapes: tuple[Shape, ...], colour: Colour) -> _Part:
        body = self._physics.body_id(name)
        first, count = int(self._model.body_geomadr[body]), int(self._model.body_geomnum[body])
        return _Part(body, np.arange(first, first + count), shapes, colour)


class _Sizes:
    """Draws objects' sizes; far from the middles of their ranges, all of them by the same share (`Variation.size`)."""

    def __init__(self, least: float) -> None:
        self._least = least
        self._away: float | None = None

    def draw(self, rng: np.random.Generator, low: float, high: float) -> float:
        """A size of low ... high; always one number of the generator."""
        drawn = float(rng.uniform(low, high))
        if not self._least or low == high:
            return drawn
        middle, half = (low + high) / 2, (high - low) / 2
        if self._away is None:
            self._away = float(_outward((drawn - middle) / half, self._least))
        return middle + half * self._away


def _shift(rng: np.random.Generator, count: int, least: float) -> Float64:
    """Uniform draws (count,) of -1 ... 1 that are at least `least` from 0."""
    return _outward(rng.uniform(-1, 1, count), least)


def _outward(drawn: Any, least: float) -> Any:
    """What was drawn of -1 ... 1, a number or an array, moved outward so that nothing is nearer to 0 than `least`."""
    return np.copysign(least + (1.0 - least) * np.abs(drawn), drawn)
