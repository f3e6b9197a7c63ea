"""A person's verdicts: durable, beside the episode, from several processes, and taken back."""

import logging
import os
import subprocess
import sys
import textwrap
import time
from dataclasses import replace

import pytest
from helpers import ENVIRONMENT
from helpers.trajectory_samples import SPEC, assert_same_episode, sample_episode

from trajectories import verdicts
from trajectories.errors import DiskError, InvalidEpisodeError
from trajectories.labels import follow_outcome
from trajectories.store import TrajectoryStore
from trajectories.verdicts import VERDICT_KEY, Verdict, VerdictBook


@pytest.fixture
def store(tmp_path):
    with TrajectoryStore(tmp_path / "store", SPEC) as store:
        store.commit(sample_episode(1))
        store.commit(sample_episode(2, outcome="failure"))
        yield store


def said(number, word, at=1, by="Anna", tail="aa"):
    return Verdict(sample_episode(number).id, word, by, "review", at, tail)


def test_the_newest_verdict_counts_and_the_episode_stays_as_it_was(store):
    before, manifest = store.read(store.ids()[0]), (store.path / "episodes" / store.ids()[0] / "manifest.json")
    sealed = manifest.read_bytes()
    book = VerdictBook(store.path)
    assert [book.outcome(info) for info in store.infos()] == ["success", "failure"]
    book.add(said(1, "not_done", at=5))
    book.add(said(2, "done", at=3, by="Ben"))
    for fresh in (book, VerdictBook(store.path)):
        assert [fresh.outcome(info) for info in store.infos()] == ["failure", "success"]
        assert fresh.of(store.ids()[0]).by == "Anna"
        assert [one.at_unix_ns for one in fresh.all()] == [3, 5]
    assert manifest.read_bytes() == sealed
    assert_same_episode(store.read(store.ids()[0]), before)
    store.close()
    with TrajectoryStore(store.path, SPEC) as again:
        assert len(again) == 2
        assert str(again.recovered) == ""


def test_a_verdict_can_be_taken_back_and_given_again(store):
    book, info = VerdictBook(store.path), store.infos()[0]
    for at, (word, outcome) in enumerate(
        [("not_done", "failure"), ("taken_back", "success"), ("done", "success"), ("not_done", "failure")]
    ):
        book.add(said(1, word, at=at))
        assert book.outcome(info) == VerdictBook(store.path).outcome(info) == outcome
    assert [one.word for one in book.history(info.id)] == ["not_done", "taken_back", "done", "not_done"]
    book.add(said(1, "taken_back", at=9))
    assert book.of(info.id) is None
    assert book.episodes == [info.id]


def test_a_word_holds_against_those_that_were_known_also_when_the_clock_was_set_back(store, monkeypatch):
    book, id = VerdictBook(store.path), store.ids()[0]
    assert book.newest(id) is None
    for hour, word in ((9, "done"), (8, "not_done"), (7, "taken_back"), (10, "done")):
        monkeypatch.setattr(verdicts.time, "time_ns", lambda hour=hour: hour * 3600 * 10**9)
        book.add(Verdict.now(id, word, by="Anna", via="review", after=book.newest(id)))
        assert book.newest(id).word == VerdictBook(store.path).newest(id).word == word
    hour = 3600 * 10**9
    assert [one.at_unix_ns for one in book.history(id)] == [9 * hour, 9 * hour + 1, 9 * hour + 2, 10 * hour]


def test_of_one_instant_the_order_of_arrival_does_not_matter(store):
    first, second = said(1, "done", tail="aa"), said(1, "not_done", tail="bb")
    book = VerdictBook(store.path)
    book.add(second)
    book.add(first)
    book.add(first)
    assert len(book) == 2
    assert book.of(first.episode) == VerdictBook(store.path).of(first.episode) == second


def test_the_judged_episode_has_the_outcome_that_counts_and_says_whose_word_it_is(store):
    book = VerdictBook(store.path)
    episode, other = store.read(store.ids()[0]), store.read(store.ids()[1])
    assert book.judged(episode) is episode
    book.add(said(1, "not_done", at=7))
    book.add(said(2, "done"))
    judged = book.judged(episode)
    assert judged.outcome == "failure"
    assert judged.metadata[VERDICT_KEY] == {"word": "not_done", "by": "Anna", "at_unix_ns": 7, "was": "success"}
    assert follow_outcome(judged)
    assert judged.truncated[-1]
    assert not judged.terminated.any()
    overturned = book.judged(other)
    assert overturned.terminated.tolist() == [False, True, True, True]
    assert overturned.rewards.tolist() == [-1, 0, 0, 0]


