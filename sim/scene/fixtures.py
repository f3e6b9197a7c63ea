"""Places to put things. Low rims, so that the gripper reaches the floor and nothing sticks at a wall."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sim.scene.shapes import Shape
from sim.scene.spec import Colour


@dataclass(frozen=True)
class FixtureKind:
    """A kind of fixture, standing on its origin.

    Attributes:
        shapes: What it is drawn and collided from.
        colour: Its usual colour.
        half_extent: (x, y) half size of the surface that objects stand on, m.
        floor_height: Height of that surface, m.
        rim_height: Height of the highest wall, m.
        is_round: Whether the surface is a disc.
    """

    shapes: tuple[Shape, ...]
    colour: Colour
    half_extent: tuple[float, float]
    floor_height: float
    rim_height: float
    is_round: bool = False


def _walls(inside: tuple[float, float], thickness: float, height: float, tone: str) -> tuple[Shape, ...]:
    """Four walls around a rectangle of half size `inside`, from the table to `height`."""
    x, y, half = inside[0], inside[1], thickness / 2
    return (
        Shape("box", (half, y + thickness, height / 2), (x + half, 0, height / 2), tone=tone),
        Shape("box", (half, y + thickness, height / 2), (-x - half, 0, height / 2), tone=tone),
        Shape("box", (x, half, height / 2), (0, y + half, height / 2), tone=tone),
        Shape("box", (x, half, height / 2), (0, -y - half, height / 2), tone=tone),
    )


def _sink() -> FixtureKind:
    """A steel basin with a drain and, outside its left (+y) rim, a tap that nothing collides with."""
    drain = (
        Shape("cylinder", (0.0150, 0.0004), (0, 0, 0.0023), tone="dark", touch=False),
        Shape("cylinder", (0.0090, 0.0004), (0, 0, 0.0028), tone="black", touch=False),
    )
    tap = (
        Shape("cylinder", (0.0100, 0.0040), (-0.055, 0.093, 0.0040), tone="metal", touch=False),
        Shape("capsule", (0.0050, 0.0180), (-0.055, 0.093, 0.0220), tone="metal", touch=False),
        Shape("capsule", (0.0045, 0.0160), (-0.055, 0.077, 0.0420), tone="metal", touch=False, axis=(0, 1, 0.15)),
    )
    return FixtureKind(
        shapes=(
            Shape("box", (0.070, 0.070, 0.0010), (0, 0, 0.0010), tone="main"),
            *_walls((0.070, 0.070), 0.010, 0.009, "light"),
            *drain,
            *tap,
        ),
        colour=(0.52, 0.56, 0.62),
        half_extent=(0.070, 0.070),
        floor_height=0.002,
        rim_height=0.009,
    )


def _rack() -> FixtureKind:
    """A dish rack: light slats over dark gaps; what objects meet is one flat hidden box."""
    slats = tuple(
        Shape("box", (0.0038, 0.064, 0.0020), (0.0165 * i, 0, 0.0080), tone="white", touch=False) for i in range(-4, 5)
    )
    return FixtureKind(
        shapes=(
            Shape("box", (0.066, 0.064, 0.0050), (0, 0, 0.0050), visible=False),
            Shape("box", (0.068, 0.066, 0.0020), (0, 0, 0.0020), tone="dark", touch=False),
            *slats,
            *_walls((0.068, 0.064), 0.006, 0.0135, "main"),
        ),
        colour=(0.30, 0.42, 0.62),
        half_extent=(0.066, 0.064),
        floor_height=0.010,
        rim_height=0.0135,
    )


def _bin() -> FixtureKind:
    """An open box."""
    return FixtureKind(
        shapes=(
            Shape("box", (0.070, 0.070, 0.0015), (0, 0, 0.0015), tone="light"),
            *_walls((0.070, 0.070), 0.005, 0.028, "main"),
        ),
        colour=(0.12, 0.50, 0.42),
        half_extent=(0.070, 0.070),
        floor_height=0.003,
        rim_height=0.028,
    )


def _plate() -> FixtureKind:
    """A dinner plate: a raised ring is only drawn."""
    return FixtureKind(
        shapes=(
            Shape("cylinder", (0.070, 0.0020), (0, 0, 0.0020), tone="main"),
            Shape("cylinder", (0.062, 0.0004), (0, 0, 0.0042), tone="dark", touch=False),
            Shape("cylinder", (0.059, 0.0004), (0, 0, 0.0046), tone="light", touch=False),
        ),
        colour=(0.88, 0.88, 0.92),
        half_extent=(0.060, 0.060),
        floor_height=0.004,
        rim_height=0.005,
        is_round=True,
    )


def _bowl() -> FixtureKind:
    """A shallow eight-sided bowl."""
    radius, sides = 0.064, 8
    half_side = (radius + 0.008) * math.tan(math.pi / sides)
    rim = tuple(
        Shape(
            "box",
            (0.004, half_side, 0.006),
            ((radius + 0.004) * math.cos(a), (radius + 0.004) * math.sin(a), 0.006),
            tone="light",
            yaw=a,
        )
        for a in (2 * math.pi * i / sides for i in range(sides))
    )
    return FixtureKind(
        shapes=(Shape("cylinder", (0.068, 0.0015), (0, 0, 0.0015)), *rim),
        colour=(0.20, 0.45, 0.75),
        half_extent=(radius, radius),
        floor_height=0.003,
        rim_height=0.012,
        is_round=True,
    )


def _shelf() -> FixtureKind:
    """A low platform on four legs; its solid core is hidden."""
    legs = tuple(
        Shape("box", (0.006, 0.006, 0.0125), (0.052 * i, 0.052 * j, 0.0125), tone="dark", touch=False)
        for i in (-1, 1)
        for j in (-1, 1)
    )
    return FixtureKind(
        shapes=(
            Shape("box", (0.062, 0.062, 0.0150), (0, 0, 0.0150), visible=False),
            Shape("box", (0.062, 0.062, 0.0030), (0, 0, 0.0270), touch=False),
            *legs,
        ),
        colour=(0.90, 0.87, 0.80),
        half_extent=(0.062, 0.062),
        floor_height=0.030,
        rim_height=0.030,
    )


def _pad() -> FixtureKind:
    """A mat with a border, too thin to feel: things slide onto it."""
    return FixtureKind(
        shapes=(
            Shape("box", (0.065, 0.065, 0.0004), (0, 0, 0.0004), touch=False),
            Shape("box", (0.056, 0.056, 0.0003), (0, 0, 0.0008), tone="light", touch=False),
        ),
        colour=(0.20, 0.55, 0.30),
        half_extent=(0.065, 0.065),
        floor_height=0.0,
        rim_height=0.0,
    )


def _line() -> FixtureKind:
    """A strip of tape on the table, 36 cm along its x axis; nothing collides with it."""
    return FixtureKind(
        shapes=(Shape("box", (0.180, 0.006, 0.0004), (0, 0, 0.0004), touch=False),),
        colour=(0.95, 0.90, 0.25),
        half_extent=(0.180, 0.006),
        floor_height=0.0,
        rim_height=0.0,
    )


def _tray() -> FixtureKind:
    """A baking tray that takes most of what the arm reaches; its x axis points away from the robot."""
    return FixtureKind(
        shapes=(
            Shape("box", (0.085, 0.100, 0.0010), (0, 0, 0.0010), tone="main"),
            *_walls((0.085, 0.100), 0.005, 0.010, "light"),
        ),
        colour=(0.70, 0.71, 0.74),
        half_extent=(0.085, 0.100),
        floor_height=0.002,
        rim_height=0.010,
    )


def _spot() -> FixtureKind:
    """A place on the bare table; nothing of it is seen or felt."""
    return FixtureKind(shapes=(), colour=(0.5, 0.5, 0.5), half_extent=(0.05, 0.05), floor_height=0.0, rim_height=0.0)


FIXTURES: dict[str, FixtureKind] = {
    "sink": _sink(),
    "rack": _rack(),
    "bin": _bin(),
    "plate": _plate(),
    "bowl": _bowl(),
    "shelf": _shelf(),
    "pad": _pad(),
    "line": _line(),
    "tray": _tray(),
    "spot": _spot(),
}
"""Kind name -> kind."""
