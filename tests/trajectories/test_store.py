"""The store keeps what it is given, once, for one writer and many readers."""

import os
import subprocess
import sys
import textwrap
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr
from helpers import ENVIRONMENT
from helpers.trajectory_samples import SPEC, assert_same_episode, sample_episode
from hypothesis import given, settings
from hypothesis import strategies as st

from trajectories import durable
from trajectories.errors import InvalidEpisodeError, SpecMismatchError, StoreError
from trajectories.store import TrajectoryStore
from trajectories.types import Episode, RobotSpec


@st.composite
def episodes(draw) -> tuple[RobotSpec, Episode]:
    """Any episode that the rules allow: bit patterns of all finite floats, any times, any text."""
    side = st.integers(1, 9)
    cameras = draw(st.dictionaries(st.sampled_from(["front", "wrist", "a-b.c"]), st.tuples(side, side), min_size=1))
    spec = RobotSpec(cameras=cameras, proprio=tuple(f"p{i}" for i in range(draw(st.integers(1, 4)))))
    steps = draw(st.one_of(st.integers(1, 5), st.sampled_from([99, 100, 101, 230])))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))

    def floats(*shape: int) -> np.ndarray:
        values = rng.integers(0, 2**32, shape, np.uint32).view(np.float32)
        return np.where(np.isfinite(values), values, np.float32(-0.0))

    outcome = draw(st.sampled_from(["success", "failure", "unknown"]))
    terminated = rng.random(steps) < (0.5 if outcome == "success" else 0.0)
    truncated = (rng.random(steps) < 0.5) & ~terminated
    probability = rng.random(steps + 1).astype(np.float32)
    probability[rng.random(steps + 1) < 0.5] = np.nan
    names = draw(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=3, unique=True))
    plain = st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()
    )
    episode = Episode(
        id=draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,30}", fullmatch=True)),
        task=draw(st.text()),
        instruction=draw(st.text()),
        direction=draw(st.sampled_from(["forward", "backward"])),
        outcome=outcome,
        images={name: rng.integers(0, 256, (steps + 1, *shape, 3), np.uint8) for name, shape in cameras.items()},
        proprio=floats(steps + 1, len(spec.proprio)),
        t_ns={name: rng.integers(-(2**63), 2**63 - 1, steps + 1, np.int64) for name in names},
        proposed=rng.integers(0, 2**32, (steps, 7), np.uint32).view(np.float32),
        executed=floats(steps, 7),
        rewards=floats(steps),
        terminated=terminated,
        truncated=truncated,
        source=rng.integers(0, 3, steps, np.uint8),
        policy_version=rng.integers(-(2**63), 2**63 - 1, steps, np.int64),
        success_probability=probability,
        metadata=draw(st.dictionaries(st.text(), st.one_of(plain, st.lists(plain, max_size=3)), max_size=3)),
    )
    return spec, episode


@settings(max_examples=40, deadline=None)
@given(sample=episodes())
def test_every_episode_comes_back_bit_by_bit(tmp_path_factory, sample):
    spec, episode = sample
    path = tmp_path_factory.mktemp("store")
    with TrajectoryStore(path, spec) as store:
        store.commit(episode)
        assert_same_episode(store.read(episode.id), episode)
    again = TrajectoryStore(path, read_only=True)
    assert again.spec.require_same(spec, "the header") is None
    assert_same_episode(again.read(episode.id), episode)
    info = again.info(episode.id)
    assert (info.length, info.outcome, info.metadata) == (len(episode), episode.outcome, episode.metadata)


def test_an_episode_is_a_plain_zarr_group_of_few_files(tmp_path):
    episode = sample_episode(steps=40)
    with TrajectoryStore(tmp_path, SPEC) as store:
        store.commit(episode)
    folder = tmp_path / "episodes" / episode.id
    assert len([path for path in folder.rglob("*") if path.is_file()]) == 8
    group = zarr.open_group(folder, mode="r")
    assert group.attrs["instruction"] == episode.instruction
    np.testing.assert_array_equal(group["image_front"][...], episode.images["front"])
    numbers, columns = group["numbers"][...], group["numbers"].attrs["columns"]
    np.testing.assert_array_equal(numbers[:, columns.index("proprio/tip_z")], episode.proprio[:, 2])
    np.testing.assert_array_equal(numbers[:-1, columns.index("executed/6")], episode.executed[:, 6])
    marks, columns = group["marks"][...], group["marks"].attrs["columns"]
    np.testing.assert_array_equal(marks[:, columns.index("t_ns/front")], episode.t_ns["front"])


