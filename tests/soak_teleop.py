"""Scripted teleop through a faked device, behaviour cloning on exactly that, and its success beside chance.

    python tests/soak_teleop.py run_dir=FOLDER [hands=gamepad|spacemouse] [key=value of the verbs ...]

Not collected by pytest: it takes minutes. A scripted person demonstrates in the twin through the unmodified driver of a
device whose bytes are faked, and at times discards, skips, undoes or fails. Then `regrasp pretrain` clones from that
store alone, without reinforcement learning, and `regrasp evaluate` runs the policy. Chance is measured on the same
starts: uniform random actions, and no motion at all. The run folder must be new; the episodes asked for default to 50.
"""

import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # before tests/, whose folders have the rooms' names

from helpers.scripted_person import Mouse, Pad, ScriptedPerson

from commands.report.statistics import format_rate, wilson_interval
from commands.teleop import DEVICE_KEY, demonstrate, listening, opened
from factory.robot import open_station
from factory.run_folders import data_folder
from factory.spec import plain
from trajectories.kinds import AFTERMATH, KIND_KEY
from trajectories.store import TrajectoryStore
from trajectories.summary import summarise, summary_table
from trajectories.types import DIRECTIONS

ROOT = Path(__file__).resolve().parents[1]
HANDS = {"gamepad": Pad, "spacemouse": Mouse}
MOODS = {"discard": 0.06, "undo": 0.05, "skip": 0.05, "fail": 0.06}


def main() -> None:
    """Record, check, train, evaluate, compare."""
    own = dict(argument.split("=", 1) for argument in sys.argv[1:] if argument.split("=")[0] in ("hands", "run_dir"))
    overrides = [argument for argument in sys.argv[1:] if argument.split("=")[0] not in own]
    run_dir = Path(own["run_dir"])
    run_dir.mkdir(parents=True)
    OmegaConf.register_new_resolver("cores", lambda: 2, replace=True)
    config = demonstrations(run_dir, HANDS[own.get("hands", "gamepad")](run_dir), overrides)
    shared = [o for o in overrides if o.split("=")[0] not in ("episodes",) and not o.startswith(("teleop.", "device"))]
    for verb, settings in (("pretrain", ["pretrain.steps=0"]), ("evaluate", ["checkpoint=pretrained"])):
        command = [sys.executable, "-m", "commands", verb, f"run_dir={run_dir}", "progress=false", *settings, *shared]
        subprocess.run(command, cwd=ROOT, check=True)
    cells = json.loads(next(run_dir.rglob("result.json")).read_text())["cells"]
    best, worst = 0.0, 1.0
    for name, act in (("uniform random actions", random_action), ("no motion", rest)):
        wins, count = chance(config, act)
        best = max(best, wilson_interval(wins, count)[1])
        print(f"{name}: {format_rate(wins, count)}")
    for mode in config.evaluate.modes:
        mine = [cell for name, cell in cells.items() if name.endswith(f"/{mode}")]
        wins, count = (sum(cell[key] for cell in mine) for key in ("successes", "episodes"))
        worst = min(worst, wilson_interval(wins, count)[0])
        print(f"cloned from the demonstrations, {mode} actions: {format_rate(wins, count)}")
    if worst <= best:
        sys.exit("the cloned policy does not beat chance")


def demonstrations(run_dir, hands, overrides):
    """Fill the store; returns the settings."""
    with initialize_config_module("configs", version_base="1.3"):
        config = compose("teleop", [f"run_dir={run_dir}", "teleop.realtime=false", *hands.overrides, *overrides])
    stop = threading.Event()
    with listening(config) as (device, keys), opened(config, keys, stop) as around:
        station = around.station
        hands.plug(plain(config.device))
        person = ScriptedPerson(station.twin, device, hands, np.random.default_rng(config.seed), moods=MOODS)
        with TrajectoryStore(data_folder(run_dir), station.env.robot_spec) as store:
            session = demonstrate(config, around, store, device, keys, stop, on_progress=person)
            infos = store.infos()
            print(summary_table(summarise(infos)))
        hands.close()
    tally = session.tally
    print(
        f"{hands.name}: {hands.sent} reports sent, {device.status.events} heard; keys {person.presses}; "
        f"{tally.dropped} dropped, {tally.undone} undone"
    )
    counted = {
        way: [i.outcome for i in infos if i.direction == way and i.metadata[KIND_KEY] != AFTERMATH]
        for way in DIRECTIONS
    }
    for way, counts in tally.outcomes.items():
        if {outcome: counted[way].count(outcome) for outcome in counts} != counts:
            sys.exit(f"{way}: the store holds {counted[way]}, the session counted {counts}")
    begun = person.presses["start"] - tally.dropped - tally.undone
    shown = [info for info in infos if info.metadata[KIND_KEY] != AFTERMATH]
    if len(infos) - len(shown) != tally.successes:
        sys.exit(f"{len(infos) - len(shown)} looks back at {tally.successes} successes")
    if tally.successes < config.episodes or len(shown) != begun or any(DEVICE_KEY not in i.metadata for i in infos):
        sys.exit(f"{len(shown)} episodes in the store, expected {begun}")
    return config


def random_action(rng):
    """Uniform in [-1, 1], the gripper as well."""
    return rng.uniform(-1.0, 1.0, 7).astype(np.float32)


def rest(rng):
    """Stay, with the gripper open."""
    return np.float32([0, 0, 0, 0, 0, 0, 1])


def chance(config, act):
    """Successes and trials of a policy that sees nothing, on the starts of `regrasp evaluate`."""
    wins = count = 0
    with open_station(config) as station:
        for direction in DIRECTIONS:
            for index in range(int(config.evaluate.episodes)):
                rng = np.random.default_rng([int(config.evaluate.seed), index, DIRECTIONS.index(direction)])
                station.prepare(direction, rng)
                done = False
                for _ in range(int(config.task.max_steps)):
                    station.env.apply(act(rng))
                    done = done or station.referee(direction)
                wins, count = wins + done, count + 1
    return wins, count


if __name__ == "__main__":
    main()
