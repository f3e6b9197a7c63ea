"""A cloth of a scene as MuJoCo's flex: a net of point masses with a tag that can be gripped.

Nothing holds the cloth but friction. Its layers don't collide with each other: they come to lie in one plane. The
numbers are a compromise for 2 ms steps. Stretching is integrated explicitly, so that its stiffness is bounded by the
inertia of a node; `_ARMATURE` adds inertia without weight. MuJoCo makes at most 50 contacts between a flex and the
table, hence 49 nodes.
"""

from __future__ import annotations

import mujoco
import numpy as np

from sim.scene.shapes import (
    ARM_BIT,
    FIXTURE_BIT,
    OBJECT_BIT,
    OBJECT_SOLIMP,
    OBJECT_SOLREF,
    PAD_PRIORITY,
    VISIBLE_GROUP,
)
from sim.scene.spec import ClothSpec
from trajectories.types import Float64, UInt8

ROWS, COLUMNS = 7, 7
"""Nodes along x and y; row 0 is the far edge, on the arm's side, the last row the near edge."""
TAG = (ROWS - 1) * COLUMNS + COLUMNS // 2
"""Index of the tag's node."""
RADIUS = 0.003
"""Half of the thickness that collides, m."""
WEAVES = ("cloth_plain", "cloth_stripes", "cloth_checks", "cloth_terry")
"""Materials that a cloth may have."""
TAG_RADIUS, TAG_HALF_LENGTH = 0.007, 0.004
TAG_CENTRE = 0.009
"""Height of the tag's middle over its node, m."""

FINGERS = ("left_finger_link", "right_finger_link")

_STEP_S = 0.002
_MASS, _TAG_MASS = 0.02, 0.008
_ARMATURE = 0.004
_DRAG = 0.005
"""Of the air, N s/m a node."""
_YOUNG, _POISSON, _THICKNESS, _DAMPING = 3e4, 0.2, 0.005, 0.001
_STRETCH_AND_BEND = 3
_FRICTION, _TAG_FRICTION = (0.5, 0.01, 0.001), (1.2, 0.02, 0.0001)
_SOLREF = (0.01, 1.0)
_PRIORITY = PAD_PRIORITY + 1
_CLOTH_BIT, _TAG_BIT = 8, 16
_TEXELS = 64


def add_cloth(model: mujoco.MjSpec, spec: ClothSpec) -> None:
    """Add a cloth to a model, lying flat around the origin of the base frame; the model's step gets 2 ms.

    Args:
        model: With table and arm; the cloth's joints come after those already there.
        spec: The cloth.
    """
    names = node_names(spec)
    for index, (name, place) in enumerate(zip(names, flat_nodes(spec), strict=True)):
        body = model.worldbody.add_body(name=name, pos=place)
        body.explicitinertial = True
        body.mass = _MASS / len(names) + (_TAG_MASS if index == TAG else 0.0)
        body.inertia = (1e-5, 1e-5, 1e-5)
        for axis in np.eye(3):
            joint = body.add_joint(type=mujoco.mjtJoint.mjJNT_SLIDE, axis=axis, armature=_ARMATURE)
            joint.damping[0] = _DRAG
        if index == TAG:
            _add_tag(body)
    for finger in FINGERS:  # all of it: cloth may hang over what solid objects never get to
        for geom in model.body(finger).geoms:
            geom.contype |= _CLOTH_BIT
    _add_weaves(model)
    _add_flex(model, spec, names)
    model.option.timestep = _STEP_S
    model.option.cone = mujoco.mjtCone.mjCONE_PYRAMIDAL  # an elliptic one makes light nodes unstable between pads


def node_names(spec: ClothSpec) -> list[str]:
    """Names of the bodies of the nodes, row by row."""
    return [spec.name if index == TAG else f"{spec.name}/{index}" for index in range(ROWS * COLUMNS)]


def flat_nodes(spec: ClothSpec) -> Float64:
    """float64 (ROWS * COLUMNS, 3) m: the nodes of the cloth that lies flat on the table around the origin."""
    x, y = np.meshgrid(
        np.linspace(-0.5, 0.5, ROWS) * spec.size[0], np.linspace(-0.5, 0.5, COLUMNS) * spec.size[1], indexing="ij"
    )
    return np.stack([x, y, np.full_like(x, RADIUS)], axis=-1).reshape(-1, 3)