def test_chunks_hold_at_most_100_rows_and_carry_a_checksum(tmp_path):
    with TrajectoryStore(tmp_path, SPEC) as store:
        store.commit(sample_episode(steps=250))
    group = zarr.open_group(tmp_path / "episodes" / sample_episode().id, mode="r")
    for name in ("image_front", "numbers", "marks"):
        assert 32 <= group[name].chunks[0] <= 100
        assert group[name].shards is None
        assert [codec.to_dict()["configuration"]["checksum"] for codec in group[name].compressors] == [True]


def test_ids_are_in_order_of_creation_whatever_the_order_of_commits(tmp_path):
    with TrajectoryStore(tmp_path, SPEC) as store:
        for number in (3, 1, 2):
            store.commit(sample_episode(number))
        assert store.ids() == [sample_episode(number).id for number in (1, 2, 3)]
        assert [info.id for info in store.infos()] == store.ids()
        assert len(store) == 3
        assert sample_episode(2).id in store
        assert sample_episode(4).id not in store


def test_the_same_episode_twice_counts_once(tmp_path):
    with TrajectoryStore(tmp_path, SPEC) as store:
        store.commit(sample_episode())
        before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
        store.commit(sample_episode())
        assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before
    with TrajectoryStore(tmp_path, SPEC) as store:
        store.commit(sample_episode())
        assert len(store) == 1


def test_another_episode_with_a_known_id_is_refused(tmp_path):
    with TrajectoryStore(tmp_path, SPEC) as store:
        store.commit(sample_episode())
        with pytest.raises(StoreError, match="another episode with the id"):
            store.commit(sample_episode(outcome="failure"))
        assert store.read(sample_episode().id).outcome == "success"


def test_removed_episodes_are_gone_for_good(tmp_path):
    with TrajectoryStore(tmp_path, SPEC) as store:
        store.commit(sample_episode(1))
        store.commit(sample_episode(2))
        store.remove(sample_episode(1).id)
        assert store.ids() == [sample_episode(2).id]
        with pytest.raises(StoreError, match="no episode"):
            store.read(sample_episode(1).id)
        with pytest.raises(StoreError, match="no episode"):
            store.remove(sample_episode(1).id)
    with TrajectoryStore(tmp_path, SPEC) as store:
        assert store.ids() == [sample_episode(2).id]
        assert str(store.recovered) == ""


def test_a_store_of_another_spec_is_refused_with_both_digests(tmp_path):
    other = RobotSpec(cameras={"front": (9, 9)})
    TrajectoryStore(tmp_path, SPEC).close()
    for read_only in (False, True):
        with pytest.raises(SpecMismatchError, match="cameras") as caught:
            TrajectoryStore(tmp_path, other, read_only=read_only)
        assert other.digest[:12] in str(caught.value)
        assert SPEC.digest[:12] in str(caught.value)


def test_an_episode_of_another_spec_is_refused(tmp_path):
    with TrajectoryStore(tmp_path, SPEC) as store, pytest.raises(InvalidEpisodeError, match="camera 'front'"):
        store.commit(sample_episode(spec=RobotSpec(cameras={"front": (9, 9)})))


@pytest.mark.parametrize("id", ["", "../../evil", "/etc/passwd", ".hidden", "a/b", "a\0b", "x" * 121])
def test_ids_that_would_leave_the_folder_are_refused(tmp_path, id):
    with TrajectoryStore(tmp_path / "store", SPEC) as store:
        with pytest.raises(InvalidEpisodeError, match="can't name a file"):
            store.commit(sample_episode(id=id))
        assert len(store) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_what_is_no_store_is_left_alone(tmp_path):
    with pytest.raises(StoreError, match="no trajectory store"):
        TrajectoryStore(tmp_path / "absent", SPEC, read_only=True)
    with pytest.raises(StoreError, match="state its RobotSpec"):
        TrajectoryStore(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreError, match=r"thesis\.tex"):
        TrajectoryStore(tmp_path, SPEC)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(StoreError, match=r"thesis\.tex is a file"):
        TrajectoryStore(tmp_path / "thesis.tex" / "store", SPEC)


