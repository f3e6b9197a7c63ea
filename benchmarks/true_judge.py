"""What the judge costs: the same policy fine-tuned by the truth, as a control beside a session that a judge judged.

    python benchmarks/true_judge.py runs/ours/bin_vase/seed2 --set collect.demos=25 pretrain.encoder_steps=2000

Each folder is one of `benchmarks/methods.py --methods regrasp`. The session has that one's data and pre-trained policy
and a run folder of its own in `--into`; its judge is the twin's predicate, which no robot has and no session of the
product can ask for. It looks when the judge looks (gripper open, so many frames in a row, once more from home) and is
never unsure. What it reaches is what fine-tuning reaches with a judge that can't err: what is missing then is not the
judge's. What is done is not done again.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.judge_sessions import prepare
from benchmarks.methods import CELLS, cells, success
from benchmarks.verb import ROOT, regrasp
from commands.evaluate.conditions import evaluations_in
from commands.report.data import open_stream
from factory.run_folders import tuning_folder
from policies.learner.run_folder import CONDITIONS, EPISODES
from rewards.classifier import frames_that_count
from rewards.debounce import Debounce
from rewards.kind import RewardKind
from robot.interfaces import RewardReading
from sim.twin import Twin
from trajectories.conditions import read_conditions, require_same_identity
from trajectories.types import DIRECTIONS, Direction, Episode, Observation, RobotSpec

KIND = "truth"
_REQUIRED = 0.5


class TrueReward:
    """Done when the predicate of this process' twin has said so for some frames in a row.

    Attributes:
        camera: Named since every judge names one; it sees nothing.
    """

    def __init__(self, spec: RobotSpec, camera: str, frames: int, require_open_gripper: bool) -> None:
        self.camera = camera
        self._spec, self._open = spec, require_open_gripper
        self._debounce = Debounce(_REQUIRED, frames)
        self._instruction = ""

    def reset(self, instruction: str) -> None:
        """Start an episode."""
        self._instruction = instruction
        self._debounce.reset()

    def update(self, observation: Observation) -> RewardReading:
        """Ask the predicate about the present state."""
        counts = bool(frames_that_count(observation.proprio[None], self._spec, self._open)[0])
        done = counts and _done(self._instruction)
        return RewardReading(float(done), self._debounce.update(float(done), counts), done)


@cache
def twin_here() -> Twin:
    """The one of this process."""
    return next(each for each in gc.get_objects() if type(each) is Twin)


def _done(instruction: str) -> bool:
    """Whether what an instruction asks for is done now in this process' twin."""
    twin = twin_here()
    return any(twin.success(way) for way in DIRECTIONS if instruction in twin.task.instructions[way])


class TrueKind(RewardKind):
    """The predicate as a kind of reward model: nothing is learned."""

    def train(
        self,
        episodes: Iterable[Episode],
        task: str,
        instructions: Mapping[Direction, Sequence[str]],
        spec: RobotSpec,
        settings: Mapping[str, Any],
        folder: Path,
        progress: Callable[[str, float], None],
    ) -> str:
        """Leave a note."""
        (folder / "truth.txt").write_text("The twin's predicate judges: a control.\n", encoding="utf-8")
        return "The twin's predicate judges: a control."

    def load(self, folder: Path, spec: RobotSpec, settings: Mapping[str, Any]) -> TrueReward:
        """The predicate."""
        camera, frames = next(iter(spec.cameras)), int(settings["frames"])
        return TrueReward(spec, camera, frames, bool(settings["require_open_gripper"]))


TRUE = TrueKind()


def offer(folder: Path) -> None:
    """Let processes that this one starts find the kind, as of an installed package outside."""
    info = folder / "regrasp_true_judge-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: regrasp-true-judge\nVersion: 0\n")
    (info / "entry_points.txt").write_text(f"[regrasp.rewards]\n{KIND} = benchmarks.true_judge:TRUE\n")
    paths = [str(folder), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)


def session(run: Path, into: Path, steps: int, settings: Sequence[str]) -> str:
    """Fine-tune a run's policy by the truth, evaluate it; a line of a table."""
    task, folder = run.parent.name, into / run.parent.name / run.name
    prepare(run, folder, ("reward",))
    shared = [f"run_dir={folder}", f"task={task}", f"seed={run.name.removeprefix('seed')}", f"+reward.kind={KIND}"]
    shared += ["progress=false", "evaluate.episodes=50", "evaluate.videos=1", *settings]
    if not (folder / "reward" / "kind.json").exists():
        regrasp("train-reward", *shared)
    regrasp("finetune", *shared, f"finetune.steps={steps}", f"finetune.snapshot_every={steps}")
    judged_by, told_by = (read_conditions(tuning_folder(each, "regrasp") / CONDITIONS)[-1] for each in (run, folder))
    require_same_identity(judged_by["agent"], told_by["agent"], f"{run}", "Name them in --set, and another --into.")
    regrasp("evaluate", *shared)
    last, earlier = f"regrasp/step_{steps}", evaluations_in(run / "evaluations")
    before, judged = cells(earlier, "pretrained"), cells(earlier, last)
    told = cells(evaluations_in(folder / "evaluations"), last)
    stream = open_stream(tuning_folder(folder, "regrasp") / EPISODES)
    shown = [" → ".join(success([found], cell) for found in (before, judged, told)) for cell in CELLS]
    return f"| {task}, {run.name} | {' | '.join(shown)} | {int(stream.helped.sum())} | {stream.minutes[-1]:.1f} |"


def main() -> None:
    """Run what is left and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="run folders, .../TASK/seedN")
    parser.add_argument("--into", type=Path, default=Path("runs/truth"))
    parser.add_argument("--steps", type=int, default=10000)
    parser.add_argument("--set", nargs="*", default=[], dest="settings", metavar="KEY=VALUE", help="those of the runs")
    given = parser.parse_args()
    print(f"| task | {' | '.join(CELLS)} (before → judged → by the truth) | resets | minutes |")
    print((len(CELLS) + 3) * "|---" + "|")
    with TemporaryDirectory() as folder:
        offer(Path(folder))
        for run in given.runs:
            print(session(run.resolve(), given.into.resolve(), given.steps, given.settings), flush=True)


if __name__ == "__main__":
    main()
