"""Primitive shapes that fixtures and objects are drawn from, and how they become MuJoCo geoms."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import mujoco
import numpy as np

from sim.scene.spec import Colour
from trajectories.types import Float64

Kind = Literal["box", "cylinder", "capsule", "sphere", "ellipsoid"]
TYPES: dict[Kind, mujoco.mjtGeom] = {
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
    "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
    "ellipsoid": mujoco.mjtGeom.mjGEOM_ELLIPSOID,
}
OBJECT_BIT, FIXTURE_BIT, ARM_BIT = 2, 4, 1
HIDDEN_GROUP, VISIBLE_GROUP = 3, 1
OBJECT_FRICTION = (0.8, 0.01, 0.0001)
OBJECT_SOLREF, OBJECT_SOLIMP = (0.01, 2.0), (0.99, 0.9995, 0.0005)
"""Stiff enough that an object of 40 g doesn't sink into the table under a servo's stall torque: MuJoCo scales a
contact's stiffness with the lighter body's mass. Damped twice as much as critical: what is pinched and comes free isn't
shot away."""
OBJECT_PRIORITY, PAD_PRIORITY = 1, 2
"""An object's contacts are as stiff and slippery as the object says; a finger pad (its arm's MJCF) has its own."""
FIXTURE_FRICTION = (0.6, 0.005, 0.0001)


@dataclass(frozen=True)
class Shape:
    """One primitive in its body's frame.

    Attributes:
        kind: Primitive.
        size: MuJoCo's half sizes, m: (x, y, z), (radius, half length) or (radius,).
        at: Centre, m.
        tone: How its colour follows from the body's: see `tint`.
        touch: Whether it collides.
        visible: Whether it is drawn.
        axis: Direction of its z axis.
        yaw: Rotation about z, rad (boxes; only with the default axis).
    """

    kind: Kind
    size: tuple[float, ...]
    at: tuple[float, float, float]
    tone: str = "main"
    touch: bool = True
    visible: bool = True
    axis: tuple[float, float, float] = (0.0, 0.0, 1.0)
    yaw: float = 0.0


def tint(tone: str, colour: Colour) -> tuple[float, float, float, float]:
    """RGBA of a tone of a colour: main, dark, light, or one of the fixed metal, black, white, green."""
    base = np.asarray(colour, float)
    tones = {
        "main": base,
        "dark": 0.55 * base,
        "light": base + 0.45 * (1.0 - base),
        "metal": np.array([0.78, 0.79, 0.82]),
        "black": np.array([0.10, 0.10, 0.11]),
        "white": np.array([0.93, 0.93, 0.90]),
        "green": np.array([0.20, 0.52, 0.16]),
    }
    red, green, blue = np.clip(tones[tone], 0.0, 1.0)
    return float(red), float(green), float(blue), 1.0


def axis_quaternion(axis: tuple[float, float, float]) -> Float64:
    """Unit quaternion (4,), w first, that turns z into `axis`."""
    quaternion = np.empty(4)
    mujoco.mju_quatZ2Vec(quaternion, np.asarray(axis, float) / np.linalg.norm(axis))
    return quaternion


def add_shapes(body: mujoco.MjsBody, shapes: Iterable[Shape], colour: Colour, *, movable: bool, material: str) -> None:
    """Add shapes to a body as geoms named `<body>/<index>`; movable ones are objects, others fixtures."""
    for index, shape in enumerate(shapes):
        size = (*shape.size, 0.0, 0.0)[:3]
        geom = body.add_geom(
            name=f"{body.name}/{index}",
            type=TYPES[shape.kind],
            size=size,
            pos=shape.at,
            material=material,
            rgba=tint(shape.tone, colour),
            group=VISIBLE_GROUP if shape.visible else HIDDEN_GROUP,
            mass=0.0,
            condim=4 if movable else 3,
            friction=OBJECT_FRICTION if movable else FIXTURE_FRICTION,
            priority=OBJECT_PRIORITY if movable else 0,
            contype=0 if not shape.touch else OBJECT_BIT if movable else FIXTURE_BIT,
            conaffinity=0 if not shape.touch else OBJECT_BIT | FIXTURE_BIT | ARM_BIT if movable else ARM_BIT,
        )
        if movable:
            geom.solref[:] = OBJECT_SOLREF
            geom.solimp[:3] = OBJECT_SOLIMP
        if shape.axis != (0.0, 0.0, 1.0):
            geom.quat = axis_quaternion(shape.axis)
        elif shape.yaw:
            geom.quat = (math.cos(shape.yaw / 2), 0.0, 0.0, math.sin(shape.yaw / 2))
