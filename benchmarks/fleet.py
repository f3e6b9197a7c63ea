"""How fast 1, 2 and 4 arms in the twin learn together: steps and updates a second, waits, time to 80 % success.

    python benchmarks/fleet.py [--arms 1 2 4] [--steps 6000] [--into runs/fleet] [--set KEY=VALUE ...]

Data, policy and judge are made once in `<into>/base`; then each number of arms has a run of its own from there: a
`regrasp learner` and as many `regrasp actor`s. What is done is not done again; a run that was interrupted, or shall do
more steps, goes on. Learned is a run once both directions succeeded in 80 % of their last 20 judged episodes, by the
judge and, beside it, by the twin's predicate. `learner.json` is looked at once a second. Written to `fleet.json` and
`fleet.md`. **All run on this machine**: with two cores four arms and a learner share these, which on five machines they
wouldn't; the columns of processor seconds say who had how much.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

from tqdm import tqdm

from benchmarks.arms.base import NAMES, make_base
from benchmarks.arms.learning import Learned, Rates, learned, rates
from benchmarks.arms.member import Member
from commands.finetune import free_port
from factory.run_folders import reward_folder, tuning_folder
from policies.learner.learner_status import LearnerStatus
from policies.learner.metrics import read_metrics
from policies.learner.run_folder import METRICS, STATUS
from trajectories.durable import replace_file

SAMPLES, DONE = "samples.jsonl", "done"
SAMPLE_S = 1.0


def sample(folder: Path, members: Mapping[str, Member], start: int) -> dict[str, Any] | None:
    """Where the run stands; None before its learner has said anything."""
    try:
        status = LearnerStatus.read(folder / STATUS)
    except (OSError, ValueError):
        return None
    return {
        "t": time.monotonic(),
        "start": start,
        "steps": status.steps,
        "updates": status.updates,
        "owed": status.owed,
        "load": os.getloadavg()[0],
        "arms": {one.name: [one.steps, one.report.state] for one in status.actors},
        "cpu": {name: member.processor_s for name, member in members.items()},
    }


def run_arms(run_dir: Path, names: Sequence[str], settings: Sequence[str], steps: int) -> None:
    """Fine-tune with these arms to the end, or go on with it.

    Raises:
        SystemExit: A process ended otherwise than in order.
    """
    shared = [f"run_dir={run_dir}", *settings, f"finetune.steps={steps}"]
    address, path = f"link.address=127.0.0.1:{free_port()}", run_dir / SAMPLES
    members = {"learner": Member("learner", "learner", [*shared, address], run_dir / "learner.log")}
    for name in names:
        own = [*shared, address, f"actor.name={name}"]
        members[name] = Member(name, "actor", own, run_dir / f"{name}.log")
    start = len({json.loads(line)["start"] for line in path.read_text().splitlines()}) if path.exists() else 0
    bar = tqdm(total=steps, desc=f"{len(names)} arms", unit="step", dynamic_ncols=True)
    try:
        for member in members.values():
            member.start()
        with path.open("a", encoding="utf-8") as file:
            while any(member.code is None for member in members.values()):
                time.sleep(SAMPLE_S)
                if (row := sample(tuning_folder(run_dir, "regrasp"), members, start)) is not None:
                    file.write(json.dumps(row) + "\n")
                    bar.update(min(row["steps"], steps) - bar.n)
                for member in members.values():
                    if member.code not in (None, 0):
                        sys.exit(f"{member.name} ended with {member.code}:\n{member.last_lines()}")
    finally:
        for member in members.values():
            member.ask_to_end()
    replace_file(run_dir / DONE, str(steps).encode())


def result(run_dir: Path, names: Sequence[str]) -> dict[str, Any]:
    """What a finished run came to."""
    samples = [json.loads(line) for line in (run_dir / SAMPLES).read_text().splitlines()]
    rows = read_metrics(tuning_folder(run_dir, "regrasp") / METRICS)
    logs = [(run_dir / f"{name}.log").read_text(errors="replace") for name in names]
    return {
        "arms": len(names),
        "steps": samples[-1]["steps"],
        "rates": rates(samples),
        "judged": learned(rows, truly=False),
        "true": learned(rows, truly=True),
        "away": sum(log.count("is away") for log in logs),
    }


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """The results as Markdown."""
    columns = (
        "steps", "steps/s", "of each arm", "updates/s", "an arm waits, %", "processor: learner, arms", "load",
        "80 % by the judge: steps, minutes", "by the predicate", "learner away",
    )  # fmt: skip
    lines = [f"| arms | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for one in results:
        cells = [one["steps"], *_rates(one["rates"]), _learned(one["judged"]), _learned(one["true"]), one["away"]]
        lines.append(f"| {one['arms']} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _rates(found: Rates | None) -> list[str]:
    if found is None:
        return ["none"] * 6
    each = ", ".join(f"{value:.2f}" for value in found.arms_steps_s.values())
    waits = ", ".join(f"{100 * value:.0f}" for value in found.waiting.values())
    arms = sum(value for name, value in found.processor.items() if name != "learner")
    work = f"{found.processor['learner']:.2f}, {arms:.2f}"
    return [f"{found.steps_s:.2f}", each, f"{found.updates_s:.2f}", waits, work, f"{found.load:.1f}"]


def _learned(found: Learned | None) -> str:
    return "not reached" if found is None else f"{found.steps:,}, {found.wall_s / 60:.1f}"


def main(arguments: Sequence[str]) -> None:
    """Run what is missing, then write and print every run that is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", type=int, nargs="+", default=[1, 2, 4], choices=range(1, len(NAMES) + 1))
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--into", type=Path, default=Path("runs/fleet"))
    parser.add_argument("--set", nargs="*", default=[], dest="settings", help="settings of every verb")
    given = parser.parse_args(arguments)
    into = given.into.resolve()
    make_base(into / "base", *given.settings)
    results = []
    for arms in given.arms:
        run_dir, names = into / f"arms{arms}", NAMES[:arms]
        if not run_dir.exists():
            shutil.copytree(into / "base" / "pretrained", run_dir / "pretrained")
            shutil.copytree(reward_folder(into / "base"), reward_folder(run_dir))
        if not (run_dir / DONE).exists() or int((run_dir / DONE).read_text()) < given.steps:
            run_arms(run_dir, names, given.settings, given.steps)
        results.append(result(run_dir, names))
        plain = [
            {**one, **{key: one[key] and asdict(one[key]) for key in ("rates", "judged", "true")}} for one in results
        ]
        replace_file(into / "fleet.json", json.dumps(plain, indent=1).encode())
        replace_file(into / "fleet.md", (table(results) + "\n").encode())
    print(table(results))


if __name__ == "__main__":
    main(sys.argv[1:])
