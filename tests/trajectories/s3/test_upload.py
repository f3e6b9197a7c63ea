"""A store goes to a bucket whole episode by whole episode; cut off anywhere, the same upload again goes on."""

import filecmp
import os
import shutil
from dataclasses import replace

import pytest
from helpers.s3_server import BUCKET
from helpers.trajectory_samples import SPEC, assert_same_episode, sample_episode

from trajectories.errors import CorruptEpisodeError, SpecMismatchError, StoreError
from trajectories.manifest import MANIFEST
from trajectories.s3.connection import Connection, S3Error
from trajectories.s3.path import S3Path
from trajectories.s3.upload import Uploaded, upload
from trajectories.store import TrajectoryStore
from trajectories.types import RobotSpec
from trajectories.verdicts import Verdict, VerdictBook

FIRST, SECOND, THIRD = (sample_episode(number) for number in (1, 2, 3))


@pytest.fixture
def local(three_episodes, tmp_path):
    """A store of the test's own, on which somebody said something."""
    path = shutil.copytree(three_episodes, tmp_path / "mine")
    VerdictBook(path).add(Verdict.now(SECOND.id, "not_done", by="Anna", via="review"))
    return TrajectoryStore(path, read_only=True)


@pytest.fixture
def target(s3, tmp_path):
    return S3Path.of(f"s3://{BUCKET}/{tmp_path.name}/up")


@pytest.fixture
def objects(s3, tmp_path):
    return s3.root / BUCKET / tmp_path.name / "up"


@pytest.fixture
def writes(monkeypatch):
    """Keys in the order in which their objects arrived; raising a key's error in its place where `refuse` names it."""
    write, seen = Connection.write, []

    def noted(self, key, content):
        seen.append(key)
        return write(self, key, content)

    monkeypatch.setattr(Connection, "write", noted)
    return seen


def same_tree(left, right):
    names = {str(path.relative_to(left)) for path in left.rglob("*") if path.is_file()}
    assert names == {str(path.relative_to(right)) for path in right.rglob("*") if path.is_file()}
    assert filecmp.cmpfiles(left, right, names, shallow=False) == (list(names), [], [])


def test_what_arrives_is_the_store_bit_by_bit_manifests_last(local, target, objects, writes):
    seen = []
    said = upload(local, local.ids(), target, progress=lambda done, total: seen.append((done, total)))
    assert said == Uploaded(written=3, there=0, verdicts=1)
    assert seen == [(1, 3), (2, 3), (3, 3)]
    for part in ("episodes", "verdicts"):
        same_tree(local.path / part, objects / part)
    mine = [key for key in writes if f"episodes/{SECOND.id}" in key]
    assert len(mine) == 8
    assert mine[-1].endswith(MANIFEST)
    there = TrajectoryStore(target, read_only=True)
    assert_same_episode(there.read(SECOND.id), SECOND)
    assert VerdictBook(there.path).outcome(SECOND) == "failure"


def test_again_it_writes_nothing_and_adds_what_is_new(local, target, writes):
    upload(local, [FIRST.id], target)
    writes.clear()
    assert upload(local, local.ids(), target) == Uploaded(written=2, there=1, verdicts=1)
    assert not [key for key in writes if FIRST.id in key]
    writes.clear()
    assert upload(local, local.ids(), target) == Uploaded(written=0, there=3, verdicts=0)
    assert writes == []


@pytest.mark.parametrize("arrived", range(1, 25, 4))
def test_cut_off_after_any_object_there_is_no_half_episode_and_it_goes_on(local, target, monkeypatch, arrived):
    write, count = Connection.write, iter(range(arrived))

    def cut(self, key, content):
        if next(count, None) is None:
            raise S3Error("cut off")
        return write(self, key, content)

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "write", cut)
        with pytest.raises(S3Error, match="cut off"):
            upload(local, local.ids(), target)
    there = TrajectoryStore(target, read_only=True)
    assert there.recovered.damaged == ()
    for id, episode in zip(there.ids(), (FIRST, SECOND, THIRD), strict=False):
        assert_same_episode(there.read(id), episode)
    assert upload(local, local.ids(), target).written == 3 - len(there)
    assert TrajectoryStore(target, read_only=True).ids() == local.ids()


def test_what_is_damaged_there_is_written_anew(local, target):
    upload(local, local.ids(), target)
    chunk = target / "episodes" / SECOND.id / "numbers" / "0.0"
    TrajectoryStore(target, read_only=True)  # catalogues it
    chunk.write_bytes(chunk.read_bytes()[:-1])
    assert upload(local, local.ids(), target).written == 1
    assert_same_episode(TrajectoryStore(target, read_only=True).read(SECOND.id), SECOND)


def test_another_episode_of_the_same_id_and_another_robot_are_refused(local, target, tmp_path):
    upload(local, [FIRST.id], target)
    with TrajectoryStore(tmp_path / "changed", SPEC) as changed:
        changed.commit(replace(FIRST, instruction="another"))
    with pytest.raises(StoreError, match=f"{target} has another episode with the id {FIRST.id}"):
        upload(changed, [FIRST.id], target)
    with TrajectoryStore(tmp_path / "robot", RobotSpec()) as robot, pytest.raises(SpecMismatchError):
        upload(robot, [], target)


def test_a_damaged_episode_does_not_leave(local, target, objects):
    chunk = local.path / "episodes" / SECOND.id / "numbers" / "0.0"
    content = bytearray(chunk.read_bytes())
    content[-3] ^= 4
    chunk.write_bytes(content)
    with pytest.raises(CorruptEpisodeError, match=SECOND.id):
        upload(local, local.ids(), target)
    assert os.listdir(objects / "episodes") == [FIRST.id]


def test_a_store_is_copied_from_bucket_to_bucket(local, target, tmp_path):
    upload(local, local.ids(), target)
    second = S3Path.of(f"s3://{BUCKET}/{tmp_path.name}/second")
    assert upload(TrajectoryStore(target, read_only=True), local.ids(), second).written == 3
    assert VerdictBook(second).outcome(SECOND) == "failure"
