"""The ring of frames: whole frames only, whoever is killed and whenever; nothing left behind."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from helpers import ENVIRONMENT, HELPERS, ROOT
from helpers.camera_helpers import rings_of, runs, wait_until

from drivers.cameras.ring import FrameRing, Stamp
from drivers.errors import CameraError


def start_writer(ring):
    script = HELPERS / "ring_writer.py"
    return subprocess.Popen(
        [sys.executable, str(script), str(ring.owner_fd)],
        pass_fds=(ring.owner_fd,),
        env=ENVIRONMENT,
    )


def writer_of(ring):
    return FrameRing.attach(os.dup(ring.owner_fd), writable=True)


def put(ring, number, **more):
    height, width = ring.size
    ring.write(np.full((height, width, 3), number, np.uint8), None, Stamp(number * 10, number, number=number), **more)


def assert_whole(frame):
    """Every pixel and every number of the frame belong to one and the same frame."""
    number = frame.stamp.number
    assert frame.stamp.digest == frame.stamp.changed_ns == number
    assert frame.colour.min() == frame.colour.max() == number % 251
    if frame.depth is not None:
        assert frame.depth.min() == frame.depth.max() == number % 65521


def test_the_newest_frame_comes_back_bit_by_bit():
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    depth = rng.integers(0, 65536, (5, 7), dtype=np.uint16)
    stamp = Stamp(1, 2, 3, 4, 5, 6, 7, 8)
    with FrameRing.create((5, 7), depth=True) as ring, writer_of(ring) as writer:
        assert ring.newest() is None
        assert ring.stamp() is None
        assert ring.period_ns() is None
        writer.write(colour, depth, stamp)
        found = ring.newest(depth=True)
        assert np.array_equal(found.colour, colour)
        assert np.array_equal(found.depth, depth)
        assert found.stamp == ring.stamp() == stamp
        assert ring.newest().depth is None
        writer.write(colour[::-1], depth, stamp)
        assert np.array_equal(found.colour, colour), "a frame that was handed out must not change"


def test_counters_and_the_period_of_the_frames_in_the_ring():
    with FrameRing.create((2, 2), slots=4) as ring, writer_of(ring) as writer:
        for number in range(1, 11):
            put(writer, number, dropped=number % 2)
        writer.beat(77)
        assert (ring.written, ring.dropped, ring.beat_ns) == (10, 5, 77)
        assert ring.newest().stamp.number == 10
        assert ring.period_ns() == 10


@pytest.mark.parametrize("depth", [False, True])
def test_readers_never_see_a_torn_frame_beside_a_fast_writer(depth):
    with FrameRing.create((96, 96), depth=depth, slots=2) as ring:
        writer = start_writer(ring)
        other = FrameRing.attach(ring.address)
        failures, seen = [], []

        def read(reader):
            last, end = 0, time.monotonic() + 20
            while len(seen) < 150 and not failures and time.monotonic() < end:
                try:
                    frame = reader.newest(depth)
                    assert_whole(frame)
                    assert frame.stamp.number >= last
                    if frame.stamp.number > last:
                        last = frame.stamp.number
                        seen.append(last)
                except (AssertionError, CameraError) as error:
                    failures.append(error)

        try:
            wait_until(lambda: ring.written > 0)
            threads = [threading.Thread(target=read, args=(reader,)) for reader in (ring, other)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert not failures
            assert len(seen) >= 150
        finally:
            writer.kill()
            writer.wait()
            other.close()


def test_a_slot_that_changed_during_the_copy_is_not_used():
    """The deterministic half of the test above: the writer laps the reader in the middle of its copy, twice."""
    with FrameRing.create((4, 4), slots=2) as ring, writer_of(ring) as writer:
        put(writer, 1)
        laps = iter([(2, 3), (4, 5)])

        class Colours(list):
            def __getitem__(self, i):
                copied = super().__getitem__(i).copy()
                for number in next(laps, ()):
                    put(writer, number)
                copied[2:] = super().__getitem__(i)[2:]
                return copied

        ring._colours = Colours(ring._colours)
        found = ring.newest()
        assert found.stamp.number == 5
        assert found.colour.min() == found.colour.max() == 5


def test_a_writer_that_was_killed_leaves_whole_frames_and_its_successor_goes_on():
    with FrameRing.create((96, 96), depth=True, slots=3) as ring:
        for _ in range(3):
            before = ring.written
            writer = start_writer(ring)
            try:
                wait_until(lambda before=before: ring.written > before + 20)
                os.kill(writer.pid, signal.SIGKILL)
            finally:
                writer.wait()
            frame = ring.newest(depth=True)
            assert_whole(frame)
            assert frame.stamp.number == ring.written > before


def test_a_frame_half_written_when_the_writer_died_is_never_shown():
    with FrameRing.create((2, 2), slots=2) as ring, writer_of(ring) as writer:
        put(writer, 1)
        slot = 2 % 2
        writer._metas[slot][0] = -2
        writer._colours[slot][:1] = 99
        assert ring.newest().stamp.number == 1
        put(writer, 2)
        assert ring.newest().colour.max() == 2


def test_memory_goes_with_its_owner_even_when_that_is_killed():
    code = (
        "import sys, time, numpy as np\n"
        "from drivers.cameras.ring import FrameRing\n"
        "ring = FrameRing.create((480, 640))\n"
        "print(ring.address, flush=True)\n"
        "time.sleep(600)\n"
    )
    shared = set(os.listdir("/dev/shm"))
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as owner:
        address = owner.stdout.readline().decode().strip()
        reader = FrameRing.attach(address)
        owner.kill()
        assert owner.stderr.read() == b"", "nobody complains about leaks"
    assert not runs(owner.pid)
    assert reader.newest() is None, "who has it mapped can go on"
    reader.close()
    with pytest.raises(CameraError, match="is the process that owns it running"):
        FrameRing.attach(address)
    left = set(os.listdir("/dev/shm")) - shared
    assert {name for name in left if not name.startswith(("tmp", "sem."))} == set()  # those are other programs'
    assert rings_of(os.getpid()) == []


def test_wrong_use_is_refused_in_words(tmp_path):
    with FrameRing.create((4, 6)) as ring, writer_of(ring) as writer:
        image, stamp = np.zeros((4, 6, 3), np.uint8), Stamp(1, 1)
        with pytest.raises(CameraError, match="may only read"):
            ring.write(image, None, stamp)
        with pytest.raises(CameraError, match=r"uint8 \(6, 4, 3\), the ring expects uint8 \(4, 6, 3\)"):
            writer.write(image.transpose(1, 0, 2), None, stamp)
        with pytest.raises(CameraError, match="float32"):
            writer.write(image.astype(np.float32), None, stamp)
        with pytest.raises(CameraError, match="no place for"):
            writer.write(image, np.zeros((4, 6), np.uint16), stamp)
        with pytest.raises(CameraError, match="holds no depth"):
            ring.newest(depth=True)
        with pytest.raises(CameraError, match="Only the process that created"):
            _ = writer.address
    with pytest.raises(CameraError, match="two slots"):
        FrameRing.create((4, 6), slots=1)
    other = tmp_path / "other"
    other.write_bytes(b"x" * 4096)
    with pytest.raises(CameraError, match="holds no ring"):
        FrameRing.attach(str(other))
    other.write_bytes(b"x")
    with pytest.raises(CameraError, match="a file of 1 bytes"):
        FrameRing.attach(str(other))
