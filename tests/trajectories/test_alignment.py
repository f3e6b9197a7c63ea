"""Episodes of one robot as another would have recorded them, by hand."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.trajectory_samples import sample_episode

from trajectories.alignment import AlignedStore, Alignment, Missing, aligned, missing_of, require_ids_of_their_own
from trajectories.errors import ConfigError, SpecMismatchError
from trajectories.frames import fit_frames
from trajectories.store import TrajectoryStore
from trajectories.types import RobotSpec

TARGET = RobotSpec(cameras={"front": (2, 2), "wrist": (2, 2)}, proprio=("a", "b", "c"))
OTHER = replace(TARGET, cameras={"front": (4, 8), "extra": (2, 2)}, proprio=("c", "x", "a"), joints=("one",))


def episode(number=0):
    """Columns of the proprioception are 0, 1, 2 modulo 3; every image is its row number."""
    return sample_episode(number, 3, OTHER)


def test_entries_are_found_by_name_and_the_rest_is_nan():
    way = Alignment.of(OTHER, TARGET, {}, "it")
    assert way.missing == Missing(("b",), ("wrist",))
    recorded = episode()
    seen = way.apply(recorded)
    assert np.array_equal(seen.proprio[:, 0], recorded.proprio[:, 2])
    assert np.array_equal(seen.proprio[:, 2], recorded.proprio[:, 0])
    assert np.isnan(seen.proprio[:, 1]).all()
    assert seen.proprio.dtype == np.float32
    assert list(seen.images) == ["front"]
    assert seen.images["front"].shape == (4, 2, 2, 3)
    for name in ("executed", "rewards", "terminated", "truncated", "source"):
        assert getattr(seen, name) is getattr(recorded, name)


def test_a_role_may_be_given_or_taken_away():
    renamed = Alignment.of(OTHER, TARGET, {"front": None, "wrist": "extra"}, "it")
    assert renamed.missing.cameras == ("front",)
    recorded = episode()
    assert np.array_equal(renamed.apply(recorded).images["wrist"], recorded.images["extra"])
    with pytest.raises(ConfigError, match="name nowhere"):
        Alignment.of(OTHER, TARGET, {"front": "nowhere"}, "it")
    with pytest.raises(ConfigError, match="name top"):
        Alignment.of(OTHER, TARGET, {"top": "front"}, "it")


@pytest.mark.parametrize(
    ("changed", "advice"),
    [
        ({"control_hz": 10.0}, "10 control steps .* the target 5.*regrasp import"),
        ({"action_scale": (1.0,) * 7}, "units"),
    ],
)
def test_other_actions_are_refused_with_what_to_do(changed, advice):
    with pytest.raises(SpecMismatchError, match=advice):
        Alignment.of(replace(OTHER, **changed), TARGET, {}, "the store")


def test_a_store_of_the_same_robot_stays_what_it_is(tmp_path):
    with TrajectoryStore(tmp_path / "own", TARGET) as own, TrajectoryStore(tmp_path / "other", OTHER) as other:
        other.commit(episode())
        assert aligned(own, TARGET, {"front": "front"}) is own
        assert missing_of(own) == Missing()
        behind = aligned(other, TARGET, {})
        assert isinstance(behind, AlignedStore)
        assert (behind.spec, behind.path, len(behind)) == (TARGET, other.path, 1)
        assert str(missing_of(behind)) == "b, camera wrist"
        assert np.isnan(behind.read(behind.ids()[0]).proprio[:, 1]).all()
        swapped = aligned(own, TARGET, {"front": "wrist"})
        assert missing_of(swapped) == Missing()
        assert swapped is not own


def test_an_episode_in_two_stores_is_refused(tmp_path):
    with TrajectoryStore(tmp_path / "one", OTHER) as one, TrajectoryStore(tmp_path / "two", OTHER) as two:
        one.commit(episode())
        two.commit(episode(1))
        require_ids_of_their_own([one, two])
        two.commit(episode())
        with pytest.raises(ConfigError, match=f"{episode().id} is in .*one and in .*two"):
            require_ids_of_their_own([one, two])


def test_frames_are_cut_to_the_shape_and_averaged():
    """A 2 x 6 image for 1 x 1: the middle 2 x 2 remain, and their mean."""
    frame = np.zeros((1, 2, 6, 3), np.uint8)
    frame[0, :, :2] = frame[0, :, 4:] = 255
    frame[0, 0, 2:4] = 40
    frame[0, 1, 2:4] = 80
    assert fit_frames(frame, (1, 1)).tolist() == [[[[60, 60, 60]]]]
    assert fit_frames(frame, (2, 6)) is frame
    larger = fit_frames(np.full((2, 2, 2, 3), 7, np.uint8), (4, 4))
    assert larger.shape == (2, 4, 4, 3)
    assert (larger == 7).all()
