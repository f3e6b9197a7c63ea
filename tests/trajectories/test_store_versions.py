"""Stores and new code: what another version wrote is read or refused as it lies, and never put aside."""

import json
from dataclasses import dataclass, replace

import pytest
from helpers.trajectory_samples import SPEC, assert_same_episode, sample_episode

from commands.inspect import run as inspect
from trajectories.catalogue import CATALOGUE
from trajectories.checksummed_json import dump_checksummed, load_checksummed
from trajectories.errors import CorruptEpisodeError, SpecMismatchError, StoreError
from trajectories.quarantine import put_aside
from trajectories.store import TrajectoryStore
from trajectories.types import RobotSpec

FIRST, SECOND = sample_episode(1), sample_episode(2)


@dataclass(frozen=True)
class LaterSpec(RobotSpec):
    """The specification of a version that has one entry more."""

    fingers: int = 2


@pytest.fixture
def path(tmp_path):
    with TrajectoryStore(tmp_path / "store", SPEC) as store:
        store.commit(FIRST)
        store.commit(SECOND)
    (tmp_path / "store" / CATALOGUE).unlink()  # earlier versions wrote none
    return tmp_path / "store"


def everything(path):
    return {file.relative_to(path): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def rewrite(file, change):
    content = load_checksummed(file.read_bytes())
    change(content)
    file.write_bytes(dump_checksummed(content))


def refused(path, match):
    """Both ways of opening refuse the store, and every file stays as it is."""
    before = everything(path)
    for read_only in (True, False):
        with pytest.raises(StoreError, match=match) as caught:
            TrajectoryStore(path, read_only=read_only)
        assert not isinstance(caught.value, CorruptEpisodeError)
    after = everything(path)
    assert after.pop(next(name for name in after if name.name == "writer.lock"))
    before.pop(next(name for name in before if name.name == "writer.lock"))
    assert after == before


def test_one_more_entry_in_the_specification_puts_nothing_aside(path, monkeypatch):
    monkeypatch.setattr("trajectories.header.RobotSpec", LaterSpec)
    assert LaterSpec(cameras=SPEC.cameras).digest != SPEC.digest
    third = sample_episode(3)
    for spec in (None, LaterSpec(cameras=SPEC.cameras)):
        with TrajectoryStore(path, spec) as store:
            assert store.spec == LaterSpec(cameras=SPEC.cameras)
            assert store.recovered.damaged == ()
            assert_same_episode(store.read(FIRST.id), FIRST)
            store.commit(third)
    monkeypatch.undo()
    with TrajectoryStore(path, SPEC) as store:  # the version before reads what the later one added
        assert store.ids() == [FIRST.id, SECOND.id, third.id]
        assert_same_episode(store.read(third.id), third)


def test_a_specification_of_a_later_version_is_refused_by_name(path):
    rewrite(path / "store.json", lambda content: content["spec"].update(fingers=3))
    refused(path, "fingers")


def test_a_header_that_makes_no_sense_is_refused(path):
    rewrite(path / "store.json", lambda content: content["spec"].pop("joints"))
    refused(path, "joints")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda content: content.update(schema=2), "schema 2"),
        (lambda content: content["info"].update(weather="rain"), "weather"),
        (lambda content: content["info"].pop("outcome"), "outcome"),
        (lambda content: content.pop("files"), "files"),
        (lambda content: content.update(spec_digest="f" * 64), "another robot specification"),
    ],
)
def test_an_episode_of_another_version_stays_and_is_named(path, change, match):
    rewrite(path / "episodes" / SECOND.id / "manifest.json", change)
    refused(path, f"{SECOND.id}.*{match}")


def test_whole_numbers_make_the_same_specification():
    whole = RobotSpec(cameras={"front": [8, 6]}, control_hz=5, action_scale=(0.05, 0.05, 0.05, 0.25, 0.25, 0.25, 1))
    assert whole == SPEC
    assert whole.digest == SPEC.digest
    assert RobotSpec.from_dict(json.loads(json.dumps(whole.to_dict()))) == SPEC


def test_a_store_that_was_made_with_a_whole_number_opens(path):
    """A version before this one wrote the digest of `control_hz: 5`, and `5.0` for others."""
    rewrite(path / "store.json", lambda content: content["spec"].update(control_hz=5))
    digest = RobotSpec.digest.fget(type("Raw", (), {"to_dict": lambda _: SPEC.to_dict() | {"control_hz": 5}})())
    assert digest != SPEC.digest
    for id in (FIRST.id, SECOND.id):
        rewrite(path / "episodes" / id / "manifest.json", lambda content: content.update(spec_digest=digest))
    with TrajectoryStore(path, SPEC) as store:
        assert store.ids() == [FIRST.id, SECOND.id]


def test_a_difference_that_only_the_other_has_is_named():
    with pytest.raises(SpecMismatchError, match=r"control_hz is 10\.0 there and 5\.0 here"):
        SPEC.require_same(replace(SPEC, control_hz=10), "The store")


def put_back(path, restore):
    from omegaconf import OmegaConf

    out = path.parent / "out"
    inspect(
        OmegaConf.create(
            {
                "store": str(path),
                "out": str(out),
                "episode": None,
                "restore": restore,
                "s3_copies": {"folder": "auto", "gigabytes": 0},
            }
        )
    )


def test_episodes_come_back_from_the_quarantine(path, capsys):
    third = sample_episode(3)
    with TrajectoryStore(path) as store:
        store.commit(third)
    for id in (FIRST.id, SECOND.id, third.id):
        put_aside(path / "episodes" / id, "recorded with another robot specification", path / "quarantine")
    with TrajectoryStore(path) as store:
        assert store.ids() == []
    put_back(path, FIRST.id)
    assert f"Brought back from the quarantine: 1:\n  {FIRST.id}" in capsys.readouterr().out
    (place,) = [entry.moved_to for entry in TrajectoryStore(path, read_only=True).quarantined() if entry.id == third.id]
    file = place / "episode" / "numbers" / "0.0"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    put_back(path, "all")
    assert "numbers/0.0 is damaged" in capsys.readouterr().out
    with TrajectoryStore(path) as store:
        assert store.ids() == [FIRST.id, SECOND.id]
        assert_same_episode(store.read(SECOND.id), SECOND)
        assert [entry.id for entry in store.quarantined()] == [third.id]
        with pytest.raises(StoreError, match=rf"no episode 'nobody'.*holds {third.id}"):
            store.restore(["nobody"])


def test_what_was_committed_again_is_not_replaced_by_what_comes_back(path):
    put_aside(path / "episodes" / FIRST.id, "by mistake", path / "quarantine")
    with TrajectoryStore(path) as store:
        store.commit(FIRST)
        restored = store.restore()
        assert restored.ids == ()
        assert [entry.reason for entry in restored.refused] == ["the store has an episode with this id"]
        assert store.ids() == [FIRST.id, SECOND.id]
