"""Pre-training that is interrupted, killed, short of disk or given a damaged checkpoint."""

import resource
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import pytest
from helpers import ENVIRONMENT, HELPERS
from helpers.blob_world import SPEC
from helpers.killable_pretraining import ON_IMAGES, SETTINGS, train
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from policies.agent.checkpoint import load_agent
from policies.common.tensor_file import digest
from policies.learner import pretrain as module
from policies.learner.metrics import read_metrics
from policies.perception.keypoint_config import KeypointConfig
from trajectories.errors import CheckpointError, ConfigError

WEIGHTS = ("features", "actor", "agent")
CONFIGS = {
    "keypoints": SETTINGS,
    "cnn": ON_IMAGES,
    "cnn of the critics": replace(ON_IMAGES, freeze_encoder=False),
    "cnn beside keypoints": replace(ON_IMAGES, encoder=replace(ON_IMAGES.encoder, keypoints=True)),
}


class Interrupted(Exception):
    """The power went."""


def at(stage, step):
    """A progress callback that breaks off there."""

    def callback(told, done, total):
        if (told, done) == (stage, step):
            raise Interrupted

    return callback


def result(folder):
    """Digests of all weights, and the rows of metrics without times."""
    rows = [read_metrics(folder / "metrics" / part) for part in (".", "keypoints", "encoder")]
    plain = [[{key: value for key, value in row.items() if key != "wall_s"} for row in part] for part in rows]
    return [digest(load_file(folder / f"{name}.safetensors")) for name in WEIGHTS], plain