def triangles() -> list[tuple[int, int, int]]:
    """Nodes of every triangle; diagonals alternate."""
    found = []
    for row in range(ROWS - 1):
        for column in range(COLUMNS - 1):
            a = row * COLUMNS + column
            b, c, d = a + COLUMNS, a + COLUMNS + 1, a + 1
            found += [(a, b, c), (a, c, d)] if (row + column) % 2 == 0 else [(a, b, d), (b, c, d)]
    return found


def weave_texture(name: str) -> UInt8:
    """uint8 (64, 64, 3) picture of a weave, always the same for a name; a cloth's colour is multiplied with it."""
    rng = np.random.default_rng([ord(letter) for letter in name])
    y, x = np.mgrid[0:_TEXELS, 0:_TEXELS] / _TEXELS
    value = np.ones((_TEXELS, _TEXELS))
    if name == "cloth_stripes":
        value = np.where((x * 6) % 1.0 < 0.3, 0.72, 1.0)
    elif name == "cloth_checks":
        value = 1.0 - 0.18 * ((x * 5) % 1.0 < 0.4) - 0.18 * ((y * 5) % 1.0 < 0.4)
    elif name == "cloth_terry":
        value = 0.93 + 0.07 * rng.normal(size=value.shape)
    edge = np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y)) < 0.03
    value = np.where(edge, 0.85 * value, value)
    return (255 * np.clip(np.repeat(value[:, :, None], 3, axis=2), 0, 1)).astype(np.uint8)


def _add_tag(body: mujoco.MjsBody) -> None:
    tag = body.add_geom(
        name=f"{body.name}/tag",
        type=mujoco.mjtGeom.mjGEOM_CAPSULE,
        size=(TAG_RADIUS, TAG_HALF_LENGTH, 0.0),
        pos=(0.0, 0.0, TAG_CENTRE),
        material="smooth",
        rgba=(0.08, 0.08, 0.09, 1.0),
        group=VISIBLE_GROUP,
        mass=0.0,
        condim=4,
        priority=_PRIORITY,
        friction=_TAG_FRICTION,
        contype=_TAG_BIT,
        conaffinity=OBJECT_BIT | FIXTURE_BIT | ARM_BIT,
    )
    tag.solref[:] = OBJECT_SOLREF
    tag.solimp[:3] = OBJECT_SOLIMP


def _add_weaves(model: mujoco.MjSpec) -> None:
    for name in WEAVES:
        texture = model.add_texture(
            name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, width=_TEXELS, height=_TEXELS, nchannel=3
        )
        texture.data = weave_texture(name).tobytes()
        material = model.add_material(name=name, specular=0.05, shininess=0.05)
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name


def _add_flex(model: mujoco.MjSpec, spec: ClothSpec, names: list[str]) -> None:
    flex = model.add_flex(name=spec.name)
    flex.dim, flex.radius, flex.group = 2, RADIUS, VISIBLE_GROUP
    flex.vertbody = names
    flex.elem = [node for triangle in triangles() for node in triangle]
    across, along = np.meshgrid(np.linspace(0, 1, COLUMNS), np.linspace(0, 1, ROWS))
    flex.texcoord = np.stack([across, along], axis=-1).ravel().tolist()
    flex.material, flex.rgba = WEAVES[0], (*spec.colour, 1.0)
    flex.young, flex.poisson, flex.thickness, flex.damping = _YOUNG, _POISSON, _THICKNESS, _DAMPING
    flex.elastic2d = _STRETCH_AND_BEND
    flex.internal, flex.selfcollide = False, mujoco.mjtFlexSelf.mjFLEXSELF_NONE
    flex.contype, flex.conaffinity = _CLOTH_BIT, OBJECT_BIT | FIXTURE_BIT | ARM_BIT | _CLOTH_BIT
    flex.condim, flex.priority, flex.friction = 3, _PRIORITY, _FRICTION
    flex.solref[:] = _SOLREF
