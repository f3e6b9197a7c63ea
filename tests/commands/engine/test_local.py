"""Jobs on several processes: in order where that is asked for, and a process that is killed is named."""

import os
import signal
import time

import pytest

from commands.engine.interface import WorkerError
from commands.engine.jobs import run_jobs
from commands.engine.local import LocalEngine


def later_first(job):
    """The earlier the job, the longer it takes."""
    time.sleep(0.02 * (5 - job))
    return 10 * job


def killed(job):
    os.kill(os.getpid(), signal.SIGKILL)


def test_results_come_in_the_order_of_the_jobs():
    jobs = list(range(5))
    assert list(run_jobs(later_first, jobs, LocalEngine(2), "jobs", in_order=True)) == [(job, 10 * job) for job in jobs]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_that_is_not_wanted_any_more_as_its_turn_comes_is_not_run(workers):
    done = []
    for job, _ in run_jobs(
        later_first, list(range(12)), LocalEngine(workers), "jobs", skip=lambda job: bool(done) and job > 5
    ):
        done.append(job)
    assert sorted(done) == list(range(6))


def test_a_process_that_is_killed_is_named():
    with pytest.raises(WorkerError, match=r"collecting: one of 2 processes was killed.*workers=1"):
        list(run_jobs(killed, [1, 2, 3], LocalEngine(2), "collecting"))
