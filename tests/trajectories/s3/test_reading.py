"""A store in a bucket reads as on the disk, damage included: checked against a server that checks signatures."""

import hashlib
import shutil
from dataclasses import replace

import numpy as np
import pytest
import zarr
from helpers.trajectory_samples import SPEC, assert_same_episode, sample_episode

from trajectories.errors import CorruptEpisodeError, SpecMismatchError, StoreError
from trajectories.inspect import inspect_store
from trajectories.manifest import MANIFEST, FileEntry
from trajectories.s3 import episodes as s3_episodes
from trajectories.s3.path import CopySettings
from trajectories.store import TrajectoryStore
from trajectories.types import RobotSpec
from trajectories.verdicts import Verdict, VerdictBook

FIRST, SECOND, THIRD = (sample_episode(number) for number in (1, 2, 3))


@pytest.fixture
def manifests_read(monkeypatch):
    """Names of the episodes whose manifests are fetched when a store is opened."""
    made, names = s3_episodes.manifest_of, []
    monkeypatch.setattr(s3_episodes, "manifest_of", lambda raw, id: (names.append(id), made(raw, id))[1])
    return names


def flip(path, position=-3):
    content = bytearray(path.read_bytes())
    content[position] ^= 4
    path.write_bytes(content)


def test_a_store_in_a_bucket_reads_as_the_one_on_the_disk(twice):
    local, there = TrajectoryStore(twice.local, read_only=True), TrajectoryStore(str(twice.address), read_only=True)
    assert there.ids() == local.ids() == [FIRST.id, SECOND.id, THIRD.id]
    assert there.infos() == local.infos()
    assert there.spec == SPEC
    assert (there.bytes_on_disk, str(there.path)) == (local.bytes_on_disk, str(twice.address))
    assert (there.quarantined(), there.staged()) == ([], [])
    for _ in range(2):  # the second time from the copies
        for episode in (FIRST, SECOND, THIRD):
            assert_same_episode(there.read(episode.id), episode)
    with pytest.raises(StoreError, match=f"no episode 'none' among the 3 of {twice.address}"):
        there.read("none")
    with pytest.raises(SpecMismatchError):
        TrajectoryStore(twice.address, RobotSpec(), read_only=True)


def test_every_zarr_reader_can_open_an_episode_in_the_bucket(twice):
    from zarr.storage import ObjectStore

    connection = twice.address.connection
    group = zarr.open_group(
        ObjectStore(connection.store, read_only=True), path=f"{twice.address.key}/episodes/{SECOND.id}", mode="r"
    )
    np.testing.assert_array_equal(group["image_front"][:], SECOND.images["front"])


def test_what_was_read_once_needs_no_server_but_for_the_opening(twice):
    there = TrajectoryStore(twice.address, read_only=True)
    there.read(FIRST.id)
    shutil.rmtree(twice.objects)
    assert_same_episode(there.read(FIRST.id), FIRST)
    with pytest.raises(StoreError, match=f"Episode {SECOND.id} has been removed from {twice.address}"):
        there.read(SECOND.id)


def test_opening_again_fetches_only_the_manifests_that_are_new(twice, manifests_read):
    shutil.move(twice.objects / "episodes" / THIRD.id, twice.objects.parent / "later")
    there = TrajectoryStore(twice.address, read_only=True)
    assert there.ids() == sorted(manifests_read) == [FIRST.id, SECOND.id]
    shutil.move(twice.objects.parent / "later", twice.objects / "episodes" / THIRD.id)
    there.refresh()
    assert there.ids() == [FIRST.id, SECOND.id, THIRD.id]
    manifests_read.clear()
    assert TrajectoryStore(twice.address, read_only=True).ids() == [FIRST.id, SECOND.id, THIRD.id]
    assert manifests_read == [THIRD.id]
    shutil.rmtree(twice.objects / "episodes" / FIRST.id)
    assert TrajectoryStore(twice.address, read_only=True).ids() == [SECOND.id, THIRD.id]


def test_an_upload_under_way_is_no_episode_and_no_damage(twice):
    (twice.objects / "episodes" / SECOND.id / MANIFEST).unlink()
    there = TrajectoryStore(twice.address, read_only=True)
    assert there.ids() == [FIRST.id, THIRD.id]
    assert (there.staged(), there.recovered.damaged) == ([SECOND.id], ())


def harm(folder, damage):
    chunk = folder / "numbers" / "0.0"
    if damage == "bit":
        flip(chunk)
    elif damage == "missing":
        chunk.unlink()
    elif damage == "truncated":
        chunk.write_bytes(chunk.read_bytes()[:-7])
    elif damage == "manifest":
        flip(folder / MANIFEST, 200)


