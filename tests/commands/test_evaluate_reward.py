"""`regrasp evaluate-reward` on a store and on labelled pictures: what it counts, prints and writes."""

import importlib
import json
from dataclasses import replace

import numpy as np
import pytest
from helpers.sliding_square import SPEC, make_episode
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from PIL import Image

from factory.judges import judge_digest
from factory.reward import train_reward_model
from rewards.kind import RewardKind
from robot.interfaces import RewardReading
from trajectories.errors import ConfigError
from trajectories.store import TrajectoryStore
from trajectories.verdicts import Verdict, VerdictBook

OmegaConf.register_new_resolver("cores", lambda: 2, replace=True)
VERB = "commands.evaluate_reward"


@pytest.fixture(scope="module")
def run_dir(backbone, episodes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rewards.rivals.kind.backbone_from", lambda *_: backbone)
        train_reward_model(composed(folder), iter(episodes), SPEC, lambda *_: None)
        yield folder


def composed(folder, *overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose("evaluate_reward", [
            f"run_dir={folder}", "reward=vice", "reward.steps=150", "+reward.folds=3", "task=own",
            "task.name=slide", "robot.image_size=48", "reward.require_open_gripper=false",
            "task.instructions.forward=[put the cube on the plate]",
            "task.instructions.backward=[put the cube on the mat]", *overrides,
        ])  # fmt: skip


def evaluate(folder, *overrides):
    importlib.import_module(VERB).run(composed(folder, *overrides))


def test_a_store_and_its_stream(run_dir, tmp_path, capsys):
    """A session of six: the judge of then called one failure done and missed one success."""
    rng = np.random.default_rng(9)
    plan = [("success", True), ("success", True), ("success", False), ("failure", False), ("failure", True)]
    with TrajectoryStore(tmp_path / "store", SPEC) as store:
        for number, (said, truth) in enumerate(plan):
            episode = make_episode(rng, number, outcome="success" if truth else "failure")
            about = {"kind": "online", "evaluation": {"success": truth}}
            store.commit(replace(episode, outcome=said, metadata=about))
        demo = make_episode(rng, 5, "backward")
        store.commit(replace(demo, metadata={"kind": "demo"}))
        store.commit(replace(make_episode(rng, 6), task="other"))
    book = VerdictBook(tmp_path / "store")
    book.add(Verdict.now(demo.id, "not_done", by="Anna", via="review"))
    evaluate(run_dir, f"evaluate_reward.store={tmp_path / 'store'}")
    said = capsys.readouterr().out
    assert "stream, as judged then: 1 of 3 called done were not (33.3 %" in said
    assert "0 of 3 called done were not" in said.split("judged now")[1]
    assert "0 of 2 called not done were" in said.split("judged now")[1]
    report = json.loads((run_dir / "reward" / "evaluation_store.json").read_text())
    assert report["judge"] == judge_digest(run_dir / "reward")
    assert report["stream_then"]["false_not_done"] == 1
    assert report["figures"]["all"]["episodes"] == 6
    assert report["figures"]["all"]["auroc"][0] < 1.0  # the person overruled what anybody can see of the demonstration
    assert set(report["figures"]["by_direction"]) == {"forward", "backward"}


def test_of_a_session_without_a_referee_count_the_episodes_that_people_spoke_about(run_dir, tmp_path, capsys):
    rng, book = np.random.default_rng(4), tmp_path / "arm"
    with TrajectoryStore(book, SPEC) as store:
        episodes = [make_episode(rng, number, outcome="failure" if number == 2 else "success") for number in range(4)]
        for episode in episodes:
            store.commit(replace(episode, metadata={"kind": "online"}))
    with pytest.raises(ConfigError, match=r"nothing to measure on .* left out: 4 of 4 .* `regrasp review store="):
        evaluate(run_dir, f"evaluate_reward.store={book}")
    for episode, word in zip(episodes[:3], ("done", "done", "not_done"), strict=True):
        VerdictBook(book).add(Verdict.now(episode.id, word, by="Anna", via="review"))
    evaluate(run_dir, f"evaluate_reward.store={book}")
    assert "left out: 1 of 4 episodes, about which only the judge of then has spoken" in capsys.readouterr().out
    report = json.loads((run_dir / "reward" / "evaluation_store.json").read_text())
    assert (report["left_out"], report["figures"]["all"]["episodes"]) == (1, 3)
    assert "stream_now" not in report


def test_on_an_arm_it_names_what_to_measure_on(run_dir, monkeypatch):
    monkeypatch.setattr(f"{VERB}.require_trained_like", lambda *_: None)
    with pytest.raises(ConfigError, match=r"On an arm give evaluate_reward\.store=FOLDER .*evaluate_reward\.pictures="):
        evaluate(run_dir, "robot=widowx")


def test_a_damaged_episode_is_said_and_left_out_of_every_figure(run_dir, tmp_path, capsys):
    rng = np.random.default_rng(9)
    with TrajectoryStore(tmp_path, SPEC) as store:
        for number in range(3):
            online = {"kind": "online", "evaluation": {"success": True}}
            store.commit(replace(make_episode(rng, number), metadata=online))
        damaged = store.ids()[0]
    for file in (tmp_path / "episodes" / damaged).rglob("*"):
        if file.is_file() and file.name != "manifest.json":
            file.write_bytes(bytes(file.stat().st_size))
    evaluate(run_dir, f"evaluate_reward.store={tmp_path}")
    report = json.loads((run_dir / "reward" / "evaluation_store.json").read_text())
    assert report["figures"]["all"]["episodes"] == 2
    assert report["stream_then"]["done"] == 2
    assert f"left out: Damaged episode in {tmp_path}: {damaged}" in capsys.readouterr().out


def test_a_store_of_other_tasks_is_refused_with_both_names(run_dir, tmp_path):
    with TrajectoryStore(tmp_path, SPEC) as store:
        for number, task in enumerate(("open", "close", "open")):
            store.commit(replace(make_episode(np.random.default_rng(1), number), task=task))
    with pytest.raises(ConfigError, match=r"no episode of the task slide in .* it has episodes of close, open"):
        evaluate(run_dir, f"evaluate_reward.store={tmp_path}")


def test_labelled_pictures(run_dir, tmp_path, capsys):
    entries, rng = [], np.random.default_rng(3)
    for number, outcome in enumerate(["success", "success", "failure"]):
        episode = make_episode(rng, number, outcome=outcome)
        for row in (0, 6, 12):
            Image.fromarray(episode.images["front"][row]).resize((96, 96)).save(tmp_path / f"{number}_{row}.png")
            entries.append({
                "file": f"{number}_{row}.png", "task": "slide", "instruction": episode.instruction, "frame": row,
                "episode": str(number), "label": "done" if row == 12 and outcome == "success" else "not_done",
            })  # fmt: skip
    (tmp_path / "frames.json").write_text(json.dumps(entries))
    evaluate(run_dir, f"evaluate_reward.pictures={tmp_path}")
    assert "all" in capsys.readouterr().out
    report = json.loads((run_dir / "reward" / "evaluation_pictures.json").read_text())
    assert (report["figures"]["all"]["frames"], report["figures"]["all"]["done"]) == (9, 2)
    assert report["figures"]["all"]["auroc"] == [1.0, 1.0, 1.0]


class Counting(RewardKind):
    """A judge that calls nothing done, is unsure about every second episode, and counts what it is shown."""

    camera = "front"

    def __init__(self):
        self.shown = self.episodes = 0

    def train(self, *args):
        raise NotImplementedError

    def load(self, *args):
        raise NotImplementedError

    def reset(self, instruction):
        self.episodes += 1

    def update(self, observation):
        self.shown += 1
        return RewardReading(0.1, False, unsure=self.episodes // 2 % 2 == 1)  # a look begins anew after one frame


@pytest.mark.usefixtures("run_dir")
def test_scenes_are_judged_once_and_say_how_many_end_unsure(tmp_path, monkeypatch, capsys):
    judge, recorded = Counting(), []
    monkeypatch.setattr(f"{VERB}.reward_of", lambda *_: judge)
    monkeypatch.setattr(f"{VERB}.reward_kind", lambda _: judge)
    run_jobs = importlib.import_module(VERB).run_jobs
    monkeypatch.setattr(f"{VERB}.run_jobs", lambda *args: (recorded.append(one) or one for one in run_jobs(*args)))
    (tmp_path / "reward").mkdir()
    with initialize_config_module("configs", version_base="1.3"):
        config = compose("evaluate_reward", [
            f"run_dir={tmp_path}", "workers=1", "robot.image_size=32", "evaluate_reward.episodes=1",
            "evaluate_reward.shifts=[light]",
        ])  # fmt: skip
    importlib.import_module(VERB).run(config)
    report = json.loads((tmp_path / "reward" / "evaluation.json").read_text())
    occluded = report["frames"]["by_kind"]["occluded"]["frames"]
    assert judge.shown == occluded + sum(len(episode) + 1 for _, episode in recorded)
    for shift in ("none", "light"):
        whole = report["whole_episodes_by_shift"][shift]
        assert (whole["successes"], whole["failures"], whole["found"], whole["unsure"]) == (2, 2, 0.0, 2)
        assert whole["among_sure"]["successes"] + whole["among_sure"]["failures"] == 2
    assert report["whole_episodes"] == report["whole_episodes_by_shift"]["none"]
    assert report["frames"]["all"]["frames"] == report["intervals"]["all"]["frames"]
    assert "unsure about 2 of 4; of the others 0 % of" in capsys.readouterr().out


def test_one_thing_at_a_time(run_dir):
    with pytest.raises(ConfigError, match=r"evaluate_reward\.store or evaluate_reward\.pictures, not both"):
        evaluate(run_dir, "evaluate_reward.store=a", "evaluate_reward.pictures=b")
