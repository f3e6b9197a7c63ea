"""The catalogue saves reading every manifest, and is believed only about folders that are as they were."""

import os
import shutil
import threading

import pytest
from helpers.trajectory_samples import SPEC, assert_same_episode, sample_episode

from trajectories import episode_files
from trajectories.catalogue import CATALOGUE
from trajectories.episode_files import EpisodeFolders
from trajectories.errors import CorruptEpisodeError
from trajectories.store import TrajectoryStore

FIRST, SECOND, THIRD = (sample_episode(number) for number in (1, 2, 3))


@pytest.fixture
def path(tmp_path):
    """A closed store of two episodes, catalogued."""
    with TrajectoryStore(tmp_path / "store", SPEC) as store:
        store.commit(FIRST)
        store.commit(SECOND)
    return tmp_path / "store"


@pytest.fixture
def manifests_read(monkeypatch):
    """Names of the episodes whose manifests are read from their folders."""
    read, names = episode_files.read_manifest, []
    monkeypatch.setattr(episode_files, "read_manifest", lambda folder: (names.append(folder.name), read(folder))[1])
    return names


def test_opening_reads_no_manifest_that_is_catalogued(path, manifests_read):
    for read_only in (True, False):
        with TrajectoryStore(path, read_only=read_only) as store:
            assert store.ids() == [FIRST.id, SECOND.id]
            assert [info.instruction for info in store.infos()] == [FIRST.instruction, SECOND.instruction]
            assert store.info(FIRST.id).metadata == FIRST.metadata
    assert manifests_read == []
    assert_same_episode(store.read(FIRST.id), FIRST)


def test_what_a_killed_writer_added_is_read_from_its_folder(path, manifests_read):
    killed = TrajectoryStore(path)
    killed.commit(THIRD)
    os.close(killed._release.detach()[2][0])  # the lock goes, nothing else is done
    reader = TrajectoryStore(path, read_only=True)
    assert reader.ids() == [FIRST.id, SECOND.id, THIRD.id]
    assert manifests_read == [THIRD.id]
    TrajectoryStore(path).close()
    TrajectoryStore(path).close()
    assert manifests_read == [THIRD.id, THIRD.id]


def test_what_was_removed_does_not_come_back(path):
    with TrajectoryStore(path) as store:
        store.remove(FIRST.id)
        assert store.ids() == [SECOND.id]
    assert TrajectoryStore(path, read_only=True).ids() == [SECOND.id]
    shutil.rmtree(path / "episodes" / SECOND.id)
    assert TrajectoryStore(path, read_only=True).ids() == []


def test_a_folder_that_was_exchanged_is_looked_at(path, tmp_path, manifests_read):
    with TrajectoryStore(tmp_path / "other", SPEC) as other:
        other.commit(sample_episode(2, instruction="something else"))
    shutil.rmtree(path / "episodes" / SECOND.id)
    shutil.copytree(tmp_path / "other" / "episodes" / SECOND.id, path / "episodes" / SECOND.id)
    store = TrajectoryStore(path, read_only=True)
    assert manifests_read == [SECOND.id]
    assert store.info(SECOND.id).instruction == "something else"


@pytest.mark.parametrize("spoil", [lambda raw: raw[:-9], lambda raw: raw.replace(b"rack", b"sink"), lambda raw: b""])
def test_a_damaged_catalogue_counts_for_nothing(path, spoil, manifests_read):
    file = path / CATALOGUE
    file.write_bytes(spoil(file.read_bytes()))
    with TrajectoryStore(path) as store:
        assert [info.instruction for info in store.infos()] == [FIRST.instruction, SECOND.instruction]
    assert manifests_read == [FIRST.id, SECOND.id]


def test_readers_write_none(path):
    (path / CATALOGUE).unlink()
    TrajectoryStore(path, read_only=True).close()
    assert not (path / CATALOGUE).exists()


@pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: os.truncate(file, 7)])
def test_damage_of_a_catalogued_episode_is_found_by_reading_it(path, damage):
    damage(path / "episodes" / SECOND.id / "numbers" / "0.0")
    with TrajectoryStore(path) as store:
        with pytest.raises(CorruptEpisodeError, match=r"numbers/0\.0"):
            store.read(SECOND.id)
        assert [entry.id for entry in store.quarantined()] == [SECOND.id]
        assert store.ids() == [FIRST.id]
    assert TrajectoryStore(path, read_only=True).ids() == [FIRST.id]


def test_what_goes_while_the_folder_is_listed_is_left_out(tmp_path):
    episodes = tmp_path / "episodes"
    (episodes / "stays").mkdir(parents=True)
    folders, stop = EpisodeFolders(tmp_path), threading.Event()

    def come_and_go():
        while not stop.is_set():
            for number in range(40):
                (episodes / f"goes{number}").mkdir()
            for number in range(40):
                (episodes / f"goes{number}").rmdir()

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        assert all("stays" in folders.marks() for _ in range(300))
    finally:
        stop.set()
        thread.join()
