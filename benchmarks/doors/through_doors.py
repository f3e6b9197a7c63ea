"""Compare policies pre-trained on episodes that went out to another format and back with those on the originals.

    python benchmarks/doors/through_doors.py [out=runs/through_doors] [seeds=0,1,2] [episodes=50] [workers=1]

For each seed, 200 demonstrations of the twin are exported as BridgeData's raw folders and as LeRobotDataset v3.0 (AV1),
imported by the presets that anybody would take, and a policy is pre-trained on what came back. BridgeData has no place
for the gripper's effort, so its episodes stand beside 5 demonstrations of the robot's own in each direction, which have
it; so do the originals in another policy, and a third learns from the 5 alone. Every policy meets the same starts,
judged by the twin's predicate.
Prints the table of docs/results/doors.md. What is done is not done again.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from benchmarks.verb import ROOT, regrasp
from commands.evaluate.conditions import evaluations_in
from commands.report.statistics import clustered_interval

DEMOS = 100
"""Demonstrations per direction that go through the doors."""
OWN = 5
"""Demonstrations per direction of the small store."""
ONLY_DEMOS = ("collect.failures=0", "collect.prior_episodes=0", "collect.play=0", "collect.aftermath=0")
DOORS = {"bridge": ("bridge", "bridge"), "lerobot": ("lerobot_v3", "regrasp_lerobot")}
"""Name -> format written, mapping read."""
ARMS = {
    "originals": "200 originals",
    "lerobot": "200 through LeRobot v3.0",
    "few": "5 + 5 of its own",
    "few_originals": "5 + 5, and the 200 originals",
    "few_bridge": "5 + 5, and the 200 through BridgeData",
}
CELLS = [f"{direction}/{mode}" for direction in ("forward", "backward") for mode in ("stochastic", "deterministic")]


def trained(run_dir: Path, seed: int, episodes: int, workers: str, *data: str) -> None:
    """Pre-train on these stores, or the run's own, and evaluate."""
    if list((run_dir / "evaluations").glob("*/pretrained/result.json")):
        return
    shared = (f"run_dir={run_dir}", f"seed={seed}", f"workers={workers}")
    regrasp("pretrain", *shared, *data)
    regrasp("evaluate", *shared, "checkpoint=pretrained", f"evaluate.episodes={episodes}", "evaluate.videos=0")


def through(folder: Path, seed: int, workers: str) -> dict[str, Path]:
    """Record, export, import; the stores by name."""
    original = folder / "originals"
    if not (original / "data").exists():
        settings = (f"seed={seed}", f"collect.demos={DEMOS}", *ONLY_DEMOS, f"workers={workers}")
        regrasp("collect", f"run_dir={original}", *settings)
    stores = {}
    for name, (written, mapping) in DOORS.items():
        there, back = folder / f"as_{written}", folder / f"from_{written}"
        if not there.exists():
            regrasp("export", f"store={original / 'data'}", f"to={there}", f"format={written}")
        regrasp("import", str(there), f"doors={mapping}", f"into={back}", f"name=twin_{seed}")
        stores[name] = back
    return stores


def one_seed(folder: Path, seed: int, episodes: int, workers: str) -> None:
    """All five policies of a seed."""
    stores = through(folder, seed, workers)
    few, own = folder / "few", folder / "few/data"
    if not own.exists():
        settings = (f"seed={seed + 1000}", f"collect.demos={OWN}", *ONLY_DEMOS, f"workers={workers}")
        regrasp("collect", f"run_dir={few}", *settings)
    trained(folder / "originals", seed, episodes, workers)
    trained(folder / "lerobot", seed, episodes, workers, f"data=[{stores['lerobot']}]")
    trained(few, seed, episodes, workers)
    for name, store in (("originals", folder / "originals/data"), ("bridge", stores["bridge"])):
        trained(folder / f"few_{name}", seed, episodes, workers, f"data=[{own},{store}]")


def table(out: Path, seeds: Sequence[int]) -> str:
    """A line for each kind of data: percent with the interval over seeds, and each seed's."""
    head = ["data", *(cell.replace("/", ", ") for cell in CELLS)]
    lines = [head, ["---"] * len(head)]
    for arm, words in ARMS.items():
        line = [words]
        found = [evaluations_in(out / f"seed{seed}" / arm / "evaluations") for seed in seeds]
        results = [each[-1].result["cells"] for each in found if each]
        for cell in CELLS:
            counts = [(r[cell]["successes"], r[cell]["episodes"]) for r in results if cell in r]
            if not counts:
                line.append("–")
                continue
            rates, trials = [s / n for s, n in counts], [n for _, n in counts]
            mean = sum(s for s, _ in counts) / sum(trials)
            low, high = clustered_interval(rates, trials)
            each_seed = " ".join(f"{100 * rate:.0f}" for rate in rates)
            line.append(f"{100 * mean:.0f} ({100 * low:.0f}–{100 * high:.0f}): {each_seed}")
        lines.append(line)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main(arguments: list[str]) -> None:
    """Run what isn't done, print the table after each seed."""
    given = dict(argument.split("=", 1) for argument in arguments)
    out = ROOT / given.pop("out", "runs/through_doors")
    seeds = [int(seed) for seed in given.pop("seeds", "0,1,2").split(",")]
    episodes, workers = int(given.pop("episodes", 50)), given.pop("workers", "1")
    if given:
        sys.exit(f"unknown: {', '.join(given)}; see the first lines of {Path(__file__).name}")
    for seed in seeds:
        one_seed(out / f"seed{seed}", seed, episodes, workers)
        print(table(out, seeds), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
