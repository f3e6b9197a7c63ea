"""What an arm costs its learner, and on paper what 10, 100 and 1,000 of them would.

    python benchmarks/fleet_costs.py --run runs/soak [--episodes 100] [--stores 10 1000 10000] [--waiting 10 50 100]

Measured in one thread on the newest episodes of a fine-tuning run: an episode's bytes on the wire and on the disk, and
what the learner does with it (decode, commit with its syncs, encode for replay); a published policy's bytes; memory of
a frame in replay and of an episode in the store's index; how long a store takes to open for writing with so many
episodes, known to its catalogue and not (copies of one episode, files in the page cache); how often reports of arms
arrive that all wait for their turn. The tables on paper follow from these and from the rates in
`benchmarks/arms/paper.py`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.arms.costs import a_policy, a_store, an_episode, waiting_arms
from benchmarks.arms.paper import Rates, on_paper, ten_million
from factory.run_folders import tuning_folder

ARMS = (1, 10, 100, 1000)
WAIT_S = 20.0


def table(rows: Mapping[str, Sequence[float]], heading: Sequence[object]) -> str:
    """Markdown: a name and its figures a row."""
    lines = [f"| {' | '.join(map(str, heading))} |", "|---" * len(heading) + "|"]
    return "\n".join([*lines, *(f"| {name} | {' | '.join(map(figure, row))} |" for name, row in rows.items())])


def figure(value: float) -> str:
    """Three digits of it."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def turned(rows: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Name -> its figures."""
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}


def main(arguments: Sequence[str]) -> None:
    """Measure, compute, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--run", type=Path, required=True, help="folder of a run with `finetune_regrasp` and its policy"
    )
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--stores", type=int, nargs="*", default=[10, 1000, 10_000])
    parser.add_argument("--waiting", type=int, nargs="*", default=[10, 50, 100])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    folder, pretrained = tuning_folder(given.run, "regrasp"), given.run / "pretrained"
    measured = an_episode(folder, pretrained, given.episodes) | a_policy(folder, pretrained)
    with tempfile.TemporaryDirectory(dir=given.run) as place:
        waiting = [waiting_arms(Path(place), arms, WAIT_S) for arms in given.waiting]
        stores = a_store(Path(place), given.stores)
    rates = Rates()
    arms = [on_paper(count, measured, rates) for count in ARMS]
    large = ten_million(measured, stores[-1], rates) if stores else {}
    if given.json:
        whole = {"measured": measured, "stores": stores, "waiting": waiting, "paper": arms, "ten million": large}
        print(json.dumps(whole, indent=1))
        return
    print(table({name: [value] for name, value in measured.items()}, ["measured", "median"]), end="\n\n")
    print(table(turned(stores), ["measured: a store", *("" for _ in stores)]), end="\n\n")
    print(table(turned(waiting), ["measured: arms that wait", *("" for _ in waiting)]), end="\n\n")
    print(table(turned(arms), ["computed: arms", *ARMS]), end="\n\n")
    print(table({name: [value] for name, value in large.items()}, ["computed: 10 million episodes", ""]))


if __name__ == "__main__":
    main(sys.argv[1:])
