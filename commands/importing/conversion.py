"""Episodes of a source converted one after the other, on one process or several, in the order of the source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal

from commands.engine.jobs import run_jobs
from commands.engine.local import LocalEngine
from commands.importing.plan import Opened, Plan
from factory.doors.inward import prepare, to_episode
from factory.doors.mapping import DoorMapping
from factory.doors.motion import UnfitEpisodeError
from trajectories.formats.foreign import DamagedEpisodeError, Description, ForeignSource
from trajectories.formats.registry import open_source
from trajectories.types import Episode, RobotSpec

EPISODES_A_WORKER = 20
"""About as many are converted in the time that a process takes to start."""


@dataclass(frozen=True)
class LeftOut:
    """An episode that isn't imported.

    Attributes:
        why: Too short or too fast, or it can't be read.
        reason: In words.
    """

    why: Literal["unfit", "damaged"]
    reason: str


@dataclass(frozen=True)
class Terms:
    """What is the same for all episodes of a source.

    Attributes:
        description: Of the source.
        mapping: What its keys mean.
        spec: Of the store.
        name: What the store calls the source.
    """

    description: Description
    mapping: DoorMapping
    spec: RobotSpec
    name: str


def converted(
    opened: Opened, plan: Plan, names: Sequence[str], workers: int
) -> Iterator[tuple[str, Episode | LeftOut]]:
    """Read and convert episodes; show a progress bar.

    Args:
        opened: The source.
        plan: Mapping and specification of the store.
        names: Of the episodes.
        workers: Number of processes, at most; fewer where there are few episodes. 1 converts in this process.

    Yields:
        Name and episode, or why it is left out, in the order of `names`.

    Raises:
        ConfigError: Something that every episode needs isn't there, or isn't said.
        WorkerError: A process was killed.
    """
    terms = Terms(opened.description, plan.mapping, plan.spec, opened.name)
    workers = min(workers, len(names) // EPISODES_A_WORKER)
    work = partial(_convert_in_worker, opened.path, terms) if workers > 1 else partial(_convert, opened.source, terms)
    yield from run_jobs(work, names, LocalEngine(workers), opened.name, in_order=True)


def _convert(source: ForeignSource, terms: Terms, name: str) -> Episode | LeftOut:
    try:
        ready = prepare(source.read(name), terms.description, terms.mapping, terms.spec)
        return to_episode(ready, terms.description, terms.mapping, terms.spec, terms.name)
    except UnfitEpisodeError as error:
        return LeftOut("unfit", str(error))
    except DamagedEpisodeError as error:
        return LeftOut("damaged", str(error))


def _convert_in_worker(path: Path, terms: Terms, name: str) -> Episode | LeftOut:
    return _convert(_source_of_worker(path, terms.description.format), terms, name)


@lru_cache(maxsize=1)
def _source_of_worker(path: Path, format: str) -> ForeignSource:
    """The source, opened once in each worker; a worker has one source."""
    import cv2

    cv2.setNumThreads(1)
    return open_source(path, format)
