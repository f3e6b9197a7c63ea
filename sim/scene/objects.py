"""The things that can be picked up. Every graspable part is at most 34 mm wide; the gripper opens 44 mm."""

from __future__ import annotations

from dataclasses import dataclass

from sim.scene.shapes import Shape
from sim.scene.spec import Colour


@dataclass(frozen=True)
class ObjectKind:
    """A kind of object at its nominal size, standing on its origin.

    Attributes:
        shapes: What it is drawn and collided from.
        colour: Its usual colour.
        mass: kg.
        grasp_height: See `ObjectInfo`.
        grasp_width: See `ObjectInfo`.
        half_extent: (x, y) half outline, m.
        height: m.
        is_round: See `ObjectInfo`.
        balance: Height of the centre of mass as a share of `height`; low for a heavy base.
    """

    shapes: tuple[Shape, ...]
    colour: Colour
    mass: float
    grasp_height: float
    grasp_width: float
    half_extent: tuple[float, float]
    height: float
    is_round: bool = False
    balance: float = 0.4

    @property
    def is_disc(self) -> bool:
        """Whether it stands on a disc: its lowest colliding shape is a cylinder."""
        lowest = min((shape for shape in self.shapes if shape.touch), key=lambda shape: shape.at[2] - shape.size[-1])
        return lowest.kind == "cylinder"


def _box(
    colour: Colour, half: tuple[float, float, float], mass: float, grasp_height: float | None = None
) -> ObjectKind:
    x, y, z = half
    return ObjectKind(
        shapes=(Shape("box", half, (0, 0, z)),),
        colour=colour,
        mass=mass,
        grasp_height=z if grasp_height is None else grasp_height,
        grasp_width=2 * y,
        half_extent=(x, y),
        height=2 * z,
    )


POT = ObjectKind(
    shapes=(
        Shape("cylinder", (0.0280, 0.0150), (0, 0, 0.0150)),
        Shape("cylinder", (0.0298, 0.0015), (0, 0, 0.0310), tone="metal", touch=False),
        Shape("cylinder", (0.0285, 0.0025), (0, 0, 0.0325)),
        Shape("cylinder", (0.0170, 0.0010), (0, 0, 0.0360), tone="light", touch=False),
        Shape("cylinder", (0.0075, 0.0030), (0, 0, 0.0380), tone="metal", touch=False),
        Shape("cylinder", (0.0110, 0.0095), (0, 0, 0.0475), tone="white"),
        Shape("box", (0.0060, 0.0080, 0.0030), (0.0330, 0, 0.0250), tone="black", touch=False),
        Shape("box", (0.0060, 0.0080, 0.0030), (-0.0330, 0, 0.0250), tone="black", touch=False),
    ),
    colour=(0.80, 0.16, 0.12),
    mass=0.12,
    grasp_height=0.0465,
    grasp_width=0.022,
    half_extent=(0.030, 0.030),
    height=0.057,
    is_round=True,
    balance=0.2,
)

WEIGHT = ObjectKind(
    shapes=(
        Shape("cylinder", (0.0240, 0.0125), (0, 0, 0.0125)),
        Shape("cylinder", (0.0190, 0.0035), (0, 0, 0.0285), tone="dark"),
        Shape("cylinder", (0.0245, 0.0025), (0, 0, 0.0125), tone="light", touch=False),
        Shape("box", (0.0035, 0.0060, 0.0100), (0.0125, 0, 0.0400), tone="metal"),
        Shape("box", (0.0035, 0.0060, 0.0100), (-0.0125, 0, 0.0400), tone="metal"),
        Shape("box", (0.0160, 0.0060, 0.0045), (0, 0, 0.0525), tone="metal"),
    ),
    colour=(0.16, 0.24, 0.55),
    mass=0.16,
    grasp_height=0.0480,
    grasp_width=0.012,
    half_extent=(0.024, 0.024),
    height=0.057,
)

CAN = ObjectKind(
    shapes=(
        Shape("cylinder", (0.0160, 0.0240), (0, 0, 0.0240)),
        Shape("cylinder", (0.0140, 0.0010), (0, 0, 0.0485), tone="metal", touch=False),
        Shape("cylinder", (0.0162, 0.0070), (0, 0, 0.0240), tone="white", touch=False),
    ),
    colour=(0.85, 0.35, 0.08),
    mass=0.06,
    grasp_height=0.030,
    grasp_width=0.032,
    half_extent=(0.016, 0.016),
    height=0.049,
    is_round=True,
)

SPONGE = ObjectKind(
    shapes=(
        Shape("box", (0.0300, 0.0160, 0.0075), (0, 0, 0.0075), tone="green", touch=False),
        Shape("box", (0.0300, 0.0160, 0.0070), (0, 0, 0.0180), touch=False),
        Shape("box", (0.0300, 0.0160, 0.0125), (0, 0, 0.0125), visible=False),
    ),
    colour=(0.95, 0.84, 0.20),
    mass=0.02,
    grasp_height=0.014,
    grasp_width=0.032,
    half_extent=(0.030, 0.016),
    height=0.025,
)

CARROT = ObjectKind(
    shapes=(
        Shape("box", (0.0330, 0.0105, 0.0110), (0, 0, 0.0110), visible=False),
        Shape("capsule", (0.0120, 0.0100), (0.0130, 0, 0.0115), axis=(1, 0, 0), touch=False),
        Shape("capsule", (0.0095, 0.0140), (-0.0080, 0, 0.0105), axis=(1, 0, 0), touch=False),
        Shape("capsule", (0.0060, 0.0120), (-0.0240, 0, 0.0085), axis=(1, 0, 0), touch=False),
        Shape(
            "capsule",
            (0.0030, 0.0080),
            (0.0410, 0.0040, 0.0140),
            tone="green",
            axis=(1, 0.4, 0.1),
            touch=False,
        ),
        Shape(
            "capsule",
            (0.0030, 0.0080),
            (0.0410, -0.0040, 0.0140),
            tone="green",
            axis=(1, -0.4, 0.1),
            touch=False,
        ),
    ),
    colour=(0.95, 0.45, 0.08),
    mass=0.03,
    grasp_height=0.013,
    grasp_width=0.021,
    half_extent=(0.036, 0.011),
    height=0.023,
)

PUCK = ObjectKind(
    shapes=(
        Shape("cylinder", (0.0170, 0.0100), (0, 0, 0.0100)),
        Shape("cylinder", (0.0110, 0.0005), (0, 0, 0.0203), tone="light", touch=False),
    ),
    colour=(0.45, 0.16, 0.60),
    mass=0.04,
    grasp_height=0.013,
    grasp_width=0.034,
    half_extent=(0.017, 0.017),
    height=0.020,
    is_round=True,
)

OBJECTS: dict[str, ObjectKind] = {
    "pot": POT,
    "weight": WEIGHT,
    "cube": _box((0.85, 0.15, 0.15), (0.015, 0.015, 0.015), 0.04),
    "block": _box((0.20, 0.60, 0.25), (0.025, 0.013, 0.014), 0.05),
    "can": CAN,
    "sponge": SPONGE,
    "carrot": CARROT,
    "puck": PUCK,
}
"""Kind name -> kind."""