@pytest.fixture(scope="module")
def whole(tmp_path_factory, demo_store):
    """Encoder -> result of a training that nothing disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    for name, config in CONFIGS.items():
        train(demo_store, folder / name, config)
    return {name: result(folder / name) for name in CONFIGS}


@pytest.mark.parametrize(
    ("encoder", "stage", "step"),
    [
        ("keypoints", "keypoints", 3),  # before the first checkpoint
        ("keypoints", "keypoints", 10),  # the last checkpoint is of 7
        ("keypoints", "keypoints", 12),  # over, its last checkpoint not yet written
        ("keypoints", "policy", 20),  # in cloning: 14
        ("keypoints", "policy", 40),  # in Cal-QL: 35
        ("keypoints", "policy", 60),  # over, the policy not yet written
        ("cnn", "encoder", 10),  # learning labels: the last checkpoint is of 7
        ("cnn", "policy", 20),  # in cloning
        ("cnn", "policy", 40),  # the encoder is frozen since 30
        ("cnn of the critics", "policy", 40),
        ("cnn beside keypoints", "keypoints", 10),
        ("cnn beside keypoints", "encoder", 10),
        ("cnn beside keypoints", "policy", 40),
    ],
)
def test_interrupted_and_resumed_is_the_same_to_the_bit(tmp_path, demo_store, whole, encoder, stage, step):
    said = []
    with pytest.raises(Interrupted):
        train(demo_store, tmp_path, CONFIGS[encoder], at(stage, step))
    assert not (tmp_path / "actor.safetensors").exists()
    train(demo_store, tmp_path, CONFIGS[encoder], notify=said.append)
    assert result(tmp_path) == whole[encoder]
    going_on = {3: [], 10: ["goes on after update 7 of 12"], 12: ["goes on after update 7 of 12"]}
    expected = going_on.get(step, [f"goes on after update {step - step % 7 if step < 60 else 60} of 60"])
    assert len(said) == len(expected)
    assert all(part in line for part, line in zip(expected, said, strict=True))


@pytest.mark.parametrize(("encoder", "stage", "step"), [("keypoints", "keypoints", 9), ("cnn", "policy", 40)])
def test_killed_and_resumed_is_the_same_to_the_bit(tmp_path, demo_store, whole, encoder, stage, step):
    program = HELPERS / "killable_pretraining.py"
    command = [sys.executable, str(program), str(demo_store), str(tmp_path), encoder, stage, str(step), "0"]
    assert subprocess.run(command, env=ENVIRONMENT, check=False).returncode == -9
    train(demo_store, tmp_path, CONFIGS[encoder])
    assert result(tmp_path) == whole[encoder]


def test_between_the_stages_no_frame_is_read_again(tmp_path, demo_store, whole, monkeypatch):
    monkeypatch.setattr(module, "offline_data", lambda *_, **__: (_ for _ in ()).throw(Interrupted))
    with pytest.raises(Interrupted):
        train(demo_store, tmp_path)
    monkeypatch.undo()
    seen = []
    train(demo_store, tmp_path, progress=lambda stage, done, total: seen.append(stage))
    assert set(seen) == {"policy"}
    assert result(tmp_path) == whole["keypoints"]


def test_a_second_call_says_that_it_is_done_and_more_updates_go_on(tmp_path, demo_store):
    about = train(demo_store, tmp_path / "twice", replace(SETTINGS, steps=13))
    said, seen = [], []
    again = train(
        demo_store, tmp_path / "twice", replace(SETTINGS, steps=13), lambda *told: seen.append(told), said.append
    )
    assert again == about
    assert seen == []
    assert "nothing is left to do" in said[0]
    more = train(demo_store, tmp_path / "twice", replace(SETTINGS, steps=27))
    train(demo_store, tmp_path / "once", replace(SETTINGS, steps=27))
    assert result(tmp_path / "twice")[0] == result(tmp_path / "once")[0]
    assert (more["updates"], more["losses"].keys()) == (57, about["losses"].keys())
    assert load_agent(tmp_path / "twice" / "agent.safetensors", SPEC).agent.critic_updates == 27
    with pytest.raises(CheckpointError, match="trained for 57 updates, more than the 43 asked for"):
        train(demo_store, tmp_path / "twice", replace(SETTINGS, steps=13))


def test_other_settings_are_refused_with_all_their_names(tmp_path, demo_store):
    with pytest.raises(Interrupted):
        train(demo_store, tmp_path, progress=at("policy", 20))
    other = replace(SETTINGS, batch=64, agent=replace(SETTINGS.agent, tau=0.01), checkpoint_every=9)
    names = r"made with agent\.tau = 0\.005, batch = 32, seed = 3, the settings ask for 0\.01, 64, 4\. .*training"
    with pytest.raises(CheckpointError, match=names):
        train(demo_store, tmp_path, other, seed=4)


def test_stopped_where_the_encoder_is_frozen_it_goes_on_the_same(tmp_path, demo_store):
    settings = replace(ON_IMAGES, checkpoint_every=10, held_out_every=10, log_every=10)
    train(demo_store, tmp_path / "whole", settings)
    train(demo_store, tmp_path / "cloned", replace(settings, steps=0))
    train(demo_store, tmp_path / "cloned", settings)
    assert result(tmp_path / "cloned") == result(tmp_path / "whole")
    with pytest.raises(
        CheckpointError, match=r"freeze_encoder = True, labels = True, the settings ask for not set, not set"
    ):
        train(demo_store, tmp_path / "cloned", replace(settings, freeze_encoder=False, steps=40))


def test_another_methods_policy_takes_the_same_keypoint_network(tmp_path, demo_store):
    other_method = replace(SETTINGS, batch=16, agent=replace(SETTINGS.agent, tau=0.01))
    train(demo_store, tmp_path / "first")
    train(demo_store, tmp_path / "alone", other_method)
    said, stages = [], set()
    train(
        demo_store, tmp_path / "second", other_method, lambda stage, *_: stages.add(stage), said.append,
        beside=[tmp_path / "nothing", tmp_path / "first"],
    )  # fmt: skip
    assert stages == {"policy"}
    assert said == [f"The keypoint network is that of {tmp_path / 'first'}: data and settings are the same."]
    assert result(tmp_path / "second")[0] == result(tmp_path / "alone")[0]


@pytest.mark.parametrize(
    "changes", [{"keypoints": KeypointConfig(steps=13, batch=8)}, {"held_out": 0.0}, {"shrink_places": False}]
)
def test_a_keypoint_network_of_other_settings_is_not_taken(tmp_path, demo_store, changes):
    train(demo_store, tmp_path / "first", replace(SETTINGS, clone_steps=1, steps=0))
    stages = set()
    train(
        demo_store, tmp_path / "second", replace(SETTINGS, clone_steps=1, steps=0, **changes),
        lambda stage, *_: stages.add(stage), beside=[tmp_path / "first"],
    )  # fmt: skip
    assert "keypoints" in stages


def test_a_half_trained_or_damaged_keypoint_network_is_not_taken(tmp_path, demo_store, whole):
    with pytest.raises(Interrupted):
        train(demo_store, tmp_path / "half", progress=at("keypoints", 9))
    with pytest.raises(Interrupted):
        train(demo_store, tmp_path / "bad", progress=at("policy", 20))
    for path in (tmp_path / "bad" / "training").glob("keypoints_*"):
        damage(path)
    train(demo_store, tmp_path / "own", beside=[tmp_path / "half", tmp_path / "bad"])
    assert result(tmp_path / "own") == whole["keypoints"]


def damage(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def test_a_damaged_checkpoint_is_named_and_the_one_before_taken(tmp_path, demo_store, whole):
    with pytest.raises(Interrupted):
        train(demo_store, tmp_path, progress=at("policy", 40))
    kept = sorted(path.name for path in (tmp_path / "training").glob("policy_*"))
    assert kept == ["policy_28.safetensors", "policy_35.safetensors"]
    damage(tmp_path / "training" / "policy_35.safetensors")
    said = []
    train(demo_store, tmp_path, notify=said.append)
    assert "policy_35.safetensors is damaged" in said[0]
    assert "policy_28.safetensors" in said[0]
    assert result(tmp_path) == whole["keypoints"]
    for path in (tmp_path / "training").glob("policy_*"):
        damage(path)
    with pytest.raises(CheckpointError, match=r"No checkpoint can be read.*delete .*training"):
        train(demo_store, tmp_path)


@contextmanager
def small_disk(size):
    """Gives functions that fill the disk and empty it: files of this process get at most so many bytes, or any."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(most):
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))

    try:
        yield lambda: limit(size), lambda: limit(soft)
    finally:
        limit(soft)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # TensorBoard's thread says so
