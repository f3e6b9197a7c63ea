"""Where the evaluation's starts lie, and what a policy makes of them: as the other direction leaves it, or elsewhere.

    python benchmarks/by_start.py runs/ours/bin_bench/seed0 --set collect.demos=25

Half of the twin's wide starts are where an episode of the other direction ends, the others anywhere that can be
reached. A session that goes well begins at the former alone. Each start is set up anew by its seed, no policy acts; the
successes are those of the evaluations of `benchmarks/methods.py`: before fine-tuning, and of every snapshot.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hydra import compose, initialize_config_module

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.on_the_way import snapshot_steps
from commands.evaluate.conditions import PREDICATE, Evaluation, conditions_of, evaluations_in, fits
from commands.evaluate.trials import Trial, begin_trial
from commands.report.statistics import format_rate
from factory.evaluated_policy import PolicySource
from factory.robot import TwinStation
from factory.run_folders import start_of
from factory.twin import TwinSettings, cached_twin
from trajectories.errors import ConfigError, RegraspError
from trajectories.types import DIRECTIONS, Direction, other_direction

KINDS = {True: "left by the other direction", False: "elsewhere"}
"""Whether an episode begins where the other direction ends -> in words."""


def left_there(
    settings: TwinSettings, source: PolicySource, seed: int, counts: Mapping[Direction, int]
) -> dict[str, list[bool]]:
    """Direction -> whether each start is what the other direction leaves.

    Args:
        settings: Of the twin.
        source: Any policy; it doesn't act.
        seed: Of the evaluation's starts.
        counts: Direction -> how many.
    """
    twin = cached_twin(settings)
    found: dict[str, list[bool]] = {way: [] for way in counts}
    for way, count in counts.items():
        for index in range(count):
            begin_trial(TwinStation(twin), Trial(source, way, "deterministic", index, seed, 1, video=False))
            found[way].append(twin.success(other_direction(way)))
    return found


def lines(evaluation: Evaluation, left: Mapping[str, Sequence[bool]]) -> Iterator[str]:
    """Rows of the table of one evaluation, one a cell; what its judge was unsure about isn't counted."""
    for cell in evaluation.cells:
        direction, mode = cell.split("/")
        mine = [
            each for each in evaluation.result["episodes"]
            if (each["direction"], each["mode"]) == (direction, mode) and each["success"] is not None
        ]  # fmt: skip
        rates = []
        for kind in KINDS:
            of_kind = [each["success"] for each in mine if left[direction][each["index"]] == kind]
            rates.append(format_rate(sum(of_kind), len(of_kind)) if of_kind else "–")
        yield f"| {evaluation.place} | {direction}, {mode} | {' | '.join(rates)} |"


def measure(folder: Path, method: str, settings: Sequence[str]) -> Iterator[str]:
    """Rows of a run folder's evaluations of a method, by steps.

    Raises:
        ConfigError: There is none under the conditions of these settings.
    """
    with initialize_config_module("configs", version_base="1.3"):
        config = compose("evaluate", [f"task={folder.parent.name}", *settings])
    wanted, start = conditions_of(config, PREDICATE).to_dict(), start_of(folder, method)
    alike = [each for each in evaluations_in(folder / "evaluations") if fits(each.conditions, wanted)]
    found = [each for each in alike if each.place == start.name or snapshot_steps(each, method) is not None]
    if not found:
        raise ConfigError(
            f"There is no evaluation of {method} in the twin with these settings. Run benchmarks/methods.py first, and "
            "give the same --set."
        )
    indices = [(each["direction"], each["index"]) for one in found for each in one.result["episodes"]]
    counts = {way: 1 + max((i for name, i in indices if name == way), default=-1) for way in DIRECTIONS}
    left = left_there(TwinSettings.from_config(config), PolicySource(str(start)), int(config.evaluate.seed), counts)
    for evaluation in sorted(found, key=lambda each: snapshot_steps(each, method) or 0):
        yield from lines(evaluation, left)


def main() -> None:
    """Print a table a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders TASK/seedN")
    parser.add_argument("--method", default="regrasp")
    parser.add_argument("--set", nargs="+", default=[], dest="settings", metavar="KEY=VALUE")
    given = parser.parse_args()
    for run in given.runs:
        print(f"`{run.parent.name}`, {run.name}\n\n| policy | cell | {' | '.join(KINDS.values())} |\n{'| --- ' * 4}|")
        try:
            for line in measure(run.resolve(), given.method, given.settings):
                print(line, flush=True)
        except RegraspError as error:
            sys.exit(f"{run}: {error}")


if __name__ == "__main__":
    main()
