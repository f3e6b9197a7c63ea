"""Sentences of a report come from what the run left."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.evaluated_runs import CONDITIONS, ON_THE_ARM, evaluated, trained
from helpers.trajectory_samples import SPEC, sample_episode
from hydra import compose, initialize_config_module

from commands.evaluate.conditions import Conditions, evaluations_in
from commands.report.data import figures_of_judge, open_stream
from commands.report.report import changes_of, judged_by, seen, write
from commands.report.sections import cards, persons_words
from factory.judges import judge_digest, judge_in_use, keep_retrained, keep_trained, put_in_use
from factory.spec import spec_of
from policies.perception.encoders.config import EncoderConfig
from policies.perception.loading import load_perception
from trajectories.errors import CheckpointError
from trajectories.store import TrajectoryStore
from trajectories.verdicts import Verdict, VerdictBook

WRITTEN = Path(__file__).parents[2] / "fixtures" / "written_at_106ae2a"


def evaluation(root: Path, conditions: Conditions = CONDITIONS):
    evaluated(root, "pretrained", 0.5, conditions)
    (found,) = evaluations_in(root)
    return found


def config(*overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose("demo", overrides=["workers=1", *overrides])


@pytest.fixture
def data(tmp_path):
    """A store of three episodes, two of which the predicate marked."""
    with TrajectoryStore(tmp_path / "data", SPEC) as store:
        store.commit(sample_episode(0))
        store.commit(sample_episode(1))
        store.commit(sample_episode(2, metadata={}))
    return tmp_path / "data"


def test_the_predicate_is_said_to_have_marked_what_was_learned_from(tmp_path, data):
    text = judged_by(evaluation(tmp_path / "e"), data, config())
    assert "marked 2 recorded episodes" in text
    assert "twin's renders, labelled by the simulator" in text
    assert "never see" not in text
    assert "simulator" not in judged_by(evaluations_in(tmp_path / "e")[0], data, config("reward=clip"))


def test_another_judge_is_named(tmp_path, data):
    found = evaluation(tmp_path / "e", replace(CONDITIONS, judge="person"))
    assert judged_by(found, data, config()) == "Judged by: person."


def test_what_the_policy_saw_is_what_its_folder_holds(tmp_path):
    text = seen(evaluation(tmp_path).conditions, load_perception(WRITTEN / "pretrained"), [])
    assert text.startswith("Cameras (front) at 96x96, proprioception, instruction; no privileged state.")
    assert "(keypoints) that was trained on labels from proprioception and then frozen" in text


def test_an_image_encoder_is_not_said_to_be_small_or_frozen_where_it_was_trained(tmp_path):
    found, kept, trained = evaluation(tmp_path).conditions, {"freeze_encoder": True}, {"freeze_encoder": False}
    alone = SimpleNamespace(config=EncoderConfig())
    cnn = SimpleNamespace(kind="cnn", trained=alone, encoder=alone)
    assert seen(found, cnn, []).endswith("an encoder (cnn) that was trained along with the policy in pre-training.")
    assert seen(found, cnn, [kept]).endswith("and stayed as it was in fine-tuning.")
    for learned in ([trained], [kept, trained]):
        assert seen(found, cnn, learned).endswith("and went on being trained in fine-tuning.")
    frozen = SimpleNamespace(kind="clip", trained=None, encoder=alone)
    said = "an encoder (clip) that was trained before the critics were, or not at all, and then frozen."
    assert seen(found, frozen, [kept]).endswith(f"The image passes {said}")
    frozen.encoder = SimpleNamespace(config=EncoderConfig(keypoints=True))
    small = "a small network (keypoints) that was trained on labels from proprioception, then frozen"
    assert seen(found, frozen, [kept]).endswith(f"The image passes {small}, and beside it {said}")


def test_a_run_on_the_arm_gets_a_report_before_and_after_it_is_evaluated(tmp_path):
    arm = config("robot=widowx", f"run_dir={tmp_path}")
    trained(tmp_path, "regrasp_widowx", "000000001111", spec_of(arm), faults=2)
    shutil.copytree(WRITTEN / "pretrained", tmp_path / "pretrained")

    def written():
        path = write(arm, tmp_path, {}, "regrasp report robot=widowx", tmp_path)
        assert path == tmp_path / "report_widowx.html"
        return path.read_text()

    page = written()
    assert "0/2 → 1/1 (forward, in training, by the judge)" in page
    assert '<td>47–56</td><td class="n">-</td><td class="n">1/1 = 100 % (21–100)</td>' in page
    assert 'StaleDataError: joints are 12 ms old (the first of them)</td><td class="n">2</td>' in page
    assert "2 in 14 episodes (lost: 2)" in page
    assert "no predicate" in page
    assert "false positives" not in page
    assert "`regrasp evaluate checkpoint=pretrained` (before fine-tuning) and `regrasp evaluate` (after it)" in page
    for place, rate in (("pretrained", 0.2), ("regrasp_widowx/step_500", 0.8)):
        evaluated(tmp_path / "evaluations_widowx", place, rate, ON_THE_ARM)
    page = written()
    assert "20 % → 80 % (forward, stochastic)" in page
    assert "Judged by: person." in page
    assert "Not evaluated yet" not in page
    (tmp_path / "reward").mkdir()
    (tmp_path / "reward" / "evaluation.json").write_text("{}")
    assert "evaluation.json are passed over: they don&#39;t say of which judge they are." in written()


def test_figures_of_another_judge_are_passed_over_and_that_is_said(tmp_path):
    def trains(level):
        return lambda folder: (folder / "level.txt").write_text(level)

    figures = tmp_path / "reward" / "evaluation.json"
    assert figures_of_judge(tmp_path) == (None, "")
    keep_trained(tmp_path, trains("0.5"))
    assert figures_of_judge(tmp_path) == (None, "")
    measured = {"judge": judge_digest(judge_in_use(tmp_path)), "frames": {}}
    figures.write_text(json.dumps(measured))
    (tmp_path / "reward" / "calls.jsonl").write_text("{}")  # it was asked since
    assert figures_of_judge(tmp_path) == (measured, "")
    keep_trained(tmp_path, trains("0.7"))
    found, why = figures_of_judge(tmp_path)
    assert found is None
    assert f"{figures} are passed over: they are of another judge than the one in use. `regrasp evaluate-" in why
    keep_trained(tmp_path, trains("0.5"))
    assert figures_of_judge(tmp_path) == (measured, "")
    put_in_use(tmp_path, keep_retrained(tmp_path, lambda folder: {"adopted": trains("0.9")(folder)}))
    assert "of another judge" in figures_of_judge(tmp_path)[1]
    for content, why in (('{"frames": {}}', "don't say of which judge"), ("{", "the file is damaged")):
        figures.write_text(content)
        assert why in figures_of_judge(tmp_path)[1]


def test_a_report_of_nothing_says_what_to_run(tmp_path):
    with pytest.raises(CheckpointError, match="Run `regrasp finetune`"):
        write(config("robot=widowx", f"run_dir={tmp_path}"), tmp_path, {}, "", tmp_path)


def test_changes_on_the_way_are_told():
    first, second = {"utd": 4, "agent": {"critic_lr": 3e-4}}, {"utd": 4, "agent": {"critic_lr": 1e-4}}
    assert changes_of([first]) == changes_of([]) == ""
    assert changes_of([first, second]) == "While it went on, a person changed agent.critic_lr from 0.0003 to 0.0001."
    later = {**second, "device": "keyboard"}
    assert changes_of([second, later]).endswith("a person changed device from not set to 'keyboard'.")


def test_episodes_that_set_things_down_elsewhere_are_counted_apart(tmp_path):
    path = tmp_path / "episodes"
    with TrajectoryStore(path, SPEC) as store:
        for number, (outcome, about) in enumerate([
            ("success", {"evaluation": {"success": True}}), ("unknown", {"displaced": {"to": [0] * 4, "there": True}}),
            ("unknown", {"unsure": {"would_be": "success"}}), ("unknown", {"displaced": {}}),
        ]):  # fmt: skip
            store.commit(sample_episode(number, outcome=outcome, metadata=about))
    stream = open_stream(path, SPEC)
    assert stream.displaced.tolist() == [False, True, False, True]
    assert stream.unsure == 1
    assert stream.tally("forward", 0, 1000, truly=True) == (1, 1)
    steps = len(sample_episode(0))
    assert stream.steps.tolist() == [steps, 2 * steps, 2 * steps, 3 * steps]  # of the unsure one nothing is learned
    found = {card["label"]: card["value"] for card in cards({}, {}, stream, {})}
    assert found["set down elsewhere"] == "2"
    assert found["holds and faults"] == "0"


def test_a_persons_word_counts_in_the_figures_and_the_judges_errors_are_counted(tmp_path):
    path = tmp_path / "episodes"
    with TrajectoryStore(path, SPEC) as store:
        for number, outcome in enumerate(["success", "success", "failure", "unknown", "success"]):
            about = {"evaluation": {"success": number == 0}}
            store.commit(sample_episode(number, outcome=outcome, metadata=about))
    before = open_stream(path, SPEC)
    assert before.tally("forward", 0, 1000) == (3, 4)
    assert persons_words(before) == ""
    book = VerdictBook(path)
    for number, word in enumerate(["done", "not_done", "done", "done"]):
        book.add(Verdict(sample_episode(number).id, word, "Anna", "review", 1, "aa"))
    book.add(Verdict(sample_episode(4).id, "not_done", "Anna", "review", 1, "aa"))
    book.add(Verdict(sample_episode(4).id, "taken_back", "Anna", "review", 2, "aa"))
    stream = open_stream(path, SPEC)
    assert stream.tally("forward", 0, 1000) == (4, 5)
    assert stream.overruled == {"agreed": 1, "not_done": 1, "done": 1, "open": 1}
    assert stream.confusion == before.confusion
    assert "People spoke about 4 episodes: 1 times they agreed, 1 times done was not done" in persons_words(stream)
