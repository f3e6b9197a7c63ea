"""How many files a datum passes: from a run's trace, the project's files whose functions run between two points.

    python benchmarks/walks.py               a table
    python benchmarks/walks.py --files       with the files of each walk

Five walks, each of spans that follow one another; a span is everything that one thread calls from its start until its
end is entered. Between them data wait in memory that two threads or processes share.

- image -> gradient: the twin's observation, the recorder, the learner's intake, an update until the optimiser steps;
- action -> servo bytes: a session's step until the arm is sent a command, `WidowX.send`, and a cycle of the arm's loop
  until a Sync Write is at the port (virtual servos);
- command -> servo bytes: the last part of that alone, without reading the servos: `WidowX.send`, then from the plan of
  the next set point on;
- frame -> TD target: as the first walk, until the target is computed;
- reward -> TD target: the judge's word on a session's frames, the recorder, the learner as in the walk before.

Files of `sim` are not counted: they stand in for devices.

Names are looked up in the source, not imported by their place, so that a tree from before a rearrangement can be
measured by the same script: `cd OLD_TREE && python NEW_TREE/benchmarks/walks.py`.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

ROOT = Path.cwd()
sys.path.insert(0, str(ROOT))
ROOMS = ("trajectories", "robot", "drivers", "sim", "rewards", "policies", "factory", "commands")
STAND_INS = ("sim",)
WORDINGS = {way: [f"put the pot {way}"] for way in ("forward", "backward")}
TASK = "pot_pick_place"
READY = (0.0, -0.76, 0.44, 0.0, 1.2, 0.0)


def found(name: str) -> Any:
    """The class or function of that name, from whichever module of the tree defines it at its top."""
    pattern = re.compile(rf"^(class|def) {name}\b", re.MULTILINE)
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if pattern.search(path.read_text(encoding="utf-8")):
                module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                return getattr(importlib.import_module(module), name)
    raise LookupError(f"nothing in {ROOT} defines {name}")


class _Arrived(BaseException):
    """The end of a span."""


class Walk:
    """The files that a datum passes, in the order in which it first met them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.files: dict[str, None] = {}

    @contextmanager
    def span(
        self, end: Callable[[FrameType], bool] | None = None, start: Callable[[FrameType], bool] | None = None
    ) -> Iterator[None]:
        """Note what runs within, from a function for which `start` holds until one for which `end` holds is entered.

        What comes before and what would follow are left out; without them all is noted.
        """
        begun = start is None

        def note(frame: FrameType, event: str, _: object) -> None:
            nonlocal begun
            path = Path(frame.f_code.co_filename)
            if event != "call" or not path.is_relative_to(ROOT) or path.relative_to(ROOT).parts[0] not in ROOMS:
                return
            begun = begun or (start is not None and start(frame))
            if not begun:
                return
            if path.relative_to(ROOT).parts[0] not in STAND_INS:
                self.files.setdefault(str(path.relative_to(ROOT)))
            if end is not None and end(frame):
                raise _Arrived

        sys.setprofile(note)
        try:
            yield
        except _Arrived:
            return
        finally:
            sys.setprofile(None)
        if end is not None or not begun:
            raise LookupError(f"{self.name}: its {'end' if begun else 'start'} was never entered")


def entered(name: str) -> Callable[[FrameType], bool]:
    """Whether a frame is of the function `name`, or of the method `Class.name`."""
    return lambda frame: name in (frame.f_code.co_name, frame.f_code.co_qualname)


def sync_write(frame: FrameType) -> bool:
    """Whether a frame is a port's `write` of a Sync Write (Dynamixel protocol 2.0, instruction 0x83 in byte 7)."""
    data = frame.f_locals.get("data")
    return frame.f_code.co_name == "write" and isinstance(data, bytes) and len(data) > 7 and data[7] == 0x83


@contextmanager
def twin() -> Iterator[Any]:
    """The twin with one small camera."""
    from hydra import compose, initialize_config_module
    from omegaconf import OmegaConf

    OmegaConf.register_new_resolver("cores", lambda: 1, replace=True)
    with initialize_config_module("configs", version_base="1.3"):
        config = compose("actor", overrides=["robot=twin", "profile=tiny", "robot.image_size=32"])
    with found("open_station")(config) as station:
        station.prepare("forward", np.random.default_rng(0))
        station.env.go_home(np.random.default_rng(0))
        yield station


def record(env: Any, walk: Walk, steps: int = 12) -> Any:
    """An episode of small motions; the walk follows the image of its last step."""
    rng = np.random.default_rng(0)
    recorder = found("Recorder")(env.robot_spec, rng)
    seen = replace(env.observe(), instruction=WORDINGS["forward"][0])
    recorder.begin(seen, task=TASK, direction="forward")
    for _ in range(steps):
        action = rng.uniform(-0.2, 0.2, 7).astype(np.float32)
        executed = env.apply(action).executed
        with walk.span():
            seen = replace(env.observe(), instruction=WORDINGS["forward"][0])
            recorder.step(seen, action, executed)
    with walk.span():
        return recorder.finish("failure", True)


def text_rows(texts: list[str]) -> Any:
    """A text encoder that needs no weights: float32 (N, 4)."""
    return np.stack([np.full(4, 1.0 / len(text), np.float32) for text in texts])


