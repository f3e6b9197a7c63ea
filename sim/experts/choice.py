"""Which scripted expert does a task: that of its skill."""

from __future__ import annotations

import numpy as np

from sim.experts.cloth import ClothExpert
from sim.experts.expert import Expert
from sim.experts.failures import Failure
from sim.experts.scripted import ScriptedExpert
from sim.experts.sweeping import SweepExpert
from sim.robosuite.experts import DoorExpert, LiftExpert, StackExpert
from sim.twin import Twin
from trajectories.types import Direction

_EXPERTS: dict[str, type[Expert]] = {
    "lift": LiftExpert,
    "stack": StackExpert,
    "door": DoorExpert,
    "sweep": SweepExpert,
    "cloth": ClothExpert,
}


def expert_for(
    twin: Twin,
    direction: Direction,
    rng: np.random.Generator,
    noise: float = 0.0,
    failure: Failure | None = None,
) -> Expert:
    """The expert for an episode that is about to start; arguments and errors as `ScriptedExpert`."""
    return _EXPERTS.get(twin.task.skill, ScriptedExpert)(twin, direction, rng, noise, failure)
