"""Where demonstrations picked the object up, as a file that goes to the robot."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.blob_world import SPEC, demos

from robot.rollout.places import FILE, Places
from trajectories.errors import CheckpointError
from trajectories.types import DIRECTIONS


def test_places_are_by_direction_and_come_back_from_the_file(tmp_path):
    episodes = demos(8, seed=2, noise=0.02)
    places = Places.in_episodes(episodes, "blobs", SPEC)
    for way in DIRECTIONS:
        starts = [episode.metadata["start"] for episode in episodes if episode.direction == way and len(episode) > 4]
        np.testing.assert_allclose(places.of[way][:, :2], starts, atol=0.012)
    places.save(tmp_path)
    again = Places.load(tmp_path, "blobs", SPEC)
    for way in DIRECTIONS:
        np.testing.assert_allclose(again.of[way], places.of[way], atol=1e-5)


def test_without_a_grasp_a_direction_is_empty(tmp_path):
    Places.in_episodes([], "blobs", SPEC).save(tmp_path)
    assert {way: rows.shape for way, rows in Places.load(tmp_path, "blobs", SPEC).of.items()} == dict.fromkeys(
        DIRECTIONS, (0, 4)
    )


def test_a_missing_file_says_how_to_get_one(tmp_path):
    with pytest.raises(CheckpointError, match=r"has no places.json.*`regrasp pretrain`.*adds it"):
        Places.load(tmp_path, "blobs", SPEC)


@pytest.mark.parametrize("damage", ["cut", "flipped", "other", "of three numbers"])
def test_a_damaged_file_is_refused(damage, tmp_path):
    Places.in_episodes(demos(4, seed=1), "blobs", SPEC).save(tmp_path)
    path = tmp_path / FILE
    raw = path.read_bytes()
    if damage == "of three numbers":
        from trajectories.checksummed_json import dump_checksummed

        path.write_bytes(
            dump_checksummed(
                {"task": "blobs", "robot": SPEC.digest, "places": {"forward": [[1, 2, 3]], "backward": []}}
            )
        )
    else:
        path.write_bytes({"cut": raw[:-9], "flipped": raw.replace(b"0.", b"1.", 1), "other": b"{}"}[damage])
    with pytest.raises(CheckpointError, match="damaged"):
        Places.load(tmp_path, "blobs", SPEC)


def test_a_file_of_another_task_or_robot_is_refused(tmp_path):
    Places.in_episodes([], "blobs", SPEC).save(tmp_path)
    with pytest.raises(CheckpointError, match="of the task blobs, and this is cups: copy whole policy folders"):
        Places.load(tmp_path, "cups", SPEC)
    with pytest.raises(CheckpointError, match="of the robot "):
        Places.load(tmp_path, "blobs", replace(SPEC, control_hz=10.0))