def pretrained(env: Any, folder: Path) -> Path:
    """The folder of a policy of critics that train an image encoder, after a few updates."""
    networks = found("NetworkConfig")(actor_hidden=(16,), critic_hidden=(16,), critics=2)
    encoder = found("EncoderConfig")(found("CnnConfig")((8, 8), (4, 2)), width=8, proprio_width=8, displacement=2)
    config = found("PretrainConfig")
    trained = {"freeze_encoder": False} if "freeze_encoder" in config.__dataclass_fields__ else {}  # earlier trees
    settings = config(
        clone_steps=2, steps=2, batch=8, agent=found("AgentConfig")(networks=networks), encoder=encoder, **trained
    )
    store_of, episode = found("TrajectoryStore"), record(env, Walk("demonstration"))
    with store_of(folder / "store", env.robot_spec) as store:
        store.commit(replace(episode, outcome="success", metadata={"kind": "demo"}))
    data = [store_of(folder / "store", read_only=True)]
    found("pretrain")(data, TASK, WORDINGS, text_rows, "walk", settings, folder / "policy", seed=0)
    return folder / "policy"


def learn(episode: Any, env: Any, folder: Path, walk: Walk, end: str) -> None:
    """From the learner's intake of an episode to the function `end` in an update."""
    config = found("LearnerConfig")(steps=40, warmup_steps=0, utd=1, batch=8, freeze_encoder=False)
    with tempfile.TemporaryDirectory() as run:
        learner = found("Learner")(Path(run), folder, env.robot_spec, config)
        with walk.span():
            learner.put_episode(episode)
        with walk.span(entered(end)):
            learner.train(budget=1)
        learner.store.close()


def session_of(station: Any, folder: Path) -> Any:
    """A reset-free session of steps that a judge calls done at once."""
    backbone = found("load_backbone")()
    threshold = found("Threshold")(1e-6, 0.0, 1.0, 1, 1)
    members = (found("Member")(backbone.image_width, 4, None).eval(),)
    calibration = importlib.import_module("rewards.calibration").Calibration()  # an arm has one of that name, too
    spec = station.env.robot_spec
    classifier, first = found("SuccessClassifier"), next(iter(spec.cameras))
    through = (first,) if "cameras" in classifier.__dataclass_fields__ else first  # earlier trees: one camera
    judge = classifier(backbone, members, calibration, threshold, 1, through, False, spec)
    operator = vars(station).get("operator") or vars(station)["attendant"]
    return found("ResetFreeSession")(
        station.env, found("load_policy")(folder, spec), found("VlmReward")(judge), TASK, WORDINGS, operator,
        rng=np.random.default_rng(0), max_steps=2, skip_done=False,
    )  # fmt: skip


def move(station: Any, folder: Path, walk: Walk) -> None:
    """From an action to the bytes of a Sync Write."""
    session = session_of(station, folder)
    with walk.span(entered("send"), entered("_act")):
        session.run_episode()
    command(walk)


def arm_and_servos() -> tuple[Any, Callable[[], Any]]:
    """The WidowX 250 S and what makes its virtual servos; trees from before a rearrangement have other names."""
    try:
        model = importlib.import_module("drivers.dynamixel.servo_map").WX250S
        return model, lambda: found("arm_servos")(model)
    except ModuleNotFoundError:
        model = importlib.import_module("drivers.widowx.models").WX250S
        return model, lambda: found("widowx_servos")(model.places)


def command(walk: Walk, start: Callable[[FrameType], bool] | None = None) -> None:
    """From a command to the bytes of a Sync Write; of the loop's cycle what runs from `start` on."""
    model, make_servos = arm_and_servos()
    time = found("VirtualTime")()
    motors = found("FirstOrderMotors")((*READY, 0.5), time.now_ns())
    servos = found("VirtualBus")(make_servos(), motors, now_ns=time.now_ns())
    port = found("LoopbackPort")(servos, time)
    bus = found("DynamixelBus")(lambda: port, clock=time.now_ns, latency_s=0.002, return_delay_s=0.0)
    arm = found("WidowX")(bus, model, found("ArmSettings")(), time, threaded=False)
    with walk.span():
        arm.send(found("Command")(np.array(READY), 0.02, time.now_ns()))
    with walk.span(sync_write, start):
        arm.cycle()


def judged(station: Any, folder: Path, walk: Walk) -> Any:
    """An episode that the judge ends; the walk begins with its first word."""
    session = session_of(station, folder)
    with walk.span(start=entered("VlmReward.update")):
        return session.run_episode()


def walks() -> list[Walk]:
    """All of them."""
    image, action, frame, reward, sent = made = [
        Walk("image -> gradient"), Walk("action -> servo bytes"), Walk("frame -> TD target"),
        Walk("reward -> TD target"),
        Walk("command -> servo bytes"),
    ]  # fmt: skip
    with twin() as station, tempfile.TemporaryDirectory() as name:
        env, folder = station.env, pretrained(station.env, Path(name))
        learn(record(env, image), env, folder, image, "Optimisers.descend")
        learn(record(env, frame), env, folder, frame, "td_target")
        learn(judged(station, folder, reward), env, folder, reward, "td_target")
        move(station, folder, action)
    command(sent, entered("_plan"))
    return made


def main() -> None:
    """Print the numbers, and the files if asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", action="store_true", help="name the files of each walk")
    named = parser.parse_args().files
    for walk in walks():
        print(f"{walk.name:24} {len(walk.files):3} files")
        if named:
            print("".join(f"    {file}\n" for file in walk.files), end="")


if __name__ == "__main__":
    main()
