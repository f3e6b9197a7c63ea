"""A session trains its judge anew on schedule, keeps the better one, and a kill leaves one or the other."""

import json
import threading
from dataclasses import replace

import numpy as np
import pytest
from helpers.trajectory_samples import sample_episode
from hydra import compose, initialize_config_module

from factory import judges
from factory.judges import IN_USE, RETRAINED, decisions, judge_in_use, keep_retrained, put_in_use
from factory.retraining import retraining_of, split
from factory.reward import reward_of, train_reward_model
from factory.spec import spec_of
from factory.task import instructions_of
from rewards.contest import Mistakes, mistakes_of
from rewards.kind import RewardKind
from robot.interfaces import RewardReading
from trajectories.errors import CheckpointError, ConfigError, DiskError, StoppedError
from trajectories.labels import relabel
from trajectories.registry import Registry
from trajectories.store import TrajectoryStore
from trajectories.verdicts import VERDICT_KEY, Verdict, VerdictBook


class Bright:
    """Says done at the first frame that is brighter than a level."""

    camera = "front"

    def __init__(self, level):
        self.level, self.heard = level, []

    def reset(self, instruction):
        self.heard.append(instruction)

    def update(self, observation):
        value = float(observation.images["front"][0, 0, 0])
        return RewardReading(value / 255, value > self.level, value > self.level)


class BrightKind(RewardKind):
    """Learns the level from the brightest frame of failures and the last one of successes; `wrong` spoils it."""

    wrong, learned, on_train = 0, [], staticmethod(lambda: None)

    def train(self, episodes, task, instructions, spec, settings, folder, progress):
        dark, light, self.learned[:] = [0.0], [255.0], []
        for episode in episodes:
            pixels = episode.images["front"][:, 0, 0, 0]
            if episode.outcome == "success":
                light.append(float(pixels[-1]))
            else:
                dark.append(float(pixels.max()))
            self.learned.append(episode.id)
        progress("training", 0.5)
        self.on_train()
        (folder / "level.json").write_text(str((max(dark) + min(light)) / 2 + self.wrong))
        return "trained"

    def load(self, folder, spec, settings):
        return Bright(float((folder / "level.json").read_text()))


@pytest.fixture
def kind(monkeypatch):
    made = BrightKind()
    monkeypatch.setattr("rewards.registry.KINDS", Registry("regrasp.rewards", "kind", {"bright": made}))
    return made


