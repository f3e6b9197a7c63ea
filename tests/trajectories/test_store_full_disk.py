"""A disk that refuses, at every single call: the commit fails loudly, leaves nothing, and works later."""

import errno
import os
import subprocess
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import numpy as np
import pytest
from helpers.trajectory_samples import SPEC, assert_same_episode, sample_episode

from trajectories import durable
from trajectories.errors import StoreError
from trajectories.store import TrajectoryStore
from trajectories.types import RobotSpec

CALLS = ("write", "fsync", "rename", "mkdir", "open")


@contextmanager
def refusing(number: int, error: int) -> Iterator[list[str]]:
    """The `number`-th call that writes fails, and so does each after it; yields the calls that were made."""
    made: list[str] = []
    saved = {name: getattr(os, name) for name in CALLS}

    def guarded(name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            reading = name == "open" and not args[1] & os.O_CREAT
            if not reading:
                made.append(name)
                if len(made) > number:
                    raise OSError(error, os.strerror(error))
            return saved[name](*args, **kwargs)

        return call

    try:
        for name in CALLS:
            setattr(durable.os, name, guarded(name))
        yield made
    finally:
        for name, function in saved.items():
            setattr(durable.os, name, function)


def calls_of_a_commit(path) -> int:
    with TrajectoryStore(path, SPEC) as store, refusing(10_000, errno.ENOSPC) as made:
        store.commit(sample_episode())
    return len(made)


def test_a_refusal_at_any_call_leaves_nothing_and_a_retry_succeeds(tmp_path):
    calls = calls_of_a_commit(tmp_path / "counted")
    assert calls > 30
    for number in range(calls):
        path, error = tmp_path / str(number), (errno.ENOSPC, errno.EIO)[number % 2]
        with TrajectoryStore(path, SPEC) as store:
            store.commit(sample_episode(1))
            with refusing(number, error), pytest.raises(StoreError, match=os.strerror(error)):
                store.commit(sample_episode(2))
            assert store.ids() == [sample_episode(1).id]
            assert store.staged() == []
            store.commit(sample_episode(2))
            assert_same_episode(store.read(sample_episode(2).id), sample_episode(2))
        with TrajectoryStore(path, SPEC) as store:
            assert store.ids() == [sample_episode(1).id, sample_episode(2).id]
            assert store.verify() == ()
            assert str(store.recovered) == ""


def test_a_refusal_of_the_last_sync_may_leave_the_episode_whole_but_never_half(tmp_path):
    calls = calls_of_a_commit(tmp_path / "counted")
    with TrajectoryStore(tmp_path / "store", SPEC) as store, refusing(calls - 1, errno.EIO) as made:
        with pytest.raises(StoreError):
            store.commit(sample_episode())
        assert made[-2:] == ["rename", "fsync"]
        assert len(store) == 0
    with TrajectoryStore(tmp_path / "store", SPEC) as store:
        assert store.ids() == [sample_episode().id]
        assert_same_episode(store.read(sample_episode().id), sample_episode())


def test_quarantine_on_a_full_disk_still_keeps_damage_out(tmp_path):
    with TrajectoryStore(tmp_path, SPEC) as store:
        store.commit(sample_episode())
        (tmp_path / "episodes" / sample_episode().id / "zarr.json").write_text("")
        with refusing(0, errno.ENOSPC):
            (damaged,) = store.verify()
        assert "could not be moved aside: No space left" in damaged.reason
        assert damaged.moved_to is None
        assert store.ids() == []
        store.commit(sample_episode())  # once there is room: the damaged bytes are kept, the new ones take over
        assert_same_episode(store.read(sample_episode().id), sample_episode())
        (aside,) = store.quarantined()
        assert aside.moved_to is not None
        assert (aside.moved_to / "episode" / "zarr.json").read_text() == ""


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 3 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small file system needs root; the injected refusals cover the same calls")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_really_full(small_disk):
    spec = RobotSpec(cameras={"front": (64, 64)})
    rng = np.random.default_rng(0)

    def noisy(number: int):
        noise = rng.integers(0, 256, (41, 64, 64, 3), np.uint8)  # 0.5 MB that no codec makes smaller
        return sample_episode(number, steps=40, spec=spec, images={"front": noise})

    committed = {}
    with TrajectoryStore(small_disk / "store", spec) as store:
        with pytest.raises(StoreError, match=r"No space left on device \(.* MB free\)"):  # noqa: PT012
            for number in range(100):
                episode = noisy(number)
                store.commit(episode)
                committed[episode.id] = episode
        assert 3 <= len(committed) <= 6
        assert store.ids() == sorted(committed)
        assert store.staged() == []
    filler = os.open(small_disk / "filler", os.O_WRONLY | os.O_CREAT)
    with pytest.raises(OSError, match="No space"):
        deque((os.write(filler, bytes(4096)) for _ in count()), maxlen=0)
    os.close(filler)
    with TrajectoryStore(small_disk / "store", spec) as store:
        assert store.ids() == sorted(committed)
        store.remove(min(committed))
        del committed[min(committed)]
        store.commit(episode)
        committed[episode.id] = episode
    with TrajectoryStore(small_disk / "store", spec) as store:
        assert str(store.recovered) == ""
        assert store.ids() == sorted(committed)
        for id, episode in committed.items():
            assert_same_episode(store.read(id), episode)
