"""What cells say together, by hand."""

import json
import math
from dataclasses import replace

import pytest

from commands.bench.algorithms import cell_folder, changes_of, is_done, write_results
from commands.bench.charts import bench_chart
from commands.bench.results import (
    CELL_FILE,
    Cell,
    groups,
    main_measures,
    markdown,
    plain,
    points_of,
    read_cells,
    rows_of,
    shared_changes,
)
from commands.report.statistics import Estimate


def cell(method, seed, curve, *, env="maze", changes=(), measure="stochastic/success"):
    return Cell(env, method, changes, seed, 20, {measure: curve}, 60.0 * (seed + 1), 120.0, {})


def test_a_row_has_start_lowest_average_and_last_over_seeds():
    cells = [
        cell("wsrl", 0, {0: 0.5, 1000: 0.1, 2000: 0.6}),
        cell("wsrl", 1, {0: 0.7, 1000: 0.3, 2000: 0.8, 3000: 1.0}),
    ]
    (row,) = rows_of(cells)
    assert (row.env, row.label, row.measure, row.seeds, row.steps) == (
        "maze",
        "wsrl",
        "stochastic/success",
        (0, 1),
        2000,
    )
    assert row.start.mean == pytest.approx(0.6)
    # t(0.975, 1) = 12.7062, its square 161.4476; variance of the mean 0.01, so 0.6 * 0.4 / 0.01 = 24 effective trials:
    # centre (0.6 + 161.4476 / 48) / 7.72698 = 0.51294, half 12.7062 * sqrt(0.01 + 161.4476 / 2304) / 7.72698 = 0.46532
    assert (row.start.low, row.start.high) == pytest.approx((0.04762, 0.97826), abs=1e-4)
    assert row.lowest.values == (0.1, 0.3)
    assert row.average.values == pytest.approx((0.35, 0.55))  # without the start
    assert row.final.values == (0.6, 0.8)  # the last step that both have
    assert row.offline_minutes == pytest.approx(1.5)
    assert row.minutes_per_1000_steps == pytest.approx((1 + 2 / 3) / 2)  # 120 s each, for 2,000 and 3,000 steps


def test_a_method_without_online_steps_has_one_point():
    (row,) = rows_of([cell("bc", 0, {0: 0.4})])
    assert row.start == row.lowest == row.average == row.final
    assert row.minutes_per_1000_steps is None
    assert "| bc | success, %, stochastic | 1 × 20 | 40 | 40 | 40 | 40 | 0 | 1.0 | - |" in markdown([row])


def test_three_perfect_seeds_are_not_certain():
    perfect = [cell("wsrl", seed, {0: 0.0, 1000: 1.0}) for seed in range(3)]
    (row,) = rows_of(perfect)
    # 60 trials, t(0.975, 2) = 4.30265, its square 18.5128: 60 / 78.5128
    assert row.final.low == pytest.approx(0.76421, abs=1e-4)
    assert "| 3 × 20 | 0 (0 to 24) | 100 (76 to 100) | 100 (76 to 100) | 100 (76 to 100) |" in markdown([row])


def test_a_text_of_a_spread_is_in_units_of_the_table():
    assert Estimate.of([0.5, 0.7]).text(100) == "60 ± 127"
    assert Estimate.of([0.5]).text(100) == "50"
    assert Estimate.of([-12.5]).text(1) == "-12.5"
    assert Estimate.of([-1234.5, -1234.5]).text(1) == "-1234 ± 0"
    assert Estimate.of([999.7]).text(1) == "1000"


def test_success_is_shown_where_there_is_one_else_the_return():
    success = {"stochastic/success": {0: 1.0}, "deterministic/success": {0: 1.0}, "stochastic/return": {0: 3.0}}
    with_success = Cell("maze", "a", (), 0, 1, success, 0, 0, {})
    without = Cell("maze", "b", (), 0, 1, {"stochastic/return": {0: 3.0}}, 0, 0, {})
    assert main_measures([with_success]) == ["stochastic/success", "deterministic/success"]
    assert main_measures([with_success, without]) == ["stochastic/return"]


