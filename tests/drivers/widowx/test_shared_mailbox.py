"""Messages in shared memory: whole or not at all, whoever is killed."""

import mmap
import os
import subprocess
import sys
import time

import pytest
from helpers import ENVIRONMENT, HELPERS

from drivers.shared_memory import Mailbox, create_memory
from trajectories.errors import DeviceError

CAPACITY = 4096


@pytest.fixture
def memory():
    fd = create_memory("regrasp-test", Mailbox.size(CAPACITY))
    yield fd
    os.close(fd)


def mapped(fd):
    return Mailbox(mmap.mmap(fd, Mailbox.size(CAPACITY)), 0, CAPACITY)


def test_the_newest_message_and_its_number(memory):
    writer, reader = mapped(memory), mapped(memory)
    assert reader.newest() is None
    assert reader.number == 0
    for i in range(1, 12):
        assert writer.write(f"message {i}".encode()) == i
        assert reader.newest() == (i, f"message {i}".encode())
    assert writer.write(b"") == 12
    assert reader.newest() == (12, b"")
    assert writer.write(bytes(CAPACITY)) == 13
    with pytest.raises(DeviceError, match="4097 bytes doesn't fit into shared memory for 4096"):
        writer.write(bytes(CAPACITY + 1))
    assert reader.newest() == (13, bytes(CAPACITY))


def test_several_mailboxes_in_one_memory_keep_apart():
    fd = create_memory("regrasp-test", Mailbox.size(64) + Mailbox.size(128))
    shared = mmap.mmap(fd, 0)
    os.close(fd)
    first, second = Mailbox(shared, 0, 64), Mailbox(shared, Mailbox.size(64), 128)
    for i in range(20):
        first.write(bytes([i]) * 64)
        second.write(bytes([100 + i]) * 128)
        assert (first.newest(), second.newest()) == ((i + 1, bytes([i]) * 64), (i + 1, bytes([100 + i]) * 128))


def test_messages_are_never_torn_and_a_killed_writer_leaves_a_whole_one(memory):
    command = [sys.executable, str(HELPERS / "mailbox_writer.py"), str(memory), str(CAPACITY)]
    reader, seen = mapped(memory), 0
    for _ in range(3):
        with subprocess.Popen(command, pass_fds=(memory,), env=ENVIRONMENT) as writer:
            target, end = seen + 2000, time.monotonic() + 20.0
            while seen < target:
                assert time.monotonic() < end
                found = reader.newest()
                if found is not None:
                    number, message = found
                    assert number >= seen
                    assert message == bytes([number % 251]) * (number % CAPACITY + 1)
                    seen = number
            writer.kill()
        number, message = reader.newest()
        assert message == bytes([number % 251]) * (number % CAPACITY + 1)
        seen = number


def test_a_message_that_was_only_begun_is_not_seen(memory):
    writer, reader = mapped(memory), mapped(memory)
    writer.write(b"one")
    slot = 2 % len(writer._heads)
    writer._heads[slot][0] = -2  # killed while it wrote the second
    assert reader.newest() == (1, b"one")
    assert mapped(memory).write(b"two") == 2  # its successor
    assert reader.newest() == (2, b"two")
