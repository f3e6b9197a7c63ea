"""Each rival that scores frames: from episodes to a folder and back, its decisions, and what it refuses."""

import json

import numpy as np
import pytest
from helpers.sliding_square import SPEC, make_episode

from rewards.kind import observations_of
from rewards.registry import KINDS
from trajectories.errors import CheckpointError, ConfigError
from trajectories.types import RobotSpec

WORDS = {"forward": ["put the cube on the plate"], "backward": ["put the cube on the mat"]}
SMALL = {"folds": 3, "require_open_gripper": False}
SETTINGS = {
    "goal_pictures": {"goal": "nearest"},
    "vice": {"steps": 40, "batch": 64, "learning_rate": 3e-3},
    "preferences": {"steps": 40, "members": 1, "layers": 1, "hidden": 64, "learning_rate": 3e-3},
    "perceptual": {"segments": 2},
}


@pytest.fixture(scope="module")
def trained(backbone, episodes, tmp_path_factory):
    """Kind -> its folder and what training said; trained once."""
    made = {}

    def train(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            settings = SMALL | SETTINGS[name]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("rewards.rivals.kind.backbone_from", lambda *_: backbone)
                said = KINDS[name].train(iter(episodes), "slide", WORDS, SPEC, settings, folder, lambda *_: None)
            made[name] = folder, settings, said
        return made[name]

    return train


@pytest.fixture
def loaded(trained, backbone, monkeypatch):
    monkeypatch.setattr("rewards.rivals.kind.backbone_from", lambda *_: backbone)
    return lambda name: KINDS[name].load(trained(name)[0], SPEC, trained(name)[1])


def readings(judge, episode):
    judge.reset(episode.instruction)
    return [judge.update(observation) for observation in observations_of(episode)]


@pytest.mark.parametrize("name", SETTINGS)
def test_new_episodes_are_decided_right_and_the_certificate_counts_held_out_ones(name, trained, loaded):
    _, _, said = trained(name)
    assert "On episodes that nothing was fitted to" in said
    assert "of 28 without success called done" in said  # 12 failures and the beginnings of 16 successes
    judge, rng = loaded(name), np.random.default_rng(5)
    assert judge.camera == "front"
    right = 0
    for index, (direction, outcome) in enumerate([(d, o) for d in WORDS for o in ("success", "failure")] * 3):
        seen = readings(judge, make_episode(rng, index, direction, outcome))
        assert [one.above for one in seen] == [one.probability >= judge.rules.threshold.value for one in seen]
        assert not any(one.done for one in seen[:4])
        right += seen[-1].done == (outcome == "success")
    assert right >= 11


@pytest.mark.parametrize("name", SETTINGS)
def test_the_same_settings_give_the_same_judge(name, trained, loaded, episodes, backbone, tmp_path):
    folder, settings, said = trained(name)
    again = KINDS[name].train(iter(episodes), "slide", WORDS, SPEC, settings, tmp_path, lambda *_: None)
    assert again == said
    assert (tmp_path / "reward.json").read_text() == (folder / "reward.json").read_text()


@pytest.mark.parametrize("name", SETTINGS)
def test_the_instruction_decides_and_unknown_ones_are_refused(name, loaded):
    judge, episode = loaded(name), make_episode(np.random.default_rng(6), 0)
    done = readings(judge, episode)[-1].probability
    judge.reset(WORDS["backward"][0])
    undone = judge.update(observations_of(episode)[-1]).probability
    assert done > 0.5 > undone
    with pytest.raises(ConfigError, match="never trained on 'lift it'; it knows 'put the cube on the plate'"):
        judge.reset("lift it")


def test_a_judge_says_what_it_needs(loaded):
    judge, seen = loaded("goal_pictures"), observations_of(make_episode(np.random.default_rng(0), 0))[0]
    with pytest.raises(ConfigError, match="reset"):
        judge.update(seen)
    judge.reset(seen.instruction)
    with pytest.raises(ConfigError, match="'front', but the observation has none"):
        judge.update(type(seen)({}, seen.proprio, seen.instruction, {}))


def test_folders_that_do_not_fit_are_refused(trained, loaded, tmp_path, monkeypatch):
    folder, settings, _ = trained("goal_pictures")
    with pytest.raises(CheckpointError, match="Train one with"):
        KINDS["vice"].load(tmp_path, SPEC, settings)
    for name in ("reward.json", "reward.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    loaded("goal_pictures")
    with pytest.raises(CheckpointError, match="holds kind 'goal_pictures' in format 1; this version reads 'vice'"):
        KINDS["vice"].load(tmp_path, SPEC, settings)
    with pytest.raises(Exception, match="cameras"):
        KINDS["goal_pictures"].load(tmp_path, RobotSpec(), settings)
    description = json.loads((tmp_path / "reward.json").read_text())
    (tmp_path / "reward.json").write_text(json.dumps(description | {"threshold": {"value": 0.0}}))
    with pytest.raises(CheckpointError, match="damaged"):
        KINDS["goal_pictures"].load(tmp_path, SPEC, settings)
    other = description | {"backbone": {"name": "other", "digest": "0" * 64}}
    (tmp_path / "reward.json").write_text(json.dumps(other))
    with pytest.raises(CheckpointError, match="trained on backbone other"):
        KINDS["goal_pictures"].load(tmp_path, SPEC, settings)
    (tmp_path / "reward.safetensors").write_bytes(b"other")
    with pytest.raises(CheckpointError, match="digest"):
        KINDS["goal_pictures"].load(tmp_path, SPEC, settings)


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        ("vice", {"steps": 0}, r"reward\.steps must be at least 1"),
        ("vice", {"learning_rate": 0.0}, r"reward\.learning_rate must be above 0"),
        ("perceptual", {"segments": 1}, r"reward\.segments must be at least 2"),
        ("preferences", {"pairs": 0}, r"reward\.pairs must be at least 1"),
        ("goal_pictures", {"goal": "far"}, r"reward\.goal=far is unknown; expected one of mean, nearest"),
        ("goal_pictures", {"members": 3}, "reward has no setting 'members'"),
    ],
)
def test_wrong_settings_are_named(name, wrong, said, tmp_path):
    with pytest.raises(ConfigError, match=said):
        KINDS[name].train(iter(()), "slide", WORDS, SPEC, wrong, tmp_path, lambda *_: None)


def test_too_few_failures_are_named(episodes, tmp_path):
    good = [episode for episode in episodes if episode.outcome == "success"]
    with pytest.raises(ConfigError, match="at least 3 episodes marked failure, got 0"):
        KINDS["vice"].train(iter(good), "slide", WORDS, SPEC, SMALL, tmp_path, lambda *_: None)


def test_other_tasks_are_passed_over(trained, episodes, backbone, tmp_path, monkeypatch):
    monkeypatch.setattr("rewards.rivals.kind.backbone_from", lambda *_: backbone)
    others = [make_episode(np.random.default_rng(3), 100 + i, task="other") for i in range(2)]
    _, settings, said = trained("goal_pictures")
    kind = KINDS["goal_pictures"]
    assert kind.train(iter([*others, *episodes]), "slide", WORDS, SPEC, settings, tmp_path, lambda *_: None) == said