def test_points_are_the_evaluations_of_the_metrics():
    rows = [
        {"step": 0, "wall_s": 1.0, "eval/stochastic/return": -3.0, "eval/stochastic/success": 0.0},
        {"step": 5, "wall_s": 1.0, "train/return": 9.0},
        {"step": 10, "wall_s": 2.0, "eval/stochastic/return": None, "eval/stochastic/success": 0.5},
    ]
    points = points_of(rows)
    assert points["stochastic/success"] == {0: 0.0, 10: 0.5}
    assert points["stochastic/return"] == {0: -3.0, 10: pytest.approx(math.nan, nan_ok=True)}


def test_a_seed_whose_return_is_no_number_is_not_left_out(tmp_path):
    measure = "stochastic/return"
    broken = cell("sac", 1, {0: 1.0, 1000: math.nan, 2000: math.nan}, measure=measure)
    cells = [cell("sac", 0, {0: 1.0, 1000: 2.0, 2000: 3.0}, measure=measure), broken]
    for one in cells:
        folder = cell_folder(tmp_path, one.env, one.method, (), one.seed)
        folder.mkdir(parents=True)
        (folder / CELL_FILE).write_text(json.dumps(plain(one.__dict__)))
    (row,) = rows_of(read_cells(tmp_path))
    assert (row.steps, row.start.mean) == (2000, 1.0)
    assert all(math.isnan(spread.mean) for spread in (row.lowest, row.average, row.final))
    table = markdown([row])
    assert "| 1 ± 0 | not a number | not a number | not a number | 2,000 |" in table
    assert "<svg" in bench_chart("maze", read_cells(tmp_path))


def test_labels_say_what_sets_cells_apart():
    cells = [
        cell("wsrl", 0, {0: 0.0}, changes=("batch=64", "warmup_steps=500")),
        cell("wsrl", 0, {0: 0.0}, changes=("batch=64", "warmup_steps=2000")),
        cell("bc", 0, {0: 0.0}, changes=("batch=64",)),
    ]
    assert shared_changes(cells) == ("batch=64",)
    assert list(groups(cells, ("batch=64",))) == ["wsrl, warmup_steps=500", "wsrl, warmup_steps=2000", "bc"]
    assert markdown(rows_of(cells), ("batch=64",)).startswith("All with batch=64.")


def test_cells_may_have_a_label_of_their_own_and_two_variants_never_share_one():
    slow, fast = (
        [replace(cell("wsrl", seed, {0: 0.0}, changes=(f"utd={utd}",)), label="ours") for seed in (0, 1)]
        for utd in (1, 4)
    )
    found = groups([*slow, replace(fast[0], label=None), fast[1]])
    assert found == {"ours": slow, "ours (wsrl, utd=4)": [replace(fast[0], label=None), fast[1]]}


def test_seeds_of_other_settings_are_rows_of_their_own():
    """E.g. of other data under the same name."""
    settings = {"seed": 0, "dataset": "abc", "online": {"steps": 10, "utd": 1}}
    first = replace(cell("wsrl", 0, {0: 0.0}), settings=settings)
    longer = replace(first, seed=1, settings={**settings, "seed": 1, "online": {"steps": 99, "utd": 1}})
    other = replace(first, seed=2, settings={**settings, "seed": 2, "dataset": "xyz"})
    assert groups([first, longer, other]) == {"wsrl": [first, longer], "wsrl (dataset = xyz)": [other]}
    third = replace(other, seed=3, settings={**other.settings, "seed": 3, "env": "new"})
    assert list(groups([first, other, third])) == ["wsrl", "wsrl (dataset = xyz)", "wsrl (dataset = xyz) (env = new)"]


