"""What judges are worth in whole sessions: one policy fine-tunes under one judge after another, or in other scenes.

    python benchmarks/judge_sessions.py runs/pot_pick_place/seed7 runs/pot_pick_place/seed8 --only demo lost light

Each folder is a finished `regrasp demo` in the twin. A session of it is a run folder of its own in `--into` with the
demo's data and pre-trained policy; the demo's judge goes on judging where only the scenes differ, others are trained
from the same data. The twin's predicate, which nobody learns from, says afterwards what was true. What is done is not
done again, so a study may be stopped and go on. Prints a table over the seeds; `--out` keeps every session's figures.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hydra import compose, initialize_config_module

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.verb import regrasp
from commands.evaluate.conditions import evaluations_in
from commands.report.data import Stream, open_stream
from factory.reward import reward_of
from factory.spec import spec_of
from rewards.measuring import share_words
from robot.rollout.judging import judge_s, sample_observation
from sim.tasks import TASKS
from trajectories.durable import replace_file
from trajectories.kinds import FROM_HOME_KEY, done_at_its_end, referee_of
from trajectories.manifest import EpisodeInfo
from trajectories.store import TrajectoryStore
from trajectories.types import DIRECTIONS, RobotSpec

SESSIONS: dict[str, tuple[str, ...]] = {
    "demo": (),
    "lost": ("robot.frame_loss=0.2",),
    "light": ("robot.shift=light",),
    "camera": ("robot.shift=camera",),
    "object": ("robot.shift=object",),
    "window": ("reward.window=8",),
    "shaped": ("reward.window=8", "finetune.shaping=10"),
    "vice": ("reward=vice",),
    "preferences": ("reward=preferences",),
    "perceptual": ("reward=perceptual",),
    "goal_nearest": ("reward=goal_pictures", "reward.goal=nearest"),
    "goal_mean": ("reward=goal_pictures", "reward.goal=mean"),
}
"""Name -> settings of the session beside the demo's."""
WINDOW = 20
"""Episodes of a direction whose true success counts as one figure of the stream."""
ENOUGH = 0.8


def steps_to(stream: Stream, share: float) -> int | None:
    """Environment steps until the true success of both directions' last episodes is at least `share`; None: never."""
    reached = []
    for direction in DIRECTIONS:
        steps, _, true = stream.success_by_window(direction, WINDOW)
        hits = np.flatnonzero(true[WINDOW - 1 :] >= share)
        if not len(hits):
            return None
        reached.append(int(steps[WINDOW - 1 + hits[0]]))
    return max(reached)


