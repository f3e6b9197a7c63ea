"""States on the way: scripted trials that follow each other without a reset, as in a session, good and bad."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sim.experts.choice import expert_for
from sim.experts.failures import BORDER, FAILURES
from sim.twin import Twin
from trajectories.errors import SafetyError
from trajectories.types import DIRECTIONS

_TRIALS = 4
"""Between two resets."""
_STEPS = 40
_FAILS = 0.6
_NOISE = (0.0, 0.2, 0.4)
_SEEN = 0.6
"""Share of a trial's control steps that are looked at."""
_AFTER = 4
"""Control steps after success."""


def trials(twin: Twin, rng: np.random.Generator) -> Iterator[None]:
    """Play scripted trials for ever, of both directions in turn; yields at moments that are worth a picture.

    Each trial draws its noise, and often a failure; the arm goes home behind it, which is looked at as well. The scene
    is a new one after a few trials, when the robot can't go on by itself, or when the physics gave up.
    """
    while True:
        first = int(rng.integers(2))
        twin.reset(DIRECTIONS[first], rng)
        try:
            for number in range(_TRIALS):
                yield from _trial(twin, rng, (first + number) % 2)
                if twin.task.lost(twin.scene) is not None:
                    break
        except SafetyError:
            twin.clear_own_faults()


def _trial(twin: Twin, rng: np.random.Generator, way: int) -> Iterator[None]:
    direction = DIRECTIONS[way]
    failure = (*FAILURES, BORDER)[int(rng.integers(len(FAILURES) + 1))] if rng.random() < _FAILS else None
    expert = expert_for(twin, direction, rng, float(rng.choice(_NOISE)), failure)
    observation, since_success = twin.env.observe(), 0
    for _ in range(_STEPS):
        twin.env.apply(expert.act(observation))  # an expert looks at the scene, not at the observation
        if rng.random() < _SEEN:
            yield
        since_success += twin.task.reached(twin.scene, direction) == twin.task.parts
        if since_success > _AFTER:
            break
    twin.env.go_home(rng)
    yield
