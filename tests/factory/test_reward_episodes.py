"""What a reward model learns from: recorded data and, of sessions, what people spoke about."""

from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest
from helpers.sliding_square import SPEC, make_episode
from hydra import compose, initialize_config_module

from commands import train_reward as verb
from factory import reward_episodes
from factory.reward_episodes import RECORDED, confirmed, episodes_of, open_sessions, session_episodes
from factory.spec import spec_of
from factory.unsent import unsent_verdicts
from rewards.config import RewardConfig
from rewards.frames import OTHER, SUCCESS, UNKNOWN, label_missed
from rewards.gathering import gather
from trajectories.errors import ConfigError, SpecMismatchError
from trajectories.store import TrajectoryStore
from trajectories.verdicts import Verdict, VerdictBook


def settings(folder, *overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose("train_reward", [f"run_dir={folder}", *overrides])


def online(number, outcome):
    episode = make_episode(np.random.default_rng(number), number, "forward", outcome)
    return replace(episode, metadata={"kind": "online"})


def say(path, number, word, at=1):
    VerdictBook(path).add(Verdict(online(number, "success").id, word, "Anna", "review", at, "aa"))


@pytest.fixture
def session(tmp_path):
    """Agreed, overturned both ways, taken back, and one that nobody spoke about."""
    path = tmp_path / "session"
    with TrajectoryStore(path, SPEC) as store:
        for number, outcome in enumerate(["success", "success", "failure", "success", "failure", "unknown"]):
            store.commit(online(number, outcome))
    for number, word in enumerate(["done", "not_done", "done", "not_done"]):
        say(path, number, word)
    say(path, 3, "taken_back", at=2)
    say(path, 5, "done")
    return path


def test_of_a_session_only_what_people_spoke_about_counts_and_by_their_word(session):
    with TrajectoryStore(session, read_only=True) as store:
        ids = confirmed(store)
        assert ids == [online(number, "success").id for number in (0, 1, 2, 5)]
        found = list(session_episodes(store, ids, print))
        assert [one.outcome for one in found] == ["success", "failure", "success", "success"]
        everything = [one.outcome for one in session_episodes(store, store.ids(), print)]
        assert everything == ["success", "failure", "success", "success", "failure", "success"]


def test_the_verb_says_what_it_learns_from(session, capsys):
    with TrajectoryStore(session, read_only=True) as store:
        assert len(verb._of_session(settings(session), store)) == 4
        assert len(verb._of_session(settings(session, "train_reward.unconfirmed=true"), store)) == 6
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("It learns from 4 of the 6 episodes")
    assert said[1].startswith("It learns from all 6 episodes")


@pytest.mark.parametrize("outbox", ["outbox", "actor_left/outbox"])
def test_words_that_wait_in_an_outbox_are_said(session, outbox, capsys):
    folder = session.parent / outbox
    folder.mkdir(parents=True)
    assert unsent_verdicts(session) == ""
    say(folder, 4, "done")
    with TrajectoryStore(session, read_only=True) as store:
        assert len(verb._of_session(settings(session), store)) == 4
    said = capsys.readouterr().out.splitlines()
    assert f"1 in {folder / 'verdicts'}." in said[0]
    assert "run the same `regrasp finetune` again" in said[0]


def test_a_mark_of_recorded_data_can_be_overturned_too(tmp_path):
    with TrajectoryStore(tmp_path / "data", SPEC) as store:
        for number in range(2):
            store.commit(replace(online(number, "success"), metadata={"kind": "demo"}))
        store.commit(online(2, "success"))
        say(store.path, 1, "not_done")
        assert [one.outcome for one in episodes_of(store, RECORDED, print)] == ["success", "failure"]


def test_the_sessions_are_those_that_are_named(tmp_path):
    config = settings(tmp_path)
    with ExitStack() as stack:
        assert open_sessions(config, stack) == []
    path = tmp_path / "finetune_regrasp" / "episodes"
    with TrajectoryStore(path, spec_of(config)):
        pass
    with ExitStack() as stack:
        assert [store.path for store in open_sessions(config, stack)] == [path]
        assert open_sessions(settings(tmp_path, "train_reward.sessions=null"), stack) == []
        named = open_sessions(settings(tmp_path, f"train_reward.sessions=[{path}]"), stack)
        assert [store.path for store in named] == [path]
        with pytest.raises(ConfigError, match=r"train_reward\.sessions=3"):
            open_sessions(settings(tmp_path, "train_reward.sessions=3"), stack)
    with TrajectoryStore(tmp_path / "other", SPEC):
        pass
    with ExitStack() as stack, pytest.raises(SpecMismatchError):
        open_sessions(settings(tmp_path, f"train_reward.sessions={tmp_path / 'other'}"), stack)


def test_damage_is_said_and_left_out(session):
    (session / "episodes" / online(1, "success").id / "manifest.json").write_bytes(b"")
    told = []
    with TrajectoryStore(session, read_only=True) as store:
        found = list(session_episodes(store, [online(number, "success").id for number in (0, 1)], told.append))
    assert len(found) == 1
    assert "left out" in told[0]


def test_of_a_success_that_the_judge_missed_only_the_end_is_labelled(session, backbone, spec):
    """Nobody said when it was done: what came before is neither success nor failure."""
    assert label_missed(6, 2).tolist() == [UNKNOWN] * 5 + [SUCCESS] * 2
    assert label_missed(1, 3).tolist() == [SUCCESS] * 2
    data = [
        make_episode(np.random.default_rng(i), 10 + i, "forward", o) for i, o in enumerate(("success", "failure") * 3)
    ]
    with TrajectoryStore(session, read_only=True) as store:
        said = list(session_episodes(store, confirmed(store), print))
    rows = gather([*data, *said], "slide", backbone, spec, RewardConfig(folds=3, require_open_gripper=False)).episodes
    by_id = {row.id: row for row in rows}
    agreed, wrong, missed, undecided = (by_id[online(number, "success").id].labels for number in (0, 1, 2, 5))
    assert agreed.tolist() == [OTHER] * 6 + [UNKNOWN] * 4 + [SUCCESS] * 3
    assert wrong.tolist() == [OTHER] * 13
    assert missed.tolist() == undecided.tolist() == [UNKNOWN] * 10 + [SUCCESS] * 3


def test_the_kinds_are_those_that_somebody_marked():
    assert set(reward_episodes.RECORDED) == {"demo", "failure", "prior", "aftermath"}
