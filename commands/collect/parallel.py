"""Independent jobs on several processes, with a progress bar, stopped cleanly by Ctrl-C."""

from __future__ import annotations

import itertools
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from tqdm import tqdm

from drivers.parent_link import die_with_parent
from trajectories.errors import RegraspError

Job = TypeVar("Job")
Result = TypeVar("Result")


class WorkerError(RegraspError):
    """A process that did a part of the work was killed."""


def _one_thread_each(parent: int) -> None:
    """Workers share the cores: each uses one, leaves signals to the parent and ends with it, whatever ends that."""
    import signal

    die_with_parent(parent)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def run_jobs(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    workers: int,
    title: str,
    unit: str = "episode",
    in_order: bool = False,
    skip: Callable[[Job], bool] = lambda job: False,
) -> Iterator[tuple[Job, Result]]:
    """Yield (job, result) as they finish; with `workers` <= 1 in this process, in order.

    Args:
        function: Importable function of one job.
        jobs: What to do; jobs and results cross process boundaries.
        workers: Number of processes.
        title: Shown before the progress bar.
        unit: What a job is called in the bar's rate.
        in_order: Yield in the order of `jobs` on several processes, too.
        skip: Asked as a job's turn comes; one that isn't wanted any more yields nothing.

    Raises:
        WorkerError: One of the processes was killed.
    """
    with tqdm(total=len(jobs), desc=title, unit=unit, dynamic_ncols=True, mininterval=0.5) as bar:
        waiting = (job for job in jobs if not skip(job))
        if workers <= 1 or len(jobs) <= 1:
            for job in waiting:
                result = function(job)
                bar.update()
                yield job, result
            return
        with ProcessPoolExecutor(
            min(workers, len(jobs)), multiprocessing.get_context("spawn"), _one_thread_each, (os.getpid(),)
        ) as pool:
            running: dict[Future[Result], Job] = {}
            try:
                while True:
                    # A short queue keeps every worker busy and little in memory.
                    for coming in itertools.islice(waiting, max(0, 2 * workers - len(running))):
                        running[pool.submit(function, coming)] = coming
                    if not running:
                        return
                    awaited = [next(iter(running))] if in_order else running
                    done, _ = wait(awaited, return_when=FIRST_COMPLETED)
                    for future in done:
                        finished = running.pop(future)
                        bar.update()
                        yield finished, future.result()
            except BrokenProcessPool as error:
                raise WorkerError(
                    f"{title}: one of {workers} processes was killed, perhaps for lack of memory. What is done stays; "
                    "go on with fewer (workers=1)."
                ) from error
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
