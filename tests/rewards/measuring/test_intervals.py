"""Figures by hand, and intervals that know that neighbouring frames are alike."""

import numpy as np
import pytest

from rewards.intervals import JudgedFrames, grouped_figures, interval_table, with_intervals
from rewards.metrics import auroc
from trajectories.errors import ConfigError


def frames(rows):
    return JudgedFrames.of([(done, p, p >= 0.5, episode, groups) for done, p, episode, groups in rows])


def of_kinds(*kinds):
    """Ten episodes of each kind (name, done, probability), three frames each."""
    return frames(
        [
            (done, p + 0.001 * i, f"{kind}{i}", {"kind": kind, "camera": "front"})
            for kind, done, p in kinds
            for i in range(10)
            for _ in range(3)
        ]
    )


def test_figures_by_kind_of_failure():
    judged = of_kinds(("success", True, 0.8), ("failure: drop", False, 0.1), ("failure: edge", False, 0.9))
    figures = grouped_figures(judged, draws=20)
    assert (figures["all"]["frames"], figures["all"]["done"], figures["all"]["episodes"]) == (90, 30, 30)
    assert figures["all"]["auroc"][0] == pytest.approx(0.5)
    assert figures["by_kind"]["failure: drop"]["auroc"] == [1.0, 1.0, 1.0]
    assert figures["by_kind"]["failure: edge"]["auroc"] == [0.0, 0.0, 0.0]
    assert figures["by_kind"]["failure: edge"]["false_positives_at_95_recall"][0] == 1.0
    assert figures["by_kind"]["failure: edge"]["balanced_accuracy"][0] == 0.5
    assert figures["by_kind"]["success"]["auroc"] == [None, None, None]
    assert figures["by_kind"]["success"]["calibration_error"][0] == pytest.approx(0.2, abs=0.01)
    table = interval_table(figures).splitlines()
    assert "kind: failure: edge" in "\n".join(table)
    assert "camera" not in "\n".join(table)  # one camera is no comparison
    assert "0.500 (" in table[1]


def test_an_interval_is_over_episodes_not_over_frames():
    """Repeating every frame a hundred times tells nothing new; twenty times as many episodes do."""
    rng = np.random.default_rng(0)

    def judged(episodes, repeats):
        rows = []
        for i in range(episodes):
            p = float(np.clip(0.5 + (0.15 if i % 2 else -0.15) + rng.normal(0, 0.2), 0, 1))
            rows += [(bool(i % 2), p, str(i), {})] * repeats
        return with_intervals(frames(rows), draws=200)["auroc"]

    def width(figure):
        return figure[2] - figure[1]

    rng = np.random.default_rng(0)
    once = judged(20, 1)
    rng = np.random.default_rng(0)
    often = judged(20, 100)
    assert often == pytest.approx(once)
    assert width(judged(400, 1)) < 0.4 * width(once)


def test_an_interval_covers_the_truth_as_often_as_it_says():
    rng, covered = np.random.default_rng(1), 0

    def scores(count, done):
        return 1 / (1 + np.exp(-rng.normal(1.0 if done else 0.0, 1.0, count)))

    truth = auroc(np.repeat([True, False], 20000), np.concatenate([scores(20000, True), scores(20000, False)]))
    for _ in range(60):
        rows = [(done, p, f"{done}{i}", {}) for done in (True, False) for i, p in enumerate(scores(40, done))]
        _, low, high = with_intervals(frames([(d, float(p), e, g) for d, p, e, g in rows]), draws=100)["auroc"]
        covered += low <= truth <= high
    assert 50 <= covered <= 60


def test_nothing_to_measure_is_said():
    with pytest.raises(ConfigError, match="not one frame"):
        JudgedFrames.of([])