def test_the_table_says_how_they_learned():
    online = {"utd": 4, "warmup_steps": 1000, "offline_ratio": 0.0, "steps": 5}
    mixed = {**online, "utd": 1, "offline_ratio": 0.5}
    settings = {"wsrl": online, "wsrl_kl": online, "calql": mixed}
    cells = [replace(cell(name, 0, {0: 0.0, 5: 1.0}), settings={"online": own}) for name, own in settings.items()]
    table = markdown(rows_of(cells))
    assert "- wsrl, wsrl_kl: UTD 4, first update after 1,000 steps, no offline data." in table
    assert "- calql: UTD 1, first update after 1,000 steps, 50% offline data." in table


@pytest.mark.parametrize(
    ("asked", "enough"),
    [
        ({"online": {"steps": 100, "utd": 1}}, True),
        ({"online": {"steps": 50, "utd": 1}}, True),
        ({"online": {"steps": 101, "utd": 1}}, False),
        ({"online": {"steps": 50, "utd": 2}}, False),
        ({"online": {"steps": 50, "utd": 1}, "dataset": "xyz"}, False),
        ({}, False),
    ],
)
def test_a_cell_that_went_further_is_done(asked, enough):
    assert is_done({"online": {"steps": 100, "utd": 1}}, asked) is enough


def test_changes_leave_out_what_cells_go_by_and_lengths(tmp_path):
    overrides = [
        "seed=1",
        "env=maze",
        "method=wsrl",
        "steps=5",
        "warmup_steps=500",
        "+agent.networks.critics=5",
        "out=x",
        "evaluate_every=7",
    ]
    changes = changes_of(overrides)
    assert changes == ("agent.networks.critics=5", "warmup_steps=500")
    assert changes_of(["offline_steps=5", "evaluate.episodes=9"]) == ("evaluate.episodes=9", "offline_steps=5")
    folder = cell_folder(tmp_path, "regrasp/Pot-v0", "wsrl", changes, 1)
    assert folder == tmp_path / "cells/regrasp_Pot-v0/wsrl,agent.networks.critics=5,warmup_steps=500/seed1"
    long = [cell_folder(tmp_path, "maze", "wsrl", [f"a={'x' * 300}{end}"], 0).parent.name for end in "yz"]
    assert long[0] != long[1]
    assert max(map(len, long)) < 140


def test_results_are_written_from_what_cells_left(tmp_path):
    for number, curve in enumerate(({0: 0.5, 1000: 1.0}, {0: 0.5, 1000: 0.5})):
        made = cell("wsrl", number, curve, env="a/b")
        folder = cell_folder(tmp_path, made.env, made.method, made.changes, made.seed)
        folder.mkdir(parents=True)
        (folder / CELL_FILE).write_text(json.dumps(made.__dict__))
    one = cell("bc", 0, {0: 0.25}, env="a/b")
    folder = cell_folder(tmp_path, one.env, one.method, (), 0)
    folder.mkdir(parents=True)
    (folder / CELL_FILE).write_text(json.dumps(one.__dict__))
    cells = read_cells(tmp_path)
    assert [(c.method, c.seed) for c in cells] == [("bc", 0), ("wsrl", 0), ("wsrl", 1)]
    assert cells[1].points == {"stochastic/success": {0: 0.5, 1000: 1.0}}
    written = write_results(tmp_path, cells)
    assert [path.name for path in written] == ["results.md", "curves_a_b.svg", "results.json"]
    rows = json.loads((tmp_path / "results.json").read_text(), parse_constant=pytest.fail)  # no NaN
    assert rows[0]["final"] == {"values": [0.25], "mean": 0.25, "low": None, "high": None}
    assert rows[1]["final"]["mean"] == 0.75
    svg = (tmp_path / "curves_a_b.svg").read_text()
    assert svg.startswith("<svg")
    assert svg.rstrip().endswith("</svg>")
    assert math.isnan(Estimate.of([1.0]).low)
