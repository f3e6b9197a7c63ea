"""What an engine is, and what ends its work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from trajectories.errors import RegraspError

NOTHING: Mapping[Path, Sequence[str]] = MappingProxyType({})
"""No folder."""


class WorkerError(RegraspError):
    """A process that did a part of the work was killed."""


@dataclass(frozen=True)
class Pool:
    """Processes that wait for jobs.

    Attributes:
        submit: Takes a job; what it returns gets the job's result, or what the job raised.
        window: Jobs to have under way now: enough to keep every process busy, few in memory.
    """

    submit: Callable[[Any], Future[Any]]
    window: Callable[[], int]


class Engine(Protocol):
    """Runs independent jobs somewhere."""

    def pool(
        self, function: Callable[[Any], Any], count: int, title: str, folders: Mapping[Path, Sequence[str]]
    ) -> AbstractContextManager[Pool]:
        """Processes for jobs of one function; left by an exception, what is under way is given up.

        Args:
            function: Importable function of one job.
            count: How many jobs there will be at most.
            title: What the work is called, for errors.
            folders: Folder -> names of the files in it that the function reads; where it runs,
                `factory.carried_folders.carried` finds them.

        Raises:
            WorkerError: On leaving, where a process was killed and the job couldn't be done anew.
        """
