"""The loop's figures: percentiles over any time in constant memory."""

import numpy as np
import pytest

from drivers.dynamixel.wire import BusStatistics
from drivers.widowx.statistics import Histogram, LoopStatistics

MS = 1_000_000


def test_percentiles_are_exact_to_half_a_percent():
    rng = np.random.default_rng(0)
    durations = np.exp(rng.normal(np.log(0.01), 2.0, 20_000))
    histogram = Histogram()
    for seconds in durations:
        histogram.add(float(seconds))
    for percent in (1, 50, 90, 99, 99.9):
        exact = np.percentile(durations, percent, method="inverted_cdf")
        assert histogram.percentile(percent) == pytest.approx(exact, rel=0.006)
    assert histogram.largest == durations.max()
    assert histogram.count == 20_000


def test_what_lies_beyond_the_bins_is_counted():
    histogram = Histogram()
    assert histogram.percentile(50) == 0.0
    for seconds in (0.0, 0.0, 1e-9, 3000.0):
        histogram.add(seconds)
    assert histogram.percentile(50) <= 1.01e-6
    assert histogram.percentile(100) <= histogram.largest == 3000.0


def test_equal_durations_are_given_back_exactly():
    histogram = Histogram()
    for _ in range(10):
        histogram.add(0.02)
    assert histogram.percentile(50) == histogram.percentile(99) == 0.02


def test_the_report_has_periods_lateness_and_work():
    statistics = LoopStatistics()
    starts = [0, 20, 40, 70, 90]
    for start, late in zip(starts, (0, -1, 2, 10, 0), strict=True):
        statistics.start(late * MS)
        statistics.count(start * MS, (start + 3) * MS)
    statistics.missed = 1
    report = statistics.report(BusStatistics(retries=2, timeouts=3, crc_errors=4))
    assert (report.cycles, report.missed, report.incomplete) == (5, 1, 0)
    assert report.period_p50_s == pytest.approx(0.02, rel=0.006)
    assert report.period_p99_s == report.period_max_s == 0.03
    assert report.late_p50_s < 1.1e-6  # the finest bin
    assert report.late_p99_s == pytest.approx(0.01, rel=0.006)
    assert report.late_max_s == 0.01
    assert report.work_p50_s == report.work_p99_s == 0.003
    assert (report.bus_retries, report.bus_timeouts, report.crc_errors) == (2, 3, 4)