def test_a_full_disk_loses_nothing(tmp_path, demo_store, whole):
    """It is full from the start, and again in the middle of the policy; there is room once people are told to wait."""
    said = []
    with small_disk(3000) as (fill, empty):

        def tell(line):
            said.append(line)
            if "tried again" in line:
                empty()

        def progress(stage, done, total):
            if (stage, done) == ("policy", 40):
                fill()

        fill()
        train(demo_store, tmp_path, progress=progress, notify=tell)
    parts = [
        ("keypoints_7.safetensors can't be written", "Training goes on"),
        ("keypoints_12.safetensors can't be written", "tried again"),
        ("room again", "the checkpoint is stored"),
        ("policy_42.safetensors can't be written", "Training goes on"),
        ("policy_60.safetensors can't be written", "tried again"),
        ("room again", "the checkpoint is stored"),
    ]
    assert len(said) == len(parts)
    assert all(first in line and second in line for line, (first, second) in zip(said, parts, strict=True))
    assert result(tmp_path) == whole["keypoints"]


def test_losses_and_held_out_figures_are_in_both_sinks(tmp_path, demo_store, whole):
    train(demo_store, tmp_path)
    rows = read_metrics(tmp_path / "metrics")
    losses = [row for row in rows if "offline/actor/clone" in row]
    assert [row["step"] for row in losses] == list(range(5, 61, 5))
    assert ["offline/critic/td" in row for row in losses] == [False] * 6 + [True] * 6
    measured = [row for row in rows if "held_out/clone_nll" in row]
    assert [row["step"] for row in measured] == [12, 24, 36, 48, 60]
    assert ["held_out/td" in row for row in measured] == [False, False, True, True, True]
    keypoints = read_metrics(tmp_path / "metrics" / "keypoints")
    assert [row["step"] for row in keypoints if "keypoints/loss" in row] == [5, 10, 12]
    assert "held_out/pick_cm" in keypoints[-1]
    board = EventAccumulator(str(tmp_path / "metrics" / "tensorboard")).Reload()
    assert {"offline/critic/td", "held_out/q", "held_out/action_error"} <= set(board.Tags()["scalars"])
    assert [event.step for event in board.Scalars("held_out/q")] == [36, 48, 60]


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match=r"held_out=1\.0"):
        replace(SETTINGS, held_out=1.0)
    with pytest.raises(ConfigError, match="checkpoint_every=0"):
        replace(SETTINGS, checkpoint_every=0)
    assert SETTINGS.keypoints == KeypointConfig(steps=12, batch=8)


def test_a_network_of_before_places_were_measured_as_now_is_not_taken(tmp_path, demo_store, monkeypatch):
    with monkeypatch.context() as before:
        before.setattr("policies.perception.keypoint_training._PARTS", "something_else")
        train(demo_store, tmp_path / "first")
    said, stages = [], set()
    train(
        demo_store, tmp_path / "second", SETTINGS, lambda stage, *_: stages.add(stage), said.append,
        beside=[tmp_path / "first"],
    )  # fmt: skip
    assert stages == {"keypoints", "policy"}
    assert said == []
    assert train(demo_store, tmp_path / "first", notify=said.append)  # what is whole stays as it is
    assert "nothing is left to do" in said[0]
