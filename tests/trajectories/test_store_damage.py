"""Flipped bits, cut-off and missing files: noticed, put aside with a report, never deleted, never data."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.trajectory_samples import SPEC, assert_same_episode, sample_episode

from trajectories.catalogue import CATALOGUE
from trajectories.checksummed_json import ChecksumError, dump_checksummed, load_checksummed
from trajectories.errors import CorruptEpisodeError, ForeignEpisodeError, SpecMismatchError, StoreError
from trajectories.manifest import check_sizes, read_manifest, read_verified
from trajectories.store import TrajectoryStore
from trajectories.types import RobotSpec

GOOD, BAD = sample_episode(1), sample_episode(2)
FILES = (
    "image_front/0.0.0.0",
    "image_front/zarr.json",
    "manifest.json",
    "marks/0.0",
    "marks/zarr.json",
    "numbers/0.0",
    "numbers/zarr.json",
    "zarr.json",
)


@pytest.fixture
def path(tmp_path):
    """A closed store with the episodes GOOD and BAD, as a killed writer leaves it: not catalogued."""
    with TrajectoryStore(tmp_path / "store", SPEC) as store:
        store.commit(GOOD)
        store.commit(BAD)
    (tmp_path / "store" / CATALOGUE).unlink()
    return tmp_path / "store"


def flip(file: Path, position: int, bit: int) -> None:
    with file.open("r+b", buffering=0) as stream:  # in place: rewriting thousands of files is slow
        byte = os.pread(stream.fileno(), 1, position)[0]
        os.pwrite(stream.fileno(), bytes([byte ^ 1 << bit]), position)


def assert_put_aside(store: TrajectoryStore, name: str, content: bytes) -> None:
    """BAD is out of the store and in the quarantine as it was, with a reason that names the file."""
    assert store.ids() == [GOOD.id]
    assert_same_episode(store.read(GOOD.id), GOOD)
    (damaged,) = store.recovered.damaged
    assert damaged.id == BAD.id
    assert name in damaged.reason
    assert damaged.moved_to is not None
    assert (damaged.moved_to / "episode" / name).read_bytes() == content
    assert [(found.id, found.reason) for found in store.quarantined()] == [(BAD.id, damaged.reason)]
    assert BAD.id in str(store.recovered)
    store.commit(BAD)
    assert_same_episode(store.read(BAD.id), BAD)


def test_every_byte_of_every_file_is_covered(path):
    folder = path / "episodes" / BAD.id
    names = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
    assert names == sorted(FILES)
    rng = np.random.default_rng(0)
    missed, tried = [], 0
    for name in names:
        for position in range((folder / name).stat().st_size):
            bit = int(rng.integers(8))
            flip(folder / name, position, bit)
            try:
                read_verified(folder, read_manifest(folder))
                missed.append((name, position))
            except CorruptEpisodeError:
                tried += 1
            flip(folder / name, position, bit)
    assert missed == []
    assert tried > 3000
    assert len(read_verified(folder, read_manifest(folder))) == len(FILES) - 1


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_found_by_reading_and_put_aside(path, name):
    with TrajectoryStore(path, SPEC) as store:
        file = path / "episodes" / BAD.id / name
        flip(file, file.stat().st_size // 2, 3)
        content = file.read_bytes()
        with pytest.raises(CorruptEpisodeError, match="Damaged episode"):
            store.read(BAD.id)
        assert_put_aside(store, name, content)


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_found_by_verify_after_a_restart(path, name):
    file = path / "episodes" / BAD.id / name
    flip(file, 0, 0)
    content = file.read_bytes()
    with TrajectoryStore(path, SPEC) as store:
        found = store.verify()  # a damaged manifest has been found by opening
        assert len(found) == (name != "manifest.json")
        assert_put_aside(store, name, content)
        assert store.verify() == ()


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("name", FILES)
def test_a_cut_off_file_is_found_by_opening(path, name, kept):
    file = path / "episodes" / BAD.id / name
    content = file.read_bytes()[: int(kept * file.stat().st_size)]
    file.write_bytes(content)
    with TrajectoryStore(path, SPEC) as store:
        assert_put_aside(store, name, content)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_found_by_opening(path, name):
    (path / "episodes" / BAD.id / name).unlink()
    with TrajectoryStore(path, SPEC) as store:
        assert store.ids() == [GOOD.id]
        assert store.recovered.damaged[0].reason == f"{name} is missing"


def test_what_is_no_episode_is_put_aside(path):
    (path / "episodes" / "notes.txt").write_text("hello")
    (path / "episodes" / "empty").mkdir()
    shutil.copytree(path / "episodes" / GOOD.id, path / "episodes" / "a-copy")
    with TrajectoryStore(path, SPEC) as store:
        assert store.ids() == [GOOD.id, BAD.id]
        reasons = {damaged.id: damaged.reason for damaged in store.recovered.damaged}
    assert reasons["notes.txt"] == reasons["empty"] == "manifest.json is missing"
    assert GOOD.id in reasons["a-copy"]


def test_an_episode_of_another_robot_that_was_copied_in_is_refused_where_it_is(path, tmp_path):
    other = RobotSpec(cameras={"front": (8, 6)}, control_hz=10.0)
    with TrajectoryStore(tmp_path / "other", other) as store:
        store.commit(sample_episode(3))
    copy = path / "episodes" / sample_episode(3).id
    shutil.copytree(tmp_path / "other" / "episodes" / sample_episode(3).id, copy)
    for read_only in (True, False):
        with pytest.raises(ForeignEpisodeError, match=other.digest[:12]):
            TrajectoryStore(path, SPEC, read_only=read_only)
    shutil.rmtree(copy)
    with TrajectoryStore(path, SPEC) as store:
        assert store.ids() == [GOOD.id, BAD.id]


def test_a_reader_reports_damage_and_moves_nothing(path):
    file = path / "episodes" / BAD.id / "numbers" / "0.0"
    flip(file, 9, 0)
    before = sorted(path.rglob("*"))
    reader = TrajectoryStore(path, read_only=True)
    assert [damaged.id for damaged in reader.verify()] == [BAD.id]
    assert reader.recovered.damaged[0].moved_to is None
    assert reader.ids() == [GOOD.id]
    reader.refresh()
    assert reader.ids() == [GOOD.id]
    assert sorted(path.rglob("*")) == before


def test_damage_found_twice_lies_side_by_side(path):
    for _ in range(2):
        with TrajectoryStore(path, SPEC) as store:
            store.commit(BAD)
            flip(path / "episodes" / BAD.id / "marks" / "0.0", 5, 5)
            store.verify()
            aside = store.quarantined()
    assert [damaged.id for damaged in aside] == [BAD.id, BAD.id]


def test_a_damaged_header_is_made_anew_from_the_stated_spec(path):
    header = path / "store.json"
    for position in range(0, header.stat().st_size, 7):
        flip(header, position, 1)
        with pytest.raises(StoreError, match=r"store\.json is damaged"):
            TrajectoryStore(path, read_only=True)
        with pytest.raises(StoreError, match=r"store\.json is damaged"):
            TrajectoryStore(path)
        with pytest.raises(SpecMismatchError, match="header"):
            TrajectoryStore(path, RobotSpec())
        with TrajectoryStore(path, SPEC) as store:
            assert store.ids() == [GOOD.id, BAD.id]
            assert "made anew" in str(store.recovered)
    header.unlink()
    with TrajectoryStore(path, SPEC) as store:
        assert "missing and has been made anew" in str(store.recovered)


def test_undamaged_bytes_that_make_no_sense_are_an_error_but_no_damage(path, monkeypatch):
    monkeypatch.setattr("trajectories.store.decode", lambda *_: (_ for _ in ()).throw(ValueError("unknown codec")))
    with TrajectoryStore(path, SPEC) as store:
        with pytest.raises(StoreError, match="unknown codec") as caught:
            store.read(GOOD.id)
        assert not isinstance(caught.value, CorruptEpisodeError)
        assert "zarr" in str(caught.value)
        assert len(store) == 2


@pytest.mark.parametrize("error", [errno.EMFILE, errno.EACCES])
def test_trouble_of_the_process_is_an_error_but_no_damage(path, monkeypatch, error):
    def refuse(self):
        raise OSError(error, os.strerror(error))

    with TrajectoryStore(path, SPEC) as store:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", refuse)
            with pytest.raises(StoreError, match=os.strerror(error)) as caught:
                store.read(BAD.id)
            assert not isinstance(caught.value, CorruptEpisodeError)
        assert_same_episode(store.read(BAD.id), BAD)
        assert store.recovered.damaged == ()


def test_a_sector_that_cannot_be_read_is_damage(path, monkeypatch):
    def refuse(self):
        raise OSError(errno.EIO, "Input/output error")

    with TrajectoryStore(path, SPEC) as store:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", refuse)
            with pytest.raises(CorruptEpisodeError, match="Input/output error"):
                store.read(BAD.id)
        assert store.ids() == [GOOD.id]
        assert [damaged.id for damaged in store.quarantined()] == [BAD.id]


def test_sizes_alone_are_what_the_cheap_check_compares(path):
    folder = path / "episodes" / BAD.id
    flip(folder / "numbers" / "0.0", 9, 0)
    check_sizes(read_manifest(folder), lambda name: (folder / name).stat().st_size)
    with pytest.raises(CorruptEpisodeError, match=r"numbers/0\.0 is damaged"):
        read_verified(folder, read_manifest(folder))


def test_a_seal_notices_every_change():
    raw = dump_checksummed({"a": [1, 2.5, "ü"], "b": None})
    assert load_checksummed(raw) == {"a": [1, 2.5, "ü"], "b": None}
    for position in range(len(raw)):
        for bit in range(8):
            changed = bytearray(raw)
            changed[position] ^= 1 << bit
            with pytest.raises(ChecksumError):
                load_checksummed(bytes(changed))
    for cut in range(len(raw)):
        with pytest.raises(ChecksumError):
            load_checksummed(raw[:cut])
    with pytest.raises(ChecksumError):
        load_checksummed(raw + b"\n")
    with pytest.raises(ValueError, match="JSON"):
        dump_checksummed({"nan": float("nan")})