def test_there_is_one_writer_and_its_death_frees_the_store(tmp_path):
    writer = TrajectoryStore(tmp_path, SPEC)
    with pytest.raises(StoreError, match=f"process {os.getpid()}"):
        TrajectoryStore(tmp_path, SPEC)
    writer.close()
    code = (
        "import os, signal, sys; from trajectories.store import TrajectoryStore\n"
        "store = TrajectoryStore(sys.argv[1]); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, tmp_path], check=False).returncode == -9
    TrajectoryStore(tmp_path, SPEC).close()


def test_readers_and_closed_writers_change_nothing(tmp_path):
    writer = TrajectoryStore(tmp_path, SPEC)
    writer.commit(sample_episode())
    reader = TrajectoryStore(tmp_path, SPEC, read_only=True)
    writer.close()
    for store, reason in ((reader, "reading only"), (writer, "closed")):
        with pytest.raises(StoreError, match=reason):
            store.commit(sample_episode(1))
        with pytest.raises(StoreError, match=reason):
            store.remove(sample_episode().id)
        assert_same_episode(store.read(sample_episode().id), sample_episode())


def test_a_reader_sees_commits_and_removals_after_refresh(tmp_path):
    with TrajectoryStore(tmp_path, SPEC) as writer:
        reader = TrajectoryStore(tmp_path, read_only=True)
        writer.commit(sample_episode(1))
        assert reader.ids() == []
        reader.refresh()
        assert reader.ids() == [sample_episode(1).id]
        writer.remove(sample_episode(1).id)
        with pytest.raises(StoreError, match="removed"):
            reader.read(sample_episode(1).id)
        reader.refresh()
        assert (reader.ids(), reader.recovered.damaged) == ([], ())


def test_another_process_reads_while_this_one_writes(tmp_path):
    """A writer commits 30 episodes and removes every third; a reader never meets half of one."""
    code = """
        import sys
        from helpers.trajectory_samples import SPEC, sample_episode
        from trajectories.store import TrajectoryStore
        with TrajectoryStore(sys.argv[1], SPEC) as store:
            print("open", flush=True)
            for number in range(30):
                store.commit(sample_episode(number))
                if number % 3 == 0:
                    store.remove(sample_episode(number).id)
    """
    writer = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), tmp_path],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"open\n"
    reader = TrajectoryStore(tmp_path, read_only=True)
    rounds = 0
    while writer.poll() is None or rounds == 0:
        reader.refresh()
        for id in reader.ids():
            try:
                assert_same_episode(reader.read(id), sample_episode(int(id[:20])))
            except StoreError as error:
                assert "removed" in str(error)  # noqa: PT017
        rounds += 1
    writer.stdout.close()
    assert writer.returncode == 0
    reader.refresh()
    assert reader.ids() == [sample_episode(number).id for number in range(30) if number % 3]
    assert reader.recovered.damaged == ()


def test_threads_may_commit_and_read_at_once(tmp_path):
    with TrajectoryStore(tmp_path, SPEC) as store:
        errors: list[BaseException] = []

        def work(first: int) -> None:
            try:
                for number in range(first, first + 6):
                    store.commit(sample_episode(number // 2))
                    assert_same_episode(store.read(sample_episode(number // 2).id), sample_episode(number // 2))
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(first,)) for first in (0, 2, 4, 6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert store.ids() == [sample_episode(number).id for number in range(6)]


def test_a_commit_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """The order that a power cut needs: all files, all folders, rename, the folder that holds the name."""
    log: list[tuple[str, str]] = []
    fsync, rename = os.fsync, os.rename

    def logged_fsync(descriptor: int) -> None:
        log.append(("sync", os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    def logged_rename(source: str, target: str) -> None:
        log.append(("rename", str(target)))
        rename(source, target)

    with TrajectoryStore(tmp_path, SPEC) as store:
        monkeypatch.setattr(durable.os, "fsync", logged_fsync)
        monkeypatch.setattr(durable.os, "rename", logged_rename)
        store.commit(sample_episode(steps=250))
        monkeypatch.undo()
    folder = tmp_path / "episodes" / sample_episode().id
    at = log.index(("rename", str(folder)))
    staged = {Path(path).relative_to(tmp_path / ".staging") for _, path in log[:at]}
    everything = {Path(*path.parts[1:]) for path in staged}
    assert everything == {Path(), *(path.relative_to(folder) for path in folder.rglob("*"))}
    assert log[at + 1 :] == [("sync", str(tmp_path / "episodes"))]


def test_metadata_that_json_cannot_hold_is_refused(tmp_path):
    with TrajectoryStore(tmp_path, SPEC) as store:
        for value in (np.float32(1), float("nan"), {1, 2}):
            with pytest.raises(InvalidEpisodeError, match="metadata"):
                store.commit(replace(sample_episode(), metadata={"value": value}))
        store.commit(replace(sample_episode(), metadata={"pair": (1, 2)}))
        store.commit(replace(sample_episode(), metadata={"pair": (1, 2)}))
        assert store.info(sample_episode().id).metadata == {"pair": [1, 2]}
