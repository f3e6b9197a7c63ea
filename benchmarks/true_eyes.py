"""What the eyes cost: the same policy told where things are, as a control beside what it sees.

    python benchmarks/true_eyes.py runs/ours/bin_vase/seed0/pretrained --task bin_vase

Each folder is a policy that sees through keypoints. It meets the same starts as in `regrasp evaluate` four times: as it
sees; with the true place where the open gripper should grasp; with the true goal, its middle; with both. Nothing is
trained anew and no verb offers it: no robot knows the truth. What it reaches with both is what its skill reaches with
eyes that can't err: what is missing then is not the eyes'. The last column is how far what the network finds lies from
the truth as an episode begins, in the plane.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_module

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.methods import MODES
from commands.evaluate.trials import Trial, run_in_twin
from commands.report.statistics import format_rate
from factory.evaluated_policy import PolicySource, open_policy
from factory.twin import TwinSettings, cached_twin
from policies.perception.image_perception import ImagePerception
from policies.perception.keypoint_labels import PICK_SIZE, POINT_SIZE
from policies.perception.keypoint_perception import KeypointPerception
from policies.policy import LearnedPolicy
from sim.experts.scripted import ScriptedExpert
from sim.tasks.moving import Goal, MoveTask
from sim.twin import Twin
from trajectories.errors import ConfigError, RegraspError
from trajectories.types import DIRECTIONS, Direction, Float32, Float64, Int64, UInt8

EYES: dict[str, tuple[str, ...]] = {
    "as seen": (),
    "true pick": ("pick",),
    "true place": ("place",),
    "both true": ("pick", "place"),
}
"""Row of the table -> which points are told."""


class TrueEyes(KeypointPerception):
    """The perception of a policy with points of this process' twin in place of some that the network finds.

    Attributes:
        told: Which: "pick" (while the gripper is commanded open), "place".
        errors_m: Of every frame seen, distances in the plane of the network's pick and place from the truth.
    """

    told: Sequence[str] = ()
    errors_m: list[tuple[float, float]]
    _twin: Twin
    _task: MoveTask
    _expert: ScriptedExpert

    @classmethod
    def of(cls, seen: KeypointPerception, twin: Twin) -> TrueEyes:
        """From the perception of a policy.

        Raises:
            ConfigError: The task's truth is not an object at a place.
        """
        if not isinstance(twin.task, MoveTask) or twin.task.skill != "pick":
            raise ConfigError(
                f"{twin.task.name} is no task that picks an object up and puts it down; give one that is."
            )
        eyes = cls(seen.net, seen.scaling, seen.text, seen.spec, seen.camera, seen.gaps, seen.trust)
        eyes._twin, eyes._task, eyes.errors_m = twin, twin.task, []
        eyes._expert = ScriptedExpert(twin, "forward", np.random.default_rng(0))  # grasps alike whatever the direction
        return eyes

    def keypoints(self, images: UInt8, proprio: Float32, rows: Int64) -> Float32:
        """Of the present frame, N = 1; see `KeypointPerception.keypoints`."""
        points = super().keypoints(images, proprio, rows)
        direction = self._direction(self.text.instructions[int(rows[0])])
        pick = self._expert.grasp(np.zeros(2), 0.0)
        place = middle_of(self._twin, self._task.goals[direction])
        found = points[0, :2] - pick.position[:2], points[0, PICK_SIZE : PICK_SIZE + 2] - place
        self.errors_m.append((float(np.linalg.norm(found[0])), float(np.linalg.norm(found[1]))))
        if "pick" in self.told and proprio[0, self._index.command] > 0:
            turn = 2.0 * float(pick.rpy[2])
            points[0, :PICK_SIZE] = [*pick.position[:POINT_SIZE], math.sin(turn), math.cos(turn)]
        if "place" in self.told:
            points[0, PICK_SIZE : PICK_SIZE + 2] = place
        return points

    def _direction(self, instruction: str) -> Direction:
        return next(way for way in DIRECTIONS if instruction in self._task.instructions[way])


def middle_of(twin: Twin, goal: Goal) -> Float64:
    """Where a goal is now (2,), m: its fixture's middle, or the object that is to be stood on."""
    if goal.on_top_of:
        return twin.scene.physics.body_pose(goal.on_top_of)[0][:2]
    return twin.scene.fixture(goal.fixture).position[:2]


def told(policy: object, folder: Path, twin: Twin) -> TrueEyes:
    """True eyes in the place of a policy's keypoints, alone or beside images.

    Raises:
        ConfigError: It sees no keypoints, or the task's truth is not an object at a place.
    """
    seen = policy.perception if isinstance(policy, LearnedPolicy) else None
    if isinstance(policy, LearnedPolicy) and isinstance(seen, KeypointPerception):
        eyes = policy.perception = TrueEyes.of(seen, twin)
        return eyes
    if isinstance(seen, ImagePerception) and seen.keypoints is not None:
        eyes = seen.keypoints = TrueEyes.of(seen.keypoints, twin)
        return eyes
    raise ConfigError(f"{folder} doesn't see keypoints; give a policy of encoder=keypoints or encoder.keypoints=true.")


def measure(folder: Path, task: str, episodes: int, settings: Sequence[str]) -> Iterator[str]:
    """Lines of the table of one policy."""
    with initialize_config_module("configs", version_base="1.3"):
        config = compose("evaluate", [f"task={task}", *settings])
    twin, source = TwinSettings.from_config(config), PolicySource(str(folder))
    policy = open_policy(source)
    eyes = told(policy, folder, cached_twin(twin))
    seed, most = int(config.evaluate.seed), int(config.task.max_steps)
    for name, eyes.told in EYES.items():
        cells, first = [], []
        for direction, mode in product(DIRECTIONS, MODES):
            done = 0
            for index in range(episodes):
                eyes.errors_m.clear()
                trial = Trial(source, direction, mode, index, seed, most, video=False)
                done += bool(run_in_twin((twin, trial))[0].success)
                first.append(eyes.errors_m[0])
            cells.append(format_rate(done, episodes))
        pick, place = 100 * np.mean(first, axis=0)
        yield f"| {task}, {folder.name}, {name} | {' | '.join(cells)} | {pick:.1f}, {place:.1f} |"


def main() -> None:
    """Run all and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policies", type=Path, nargs="+", help="their folders")
    parser.add_argument("--task", required=True, help="what they are told to do")
    parser.add_argument("--episodes", type=int, default=50, help="a direction and mode")
    parser.add_argument("--set", nargs="*", default=[], dest="settings", metavar="KEY=VALUE", help="those of the runs")
    given = parser.parse_args()
    if given.episodes < 1:
        parser.error(f"--episodes {given.episodes} measures nothing, expected at least 1")
    heads = [f"{direction}, {mode}, %" for direction in DIRECTIONS for mode in MODES]
    print(f"| policy | {' | '.join(heads)} | error of pick, place, cm |")
    print((len(heads) + 2) * "|---" + "|")
    for folder in given.policies:
        try:
            for line in measure(folder.resolve(), given.task, given.episodes, given.settings):
                print(line, flush=True)
        except RegraspError as error:
            parser.exit(1, f"{folder}: {error}\n")


if __name__ == "__main__":
    main()
