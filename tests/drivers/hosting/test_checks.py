"""What an old joint state is blamed on."""

import numpy as np
import pytest

from drivers.hosting.checks import fresh
from robot.interfaces import ArmState
from trajectories.errors import StaleDataError

MS = 1_000_000


def state(t_ms):
    return ArmState(np.zeros(6), np.zeros(6), np.zeros(6), 0.04, 0.0, t_ms * MS)


@pytest.mark.parametrize(
    ("state_ms", "beat_ms", "now_ms", "blamed"),
    [
        (0, 195, 200, "cables"),  # the loop runs, and servos don't answer
        (0, 120, 200, "cables"),  # the same while a cycle that waits for servos takes long
        (0, 8, 200, "starved"),  # the loop stopped with the state
        (0, 20, 1000, "starved"),
    ],
)
def test_silent_servos_are_told_from_a_loop_that_stopped(state_ms, beat_ms, now_ms, blamed):
    with pytest.raises(StaleDataError, match=f"{now_ms} ms old, at most 100 ms are allowed.*{blamed}"):
        fresh(state(state_ms), now_ms * MS, beat_ms * MS, 0.1, None)


def test_what_stands_is_said_instead():
    with pytest.raises(StaleDataError, match="the plug"):
        fresh(state(0), 200 * MS, 195 * MS, 0.1, "Somebody pulled the plug.")
    assert fresh(state(150), 200 * MS, 195 * MS, 0.1, "Somebody pulled the plug.").t_ns == 150 * MS