def settings(folder, *overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose("actor", [f"run_dir={folder}", "robot.image_size=32", "+reward.kind=bright", *overrides])


def episode(number, outcome, end, kind, config):
    """Dark, and in its last three frames of the brightness `end`."""
    spec = spec_of(config)
    made = sample_episode(number, 6, spec, outcome=outcome, metadata={"kind": kind}, task=str(config.task.name))
    frames = np.full_like(made.images["front"], 10)
    frames[-3:] = end
    words = instructions_of(config)["forward"][0]
    return replace(made, images={"front": frames}, instruction=words)


class Run:
    """Demonstrations that end at 200, failures at 60; the session's truth is done from 120 on, and its judge wrong."""

    def __init__(self, folder, kind):
        self.kind, self.folder, self.told, self.stop = kind, folder, [], threading.Event()
        self.config = settings(folder)
        with TrajectoryStore(folder / "data", spec_of(self.config)) as store:
            for number in range(4):
                store.commit(episode(number, "success", 200, "demo", self.config))
                store.commit(episode(10 + number, "failure", 60, "failure", self.config))
        kind.wrong = -65  # its level is 65
        with TrajectoryStore(folder / "data", read_only=True) as store:
            train_reward_model(self.config, map(store.read, store.ids()), store.spec, lambda stage, share: None)
        kind.wrong = 0
        self.episodes = folder / "finetune_regrasp" / "episodes"

    def session(self, count):
        """Half of them end at 100: called done, and not."""
        with TrajectoryStore(self.episodes, spec_of(self.config)) as store:
            for number in range(count):
                end = 100 if number % 2 else 150
                store.commit(episode(100 + number, "success", end, "online", self.config))

    def speak(self, numbers, word=None):
        book = VerdictBook(self.episodes)
        for number in numbers:
            said = word or ("not_done" if number % 2 else "done")
            book.add(Verdict(sample_episode(100 + number).id, said, "Anna", "review", 1, "aa"))

    def retraining(self, every=6):
        self.config.reward.retrain_every = every
        return retraining_of(self.config, self.told.append, self.stop)

    @property
    def level(self):
        return reward_of(self.config, spec_of(self.config)).level


@pytest.fixture
def run(tmp_path, kind):
    made = Run(tmp_path, kind)
    assert made.level == 65
    return made


def test_a_better_judge_takes_over_on_schedule_and_both_stay(run):
    retrain = run.retraining()
    assert retrain() is None  # nothing recorded yet
    run.session(14)
    run.speak(range(5))
    assert retrain() is None
    run.speak(range(5, 6))
    new = retrain()
    assert new.level == run.level == 125  # between 100, which it was told is not done, and 150
    assert set(new.heard) >= {text for texts in instructions_of(run.config).values() for text in texts}
    assert judge_in_use(run.folder) == run.folder / "reward" / RETRAINED / "0001"
    assert (run.folder / "reward" / "level.json").read_text() == "65.0"
    decision = decisions(run.folder)["0001"]
    assert (decision["adopted"], decision["spoken"], len(decision["learned_from"])) == (True, 6, 4)
    assert decision["before"]["false_done"] == 1
    assert decision["after"]["false_done"] == decision["after"]["false_not_done"] == 0
    assert retrain() is None  # not before six more
    assert run.retraining()() is None  # after a restart, too
    assert "the new one judges from now on" in run.told[-1]
    run.speak(range(6, 12))
    assert run.retraining()() is None  # as good as the one before, which stays
    assert run.level == 125
    assert json.loads((run.folder / "reward" / IN_USE).read_text())["before"] == "."
    assert [decision["adopted"] for decision in decisions(run.folder).values()] == [True, False]
    assert len(run.told) == 4


def test_it_learns_from_recorded_data_and_confirmed_episodes_alone(run):
    run.session(14)
    run.speak(range(6))
    run.retraining()()
    learned = set(run.kind.learned)
    recorded = {sample_episode(number).id for number in (*range(4), *range(10, 14))}
    confirmed = {sample_episode(100 + number).id for number in range(6)}
    assert recorded < learned
    assert learned - recorded < confirmed
    assert len(learned - recorded) == 4


def test_a_worse_one_is_kept_and_the_last_one_goes_on(run):
    run.session(12)
    run.speak(range(0, 12, 2))
    run.kind.wrong = 120  # it finds nothing
    assert run.retraining()() is None
    assert run.level == 65
    (name, decision), *_ = decisions(run.folder).items()
    assert not decision["adopted"]
    assert (run.folder / "reward" / RETRAINED / name / "level.json").is_file()
    assert "the one before judges from now on" in run.told[-1]
    assert run.retraining()() is None
    run.kind.wrong = 0
    run.speak(range(1, 12, 2))
    assert run.retraining()().level == 125


def test_a_training_that_is_refused_is_noted_and_not_repeated_at_once(run):
    def refuse():
        raise ConfigError("the judge would call failures done")

    run.session(8)
    run.speak(range(6))
    run.kind.on_train = refuse
    retrain = run.retraining()
    assert retrain() is None
    assert decisions(run.folder)["0001"]["why"] == "the judge would call failures done"
    told = len(run.told)
    assert retrain() is None
    assert len(run.told) == told
    assert run.level == 65


def test_a_stop_ends_the_training_and_leaves_nothing(run):
    run.session(8)
    run.speak(range(6))
    run.stop.set()
    with pytest.raises(StoppedError):
        run.retraining()()
    assert decisions(run.folder) == {}
    assert list((run.folder / "reward" / RETRAINED).iterdir()) == []
    run.stop.clear()
    assert run.retraining()().level == 125


@pytest.mark.parametrize("step", ["replace_file", "move", "put_in_use"])
def test_wherever_it_breaks_off_one_of_the_two_judges_is_whole_and_in_use(run, monkeypatch, step):
    """The disk refuses at one step; then, as after a kill, a fresh process goes on."""
    run.session(8)
    run.speak(range(6))

    def refuse(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        if step == "put_in_use":
            patch.setattr("factory.retraining.put_in_use", lambda *_: (_ for _ in ()).throw(DiskError("full")))
        else:
            patch.setattr(judges, step, refuse)
        assert run.retraining()() is None
    assert "was not trained anew" in run.told[-1]
    assert run.level == 65
    assert judge_in_use(run.folder) == run.folder / "reward"
    if step != "put_in_use":
        assert run.retraining()().level == 125


def test_train_reward_puts_its_own_in_use_again(run):
    run.session(8)
    run.speak(range(6))
    run.retraining()()
    assert run.level == 125
    with TrajectoryStore(run.folder / "data", read_only=True) as store:
        train_reward_model(run.config, map(store.read, store.ids()), store.spec, lambda stage, share: None)
    assert run.level == 130


def test_a_note_that_leads_nowhere_is_named(run):
    path = run.folder / "reward" / IN_USE
    for content in ("{", '{"judge": "0007"}', '{"judge": "../.."}', "[]"):
        path.write_text(content)
        with pytest.raises(CheckpointError, match="in_use"):
            judge_in_use(run.folder)
    keep_retrained(run.folder, lambda folder: {"adopted": True})
    path.unlink()
    put_in_use(run.folder, "0001")
    assert judge_in_use(run.folder).name == "0001"


def test_without_the_runs_episodes_it_is_said_once(run):
    retrain = run.retraining()
    for _ in range(4):
        assert retrain() is None
    assert len(run.told) == 1
    assert "not on this machine" in run.told[0]


def test_the_schedule_is_a_setting(tmp_path, kind):
    assert retraining_of(settings(tmp_path), print, threading.Event()) is None
    assert retraining_of(settings(tmp_path, "reward.retrain_every=5"), print, threading.Event())._every == 5
    for wrong in ("-1", "often", "true", "2.5"):
        with pytest.raises(ConfigError, match=r"reward\.retrain_every"):
            retraining_of(settings(tmp_path, f"reward.retrain_every={wrong}"), print, threading.Event())


def test_another_third_is_kept_each_time_and_outcomes_are_spread():
    given = [sample_episode(number, outcome="success" if number < 6 else "failure") for number in range(9)]
    kept = []
    for turn in range(3):
        shown, held = split(given, turn)
        assert sorted(one.outcome for one in held) == ["failure", "success", "success"]
        assert sorted(one.id for one in [*shown, *held]) == [one.id for one in given]
        kept += [one.id for one in held]
    assert sorted(kept) == [one.id for one in given]


def test_mistakes_are_counted_as_a_session_would_make_them(tmp_path, kind):
    config = settings(tmp_path)
    success = episode(1, "success", 150, "online", config)
    failure = episode(2, "failure", 150, "online", config)
    unknown = episode(3, "unknown", 150, "online", config)
    assert mistakes_of(Bright(100), [success, failure, unknown]) == Mistakes(1, 0, 2)
    assert mistakes_of(Bright(200), [success, failure]) == Mistakes(0, 1, 2)
    longer = sample_episode(4, 20, spec_of(config))
    frames = np.full_like(longer.images["front"], 10)
    frames[5:] = 150
    early = replace(longer, images={"front": frames})
    assert mistakes_of(Bright(100), [early]) == Mistakes(1, 0, 1)  # 15 frames before its judge saw it

    class Gripping(Bright):
        """Knows which frames never count: those before frame 4, in which the gripper is closed."""

        def counts(self, proprio):
            return np.arange(len(proprio)) >= 4

    assert mistakes_of(Gripping(100), [early]) == Mistakes(0, 0, 1)  # since it let go nobody knows
    missed = replace(early, metadata={VERDICT_KEY: {"was": "failure"}})
    assert mistakes_of(Bright(100), [missed]) == Mistakes(0, 0, 1)  # nobody said when it was done
    frames = np.full_like(longer.images["front"], 10)
    frames[0] = 150  # what a session sees before its first step decides nothing
    assert mistakes_of(Bright(100), [relabel(replace(longer, images={"front": frames}), "failure")]).total == 0


def test_an_episode_that_its_judge_ended_may_need_a_frame_more_of_another_one(tmp_path, kind):
    class Slow(Bright):
        """Above at once, done never."""

        def update(self, observation):
            return replace(super().update(observation), done=False)

    config = settings(tmp_path)
    success, failure = (episode(number, "success", 150, "online", config) for number in (1, 2))
    wrongly = replace(relabel(failure, "failure"), metadata={VERDICT_KEY: {"was": "success"}})
    timed_out = replace(success, metadata={VERDICT_KEY: {"was": "failure"}})
    assert mistakes_of(Slow(100), [success, wrongly]) == Mistakes(1, 0, 2)
    assert mistakes_of(Slow(200), [success, wrongly]) == Mistakes(0, 1, 2)
    assert mistakes_of(Slow(100), [timed_out, relabel(success, "failure")]) == Mistakes(0, 1, 2)


def test_better_is_fewer_mistakes_and_no_more_of_them_falsely_done():
    assert Mistakes(0, 1, 9).better_than(Mistakes(1, 1, 9))
    assert Mistakes(1, 0, 9).better_than(Mistakes(1, 1, 9))
    assert not Mistakes(1, 0, 9).better_than(Mistakes(0, 2, 9))
    assert not Mistakes(0, 1, 9).better_than(Mistakes(1, 0, 9))
    assert not Mistakes(1, 1, 9).better_than(Mistakes(1, 1, 9))
    assert str(Mistakes(1, 2, 9)) == "3 of 9 wrong (1 falsely done, 2 falsely not done)"
