"""Ages and skew of a session's observations against hand-computed numbers."""

import pytest

from commands.watch.data_age import DataAge


def test_ages_and_skew_in_milliseconds():
    freshness = DataAge()
    for i in range(101):
        freshness.add({"joints": 2_000_000, "front": 1_000_000 * i})
    figures = freshness.figures()
    assert figures["joints"] == pytest.approx({"p50_ms": 2.0, "p99_ms": 2.0, "max_ms": 2.0})
    assert figures["front"] == pytest.approx(
        {"p50_ms": 50.0, "p99_ms": 99.0, "max_ms": 100.0, "skew_p50_ms": 48.0, "skew_p99_ms": 97.0, "skew_max_ms": 98.0}
    )


def test_nothing_observed_is_nothing_to_report():
    assert DataAge().figures() == {}