def prepare(demo: Path, folder: Path, settings: Sequence[str]) -> None:
    """A run folder with the demo's data, policy and, where the session doesn't bring its own, judge."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("data", "pretrained"):
        if not (folder / name).exists():
            (folder / name).symlink_to((demo / name).resolve(), target_is_directory=True)
    if not any(item.startswith("reward") for item in settings) and not (folder / "reward").exists():
        part = folder / "reward.part"
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(demo / "reward", part)
        part.rename(folder / "reward")


def at_their_ends(infos: Sequence[EpisodeInfo]) -> dict[str, int]:
    """Judged episodes by outcome and by the predicate at their last step, when a finger may still be on the object."""
    known = [(info.outcome, done_at_its_end(info)) for info in infos if info.outcome != "unknown"]
    return {
        "true_positive": known.count(("success", True)),
        "false_positive": known.count(("success", False)),
        "false_negative": known.count(("failure", True)),
        "true_negative": known.count(("failure", False)),
    }


def from_home(infos: Sequence[EpisodeInfo]) -> dict[str, dict[str, int]]:
    """What the look from home changed, "failure -> success" and the like: how often, and how often rightly.

    Right is a success that is one and a failure that is none; that somebody is unsure is right where the outcome at the
    episode's end was wrong.
    """
    changes: dict[str, dict[str, int]] = {}
    for info in infos:
        judged = (info.metadata.get(FROM_HOME_KEY) or {}).get("judged")
        if judged is None or judged == info.outcome:
            continue
        said = info.outcome if info.outcome != "unknown" else judged
        agrees = referee_of(info) is (said == "success")
        tally = changes.setdefault(f"{judged} -> {info.outcome}", {"count": 0, "right": 0})
        tally["count"] += 1
        tally["right"] += agrees is (info.outcome != "unknown")
    return changes


def figures(stream: Stream, infos: Sequence[EpisodeInfo], folder: Path, milliseconds: float) -> dict[str, Any]:
    """Plain JSON of a session."""
    cells = [each.result["cells"] for each in evaluations_in(folder / "evaluations") if "/step_" in each.place]
    late = stream.total_steps - 1500
    return {
        "confusion": stream.confusion,
        "confusion_at_the_end": at_their_ends(infos),
        "changed_from_home": from_home(infos),
        "unsure": stream.unsure,
        "episodes": len(stream.steps),
        "steps": stream.total_steps,
        "resets": int(stream.helped.sum()),
        "steps_to_80": steps_to(stream, ENOUGH),
        "true_last_1500_steps": {d: stream.tally(d, late, stream.total_steps, truly=True) for d in DIRECTIONS},
        "evaluated": cells[-1] if cells else None,
        "judge_ms": round(milliseconds, 2),
    }


def measured(folder: Path, task: str, settings: Sequence[str]) -> tuple[float, RobotSpec]:
    """Median ms that the folder's judge takes for a frame with one thread, and the robot's specification."""
    with initialize_config_module("configs", version_base="1.3"):
        mine = [item for item in settings if not item.startswith("finetune.")]
        config = compose("base", [f"run_dir={folder}", f"task={task}", *mine])
    spec, wording = spec_of(config), TASKS[task].instructions["forward"][0]
    return 1e3 * judge_s(reward_of(config, spec), sample_observation(spec, wording)), spec


def session(demo: Path, name: str, into: Path, steps: int, episodes: int) -> dict[str, Any]:
    """Run a session of a demo, or what of it is left to do; its figures."""
    task, seed, extra = demo.parent.name, demo.name.removeprefix("seed"), SESSIONS[name]
    folder = into / task / demo.name / name.replace(" ", "_")
    result = folder / "figures.json"
    if result.exists():
        done: dict[str, Any] = json.loads(result.read_text())
        if "changed_from_home" in done:  # figures of before are counted anew
            return done
    prepare(demo, folder, extra)
    shared = [f"run_dir={folder}", f"task={task}", f"seed={seed}", "profile=quick", "progress=false"]
    judge = [item for item in extra if item.startswith("reward")]
    if not (folder / "reward" / "reward.json").exists():
        regrasp("train-reward", *shared, *judge)
    regrasp("finetune", *shared, *extra, f"finetune.steps={steps}", f"finetune.snapshot_every={steps}")
    if episodes:
        wanted = [f"evaluate.episodes={episodes}", "evaluate.videos=0", "evaluate.modes=[stochastic]"]
        regrasp("evaluate", *shared, *wanted)
    milliseconds, spec = measured(folder, task, extra)
    path = next(folder.glob("finetune_*")) / "episodes"
    with TrajectoryStore(path, spec, read_only=True) as store:
        infos = store.infos()
    found = figures(open_stream(path, spec), infos, folder, milliseconds)
    replace_file(result, json.dumps(found, indent=1).encode())
    return found


def share(count: int, of: int) -> str:
    """A count with its share and 95 % interval."""
    return f"{count} of {of}{share_words(count, of)}"


def line(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """A line of the table over the seeds."""
    total = {key: sum(row["confusion"][key] for row in rows) for key in rows[0]["confusion"]}
    done, not_done = (
        total["true_positive"] + total["false_positive"],
        total["true_negative"] + total["false_negative"],
    )
    late = {
        d: [
            f"{100 * row['true_last_1500_steps'][d][0] / max(1, row['true_last_1500_steps'][d][1]):.0f}" for row in rows
        ]
        for d in DIRECTIONS
    }
    after = [row["evaluated"] for row in rows]
    success = "–"
    if all(after):
        success = ", ".join(
            " ".join(f"{100 * cells[f'{d}/stochastic']['rate']:.0f}" for cells in after) for d in DIRECTIONS
        )
    reached = " ".join("–" if row["steps_to_80"] is None else str(row["steps_to_80"]) for row in rows)
    ends = [row["confusion_at_the_end"] for row in rows]
    changes = [change for row in rows for change in row["changed_from_home"].values()]
    return (
        f"| {name} | {share(total['false_positive'], done)} | {share(total['false_negative'], not_done)} | "
        f"{sum(end['false_positive'] for end in ends)}, {sum(end['false_negative'] for end in ends)} | "
        f"{sum(change['count'] for change in changes)} ({sum(change['right'] for change in changes)}) | "
        f"{sum(row['unsure'] for row in rows)} | {reached} | "
        f"{' '.join(late['forward'])}, {' '.join(late['backward'])} | "
        f"{success} | {sum(row['resets'] for row in rows)} | {np.median([row['judge_ms'] for row in rows]):.1f} |"
    )


HEAD = (
    "| session | called done, but was not | called not done, but was | both by the last step | "
    "changed from home (rightly) | unsure | steps to 80 % | true success of the last 1,500 steps, % | "
    "evaluated afterwards, % | resets | ms a frame |\n" + 11 * "|---" + "|"
)


def main() -> None:
    """Run what is left, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demos", type=Path, nargs="+", help="folders of finished demos, runs/TASK/seedN")
    parser.add_argument("--only", nargs="+", choices=SESSIONS, default=list(SESSIONS), metavar="NAME")
    parser.add_argument("--into", type=Path, default=Path("runs/judge_sessions"))
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--episodes", type=int, default=0, help="of an evaluation afterwards, a direction; 0: none")
    parser.add_argument("--out", type=Path, help="JSON with every session's figures")
    given = parser.parse_args()
    kept: dict[str, dict[str, Any]] = {}
    for name in given.only:
        for demo in given.demos:
            found = session(demo.resolve(), name, given.into.resolve(), given.steps, given.episodes)
            kept.setdefault(name, {})[f"{demo.parent.name}/{demo.name}"] = found
            print(f"{demo.parent.name}/{demo.name}  {line(name, [found])}", flush=True)
            if given.out is not None:
                given.out.parent.mkdir(parents=True, exist_ok=True)
                replace_file(given.out, json.dumps(kept, indent=1).encode() + b"\n")
    for task in dict.fromkeys(demo.parent.name for demo in given.demos):
        print(f"\n{task}, seeds {', '.join(d.name.removeprefix('seed') for d in given.demos if d.parent.name == task)}")
        print(HEAD)
        for name, rows in kept.items():
            print(line(name, [row for key, row in rows.items() if key.startswith(f"{task}/")]))


if __name__ == "__main__":
    main()
