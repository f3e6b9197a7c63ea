"""What the arm really does, by the physics, while drivers and session have their own idea of it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from robot.interfaces import ArmState
from sim.virtual.client import VirtualWorld
from trajectories.errors import RegraspError
from trajectories.numbers import NS_PER_S
from trajectories.types import Float64

_EVERY_NS = 80_000_000
_LOOK_S = 0.004


@dataclass(frozen=True)
class Sample:
    """The truth of one instant.

    Attributes:
        t_ns: Monotonic ns.
        tip: (3,) m, base frame.
        joints: (6,) rad.
        free: Servos without torque.
        tripped: Servos that report a hardware error.
        stray: rad, largest difference between a joint as the driver reports it and as it is; None where the driver
            refuses to report.
    """

    t_ns: int
    tip: Float64
    joints: Float64
    free: frozenset[int]
    tripped: frozenset[int]
    stray: float | None


@dataclass
class Record:
    """What was seen while something happened.

    Attributes:
        samples: In the order of time.
        count_from: Where a counter stood when its rises began to matter; None: they don't yet.
        counted_ns: When it first rose from there; None: it didn't.
    """

    samples: list[Sample] = field(default_factory=list)
    count_from: int | None = None
    counted_ns: int | None = None

    def between(self, start_ns: float, end_ns: float) -> list[Sample]:
        """Samples of a span of time."""
        return [sample for sample in self.samples if start_ns <= sample.t_ns <= end_ns]


def spread_mm(samples: Sequence[Sample]) -> float:
    """Largest distance of the tip from where it was first, mm; 0 without samples."""
    if not samples:
        return 0.0
    return 1e3 * max(float(np.linalg.norm(sample.tip - samples[0].tip)) for sample in samples)


def sinking_m_s(samples: Sequence[Sample]) -> float:
    """Fastest fall of the tip from one sample to the next, m/s; 0 when it never sank."""
    return max((float(a.tip[2] - b.tip[2]) / (b.t_ns - a.t_ns) * NS_PER_S for a, b in pairwise(samples)), default=0.0)


def turned_rad(samples: Sequence[Sample]) -> Float64:
    """(6,) rad, how far every joint went from where it was first."""
    if not samples:
        return np.zeros(6)
    return np.max([np.abs(sample.joints - samples[0].joints) for sample in samples], axis=0)


@contextmanager
def watched(folder: Path, read: Callable[[], ArmState], count: Callable[[], int] | None = None) -> Iterator[Record]:
    """Watch the world in `folder` from a thread while the context lasts.

    Args:
        folder: Of the virtual world.
        read: The driver's joint state.
        count: A counter whose rise shall be noticed once `Record.count_from` is set.
    """
    record, stop = Record(), threading.Event()
    world = VirtualWorld.attach(folder)

    def look() -> None:
        due = time.monotonic_ns()
        while not stop.wait(_LOOK_S):
            start = record.count_from
            if count is not None and start is not None and record.counted_ns is None and count() > start:
                record.counted_ns = time.monotonic_ns()
            if time.monotonic_ns() >= due:
                due = time.monotonic_ns() + _EVERY_NS
                record.samples.append(_sample(world, read))

    thread = threading.Thread(target=look, name="truth")
    thread.start()
    try:
        yield record
    finally:
        stop.set()
        thread.join()
        world.close()


def _sample(world: VirtualWorld, read: Callable[[], ArmState]) -> Sample:
    state = world.state()
    joints, stray = np.array(state["joints"]), None
    with contextlib.suppress(RegraspError):
        stray = float(np.abs(read().joints - joints).max())
    return Sample(
        int(state["t_ns"]),
        np.array(state["tip"]),
        joints,
        frozenset(int(servo) for servo, on in state["torque"].items() if not on),
        frozenset(int(servo) for servo, error in state["errors"].items() if error),
        stray,
    )
