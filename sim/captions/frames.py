"""Renders of any tasks' states with the truth of every caption of theirs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.captions import cloth, moving, sweeping
from sim.captions.caption import DONE, Caption, Facts
from sim.tasks import TASKS, Task
from sim.tasks.cloth import ClothTask
from sim.tasks.moving import moving as as_moving
from sim.tasks.sweeping import SweepTask
from sim.twin import Twin, make_twin
from trajectories.types import Bool, Int64, UInt8

_TARGETS = 3
"""How many pictures of each task that people fine-tune come to one of a task of the prior data."""


@dataclass(frozen=True)
class CaptionedFrames:
    """Renders with the truth of every caption.

    Attributes:
        images: uint8 (N, H, W, 3) RGB.
        captions: C distinct texts.
        truth: int8 (N, C), 1 true, 0 false, -1 where nobody can say.
        tasks: T distinct names.
        task: int64 (N,): whose picture each is, an index into `tasks`.
        about: Bool (T, C): which captions are each task's.
        instructions: Bool (C,): which captions are instructions; the others say what is, or what went wrong.
        rates: Task name -> pictures drawn in a second.
    """

    images: UInt8
    captions: tuple[str, ...]
    truth: NDArray[np.int8]
    tasks: tuple[str, ...]
    task: Int64
    about: Bool
    instructions: Bool
    rates: Mapping[str, float]


def captions_of(task: Task) -> list[Caption]:
    """Every caption about a task's objects and places."""
    if isinstance(task, ClothTask):
        return cloth.captions_of(task)
    return sweeping.captions_of(task) if isinstance(task, SweepTask) else moving.captions_of(as_moving(task))


def states_of(twin: Twin, rng: np.random.Generator) -> Iterator[Facts]:
    """Put a twin into one random state after the other, for ever; of each what is true of it."""
    if isinstance(twin.task, ClothTask):
        return cloth.states(twin, rng)
    return sweeping.states(twin, rng) if isinstance(twin.task, SweepTask) else moving.states(twin, rng)


def usual_tasks() -> list[str]:
    """All of our tasks; those that people fine-tune several times, since their borders decide sessions."""
    return [name for name in TASKS.own for _ in range(_TARGETS if TASKS[name].role == "target" else 1)]


def sample_captioned_frames(
    count: int,
    rng: np.random.Generator,
    tasks: Sequence[str] | None = None,
    image_size: int = 96,
    progress: Callable[[int], None] | None = None,
) -> CaptionedFrames:
    """Render `count` states.

    Args:
        count: Number of images.
        rng: Draws everything.
        tasks: Names of tasks; one that is named twice gets twice as many images. None for `usual_tasks`.
        image_size: Pixels.
        progress: Called with the number of images since its last call.
    """
    tasks = usual_tasks() if tasks is None else tasks
    names = tuple(dict.fromkeys(tasks))
    own = {name: captions_of(TASKS[name]) for name in names}
    captions = {caption.text: caption for said in own.values() for caption in said}
    about = np.array([[text in {caption.text for caption in own[name]} for text in captions] for name in names])
    images = np.empty((count, image_size, image_size, 3), np.uint8)
    truth, task = np.empty((count, len(captions)), np.int8), np.empty(count, np.int64)
    ends = np.linspace(0, count, len(tasks) + 1).astype(int)
    rates, end = {}, 0
    for index, name in enumerate(names):
        start, end = end, int(end + sum(ends[k + 1] - ends[k] for k, other in enumerate(tasks) if other == name))
        began = time.monotonic()
        twin = make_twin(name, seed=int(rng.integers(2**31)), image_size=image_size)
        for row, facts in zip(range(start, end), states_of(twin, rng), strict=False):
            images[row] = twin.env.observe().images["front"]
            said = (facts.truth(caption) for caption in captions.values())
            truth[row] = [-1 if true is None else true for true in said]
            if progress is not None:
                progress(1)
        twin.close()
        task[start:end] = index
        rates[name] = (end - start) / (time.monotonic() - began)
    instructions = np.array([caption.relation == DONE for caption in captions.values()])
    return CaptionedFrames(images, tuple(captions), truth, names, task, about, instructions, rates)
