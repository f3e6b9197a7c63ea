"""How far a cloth may be stretched and pressed into things, how fast it may get, and whoever watches that."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Limits:
    """Largest values.

    Attributes:
        stretch: Longest edge of the net relative to its own length.
        sunk: Depth of a node below the table's surface, m.
        pressed: Depth of a contact between the cloth, 3 mm thick on either side, and anything, m.
        speed: Of a node along an axis, m/s.
        energy: Kinetic, of all nodes without the inertia that they have on top of their mass, J.
    """

    stretch: float
    sunk: float
    pressed: float
    speed: float
    energy: float


CAREFUL = Limits(stretch=1.45, sunk=0.0015, pressed=0.0035, speed=2.0, energy=0.02)
"""While a scripted expert is at work."""
CARELESS = Limits(stretch=2.2, sunk=0.003, pressed=0.006, speed=20.0, energy=0.5)
"""While a hand does what it likes: a servo's full force pins the cloth to the table and pulls at it."""


class Watch:
    """Looks at the cloth of a scene and keeps the largest values."""

    def __init__(self, scene):
        self._scene = scene
        self._largest = dict.fromkeys(Limits.__annotations__, 0.0)
        model = scene.physics.model
        names = [scene.cloth.spec.name, *(f"{scene.cloth.spec.name}/{k}" for k in range(49))]
        self._nodes = [b for b in range(model.nbody) if model.body(b).name in names]
        self._joints = model.body_dofadr[self._nodes][:, None] + np.arange(3)

    def look(self):
        """Take what is now."""
        cloth, data = self._scene.cloth, self._scene.physics.data
        velocity = data.qvel[self._joints]
        mass = self._scene.physics.model.body_mass[self._nodes]
        of_cloth = (data.contact.flex >= 0).any(axis=1)
        seen = {
            "stretch": cloth.stretch(),
            "sunk": -float(cloth.nodes()[..., 2].min()),
            "pressed": -float(data.contact.dist[of_cloth].min(initial=0.0)),
            "speed": cloth.speed(),
            "energy": float(0.5 * (mass[:, None] * velocity**2).sum()),
        }
        for name, value in seen.items():
            self._largest[name] = max(self._largest[name], value)

    def figures(self):
        """Name -> largest value."""
        return {name: round(value, 4) for name, value in self._largest.items()}

    def broken(self, limits):
        """Which limits were broken, with the values."""
        return [
            f"{name} {value:.4f} > {getattr(limits, name)}"
            for name, value in self._largest.items()
            if not value <= getattr(limits, name)
        ]
