"""What a scene consists of, in words and numbers; `sim.scene.scene` compiles it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from trajectories.types import Float64

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class FixtureSpec:
    """Something that stays where it is: a place to put things.

    Attributes:
        name: Name of its body.
        kind: One of `sim.scene.fixtures.FIXTURES`.
        position: (x, y) of its centre on the table in the base frame, m.
        yaw: rad.
        jitter: Largest shift along x and y at each `Scene.randomise`, m.
        colour: RGB 0 ... 1; None takes the kind's own.
        scale: Factor on its size along x and y.
    """

    name: str
    kind: str
    position: tuple[float, float]
    yaw: float = 0.0
    jitter: float = 0.0
    colour: Colour | None = None
    scale: float = 1.0


@dataclass(frozen=True)
class ObjectSpec:
    """Something that can be picked up.

    Attributes:
        name: Name of its body, which has a free joint; the body's origin is the bottom centre.
        kind: One of `sim.scene.objects.OBJECTS`.
        position: (x, y) where it stands after `Scene.randomise`, m; tasks place it from there.
        colour: RGB 0 ... 1; None takes the kind's own.
        size: Smallest and largest factor on its size, drawn at each `Scene.randomise`.
    """

    name: str
    kind: str
    position: tuple[float, float] = (0.28, 0.0)
    colour: Colour | None = None
    size: tuple[float, float] = (0.92, 1.04)


@dataclass(frozen=True)
class ClothSpec:
    """A rectangular cloth with a tag on the middle of its near edge, the one far from the arm.

    Attributes:
        name: Name of the body of its tag, which is gripped; its other nodes are `<name>/<index>`.
        size: (x, y) lying flat, m.
        colour: RGB 0 ... 1.
        colour_range: Largest shift of each colour channel at `Scene.randomise`.
    """

    name: str
    size: tuple[float, float] = (0.14, 0.17)
    colour: Colour = (0.74, 0.78, 0.40)
    colour_range: float = 0.25


@dataclass(frozen=True)
class SceneSpec:
    """A table with fixtures and objects; names are unique.

    Attributes:
        fixtures: What stays.
        objects: What can be picked up.
        cloth: What lies there, or None.
    """

    fixtures: tuple[FixtureSpec, ...]
    objects: tuple[ObjectSpec, ...]
    cloth: ClothSpec | None = None


@dataclass(frozen=True)
class Variation:
    """How much `Scene.randomise` changes, beside sizes and fixture positions, whose ranges the specs state.

    Attributes:
        colour: Largest shift of an object's or fixture's colour channels, 0 ... 1.
        light: Largest relative change of the light's strength; its direction changes along.
        camera_position: Largest shift of the camera along each axis, m.
        camera_target: Largest shift of the point that it looks at, m.
        mass: Largest relative change of an object's mass.
        friction: Largest relative change of the sliding friction of an object and of the finger pads.
        tables: Whether the table's surface changes, or stays the first one.
        size: Largest distance of an object's size from the middle of its spec's range, in halves of that range.
        start: How far from the middle of its home region the arm starts at most, in halves of the region
            (`robot.control.home.HomeRegion.around`).
        distractors: How many things stand beside the workspace that no task needs; they are only drawn.
        other_textures: Whether table and objects have surfaces that none of `Variation()` has.
        least_colour: Smallest shift of a colour channel, as a share of the largest one, 0 ... 1.
        least_light: The same of the light's strength and place.
        least_camera: The same of the camera's place and of the point that it looks at.
        least_friction: The same of the friction.
        least_size: Smallest distance of a size from the middle of its range, as a share of the largest one, 0 ... 1;
            above 0 all objects of a scene are larger than ever, or all are smaller, so that lids go on fitting pots.
        least_start: The same of where the arm starts.
    """

    colour: float = 0.08
    light: float = 0.2
    camera_position: float = 0.004
    camera_target: float = 0.003
    mass: float = 0.2
    friction: float = 0.15
    tables: bool = True
    size: float = 1.0
    start: float = 1.0
    distractors: int = 0
    other_textures: bool = False
    least_colour: float = 0.0
    least_light: float = 0.0
    least_camera: float = 0.0
    least_friction: float = 0.0
    least_size: float = 0.0
    least_start: float = 0.0


SHIFTS: dict[str, Variation] = {
    "none": Variation(),
    "light": Variation(light=0.6, least_light=0.4),
    "camera": Variation(camera_position=0.02, camera_target=0.015, least_camera=0.3),
    "object": Variation(colour=0.3, least_colour=0.4),
    "texture": Variation(other_textures=True),
    "distractors": Variation(distractors=3),
    "size": Variation(size=2.5, least_size=0.52),
    "friction": Variation(friction=0.6, least_friction=0.5),
    "start": Variation(start=2.0, least_start=0.65),
}
"""What training never saw, by name: each draw is larger than any of `Variation()`, all else is as there.

