"""Independent jobs on an engine, with one progress bar, stopped cleanly by Ctrl-C."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from commands.engine.interface import NOTHING, Engine

Job = TypeVar("Job")
Result = TypeVar("Result")


def run_jobs(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    engine: Engine,
    title: str,
    unit: str = "episode",
    in_order: bool = False,
    skip: Callable[[Job], bool] = lambda job: False,
    folders: Mapping[Path, Sequence[str]] = NOTHING,
) -> Iterator[tuple[Job, Result]]:
    """Yield (job, result) as they finish.

    Args:
        function: Importable function of one job.
        jobs: What to do; jobs and results cross process boundaries.
        engine: Where.
        title: Shown before the progress bar.
        unit: What a job is called in the bar's rate.
        in_order: Yield in the order of `jobs` on several processes, too.
        skip: Asked as a job's turn comes; one that isn't wanted any more yields nothing.
        folders: Files that the function reads, see `commands.engine.interface.Engine`.

    Raises:
        WorkerError: One of the processes was killed, and the job couldn't be done anew.
    """
    with tqdm(total=len(jobs), desc=title, unit=unit, dynamic_ncols=True, mininterval=0.5) as bar:
        waiting = (job for job in jobs if not skip(job))
        with engine.pool(function, len(jobs), title, folders) as pool:
            running: dict[Future[Result], Job] = {}
            while True:
                for coming in itertools.islice(waiting, max(0, pool.window() - len(running))):
                    running[pool.submit(coming)] = coming
                if not running:
                    return
                awaited = [next(iter(running))] if in_order else running
                done, _ = wait(awaited, return_when=FIRST_COMPLETED)
                for future in done:
                    finished = running.pop(future)
                    bar.update()
                    yield finished, future.result()