@pytest.mark.parametrize("damage", ["bit", "missing", "truncated", "manifest"])
@pytest.mark.parametrize("opened", [False, True])
def test_damage_says_the_same_as_on_the_disk_and_names_the_episode(twice, tmp_path, damage, opened):
    shutil.copytree(twice.local, tmp_path / "local")
    said = []
    for path, folder in ((tmp_path / "local", tmp_path / "local"), (twice.address, twice.objects)):
        if not opened:
            harm(folder / "episodes" / SECOND.id, damage)
            (tmp_path / "local" / ".catalogue.json").unlink(missing_ok=True)
        store = TrajectoryStore(path, read_only=True)
        if opened:
            harm(folder / "episodes" / SECOND.id, damage)
        if opened or damage == "bit":
            with pytest.raises(CorruptEpisodeError, match=SECOND.id) as caught:
                store.read(SECOND.id)
            said.append(str(caught.value).replace(str(path), "PATH"))
        assert store.ids() == [FIRST.id, THIRD.id]
        assert_same_episode(store.read(THIRD.id), THIRD)
        (damaged,) = store.recovered.damaged
        said.append(str(damaged))
    assert said[: len(said) // 2] == said[len(said) // 2 :]
    assert SECOND.id in said[0]


def test_an_episode_that_was_replaced_is_not_read_by_the_manifest_of_before(twice, tmp_path):
    there = TrajectoryStore(twice.address, read_only=True)
    with TrajectoryStore(tmp_path / "other", SPEC) as other:
        other.commit(replace(SECOND, instruction="another"))
    shutil.rmtree(twice.objects / "episodes" / SECOND.id)
    shutil.copytree(tmp_path / "other" / "episodes" / SECOND.id, twice.objects / "episodes" / SECOND.id)
    with pytest.raises(CorruptEpisodeError, match=r"manifest\.json has been replaced since"):
        there.read(SECOND.id)
    assert TrajectoryStore(twice.address, read_only=True).read(SECOND.id).instruction == "another"


def test_a_manifest_that_names_files_outside_its_folder_is_damage(twice):
    local = TrajectoryStore(twice.local, read_only=True)
    manifest, folder = local.manifest(SECOND.id), twice.objects / "episodes" / SECOND.id
    (folder / "evil").write_bytes(b"evil")
    for name in ("../../../../evil", "/tmp/evil", "a//evil"):
        files = {**manifest.files, name: FileEntry(4, hashlib.sha256(b"evil").hexdigest())}
        (folder / MANIFEST).write_bytes(replace(manifest, files=files).to_bytes())
        there = TrajectoryStore(twice.address, read_only=True)
        (damaged,) = there.recovered.damaged
        assert f"manifest.json names {name!r}, which is no file in the episode's folder" in damaged.reason
        assert len(there) == 2


def test_a_pass_fetches_the_next_episodes_meanwhile(twice, monkeypatch):
    there, asked = TrajectoryStore(twice.address, read_only=True), []
    fetch = s3_episodes.S3Episodes._fetch
    monkeypatch.setattr(s3_episodes.S3Episodes, "_fetch", lambda self, m: (asked.append(m.info.id), fetch(self, m))[1])
    there.read(FIRST.id)
    assert asked == [FIRST.id]
    there.read(SECOND.id)
    assert asked == [FIRST.id, SECOND.id, THIRD.id]
    assert_same_episode(there.read(THIRD.id), THIRD)
    assert asked == [FIRST.id, SECOND.id, THIRD.id]


def test_inspect_compares_the_bucket_and_not_the_copies(twice, tmp_path):
    there = TrajectoryStore(twice.address, read_only=True)
    there.read(SECOND.id)
    flip(twice.objects / "episodes" / SECOND.id / "numbers" / "0.0")
    report = inspect_store(twice.address, tmp_path / "out")
    assert "every byte of 2 episodes is as written" in report
    assert f"DAMAGED: 1 (a writer moves them aside when it comes upon them):\n  {SECOND.id}: numbers/0.0" in report
    assert (tmp_path / "out" / "contact_sheet.png").is_file()


def test_verdicts_are_read_and_none_is_added(twice, tmp_path):
    shutil.copytree(twice.local, tmp_path / "local")
    VerdictBook(tmp_path / "local").add(Verdict.now(FIRST.id, "not_done", by="Anna", via="review"))
    book = VerdictBook(twice.address)
    assert book.all() == []
    shutil.copytree(tmp_path / "local" / "verdicts", twice.objects / "verdicts")
    assert book.refresh() == {FIRST.id}
    assert book.outcome(FIRST) == "failure"
    with pytest.raises(StoreError, match="can only be read"):
        book.add(Verdict.now(FIRST.id, "done", by="Anna", via="review"))
    flip(next((twice.objects / "verdicts").iterdir()))
    assert VerdictBook(twice.address).all() == []


def test_nothing_is_recorded_into_a_bucket(twice):
    with pytest.raises(StoreError, match=rf"{twice.address} can only be read: .*regrasp export store=FOLDER"):
        TrajectoryStore(twice.address, SPEC)
    store = TrajectoryStore(twice.address, read_only=True)
    for change in (lambda: store.commit(FIRST), lambda: store.remove(FIRST.id), store.restore):
        with pytest.raises(StoreError, match="open for reading only"):
            change()


def test_a_store_is_read_where_no_copy_can_be_kept(twice, tmp_path, caplog):
    (tmp_path / "file").write_bytes(b"")
    address = replace(twice.address, copies=CopySettings(tmp_path / "file" / "copies"))
    store = TrajectoryStore(address, read_only=True)
    assert_same_episode(store.read(FIRST.id), FIRST)
    assert_same_episode(store.read(SECOND.id), SECOND)
    assert caplog.text.count("is not kept in") == 1