def test_another_process_adds_beside_the_writer_and_is_seen(store):
    book = VerdictBook(store.path)
    assert book.refresh() == set()
    code = f"""
        from pathlib import Path
        from trajectories.verdicts import Verdict, VerdictBook
        VerdictBook(Path({str(store.path)!r})).add(Verdict.now({store.ids()[0]!r}, "not_done", by="Ben", via="review"))
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env=ENVIRONMENT, check=True)
    assert book.refresh() == {store.ids()[0]}
    assert book.refresh() == set()
    assert book.outcome(store.infos()[0]) == "failure"


def test_changes_within_one_tick_of_the_file_systems_clock_are_seen(store, monkeypatch):
    book, other = VerdictBook(store.path), VerdictBook(store.path)
    other.add(said(1, "done", at=1))
    assert book.refresh() == {said(1, "done").episode}
    mark = book._mark
    other.add(said(2, "done", at=2))
    book._mark = other.folder.stat().st_mtime_ns  # as if both had happened in the same tick
    assert mark <= book._mark
    assert book.refresh() == {said(2, "done").episode}


def test_a_settled_folder_is_not_listed_again(store, monkeypatch):
    book = VerdictBook(store.path)
    book.add(said(1, "done"))
    book.refresh()
    monkeypatch.setattr(verdicts, "_SETTLED_NS", -1)
    monkeypatch.setattr(verdicts.os, "listdir", lambda path: pytest.fail("listed"))
    assert book.refresh() == set()


def test_one_that_is_removed_counts_no_more(store):
    book, other = VerdictBook(store.path), VerdictBook(store.path)
    book.add(said(1, "not_done"))
    other.refresh()
    book.remove(said(1, "not_done"))
    assert other.refresh() == {said(1, "done").episode}
    assert book.outcome(store.infos()[0]) == other.outcome(store.infos()[0]) == "success"
    assert list(book.folder.iterdir()) == []


def test_a_damaged_or_foreign_file_is_left_out_with_a_warning(store, caplog):
    book = VerdictBook(store.path)
    book.add(said(1, "not_done"))
    path = book.folder / said(1, "not_done").file_name
    good = path.read_bytes()
    path.write_bytes(good.replace(b"not_done", b"not_dome"))
    (book.folder / "other.json").write_bytes(good)
    (book.folder / ".part.json").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        assert VerdictBook(store.path).outcome(store.infos()[0]) == "success"
    assert sorted(record.args[0].name for record in caplog.records) == sorted(["other.json", path.name])


def aged(path, seconds):
    """As if it had been written so long ago."""
    then = time.time_ns() - int(seconds * 1e9)
    os.utime(path, ns=(then, then))


@pytest.mark.parametrize("settled", [True, False])
def test_a_damaged_file_that_is_repaired_in_place_is_read_again(store, caplog, settled):
    writer = VerdictBook(store.path)
    writer.add(said(1, "not_done"))
    path = writer.folder / said(1, "not_done").file_name
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    if settled:
        aged(path, 50)
    aged(writer.folder, 40)
    book = VerdictBook(store.path)
    assert book.refresh() == book.refresh() == set()
    assert len(caplog.messages) == 1  # said once, though it is looked at again
    assert len(book) == 0
    path.write_bytes(whole)  # the folder's time of change stays
    if settled:
        aged(path, 30)
    assert book.refresh() == {said(1, "not_done").episode}
    assert [book.outcome(info) for info in store.infos()] == ["failure", "failure"]
    assert book.refresh() == set()
    assert len(book) == 1
    path.unlink()
    assert book.refresh() == {said(1, "not_done").episode}
    assert len(book) == 0


def test_one_that_is_said_again_over_a_damaged_file_counts_once(store):
    book = VerdictBook(store.path)
    book.folder.mkdir()
    (book.folder / said(1, "not_done").file_name).write_bytes(b"{}")
    book.refresh()
    book.add(said(1, "not_done"))
    book.refresh()
    assert len(book) == 1


def test_a_disk_that_refuses_is_said_and_nothing_counts(store, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    book = VerdictBook(store.path)
    monkeypatch.setattr(verdicts, "replace_file", full)
    with pytest.raises(DiskError, match="Anna"):
        book.add(said(1, "not_done"))
    assert book.of(said(1, "done").episode) is None


@pytest.mark.parametrize(
    "change",
    [
        {"episode": "../../etc/passwd"},
        {"word": "perhaps"},
        {"by": "  "},
        {"by": "x" * 81},
        {"by": "a\nb"},
        {"via": "a/b"},
        {"tail": "../x"},
        {"at_unix_ns": -1},
        {"at_unix_ns": True},
        {"at_unix_ns": 1.5},
    ],
)
def test_what_can_be_no_verdict_is_refused(change):
    good = said(1, "done")
    with pytest.raises(InvalidEpisodeError):
        replace(good, **change)
    with pytest.raises(InvalidEpisodeError):
        Verdict.from_dict({**good.to_dict(), **change})


def test_a_verdict_comes_back_from_plain_types_and_odd_entries_are_refused():
    verdict = Verdict.now("a", "done", by="Zoë", via="console")
    assert Verdict.from_dict(verdict.to_dict()) == verdict
    for raw in ({**verdict.to_dict(), "mood": 1}, {}):
        with pytest.raises(InvalidEpisodeError, match="entries"):
            Verdict.from_dict(raw)
