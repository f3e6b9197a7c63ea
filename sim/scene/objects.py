"""The things that move. Every graspable part is at most 34 mm wide; the gripper opens 44 mm."""

from __future__ import annotations

import math
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
        opening: See `ObjectInfo`.
        lip: See `ObjectInfo`.
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
    opening: float = 0.0
    lip: tuple[float, float] = (0.0, 0.0)

    @property
    def is_graspable(self) -> bool:
        """Whether the gripper can pick it up."""
        return self.grasp_width > 0.0

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

VASE = ObjectKind(
    shapes=(
        Shape("cylinder", (0.0140, 0.0030), (0, 0, 0.0030), tone="dark"),
        Shape("cylinder", (0.0190, 0.0120), (0, 0, 0.0180)),
        Shape("cylinder", (0.0193, 0.0015), (0, 0, 0.0220), tone="white", touch=False),
        Shape("cylinder", (0.0193, 0.0008), (0, 0, 0.0140), tone="light", touch=False),
        Shape("cylinder", (0.0140, 0.0030), (0, 0, 0.0330), tone="light"),
        Shape("cylinder", (0.0085, 0.0170), (0, 0, 0.0530)),
        Shape("cylinder", (0.0120, 0.0020), (0, 0, 0.0720), tone="light"),
        Shape("cylinder", (0.0088, 0.0004), (0, 0, 0.0742), tone="black", touch=False),
    ),
    colour=(0.20, 0.42, 0.68),
    mass=0.06,
    grasp_height=0.0500,
    grasp_width=0.017,
    half_extent=(0.019, 0.019),
    height=0.074,
    is_round=True,
    balance=0.3,
)
"""Slender, on a foot narrower than its belly, with a lip that catches on a finger: held by its neck."""

BENCH = ObjectKind(
    shapes=(
        Shape("box", (0.0030, 0.0110, 0.0110), (0.0220, 0, 0.0110), tone="dark"),
        Shape("box", (0.0030, 0.0110, 0.0110), (-0.0220, 0, 0.0110), tone="dark"),
        Shape("box", (0.0190, 0.0015, 0.0020), (0, 0, 0.0090), tone="dark", touch=False),
        Shape("box", (0.0290, 0.0130, 0.0030), (0, 0, 0.0250)),
        Shape("box", (0.0290, 0.0020, 0.0090), (0, 0.0110, 0.0370), tone="light"),
    ),
    colour=(0.72, 0.48, 0.26),
    mass=0.05,
    grasp_height=0.0280,
    grasp_width=0.026,
    half_extent=(0.029, 0.013),
    height=0.046,
)
"""A seat with a back on two legs: held across the seat, at the one angle at which it fits between the fingers."""


def _polygon(radius: float, half_height: float, z: float) -> tuple[Shape, ...]:
    """A hidden disc of boxes, with eight sides: a cylinder that lies on edges of boxes is kicked by MuJoCo at times."""
    inner = radius * math.cos(math.pi / 8)
    half = (inner, inner * math.tan(math.pi / 8), half_height)
    return tuple(Shape("box", half, (0, 0, z), visible=False, yaw=turn * math.pi / 4) for turn in range(4))


_SIDES = 12
OPEN_POT = ObjectKind(
    shapes=(
        Shape("cylinder", (0.0330, 0.0020), (0, 0, 0.0020), tone="dark"),
        *(
            Shape(
                "box",
                (0.0025, 0.0330 * math.tan(math.pi / _SIDES), 0.0190),
                (0.0305 * math.cos(angle), 0.0305 * math.sin(angle), 0.0230),
                tone="light" if side % 2 else "main",
                yaw=angle,
            )
            for side in range(_SIDES)
            for angle in [2 * math.pi * side / _SIDES]
        ),
        Shape("box", (0.0050, 0.0090, 0.0020), (0.0370, 0, 0.0330), tone="black", touch=False),
        Shape("box", (0.0050, 0.0090, 0.0020), (-0.0370, 0, 0.0330), tone="black", touch=False),
    ),
    colour=(0.66, 0.68, 0.72),
    mass=0.25,
    grasp_height=0.0,
    grasp_width=0.0,
    half_extent=(0.033, 0.033),
    height=0.042,
    is_round=True,
    balance=0.3,
    opening=0.028,
)
"""A pot without its lid: too wide and too heavy for the gripper."""

LID = ObjectKind(
    shapes=(
        Shape("cylinder", (0.0170, 0.0010), (0, 0, 0.0010), tone="dark"),
        Shape("cylinder", (0.0240, 0.0015), (0, 0, 0.0035), tone="dark", touch=False),
        *_polygon(0.0240, 0.0018, 0.0032),
        *_polygon(0.0380, 0.0030, 0.0080),
        Shape("cylinder", (0.0360, 0.0015), (0, 0, 0.0065), tone="light", touch=False),
        Shape("cylinder", (0.0260, 0.0015), (0, 0, 0.0095), touch=False),
        Shape("cylinder", (0.0105, 0.0115), (0, 0, 0.0225), tone="black"),
    ),
    colour=(0.70, 0.72, 0.76),
    mass=0.04,
    grasp_height=0.0255,
    grasp_width=0.021,
    half_extent=(0.0360, 0.0360),
    height=0.034,
    is_round=True,
    balance=0.25,
    lip=(0.0240, 0.005),
)
"""Of `OPEN_POT`: held by its knob; what is below its rim goes into the pot."""

BOARD = ObjectKind(
    shapes=(
        Shape("box", (0.0025, 0.0430, 0.0200), (0, 0, 0.0200)),
        Shape("box", (0.0080, 0.0070, 0.0150), (0, 0, 0.0530), tone="dark"),
    ),
    colour=(0.66, 0.48, 0.30),
    mass=0.02,
    grasp_height=0.0530,
    grasp_width=0.014,
    half_extent=(0.0080, 0.0430),
    height=0.068,
)
"""To sweep with: a blade across the fingers' way forward, below a handle that they hold."""

CANDY = ObjectKind(
    shapes=(
        Shape("box", (0.0070, 0.0055, 0.0050), (0, 0, 0.0050), visible=False),
        Shape("ellipsoid", (0.0075, 0.0062, 0.0052), (0, 0, 0.0052), touch=False),
        Shape("box", (0.0025, 0.0045, 0.0015), (0.0082, 0, 0.0050), tone="light", touch=False),
        Shape("box", (0.0025, 0.0045, 0.0015), (-0.0082, 0, 0.0050), tone="light", touch=False),
    ),
    colour=(0.92, 0.92, 0.88),
    mass=0.006,
    grasp_height=0.0,
    grasp_width=0.0,
    half_extent=(0.0070, 0.0055),
    height=0.010,
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
    "vase": VASE,
    "bench": BENCH,
    "open_pot": OPEN_POT,
    "lid": LID,
    "board": BOARD,
    "candy": CANDY,
}
"""Kind name -> kind."""
