"""Where the time of an environment step of the twin goes; used by `benchmarks/twin.py --parts`.

The clock is read around each part, which costs about half a microsecond a call; what no part holds is "the rest".
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from robot.control.collision import Collision
from robot.control.controller import Controller
from robot.control.kinematics import Kinematics
from robot.control.safety import SafetyFilter
from robot.rollout.environment import RobotEnv
from sim.physics import Physics
from sim.rendering import SceneRenderer

PARTS: dict[str, tuple[type, str]] = {
    "physics": (Physics, "step_until"),
    "wait for the fingers": (Controller, "settle"),
    "inverse kinematics": (Kinematics, "inverse"),
    "collision check": (Collision, "obstacle"),
    "safety filter, the rest of it": (SafetyFilter, "check"),
    "sending commands": (Controller, "_send"),
    "rendering": (SceneRenderer, "render"),
    "observation, the rest of it": (RobotEnv, "observe"),
}
"""Part -> what does it. A part within another counts for itself alone; what the wait for the fingers holds is its."""
WAIT = "wait for the fingers"


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """Seconds of each part of `PARTS` while the context lasts."""
    spent: dict[str, float] = defaultdict(float)
    stack: list[str] = []

    def around(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            inside = part if WAIT not in stack else WAIT
            begin = time.perf_counter()
            stack.append(part)
            try:
                return function(*arguments, **keywords)
            finally:
                stack.pop()
                taken = time.perf_counter() - begin
                spent[inside] += taken
                if stack:  # what holds this part counts without it
                    spent[stack[-1] if WAIT not in stack else WAIT] -= taken

        return call

    before = {part: getattr(owner, name) for part, (owner, name) in PARTS.items()}
    for part, (owner, name) in PARTS.items():
        setattr(owner, name, around(part, before[part]))
    try:
        yield spent
    finally:
        for part, (owner, name) in PARTS.items():
            setattr(owner, name, before[part])
