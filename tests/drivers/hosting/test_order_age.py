"""A command that waited in shared memory while the arm's process was stopped is dropped; a hold never is."""

import time

import numpy as np
import pytest

from drivers.hosting.shared_block import OrderReader, SharedBlock
from trajectories.types import Command

S = 1_000_000_000


@pytest.fixture
def block():
    return SharedBlock.create()


def taken(reader):
    found = []
    return reader.take(found.append), found


@pytest.mark.parametrize("away_ns", [-5 * S, 5 * S])
def test_a_command_of_another_time_is_dropped_and_the_next_one_taken(block, away_ns, caplog):
    reader = OrderReader(block, age_s=1.0)
    block.order(Command(np.zeros(6), 0.02, time.monotonic_ns() + away_ns))
    assert taken(reader) == (False, [])
    assert "A command was dropped" in caplog.text
    assert taken(reader) == (False, [])  # once and for all
    fresh = Command(np.arange(6.0), 0.03, time.monotonic_ns())
    block.order(fresh)
    new, found = taken(reader)
    assert new
    assert (found[0].joints.tolist(), found[0].gripper_width, found[0].t_ns) == ([0, 1, 2, 3, 4, 5], 0.03, fresh.t_ns)


def test_a_hold_is_never_too_old(block):
    reader = OrderReader(block, age_s=1e-9)
    block.order(None)
    assert taken(reader) == (True, [None])
