"""From home judges decide by a calibration of their own, where they learned from looks from home."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers.sliding_square import make_episode

from rewards.calibration import Calibration, fit_calibration
from rewards.config import RewardConfig
from rewards.decision import HOME_FAILING, HOME_THRESHOLD, decisions
from rewards.files import load_classifier, save_classifier
from rewards.gathering import gather
from rewards.held_out import LEAST_LOOKS, fit_rules
from rewards.judge import VlmReward
from rewards.pairs import cross_pairs, own_pairs
from rewards.registry import KINDS
from rewards.samples import Wordings, samples_of
from rewards.training import train_reward
from robot.interfaces import HomeReward
from trajectories.kinds import AFTERMATH, KIND_KEY, PARENT_KEY
from trajectories.types import Observation

CONFIG = RewardConfig(steps=2, folds=4, members=1, augmentations=0, require_open_gripper=False)


def with_looks(episodes, successes, failures):
    """The episodes, and looks at what the first ones of each outcome left."""
    wanted, looks = {"success": successes, "failure": failures}, []
    for number, e in enumerate(episodes):
        if wanted[e.outcome]:
            wanted[e.outcome] -= 1
            images = np.repeat(e.images["front"][-1:], len(e.images["front"]), axis=0)
            about = {KIND_KEY: AFTERMATH, PARENT_KEY: e.id}
            looks.append(replace(e, id=f"{900 + number:020d}-00000009", images={"front": images}, metadata=about))
    return [*episodes, *looks]


def samples_from(backbone, spec, episodes):
    data = gather(episodes, "slide", backbone, spec, CONFIG)
    own, known = own_pairs(data)
    return data, samples_of(
        data, Wordings(data, backbone), own, known, cross_pairs(data, backbone, np.random.default_rng(0))
    )


@pytest.mark.parametrize(("successes", "failures"), [(LEAST_LOOKS, 10), (16, LEAST_LOOKS)])
def test_looks_from_home_are_calibrated_with_both_outcomes_alike(backbone, spec, episodes, successes, failures):
    data, samples = samples_from(backbone, spec, with_looks(episodes, successes, failures))
    noise = np.random.default_rng(3).normal(0, 1.5, len(samples))
    logits = np.where(samples.labels, 1.0, -1.0) + noise + 0.7  # 0.7 is even
    rules = fit_rules(data, "slide", samples, logits, CONFIG)
    assert rules.home is not None
    even = -rules.home.shift / rules.home.scale
    assert even == pytest.approx(0.7, abs=0.35)
    if failures > successes:  # few frames of all show success
        assert -rules.calibration.shift / rules.calibration.scale > even + 0.3
    of, once, labels = samples.episode_of(), [], []
    for index, episode in enumerate(data.episodes):
        mine = (of == index) & samples.own & samples.known
        if episode.aftermath and mine.any():
            once.append(samples.weights[mine] / samples.weights[mine].sum())
            labels.append(episode.outcome == "success")
    assert (sum(labels), len(labels)) == (successes, successes + failures)
    alike = [0.5 * len(labels) / labels.count(label) for label in labels]
    looks = np.isin(of, [i for i, e in enumerate(data.episodes) if e.aftermath]) & samples.own & samples.known
    weights = np.concatenate([share * factor for share, factor in zip(once, alike, strict=True)])
    expected = fit_calibration(logits[looks], samples.labels[looks], weights)
    assert (rules.home.scale, rules.home.shift) == pytest.approx((expected.scale, expected.shift), rel=1e-6)


def test_too_few_looks_give_no_calibration_of_their_own(backbone, spec, episodes):
    for counts in ((LEAST_LOOKS - 1, 10), (10, LEAST_LOOKS - 1), (0, 0)):
        data, samples = samples_from(backbone, spec, with_looks(episodes, *counts))
        assert fit_rules(data, "slide", samples, np.where(samples.labels, 4.0, -4.0), CONFIG).home is None


def observations(episode):
    return [
        Observation({"front": image}, row, episode.instruction, {})
        for image, row in zip(episode.images["front"], episode.proprio, strict=True)
    ]


def in_a_row(sure):
    """Whether each frame ends a row of three that are sure."""
    return [index >= 2 and all(sure[index - 2 : index + 1]) for index in range(len(sure))]


def test_a_look_is_sure_after_three_frames_in_a_row():
    _, home = decisions(Calibration(1.0, 0.0), 0.9, Calibration(1.0, 0.0), frames=1)
    told = [(0.05, True, False)] * 2 + [(0.5, True, False)] + [(0.05, True, False)] * 3
    assert [home.refutes(*each) for each in told] == [False] * 5 + [True]
    for broken in ((0.05, False, False), (0.05, True, True), (0.1, True, False)):
        assert home.refutes(0.05, True, False)
        assert [home.refutes(*each) for each in (broken, *told[-2:])] == [False] * 3
        assert home.refutes(0.05, True, False)
    home.reset()
    assert not home.refutes(0.05, True, False)


def test_the_classifier_reads_by_the_other_calibration_after_a_look_is_begun_and_not_after_the_next_episode(
    backbone, spec, episodes, tmp_path
):
    trained = train_reward(
        iter(with_looks(episodes, 8, 8)), "slide", backbone, spec, replace(CONFIG, steps=120)
    ).classifier
    assert trained.home is not None
    known = replace(trained, home=Calibration(2.0, -0.5))
    save_classifier(known, tmp_path)
    judge = VlmReward(load_classifier(tmp_path, backbone))
    assert isinstance(judge, HomeReward)
    episode = make_episode(np.random.default_rng(8), 0)
    logits = trained.logits(episode.images["front"], [episode.instruction] * len(episode.images["front"]))
    for begin, calibration, threshold in (
        (judge.reset, known.calibration, known.threshold.value),
        (judge.reset_from_home, known.home, HOME_THRESHOLD),
        (judge.reset, known.calibration, known.threshold.value),
    ):
        begin(episode.instruction)
        seen = [judge.update(each) for each in observations(episode)]
        assert [one.probability for one in seen] == pytest.approx(calibration(logits).tolist(), abs=1e-5)
        assert [one.above for one in seen] == [one.probability >= threshold for one in seen]
        surely_not = in_a_row([one.probability < HOME_FAILING and not one.unsure for one in seen])
        assert any(surely_not)
        assert [one.refuted for one in seen] == (surely_not if calibration is known.home else [False] * len(seen))
    description = json.loads((tmp_path / "reward.json").read_text())
    del description["home"]  # as earlier versions left it
    (tmp_path / "reward.json").write_text(json.dumps(description))
    judge = VlmReward(load_classifier(tmp_path, backbone))
    judge.reset_from_home(episode.instruction)
    seen = [judge.update(each) for each in observations(episode)]
    assert seen[0].probability == pytest.approx(float(known.calibration(logits[0])), abs=1e-5)
    assert not any(one.refuted for one in seen)  # it never learned what is left


def test_rivals_do_the_same(backbone, spec, episodes, tmp_path, monkeypatch):
    monkeypatch.setattr("rewards.rivals.kind.backbone_from", lambda *_: backbone)
    settings = {"backbone": "embedded", "require_open_gripper": False}
    words = {"forward": ("put the cube on the plate",), "backward": ("put the cube on the mat",)}
    kind = KINDS["goal_pictures"]
    kind.train(iter(with_looks(episodes, 8, 8)), "slide", words, spec, settings, tmp_path, lambda *_: None)
    described = json.loads((tmp_path / "reward.json").read_text())
    assert described["home"] is not None
    described["home"] = {"scale": 2.0, "shift": -2.5}
    (tmp_path / "reward.json").write_text(json.dumps(described))
    judge = kind.load(tmp_path, spec, settings)
    assert isinstance(judge, HomeReward)
    episode = make_episode(np.random.default_rng(8), 0)
    seen = {}
    for name, begin in (("usual", judge.reset), ("home", judge.reset_from_home), ("again", judge.reset)):
        begin(episode.instruction)
        seen[name] = [judge.update(each) for each in observations(episode)]
    assert seen["usual"] == seen["again"]
    scores = judge.rules.calibration.logits([one.probability for one in seen["usual"]])
    assert [one.probability for one in seen["home"]] == pytest.approx(Calibration(2.0, -2.5)(scores).tolist(), abs=1e-5)
    assert [one.above for one in seen["home"]] == [one.probability >= HOME_THRESHOLD for one in seen["home"]]
    assert not any(one.refuted for one in seen["usual"])
    assert [one.refuted for one in seen["home"]] == in_a_row([one.probability < HOME_FAILING for one in seen["home"]])
    assert any(one.refuted for one in seen["home"])
