"""How far a handful of a person's words takes a judge that was trained on too little.

    python benchmarks/judge_corrections.py runs/pot_pick_place/seed7 runs/pot_pick_place/seed8 --counts 0 5 10 20

Each folder is a finished `regrasp demo` in the twin. A judge learns from two of its successes and two of its failures a
direction alone and judges a session. The twin's predicate stands in for the person and speaks about the session's
first 5, 10, 20 episodes in the order of `regrasp review`; for each count a judge is trained from the same eight
episodes and from these, as `regrasp train-reward` does it, and judges a session of its own from the same policy.
Printed are what each session's judge called done and not done wrongly. What is done is not done again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.judge_sessions import share
from benchmarks.verb import regrasp
from commands.report.data import open_stream
from commands.review.episodes import ReviewedStore
from trajectories.durable import replace_file
from trajectories.kinds import kind_of, referee_of
from trajectories.store import TrajectoryStore
from trajectories.types import DIRECTIONS
from trajectories.verdicts import Verdict, VerdictBook, Word

_FEW = 2
_KINDS = {"success": "demo", "failure": "failure"}


def few_episodes(demo: Path, folder: Path) -> None:
    """Copy the first successes and failures of each direction into a store of their own."""
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    with TrajectoryStore(demo / "data", read_only=True) as whole, TrajectoryStore(part, whole.spec) as few:
        for direction in DIRECTIONS:
            for outcome, kind in _KINDS.items():
                mine = [
                    i.id for i in whole.infos() if (i.direction, i.outcome, kind_of(i)) == (direction, outcome, kind)
                ]
                for id in mine[:_FEW]:
                    few.commit(whole.read(id))
    part.rename(folder)


def spoken_about(session: Path, folder: Path, count: int) -> None:
    """Copy a session's episodes and say of the first ones, in the order of review, how they ended."""
    if folder.exists():
        shutil.rmtree(folder)
    shutil.copytree(session / "finetune_regrasp" / "episodes", folder)
    threshold = float(json.loads((session / "reward" / "reward.json").read_text())["threshold"]["value"])
    reviewed = ReviewedStore(folder, threshold, 3)
    reviewed.refresh()
    with TrajectoryStore(folder, read_only=True) as store:
        truth = {info.id: referee_of(info) for info in store.infos()}
    book = VerdictBook(folder)
    for row in [row for row in reviewed.overview()["episodes"] if truth[row["id"]] is not None][:count]:
        word: Word = "done" if truth[row["id"]] else "not_done"
        book.add(Verdict.now(row["id"], word, by="the twin's predicate", via="review"))


def session(demo: Path, into: Path, count: int, steps: int) -> dict[str, Any]:
    """The session of the judge that learned from `count` of the first session's episodes; its figures."""
    task, seed = demo.parent.name, demo.name.removeprefix("seed")
    root = into / task / demo.name
    folder, first = root / f"after_{count}", root / "after_0"
    result = folder / "figures.json"
    if not result.exists():
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "data").exists():
            few_episodes(demo, folder / "data")
        if not (folder / "pretrained").exists():
            (folder / "pretrained").symlink_to((demo / "pretrained").resolve(), target_is_directory=True)
        shared = [f"run_dir={folder}", f"task={task}", f"seed={seed}", "profile=quick", "progress=false"]
        sessions = "null"
        if count:
            sessions = f"[{folder / 'heard'}]"
            spoken_about(first, folder / "heard", count)
        if not (folder / "reward" / "reward.json").exists():
            regrasp("train-reward", *shared, f"train_reward.sessions={sessions}")
        regrasp("finetune", *shared, f"finetune.steps={steps}", f"finetune.snapshot_every={steps}")
        with TrajectoryStore(folder / "finetune_regrasp" / "episodes", read_only=True) as store:
            spec = store.spec
        stream = open_stream(folder / "finetune_regrasp" / "episodes", spec)
        unsure = stream.unsure
        found = {"confusion": stream.confusion, "unsure": unsure, "resets": int(stream.helped.sum())}
        replace_file(result, json.dumps(found, indent=1).encode())
    done: dict[str, Any] = json.loads(result.read_text())
    return done


def line(count: int, rows: Sequence[dict[str, Any]]) -> str:
    """A line of the table over the seeds, with each seed's counts."""
    total = {key: sum(row["confusion"][key] for row in rows) for key in rows[0]["confusion"]}
    done = [row["confusion"]["true_positive"] + row["confusion"]["false_positive"] for row in rows]
    each = " ".join(f"{row['confusion']['false_positive']}/{of}" for row, of in zip(rows, done, strict=True))
    missed = share(total["false_negative"], total["true_negative"] + total["false_negative"])
    unsure, resets = (sum(row[key] for row in rows) for key in ("unsure", "resets"))
    return f"| {count} | {share(total['false_positive'], sum(done))} | {each} | {missed} | {unsure} | {resets} |"


def main() -> None:
    """Run what is left, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demos", type=Path, nargs="+", help="folders of finished demos, runs/TASK/seedN")
    parser.add_argument("--counts", type=int, nargs="+", default=[0, 5, 10, 20], help="corrected episodes")
    parser.add_argument("--into", type=Path, default=Path("runs/judge_corrections"))
    parser.add_argument("--steps", type=int, default=3000, help="of each session")
    parser.add_argument("--out", type=Path, help="JSON with every session's figures")
    given = parser.parse_args()
    kept: dict[str, dict[str, Any]] = {}
    for count in dict.fromkeys([0, *given.counts]):
        for demo in given.demos:
            found = session(demo.resolve(), given.into.resolve(), count, given.steps)
            kept.setdefault(str(count), {})[f"{demo.parent.name}/{demo.name}"] = found
            print(f"{demo.name}  {line(count, [found])}", flush=True)
    if given.out is not None:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        replace_file(given.out, json.dumps(kept, indent=1).encode() + b"\n")
    print("| corrected | called done, but was not | each seed | called not done, but was | unsure | resets |")
    print("|---|---|---|---|---|---|")
    for name, rows in kept.items():
        print(line(int(name), list(rows.values())))


if __name__ == "__main__":
    main()
