"""`regrasp label`: outcomes of stored episodes by a judge, and judges that learn from them."""

import importlib
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from helpers.chat_server import chat_server
from helpers.sliding_square import SPEC, make_episode
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from commands.label import read_labels, with_outcomes
from factory.reward import train_reward_model
from rewards.rivals.preference_pairs import read_pairs
from trajectories.errors import ConfigError
from trajectories.store import TrajectoryStore

OmegaConf.register_new_resolver("cores", lambda: 2, replace=True)


def eye(question, pictures):
    red = pictures[-1].astype(int)
    column = np.argwhere((red[..., 0] > 160) & (red[..., 2] < 110))[:, 1].mean() / red.shape[1]
    right = 1 / (1 + math.exp(-40 * (column - 0.68)))
    return right if "plate" in question else 1 / (1 + math.exp(40 * (column - 0.32)))


def composed(verb, *overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose(verb, list(overrides))


def test_unmarked_episodes_are_labelled_once_and_then_teach(episodes, backbone, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("rewards.rivals.kind.backbone_from", lambda *_: backbone)
    marked = [replace(episode, metadata={"kind": "demo"}) for episode in episodes]
    with TrajectoryStore(tmp_path / "store", SPEC) as store:
        for episode in marked:
            store.commit(replace(episode, outcome="unknown", success_probability=episode.success_probability))
        play = make_episode(np.random.default_rng(99), 99)  # nobody attempts anything there
        store.commit(replace(play, outcome="unknown", metadata={"kind": "play"}))
    with chat_server(eye) as (chat, address):
        settings = [
            f"run_dir={tmp_path}", "reward=generative_vlm", f"reward.address={address}", "reward.model=eye",
            "task=own", "task.name=slide", "robot.image_size=48", "reward.require_open_gripper=false",
            "task.instructions.forward=[put the cube on the plate]",
            "task.instructions.backward=[put the cube on the mat]",
        ]  # fmt: skip
        train_reward_model(composed("train_reward", *settings), iter(marked), SPEC, lambda *_: None)
        label = composed("label", *settings, f"store={tmp_path / 'store'}")
        verb = importlib.import_module("commands.label")
        verb.run(label)
        labels = read_labels(tmp_path / "labels.jsonl")
        assert labels == {episode.id: episode.outcome for episode in episodes}
        assert "16 successes, 12 failures, 0 without an answer" in capsys.readouterr().out
        asked = len(chat.asked)
        verb.run(label)
        assert len(chat.asked) == asked
        chat.script = [(500, ())] * 50
        label.reward.retries, label.labels = 0, str(tmp_path / "other.jsonl")
        lines = (tmp_path / "labels.jsonl").read_text().splitlines(keepends=True)
        (tmp_path / "other.jsonl").write_text("".join(lines[2:]))
        verb.run(label)
        assert "0 successes, 0 failures, 2 without an answer" in capsys.readouterr().out
        chat.script.clear()
        verb.run(label)
        assert read_labels(tmp_path / "other.jsonl") == labels
    training = composed(
        "train_reward", *settings[4:], "reward=goal_pictures", "reward.goal=nearest", "+reward.folds=3",
        f"run_dir={tmp_path / 'second'}",
        f"data=[{tmp_path / 'store'}]", f"labels={tmp_path / 'labels.jsonl'}",
    )  # fmt: skip
    importlib.import_module("commands.train_reward").run(training)
    assert "of 16 successes found" in capsys.readouterr().out


def right_of(question, pictures):
    """How sure it is that the square of the second picture is further on the way that the question names."""
    columns = [np.argwhere((p[..., 0] > 160) & (p[..., 2] < 110))[:, 1].mean() / p.shape[1] for p in pictures]
    further = columns[1] - columns[0]
    return 1 / (1 + math.exp(-30 * (further if "plate" in question else -further)))


def test_pairs_are_labelled_and_teach_preferences(episodes, backbone, tmp_path, monkeypatch):
    monkeypatch.setattr("rewards.rivals.kind.backbone_from", lambda *_: backbone)
    with TrajectoryStore(tmp_path / "store", SPEC) as store:
        for episode in episodes:
            store.commit(replace(episode, metadata={"kind": "demo"}))
        play = make_episode(np.random.default_rng(99), 99)  # no judge learns from it
        store.commit(replace(play, metadata={"kind": "play"}))
    shared = [
        f"run_dir={tmp_path}", "task=own", "task.name=slide", "robot.image_size=48",
        "reward.require_open_gripper=false", "task.instructions.forward=[put the cube on the plate]",
        "task.instructions.backward=[put the cube on the mat]",
    ]  # fmt: skip
    verb = importlib.import_module("commands.label")
    with pytest.raises(ConfigError, match="give reward=generative_vlm"):
        verb.run(composed("label", *shared, "pairs=3"))
    with chat_server(right_of) as (chat, address):
        chat.words = ("1", "2")
        asking = ["reward=generative_vlm", f"reward.address={address}", "reward.model=eye"]
        for count in (100, 160):  # the same command goes on
            label = composed("label", *shared, *asking, f"pairs={count}", f"store={tmp_path / 'store'}")
            verb.run(label)
            assert len(chat.asked) == count
    pairs = read_pairs(tmp_path / "pairs.jsonl")
    assert len(pairs) == 160
    assert play.id not in {id for pair in pairs for id in pair.episodes}
    assert {pair.better for pair in pairs} == {"first", "second", "same"}
    training = composed(
        "train_reward", *shared, "reward=preferences", f"data=[{tmp_path / 'store'}]", "reward.steps=60",
        "reward.learning_rate=1e-3", "reward.members=1",
        "reward.layers=1", "reward.hidden=64",
        "+reward.folds=3", f"reward.pairs_file={tmp_path / 'pairs.jsonl'}",
    )  # fmt: skip
    said = train_reward_model(training, iter(episodes), SPEC, lambda *_: None)
    assert "of 16 successes found" in said


def test_labels_go_before_the_stores_outcome():
    first, second = (make_episode(np.random.default_rng(i), i) for i in range(2))
    assert [e.outcome for e in with_outcomes([first, second], {second.id: "failure"})] == ["success", "failure"]


@pytest.mark.parametrize("line", ["{", '{"episode": "1"}', '{"episode": "1", "outcome": "perhaps"}', "[]"])
def test_lines_that_are_no_labels_are_named(line, tmp_path):
    (tmp_path / "labels").write_text(json.dumps({"episode": "0", "outcome": "success"}) + f"\n{line}\n")
    with pytest.raises(ConfigError, match="line 2 is no label"):
        read_labels(tmp_path / "labels")
    with pytest.raises(ConfigError, match="There is no file of labels"):
        read_labels(tmp_path / "none")
