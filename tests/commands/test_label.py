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

from commands.label import in_use, read_labels, with_outcomes
from factory.reward import train_reward_model
from factory.reward_episodes import RECORDED, episodes_of
from rewards.rivals.preference_pairs import read_pairs
from trajectories.errors import ConfigError
from trajectories.store import TrajectoryStore
from trajectories.verdicts import Verdict, VerdictBook

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
    said = capsys.readouterr().out
    assert f"28 of 28 labels in {tmp_path / 'labels.jsonl'} name episodes here." in said
    assert "of 16 successes found" in said


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


def test_a_label_neither_overrules_a_person_nor_erases_what_is_known(tmp_path):
    episodes = [make_episode(np.random.default_rng(i), i) for i in range(4)]
    outcomes = ("success", "success", "unknown", "failure")
    with TrajectoryStore(tmp_path / "store", SPEC) as store:
        for episode, outcome in zip(episodes, outcomes, strict=True):
            store.commit(replace(episode, outcome=outcome, metadata={"kind": "demo"}))
        ids = [episode.id for episode in episodes]
        VerdictBook(store.path).add(Verdict(ids[0], "not_done", "Anna", "review", 1, "aa"))
        labels = dict(zip(ids, ("success", "unknown", "success", "success"), strict=True))
        found = with_outcomes(episodes_of(store, RECORDED, print), labels)
        assert [one.outcome for one in found] == ["failure", "success", "success", "success"]
        VerdictBook(store.path).add(Verdict(ids[0], "taken_back", "Anna", "review", 2, "aa"))
        found = with_outcomes(episodes_of(store, RECORDED, print), {ids[0]: "failure"})
        assert next(found).outcome == "failure"


def test_labels_that_name_no_episode_of_the_data_are_refused(tmp_path):
    path, episodes = tmp_path / "labels", [make_episode(np.random.default_rng(i), i) for i in range(2)]
    labels = {episodes[1].id: "success", "elsewhere": "success"}  # no judge learns from an online episode by a label
    path.write_text("\n".join(json.dumps({"episode": id, "outcome": label}) for id, label in labels.items()))
    with TrajectoryStore(tmp_path / "store", SPEC) as store:
        for episode, kind in zip(episodes, ("demo", "online"), strict=True):
            store.commit(replace(episode, metadata={"kind": kind}))
        said = in_use({**labels, episodes[0].id: "unknown"}, path, [store])
        assert said == f"1 of 3 labels in {path} name episodes here."
    settings = composed(
        "train_reward", f"run_dir={tmp_path}", "task=own", "task.name=slide", "robot.image_size=48",
        "task.instructions.forward=[put the cube on the plate]",
        "task.instructions.backward=[put the cube on the mat]",
        f"data=[{tmp_path / 'store'}]", f"labels={path}",
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"None of the 2 labels in .* names an episode that is learned from in "):
        importlib.import_module("commands.train_reward").run(settings)


def test_files_that_are_no_text_are_named(tmp_path):
    (tmp_path / "file").write_bytes("é".encode("latin-1"))
    for read in (read_labels, read_pairs):
        with pytest.raises(ConfigError, match="no UTF-8 text"):
            read(tmp_path / "file")
    with TrajectoryStore(tmp_path / "store", SPEC):
        pass
    asked = composed(
        "label", "pairs=3", "reward=generative_vlm", f"store={tmp_path / 'store'}", f"pairs_file={tmp_path / 'file'}"
    )
    with pytest.raises(ConfigError, match="no UTF-8 text"):
        importlib.import_module("commands.label").run(asked)


@pytest.mark.parametrize("line", ["{", '{"episode": "1"}', '{"episode": "1", "outcome": "perhaps"}', "[]"])
def test_lines_that_are_no_labels_are_named(line, tmp_path):
    (tmp_path / "labels").write_text(json.dumps({"episode": "0", "outcome": "success"}) + f"\n{line}\n")
    with pytest.raises(ConfigError, match="line 2 is no label"):
        read_labels(tmp_path / "labels")
    with pytest.raises(ConfigError, match="There is no file of labels"):
        read_labels(tmp_path / "none")
