"""Methods over seeds, against numbers by hand."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib import rcParams

from commands.report.charts import method_chart, success_chart
from commands.report.compare import markdown
from commands.report.comparison import MethodRun, by_method, mean_curve, rows_of
from commands.report.data import stream_of


def cell(rate, episodes=50):
    return {"rate": rate, "episodes": episodes, "successes": round(rate * episodes), "interval95": [0, 1]}


def run(seed, method, rates):
    curve = {steps: {"forward/stochastic": cell(rate)} for steps, rate in rates.items()}
    return MethodRun(Path(f"seed{seed}"), method, curve, stream_of([]))


RUNS = [
    run(0, "retention", {0: 0.3, 1000: 0.5}),
    run(0, "regrasp", {0: 0.3, 1000: 0.7, 2000: 0.9}),
    run(1, "regrasp", {0: 0.4, 1000: 0.8, 2000: 0.9}),
    run(2, "regrasp", {0: 0.5, 1000: 0.9, 3000: 1.0}),
]


def test_rows_use_the_last_steps_that_all_seeds_have():
    rows = rows_of(RUNS)
    assert [(row.method, row.steps, row.seeds) for row in rows] == [("regrasp", 1000, 3), ("retention", 1000, 1)]
    wsrl = rows[0]
    assert wsrl.before.mean == pytest.approx(40)
    assert wsrl.after.mean == pytest.approx(80)
    # By hand in test_statistics; the mirror image of 0.5, 0.4, 0.3 is not symmetric about 40.
    assert (wsrl.after.low, wsrl.after.high) == pytest.approx((48.96, 94.35), abs=0.01)
    # Gains all 40; smoothed rates 16/52, 21/52, 26/52 and 36/52, 41/52, 46/52: mean variance 0.0076003
    assert (wsrl.gain.low, wsrl.gain.high) == pytest.approx((40 - 21.657, 40 + 21.657), abs=0.01)
    assert math.isnan(rows[1].after.low)


def test_a_pause_takes_no_minutes():
    def info(minute):
        metadata = {"evaluation": {"success": True}}
        return SimpleNamespace(
            id=f"{round(minute * 60e9)}-x", length=5, direction="forward", outcome="success", metadata=metadata
        )

    stream = stream_of([info(1.0), info(1.5), info(31.5), info(32.0)])
    assert stream.minutes == pytest.approx([0.0, 0.5, 0.5, 1.0])
    assert stream.steps.tolist() == [5, 10, 15, 20]


@pytest.mark.parametrize(("minutes", "said"), [(0.02, "seconds"), (1.5, "minutes")])
def test_a_run_of_seconds_has_seconds_below_its_chart(minutes, said, monkeypatch):
    def info(minute):
        return SimpleNamespace(
            id=f"{round(minute * 60e9)}-x", length=5, direction="forward", outcome="success", metadata={}
        )

    monkeypatch.setitem(rcParams, "svg.fonttype", "none")  # text as text
    chart = success_chart(stream_of([info(1.0), info(1.0 + minutes)]), [])
    assert f"{said} of fine-tuning on this machine" in chart
    last = {"seconds": 1.2, "minutes": 1.5}[said]
    ticks = [f"{tick:.1f}" for tick in np.linspace(0, last, 6)]
    assert len(set(ticks)) == 6
    assert all(f">{tick}</text>" in chart for tick in ticks)


def test_the_curve_has_the_common_points():
    steps, mean, low, _ = mean_curve(by_method(RUNS)["regrasp"], "forward/stochastic")
    assert steps.tolist() == [0, 1000]
    assert mean == pytest.approx([40, 80])
    assert low[1] == pytest.approx(48.96, abs=0.01)


def test_the_table_names_every_seed_and_the_chart_draws():
    text = markdown(rows_of(RUNS), RUNS)
    assert "| regrasp, 1000 steps | forward, stochastic | 3 × 50 | 40 (20 to 64) | 80 (49 to 94)" in text
    assert "70, 80, 90" in text
    curves = {"forward": {name: mean_curve(mine, "forward/stochastic") for name, mine in by_method(RUNS).items()}}
    assert method_chart(curves).startswith("<svg")
