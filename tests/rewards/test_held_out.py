"""Nothing is judged by what has seen it: ensembles, calibration and threshold, parts, wordings."""

from dataclasses import replace

import numpy as np
import pytest

from rewards.certificate import Certificate
from rewards.certified import certified_rules
from rewards.classifier import Ensemble
from rewards.config import RewardConfig
from rewards.ensemble import EnsembleTrainer
from rewards.gathering import gather
from rewards.held_out import HeldOutLogits, episode_spans, fit_rules, judge_held_out, try_rules
from rewards.pairs import cross_pairs, joined, own_pairs
from rewards.samples import Wordings, samples_of
from rewards.training import train_reward
from rewards.vlm_kind import VlmKind
from trajectories.errors import ConfigError
from trajectories.kinds import AFTERMATH, KIND_KEY, PARENT_KEY

CONFIG = RewardConfig(steps=2, folds=4, members=3, augmentations=0, require_open_gripper=False)
INSTRUCTIONS = {
    "forward": ["put the cube on the plate", "move the cube onto the plate"],
    "backward": ["put the cube on the mat", "place the cube on the mat", "set the cube on the mat"],
}


@pytest.fixture(scope="module")
def data(backbone, spec, episodes):
    return gather(episodes, "slide", backbone, spec, CONFIG, INSTRUCTIONS)


@pytest.fixture(scope="module")
def samples(data, backbone):
    own, known = own_pairs(data)
    return samples_of(data, Wordings(data, backbone), own, known, cross_pairs(data, backbone, np.random.default_rng(0)))


def telling(data, samples):
    """Logits that tell what every frame shows, with a little noise."""
    rng = np.random.default_rng(3)
    return np.where(samples.labels | (samples.own & ~samples.known), 4.0, -4.0) + rng.normal(0, 0.5, len(samples))


def test_every_wording_of_every_frame_is_a_sample(data, samples, backbone):
    wordings = Wordings(data, backbone)
    assert (wordings.counts.tolist(), wordings.first.tolist()) == ([2, 3], [0, 2])
    index, texts = wordings.every(np.array([1, 0, 1]))
    assert index.tolist() == [0, 0, 0, 1, 1, 2, 2, 2]
    assert texts.tolist() == [2, 3, 4, 0, 1, 2, 3, 4]
    # 14 episodes a direction of 13 frames; 3 frames of 8 successes a direction under the other goal
    assert len(samples) == 14 * 13 * (2 + 3) + 8 * 3 * (3 + 2)
    assert samples.weights.sum() == pytest.approx(28 * 13 + 16 * 3)
    ends = [samples.series(samples.texts.astype(float), i)[-1].tolist() for i in (0, 14)]
    assert ends == [[0, 1], [2, 3, 4]]
    assert samples.series(samples.rows.astype(float), 14)[:, 1].tolist() == data.episodes[14].rows.tolist()


def test_where_no_frame_tells_what_is_not_done_the_error_says_why(data, samples):
    nothing = replace(samples, counts=samples.counts & (samples.labels | ~samples.own))
    with pytest.raises(ConfigError, match="No frame that shows 'slide' not done says anything"):
        fit_rules(data, "slide", nothing, telling(data, samples), CONFIG)


def test_samples_are_judged_by_ensembles_that_never_saw_their_part(samples):
    asked = []

    def judge(without, chosen):
        asked.append(without)
        return np.full(int(chosen.sum()), sum(2.0**fold for fold in without))

    found = judge_held_out(judge, samples, 4, lambda: None)
    assert np.array_equal(found.outer, 2.0**samples.folds)
    for fold in range(4):
        mine = samples.folds == fold
        assert np.isnan(found.inner[fold][mine]).all()
        assert np.array_equal(found.inner[fold][~mine], 2.0**fold + 2.0 ** samples.folds[~mine])
    assert len(asked) == len(set(asked)) == 10


def test_what_rules_are_tried_on_has_no_part_in_them(data, samples):
    logits = telling(data, samples)
    inner = np.array([np.where(samples.folds == fold, np.nan, logits) for fold in range(4)])
    first = try_rules(data, "slide", samples, HeldOutLogits(logits, inner), CONFIG)
    assert replace(first.certificate, chance=0.0) == Certificate(0, 28, 16, 16, {"forward": (8, 8), "backward": (8, 8)})
    assert first.certificate.chance < 1e-6
    changed = np.where(samples.folds == 2, -logits, logits)  # part 2 now looks the other way round
    second = try_rules(data, "slide", samples, HeldOutLogits(changed, inner), CONFIG)
    others = samples.folds != 2
    assert np.array_equal(first.probability[others], second.probability[others])
    assert not np.array_equal(first.probability, second.probability)
    part = [episode for episode in data.episodes if episode.fold == 2]
    assert second.certificate.stopped == len(part)
    assert second.certificate.found == 16 - sum(episode.outcome == "success" for episode in part)