The same generator draws the same scene under each of them but for what is shifted. One exception: objects of another
`size` fit elsewhere, so that where they start may differ, too.
"""


@dataclass(frozen=True)
class FixtureInfo:
    """Where a fixture is now.

    Attributes:
        name: As in its spec.
        kind: As in its spec.
        position: float64 (3,) m: the centre of the surface that objects stand on.
        half_extent: (x, y) half size of that surface in the fixture's own axes, m; both the radius if round.
        floor_height: Height of that surface above the table, m (same as position[2]).
        rim_height: Height of the highest wall above the table, m.
        yaw: rad.
        is_round: Whether the surface is a disc.
    """

    name: str
    kind: str
    position: Float64
    half_extent: tuple[float, float]
    floor_height: float
    rim_height: float
    yaw: float
    is_round: bool

    def contains(self, x: float, y: float, margin: float = 0.0) -> bool:
        """Whether a point of the base frame lies over the surface, at least `margin` (m) inside its edge."""
        if self.is_round:
            return math.hypot(x - float(self.position[0]), y - float(self.position[1])) <= self.half_extent[0] - margin
        along, across = self.local(x, y)
        return abs(along) <= self.half_extent[0] - margin and abs(across) <= self.half_extent[1] - margin

    def local(self, x: float, y: float) -> tuple[float, float]:
        """A point of the base frame in the fixture's own frame, m."""
        dx, dy = x - float(self.position[0]), y - float(self.position[1])
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        return cos * dx + sin * dy, cos * dy - sin * dx

    def point(self, along: float, across: float) -> Float64:
        """A point of the fixture's own frame in the base frame: (2,) m."""
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        return self.position[:2] + np.array([cos * along - sin * across, sin * along + cos * across])


@dataclass(frozen=True)
class ObjectInfo:
    """What an object is like now.

    Attributes:
        name: As in its spec.
        kind: As in its spec.
        grasp_height: Where the gripper's tip should close, above the object's bottom, m.
        grasp_width: Width between the fingers there, m, closing along the object's y axis; 0 of what can't be grasped.
        half_extent: (x, y) half size of its outline, m.
        height: m.
        mass: kg.
        is_round: Whether it can be grasped at any yaw equally well.
        is_disc: Whether its outline is a disc of radius `half_extent[0]`, or a rectangle.
        opening: Radius of its open top, m; 0 of what is closed.
        lip: (radius, depth) of what it has below its rim, m, which goes into an open top; zeros of what has none.
    """

    name: str
    kind: str
    grasp_height: float
    grasp_width: float
    half_extent: tuple[float, float]
    height: float
    mass: float
    is_round: bool
    is_disc: bool
    opening: float = 0.0
    lip: tuple[float, float] = (0.0, 0.0)

    def closes(self, below: ObjectInfo) -> bool:
        """Whether it is a lid for another object: its lip goes into that one's open top."""
        return 0.0 < self.lip[0] < below.opening

    def hides(self, below: ObjectInfo, apart: float) -> float:
        """Share of another object's round open top that it hides, seen from above, its middle `apart` (m) from that."""
        large, small = min(self.half_extent), below.opening
        if apart <= abs(large - small):
            return min(1.0, (large / small) ** 2)
        if apart >= large + small:
            return 0.0
        at = (apart**2 + small**2 - large**2) / (2 * apart)  # of the chord, from the middle of the open top
        half = (
            math.acos(max(-1.0, min(1.0, at / small))),
            math.acos(max(-1.0, min(1.0, (apart - at) / large))),
        )
        segments = (r**2 * (a - math.sin(a) * math.cos(a)) for r, a in zip((small, large), half, strict=True))
        return sum(segments) / (math.pi * small**2)

    def height_on(self, below: ObjectInfo) -> float:
        """Height of its bottom above that of another object that it stands on, m."""
        return below.height - (self.lip[1] if self.closes(below) else 0.0)

    def inside(self, fixture: FixtureInfo, x: float, y: float, yaw: float, overhang: float = 0.0) -> bool:
        """Whether the whole outline, standing at a place, lies over a fixture's surface.

        Args:
            fixture: Where it should stand.
            x: Of its centre in the base frame, m.
            y: Likewise.
            yaw: Its heading, rad.
            overhang: By how much it may stick out, m.
        """
        if self.is_disc:
            return fixture.contains(x, y, self.half_extent[0] - overhang)
        cos, sin = math.cos(yaw), math.sin(yaw)
        corners = ((i * self.half_extent[0], j * self.half_extent[1]) for i in (-1, 1) for j in (-1, 1))
        return all(fixture.contains(x + cos * a - sin * b, y + sin * a + cos * b, -overhang) for a, b in corners)
