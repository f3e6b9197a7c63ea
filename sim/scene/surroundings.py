"""Table, floor, light and cameras of every scene, and the textures on them."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import ArrayLike

from sim.scene.shapes import ARM_BIT, FIXTURE_BIT, FIXTURE_FRICTION, HIDDEN_GROUP, VISIBLE_GROUP, axis_quaternion
from trajectories.types import Float64, UInt8

TABLES = ("oak", "slate", "birch", "linen", "plain")
OTHER_TABLES = ("checks", "stripes", "terrazzo", "marble", "rings")
"""As many as `TABLES`, and like none of them."""
OBJECT_MATERIALS = ("smooth", "speckled")
OTHER_MATERIALS = ("checked", "shaded")
"""The same of `OBJECT_MATERIALS`."""
TABLE_GEOM = "table"
LIGHTS = {"key": ((0.3, -0.8, 1.1), 0.5), "fill": ((0.5, 1.0, 0.9), 0.22)}
"""Name -> where it shines from, and its strength."""
WALLS = (("wall_back", (-2.0, 0.0, 1.0), (1.0, 0.0, 0.0)), ("wall_left", (0.0, 2.0, 1.0), (0.0, -1.0, 0.0)))
"""Name, position, normal."""

FRONT_POSITION = (0.62, 0.0, 0.50)
FRONT_TARGET = (0.275, 0.0, 0.03)
FRONT_FOVY = 36.0
SIDE_POSITION = (0.66, -0.62, 0.42)
SIDE_TARGET = (0.14, 0.0, 0.15)


def look_at(position: ArrayLike, target: ArrayLike) -> Float64:
    """Unit quaternion (4,), w first, of a camera at `position` looking at `target`, z up in the image."""
    eye, point = np.asarray(position, float), np.asarray(target, float)
    backward = eye - point
    backward /= np.linalg.norm(backward)
    right = np.cross([0.0, 0.0, 1.0], backward)
    right /= np.linalg.norm(right)
    matrix = np.column_stack([right, np.cross(backward, right), backward])
    quaternion = np.empty(4)
    mujoco.mju_mat2Quat(quaternion, matrix.ravel())
    return quaternion


def table_texture(name: str, size: int = 128) -> UInt8:
    """uint8 (size, size, 3) picture of a table's surface, always the same for a name."""
    rng = np.random.default_rng([ord(c) for c in name])
    y, x = np.mgrid[0:size, 0:size] / size
    noise = rng.normal(size=(size, size))
    if name in ("oak", "birch"):
        base = np.array([0.66, 0.50, 0.34]) if name == "oak" else np.array([0.83, 0.74, 0.60])
        warp = np.cumsum(rng.normal(size=size)) / size
        planks = np.floor(y * 4)
        grain = np.sin(2 * np.pi * (22 * y + 1.5 * warp[None, :] + 0.7 * planks + 0.4 * np.sin(5 * x)))
        value = 1.0 + 0.05 * grain + 0.015 * noise + 0.06 * np.sin(3.1 * planks)
        value[(y * 4) % 1.0 < 0.02] *= 0.8
    elif name == "slate":
        base = np.array([0.36, 0.39, 0.42])
        cloud = np.kron(rng.normal(size=(8, 8)), np.ones((size // 8, size // 8)))
        value = 1.0 + 0.03 * cloud + 0.04 * noise
    elif name == "linen":
        base = np.array([0.70, 0.72, 0.70])
        value = 1.0 + 0.06 * np.sin(2 * np.pi * 32 * x) * np.sin(2 * np.pi * 32 * y) + 0.02 * noise
    elif name in OTHER_TABLES:
        return _other_texture(name, x, y, rng)
    else:
        base = np.array([0.62, 0.62, 0.60])
        value = np.ones((size, size))
    return (255 * np.clip(value[:, :, None] * base, 0, 1)).astype(np.uint8)


def _other_texture(name: str, x: Float64, y: Float64, rng: np.random.Generator) -> UInt8:
    """uint8 (H, W, 3) picture of one of `OTHER_TABLES`; x and y are its pixels' places, 0 ... 1."""
    if name == "checks":
        share = (np.floor(8 * x) + np.floor(8 * y)) % 2
        dark, light = np.array([0.30, 0.45, 0.62]), np.array([0.88, 0.88, 0.84])
    elif name == "stripes":
        share = (np.sin(2 * np.pi * 6 * (x + y)) > 0).astype(float)
        dark, light = np.array([0.62, 0.32, 0.28]), np.array([0.86, 0.80, 0.70])
    elif name == "terrazzo":
        spots = rng.random((60, 2))
        nearest = np.min([np.hypot(x - a, y - b) for a, b in spots], axis=0)
        share = (nearest > 0.03).astype(float)
        dark, light = np.array([0.25, 0.42, 0.36]), np.array([0.78, 0.76, 0.72])
    elif name == "marble":
        share = (
            np.abs(np.sin(2 * np.pi * (2 * x + 0.6 * np.sin(2 * np.pi * 3 * y)) + 0.8 * np.sin(14 * (x - y)))) ** 0.3
        )
        dark, light = np.array([0.35, 0.33, 0.38]), np.array([0.92, 0.91, 0.93])
    else:
        share = 0.5 + 0.5 * np.sin(2 * np.pi * 10 * np.hypot(x - 0.5, y - 0.5))
        dark, light = np.array([0.42, 0.36, 0.52]), np.array([0.76, 0.72, 0.60])
    return (255 * (dark + share[:, :, None] * (light - dark))).astype(np.uint8)


def add_other_textures(spec: mujoco.MjSpec) -> None:
    """Add `OTHER_TABLES` and `OTHER_MATERIALS` to a model."""
    for name in OTHER_TABLES:
        _add_table_material(spec, name)
    for name, builtin in zip(
        OTHER_MATERIALS, (mujoco.mjtBuiltin.mjBUILTIN_CHECKER, mujoco.mjtBuiltin.mjBUILTIN_GRADIENT), strict=True
    ):
        texture = spec.add_texture(
            name=name, type=mujoco.mjtTexture.mjTEXTURE_CUBE, builtin=builtin, width=32, height=32
        )
        texture.rgb1, texture.rgb2 = (1, 1, 1), (0.45, 0.45, 0.45)
        material = spec.add_material(name=name, specular=0.1, shininess=0.1)
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name


def _add_table_material(spec: mujoco.MjSpec, name: str) -> None:
    texture = spec.add_texture(name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, width=128, height=128, nchannel=3)
    texture.data = table_texture(name).tobytes()
    material = spec.add_material(name=name, texrepeat=(2.0, 2.0), specular=0.1, shininess=0.1)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name


def add_surroundings(spec: mujoco.MjSpec) -> None:
    """Add the table (top at z = 0), the floor, two lights and the cameras `front` and `side` to a model.

    What objects and the arm meet is a plane at z = 0, which has no edge and can't be sunk through: a box this flat
    pushes out sideways what has been pressed into it. The table's box and the floor are only drawn.
    """
    for name in TABLES:
        _add_table_material(spec, name)
    spec.add_material(name="smooth", specular=0.3, shininess=0.4, rgba=(1, 1, 1, 1))
    speckles = spec.add_texture(
        name="speckles", type=mujoco.mjtTexture.mjTEXTURE_CUBE, builtin=mujoco.mjtBuiltin.mjBUILTIN_FLAT,
        mark=mujoco.mjtMark.mjMARK_RANDOM, random=0.06, width=32, height=32,
    )  # fmt: skip
    speckles.rgb1, speckles.rgb2, speckles.markrgb = (1, 1, 1), (1, 1, 1), (0.6, 0.6, 0.6)
    speckled = spec.add_material(name="speckled", specular=0.1, shininess=0.1)
    speckled.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "speckles"

    world = spec.worldbody
    world.add_geom(
        name=TABLE_GEOM, type=mujoco.mjtGeom.mjGEOM_BOX, size=(0.42, 0.60, 0.02), pos=(0.22, 0, -0.02),
        material=TABLES[0], rgba=(1, 1, 1, 1), group=VISIBLE_GROUP, contype=0, conaffinity=0,
    )  # fmt: skip
    world.add_geom(
        name="table_top", type=mujoco.mjtGeom.mjGEOM_PLANE, size=(4, 4, 1), group=HIDDEN_GROUP,
        friction=FIXTURE_FRICTION, contype=FIXTURE_BIT, conaffinity=ARM_BIT, condim=3,
    )  # fmt: skip
    world.add_geom(
        name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=(4, 4, 1), pos=(0, 0, -0.75), material="smooth",
        rgba=(0.33, 0.35, 0.38, 1), group=VISIBLE_GROUP, contype=0, conaffinity=0,
    )  # fmt: skip
    for name, position, direction in WALLS:
        world.add_geom(
            name=name, type=mujoco.mjtGeom.mjGEOM_PLANE, size=(4, 4, 1), pos=position,
            quat=axis_quaternion(direction), material="smooth", rgba=(0.80, 0.80, 0.77, 1),
            group=VISIBLE_GROUP, contype=0, conaffinity=0,
        )  # fmt: skip
    for name, (position, strength) in LIGHTS.items():
        light = world.add_light(name=name, pos=position, dir=tuple(-np.array(position)), castshadow=False)
        light.type = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
        light.diffuse, light.specular = (strength,) * 3, (0.15, 0.15, 0.15)
    world.add_camera(name="front", pos=FRONT_POSITION, quat=look_at(FRONT_POSITION, FRONT_TARGET), fovy=FRONT_FOVY)
    world.add_camera(name="side", pos=SIDE_POSITION, quat=look_at(SIDE_POSITION, SIDE_TARGET), fovy=40)
    spec.visual.headlight.ambient = (0.33, 0.33, 0.33)
    spec.visual.headlight.diffuse = (0.08, 0.08, 0.08)
    spec.visual.headlight.specular = (0, 0, 0)
    spec.visual.map.znear = 0.02