def test_an_episode_is_found_only_under_every_wording_and_stopped_under_any(data, samples):
    logits = telling(data, samples)
    deaf = np.where(samples.texts == 1, -4.0, logits)  # one wording of the forward goal never says done
    assert fit_rules(data, "slide", samples, deaf, CONFIG).threshold == CONFIG.least_probability
    inner = np.array([np.where(samples.folds == fold, np.nan, deaf) for fold in range(4)])
    assert try_rules(data, "slide", samples, HeldOutLogits(deaf, inner), CONFIG).certificate.found == 8
    eager = logits.copy()  # one of the backward goal does at the end of that direction's failures, the last 6 episodes
    for index in range(22, 28):
        samples.series(eager, index)[-3:, 1] = 4.0
    inner = np.array([np.where(samples.folds == fold, np.nan, eager) for fold in range(4)])
    tried = try_rules(data, "slide", samples, HeldOutLogits(eager, inner), CONFIG)
    assert tried.certificate.stopped == 6
    with pytest.raises(ConfigError, match="would call failures done: 6 of 28"):
        tried.certificate.require(CONFIG)


@pytest.mark.parametrize("logit", [-3.0, 0.0, 3.0])
def test_a_score_that_is_the_same_for_everything_is_refused_with_three_successes_too(data, samples, logit):
    few = replace(data, episodes=tuple(
        e if e.outcome == "failure" or i in (0, 1, 2) else replace(e, complete=False)
        for i, e in enumerate(data.episodes)
    ))  # fmt: skip

    def judge(without, chosen):
        return np.full(int(chosen.sum()), logit)

    with pytest.raises(ConfigError, match="can't tell successes from failures: it called 0 of 3 held-out successes"):
        certified_rules(few, "slide", samples, judge, CONFIG, lambda: None)


def test_frames_that_do_not_count_never_reach_a_threshold(data, samples):
    none = replace(samples, counts=np.zeros(len(samples), bool))
    spans = list(episode_spans(data, "slide", none, np.ones(len(samples)), 3))
    assert len(spans) == 28
    assert {float(value) for one in spans for value in (*one.before, *one.after)} == {-np.inf}
    with pytest.raises(ConfigError, match=r"commanded closed in every frame .* reward\.require_open_gripper=false"):
        fit_rules(data, "slide", none, telling(data, samples), CONFIG)


def test_calibration_is_of_the_mean_of_the_members(data, samples, backbone):
    own, known = own_pairs(data)
    wordings = Wordings(data, backbone)
    trainer = EnsembleTrainer(data, wordings, backbone, CONFIG)
    ensemble = trainer.train(joined(own[known], cross_pairs(data, backbone, np.random.default_rng(0))))
    assert len(ensemble.members) == 3
    chosen = (samples.rows[:40], samples.texts[:40])
    each = [trainer.logits(Ensemble((member,)), *chosen) for member in ensemble.members]
    assert np.std(each, axis=0).max() > 1e-4
    assert trainer.logits(ensemble, *chosen) == pytest.approx(np.mean(each, axis=0), abs=1e-5)


def looks_back(episode, number):
    looks = episode.images["front"][-1:].repeat(13, axis=0)
    metadata = {KIND_KEY: AFTERMATH, PARENT_KEY: episode.id}
    return replace(episode, id=f"{number:020d}-00000009", images={"front": looks}, metadata=metadata)


def test_a_look_back_is_in_the_part_of_its_episode_even_when_others_are_lost(backbone, spec, episodes):
    kept = [e for i, e in enumerate(episodes) if e.outcome == "success" and i != 1]  # the look at the second is lost
    looks = [looks_back(e, 100 + i) for i, e in enumerate(kept)]
    found = gather([*episodes, *looks], "slide", backbone, spec, CONFIG).episodes
    fold_of = {episode.id: episode.fold for episode in found}
    assert [fold_of[look.id] for look in looks] == [fold_of[e.id] for e in kept]
    for outcome, number in (("success", 4), ("failure", 3)):
        folds = [e.fold for e in found if e.outcome == outcome and not e.aftermath]
        assert np.bincount(folds).tolist() == [number] * 4


@pytest.mark.parametrize("order", ["in turn", "one direction first"])
def test_both_directions_are_in_every_part(backbone, spec, episodes, order):
    if order == "in turn":
        episodes = [e for pair in zip(episodes[:14], episodes[14:], strict=True) for e in pair]
    found = gather(episodes, "slide", backbone, spec, CONFIG).episodes
    assert {(e.fold, e.goal) for e in found if e.outcome == "success"} == {(f, g) for f in range(4) for g in range(2)}


def test_a_judge_that_takes_more_frames_than_successes_have_is_not_saved(backbone, spec, episodes, tmp_path):
    """Success is at most 3 + 4 frames long; such a threshold was once lowered to 0, which every frame reaches."""
    settings = {"frames": 8, "folds": 3, "members": 1, "steps": 20, "require_open_gripper": False}
    with pytest.raises(ConfigError, match=r"found 0 of 16 .* reward\.frames=8"):
        VlmKind().train(iter(episodes), "slide", {}, spec, settings, tmp_path, lambda stage, share: None)
    assert not list(tmp_path.iterdir())


def test_a_goal_can_be_worded_in_ways_that_nobody_recorded(backbone, spec, episodes):
    config = RewardConfig(steps=120, folds=3, members=2, shift=1, require_open_gripper=False)
    found = train_reward(episodes, "slide", backbone, spec, config, instructions=INSTRUCTIONS)
    assert found.report["wordings"] == {f"slide/{way}": words for way, words in INSTRUCTIONS.items()}
    assert found.report["certificate"]["negatives"] == 28
