"""How a session went on, as `benchmarks/methods.py` says it."""

from pathlib import Path

import numpy as np

from benchmarks.on_the_way import in_words, minutes_at, snapshot_counts, stream_counts
from commands.evaluate.conditions import Evaluation
from commands.report.data import Stream


def stream():
    """Episodes of 400 steps and 2 minutes, forward and backward by turns; the third one's end was false."""
    count = 6
    no, yes = np.zeros(count, bool), np.ones(count, bool)
    return Stream(
        steps=400 * np.arange(1, count + 1),
        minutes=2.0 * np.arange(1, count + 1),
        forward=np.arange(count) % 2 == 0,
        judged=yes,
        decided=np.array([True, True, True, True, False, True]),
        spoken=no,
        said=no,
        refereed=yes,
        true=np.array([True, True, False, True, True, False]),
        displaced=no,
        help_reasons=("",) * count,
        faults=("",) * count,
    )


def evaluation(place, **cells):
    counts = {
        name.replace("_", "/"): {"successes": done, "episodes": 20, "rate": done / 20} for name, done in cells.items()
    }
    return Evaluation(Path(place), place, {}, {"cells": counts})


def test_true_successes_by_thousands_of_steps():
    """Ends at 400 800 | 1,200 1,600 2,000 | 2,400; the one that nobody decided counts nowhere."""
    assert stream_counts(stream()) == {
        "forward": [(1, 1), (0, 1), (0, 0)],
        "backward": [(1, 1), (1, 1), (0, 1)],
    }


def test_minutes_are_those_of_the_last_episode_by_then():
    assert [minutes_at(stream(), steps) for steps in (0, 399, 400, 1199, 1200, 9000)] == [0.0, 0.0, 2.0, 4.0, 6.0, 12.0]


def test_snapshots_of_a_method_alone_in_order_of_their_steps():
    found = snapshot_counts(
        [
            evaluation("regrasp/step_1500", forward_stochastic=12),
            evaluation("regrasp/step_500", forward_stochastic=9, backward_stochastic=7),
            evaluation("other_regrasp/step_700", forward_stochastic=1),
            evaluation("wsrl/step_600", forward_stochastic=1),
            evaluation("pretrained", forward_stochastic=2),
        ],
        "regrasp",
    )
    assert [*found] == [500, 1500]
    assert found[500] == {"forward/stochastic": (9, 20), "backward/stochastic": (7, 20)}


def test_lines():
    lines = in_words("regrasp, seed 3", stream(), [evaluation("regrasp/step_1500", forward_stochastic=12)], "regrasp")
    assert lines == [
        "regrasp, seed 3: true successes of the stream by 1,000 steps: forward 1/1 0/1 0/0; backward 1/1 1/1 0/1 "
        "(minutes 4.0 10.0 12.0)",
        "regrasp, seed 3, from the evaluation's starts after 1,500 steps: forward stochastic 12/20",
    ]
