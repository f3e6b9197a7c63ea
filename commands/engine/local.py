"""Jobs in processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from commands.engine.interface import NOTHING, Pool, WorkerError
from drivers.parent_link import die_with_parent

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Environment of a process that shares the cores with others like it."""


@dataclass(frozen=True)
class LocalEngine:
    """A pool of processes; with `workers` <= 1, or a single job, this process, which does one job after another.

    Attributes:
        workers: Number of processes.
    """

    workers: int

    @contextmanager
    def pool(
        self, function: Callable[[Any], Any], count: int, title: str, folders: Mapping[Path, Sequence[str]] = NOTHING
    ) -> Iterator[Pool]:
        """See `commands.engine.interface.Engine`; the folders are here already."""
        if self.workers <= 1 or count <= 1:
            yield Pool(partial(_done_here, function), lambda: 1)
            return
        with ProcessPoolExecutor(
            min(self.workers, count), multiprocessing.get_context("spawn"), _one_thread_each, (os.getpid(),)
        ) as executor:
            try:
                yield Pool(lambda job: executor.submit(function, job), lambda: 2 * self.workers)
            except BrokenProcessPool as error:
                raise WorkerError(
                    f"{title}: one of {self.workers} processes was killed, perhaps for lack of memory. What is done "
                    "stays; go on with fewer (workers=1)."
                ) from error
            except BaseException:
                executor.shutdown(wait=False, cancel_futures=True)
                raise


def _done_here(function: Callable[[Any], Any], job: Any) -> Future[Any]:
    done: Future[Any] = Future()
    done.set_result(function(job))
    return done


def _one_thread_each(parent: int) -> None:
    """Workers share the cores: each uses one, leaves signals to the parent and ends with it, whatever ends that."""
    import signal

    die_with_parent(parent)
    os.environ.update(ONE_THREAD)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
