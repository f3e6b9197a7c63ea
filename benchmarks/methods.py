"""Compare methods on the robot's path in the twin: tasks, seeds, published values, no tuning.

    python benchmarks/methods.py --tasks pot_lid --seeds 7 8 9 --methods bc robofume wsrl regrasp --steps 6000
    python benchmarks/methods.py --tasks pot_lid --seeds 7 8 9 --methods regrasp --set encoder=clip --into runs/clip

A run folder a task and seed, `runs/methods/TASK/seedN`. Data and judge are made there once; then each method
pre-trains, fine-tunes judged by that judge alone, and is evaluated by the twin's predicate before and after, on the
same starts. `--set` gives further settings to every verb. What is done is not done again, so a study may be stopped and
go on, and may be spread over calls: the table has every row that is there, and says how many seeds are missing. Below
it stands how each session went on, by steps and minutes (`benchmarks/on_the_way.py`). `--out` keeps every figure;
`--only-table` runs nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.on_the_way import in_words, snapshot_counts
from benchmarks.verb import regrasp
from commands.demo.stages import Stages
from commands.evaluate.conditions import Evaluation, evaluations_in, require_alike
from commands.report.data import Stream, open_stream
from commands.report.statistics import Estimate, format_rate
from factory.run_folders import start_of, tuning_folder
from policies.agent.methods import METHODS, method
from policies.learner.run_folder import EPISODES
from rewards.measuring import share_words
from sim.tasks import TASKS
from trajectories.durable import replace_file
from trajectories.types import DIRECTIONS

MODES = ("stochastic", "deterministic")
OWN = "regrasp"
CELLS = tuple(f"{direction}/{mode}" for direction in DIRECTIONS for mode in MODES)


def goes_online(name: str) -> bool:
    """Whether a method fine-tunes."""
    return name == OWN or method(name, 7).online


def run_method(name: str, folder: Path, given: argparse.Namespace) -> None:
    """Train and evaluate one method; a subprocess a verb, as a person would type it."""
    seed = folder.name.removeprefix("seed")
    shared = [f"run_dir={folder}", f"task={folder.parent.name}", f"seed={seed}", f"method={name}", "progress=false"]
    shared += [f"evaluate.episodes={given.episodes}", "evaluate.videos=1", *given.settings]
    if goes_online(name):
        regrasp("demo", *shared, f"finetune.steps={given.steps}")
        return
    regrasp("collect", *shared)
    regrasp("pretrain", *shared)
    regrasp("evaluate", *shared, "checkpoint=pretrained")


@dataclass(frozen=True)
class Outcome:
    """What a method came to with one seed of a task.

    Attributes:
        before: Direction/mode -> cell of the evaluation of the pre-trained policy.
        after: The same after fine-tuning; empty for a method that doesn't.
        steps: Environment steps of fine-tuning.
        resets: Scenes set anew by help.
        confusion: Judged training episodes by what was true, see `commands.report.data.Stream`.
        unsure: Training episodes that the judge couldn't decide.
        minutes: Of fine-tuning.
        seconds: Stage of the demo -> how long it took; empty for a method that doesn't fine-tune.
        went_on: Lines on how the session went on, see `benchmarks.on_the_way`.
    """

    before: Mapping[str, Any]
    after: Mapping[str, Any]
    steps: int
    resets: int
    confusion: Mapping[str, int]
    unsure: int
    minutes: float
    seconds: Mapping[str, float]
    went_on: Sequence[str]


def outcome(name: str, folder: Path, steps: int, episodes: int) -> Outcome | None:
    """What is there of a method in a run folder.

    None where it isn't done: cells of fewer episodes than asked for, or a stream of more steps, whose figures these
    steps haven't.
    """
    evaluations = evaluations_in(folder / "evaluations")
    require_alike(evaluations, f"Give another --into than {folder.parent.parent}.")
    before = cells(evaluations, start_of(folder, name).name if goes_online(name) else f"pretrained_{name}")
    if not goes_online(name):
        return Outcome(before, {}, 0, 0, {}, 0, 0.0, {}, ()) if _whole(before, episodes) else None
    after = cells(evaluations, f"{name}/step_{steps}")
    if (
        not (_whole(before, episodes) and _whole(after, episodes))
        or max(snapshot_counts(evaluations, name), default=0) > steps
    ):
        return None
    stream: Stream = open_stream(tuning_folder(folder, name) / EPISODES)
    return Outcome(
        before,
        after,
        stream.total_steps,
        int(stream.helped.sum()),
        stream.confusion,
        stream.unsure,
        float(stream.minutes[-1]),
        Stages(folder).of(name),
        in_words(f"{name}, {folder.name.replace('seed', 'seed ')}", stream, evaluations, name),
    )


def _whole(found: Mapping[str, Any], episodes: int) -> bool:
    """Whether every direction and mode has that many episodes."""
    return all(cell in found and found[cell]["episodes"] >= episodes for cell in CELLS)


def cells(evaluations: Sequence[Evaluation], place: str) -> Mapping[str, Any]:
    """Direction/mode -> its figures, of a policy's evaluation; empty where there is none."""
    return next((each.result["cells"] for each in evaluations if each.place == place), {})


