"""Writers that die by SIGKILL. Run as a program: `killed_writer.py points|moments FOLDER`.

Children are forked before any thread exists, so that a hundred deaths cost a second and not a minute.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from helpers.trajectory_samples import SPEC, sample_episode
from trajectories import durable
from trajectories.store import TrajectoryStore

CALLS = ("write", "fsync", "rename", "mkdir")


def die_at_call(number: int, calls: tuple[str, ...] = CALLS) -> None:
    """Kill this process when it is about to make the `number`-th of these calls of `os`, counted from now."""
    made = 0

    def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal made
            if made == number:
                os.kill(os.getpid(), signal.SIGKILL)
            made += 1
            return function(*args, **kwargs)

        return call

    for name in calls:
        setattr(durable.os, name, guarded(getattr(os, name)))


def at_every_point(folder: Path) -> None:
    """Store `folder/n`: episode 1 is committed, the writer of episode 2 dies at its n-th call."""
    for number in range(200):
        child = os.fork()
        if child == 0:
            store = TrajectoryStore(folder / str(number), SPEC)
            store.commit(sample_episode(1))
            die_at_call(number)
            store.commit(sample_episode(2))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            return


def at_random_moments(folder: Path) -> None:
    """One store, 20 writers in turn, each killed at a random moment; prints what was acknowledged."""
    rng = random.Random(0)
    start = 0
    for _ in range(20):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            store = TrajectoryStore(folder, SPEC)
            discarded = len(store.recovered.discarded)
            os.write(writing, f"discarded {discarded}\n".encode())
            for number in range(start, start + 1000):
                store.commit(sample_episode(number, steps=40))
                os.write(writing, f"{number}\n".encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            lines = [pipe.readline(), pipe.readline()]  # open, and one commit acknowledged: under way
            time.sleep(rng.uniform(0.0, 0.1))
            os.kill(child, signal.SIGKILL)
            lines += pipe.readlines()
        os.waitpid(child, 0)
        sys.stdout.writelines(lines)
        start += 1000


if __name__ == "__main__":
    {"points": at_every_point, "moments": at_random_moments}[sys.argv[1]](Path(sys.argv[2]))