def success(found: Sequence[Mapping[str, Any]], cell: str) -> str:
    """Percent over the seeds with an interval that respects them, and each seed's; or one seed's count."""
    mine = [each[cell] for each in found if cell in each]
    if not mine:
        return "–"
    if len(mine) == 1:
        return format_rate(mine[0]["successes"], mine[0]["episodes"])
    whole = Estimate.of_rates([entry["rate"] for entry in mine], [entry["episodes"] for entry in mine]).times(100)
    return f"{whole}: {', '.join(f'{value:.0f}' for value in whole.values)}"


def row(name: str, outcomes: Sequence[Outcome], missing: int) -> list[str]:
    """A line of a task's table."""
    line = [name + (f" ({missing} of {missing + len(outcomes)} seeds not run)" if missing else "")]
    for cell in CELLS:
        pair = [success([each.before for each in outcomes], cell), success([each.after for each in outcomes], cell)]
        line.append(pair[0] if not any(each.after for each in outcomes) else " → ".join(pair))
    tuned = [each for each in outcomes if each.after]
    if not tuned:
        return [*line, "–", "–", "–", "–", "–"]
    total = {key: sum(each.confusion[key] for each in tuned) for key in tuned[0].confusion}
    done, missed = total["true_positive"] + total["false_positive"], total["false_negative"] + total["true_negative"]
    return [
        *line,
        " ".join(str(each.resets) for each in tuned),
        f"{total['false_positive']} of {done}{share_words(total['false_positive'], done)}",
        f"{total['false_negative']} of {missed}{share_words(total['false_negative'], missed)}",
        " ".join(str(each.unsure) for each in tuned),
        " ".join(f"{each.minutes:.1f}" for each in tuned),
    ]


def table(task: str, given: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """A task's table in Markdown, and its figures by method and seed."""
    head = ["method", *(f"{cell.replace('/', ', ')}, %" for cell in CELLS)]
    head += ["resets", "called done, but was not", "called not done, but was", "unsure", "minutes of fine-tuning"]
    lines, kept = [head, ["---"] * len(head)], {}
    for name in given.methods:
        found = {
            seed: outcome(name, given.into / task / f"seed{seed}", given.steps, given.episodes) for seed in given.seeds
        }
        done = {seed: each for seed, each in found.items() if each is not None}
        if done:
            lines.append(row(name, [*done.values()], len(found) - len(done)))
            kept[name] = {str(seed): asdict(each) for seed, each in done.items()}
    seeds = f"seed{'s' * (len(given.seeds) > 1)} {', '.join(str(seed) for seed in given.seeds)}"
    caption = f"`{task}`, {seeds}, {given.episodes} episodes a cell, {given.steps} steps of fine-tuning"
    went_on = [f"- {line}" for of in kept.values() for each in of.values() for line in each["went_on"]]
    rows = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([caption, "", *rows, *([""] if went_on else []), *went_on, ""]), kept


def show(given: argparse.Namespace) -> None:
    """Print every task's table of what is done so far, and keep the figures."""
    kept = {}
    for task in given.tasks:
        text, kept[task] = table(task, given)
        print(text, flush=True)
    if given.out is not None:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        replace_file(given.out, json.dumps(kept, indent=1).encode() + b"\n")


def main() -> None:
    """Run what isn't done, print the tables after each method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=[*TASKS], default=["pot_pick_place"], metavar="TASK")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    names = [OWN, *METHODS.own]
    parser.add_argument("--methods", nargs="+", choices=names, default=names, metavar="METHOD")
    parser.add_argument("--steps", type=int, default=3000, help="environment steps of fine-tuning")
    parser.add_argument("--episodes", type=int, default=50, help="of an evaluation, a direction and mode")
    parser.add_argument("--into", type=Path, default=Path("runs/methods"))
    parser.add_argument("--out", type=Path, help="JSON with every figure")
    parser.add_argument("--only-table", action="store_true", help="run nothing")
    parser.add_argument("--set", nargs="+", default=[], dest="settings", metavar="KEY=VALUE", help="for every verb")
    given = parser.parse_args()
    given.into = given.into.resolve()
    for task in given.tasks if not given.only_table else ():
        for seed in given.seeds:
            for name in given.methods:
                run_method(name, given.into / task / f"seed{seed}", given)
                show(given)
    if given.only_table:
        show(given)


if __name__ == "__main__":
    main()
