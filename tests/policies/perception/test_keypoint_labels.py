"""Hindsight labels against episodes whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.blob_world import GOAL, SPEC, BlobWorld, demos, expert_action, record

from policies.perception.keypoint_labels import ProprioIndex, label_keypoints
from trajectories.errors import ConfigError
from trajectories.grasps import find_grasps


def test_pick_label_is_the_objects_place_before_the_grasp_the_tip_while_held_and_the_place_after():
    for episode in demos(6, seed=3, noise=0.02):
        assert episode.outcome == "success"
        labels = label_keypoints(episode, SPEC.proprio)
        assert labels.known.all()
        tip = episode.proprio[:, :3]
        (grasp,) = find_grasps(episode.proprio[:, 6], episode.proprio[:, 7])
        assert np.allclose(labels.values[: grasp.closed, :3], tip[grasp.closed])
        assert np.allclose(labels.values[grasp.closed : grasp.end, :3], tip[grasp.closed : grasp.end])
        assert np.allclose(labels.values[grasp.end :, :3], tip[grasp.end - 1])
        assert np.linalg.norm(labels.values[0, :2] - episode.metadata["start"]) < 0.012
        assert np.linalg.norm(labels.values[0, 5:7] - GOAL[episode.direction]) < 0.03


def test_place_is_unknown_in_failures_and_pick_is_kept():
    (episode,) = demos(1, seed=4)
    failed = replace(episode, outcome="failure")
    labels = label_keypoints(failed, SPEC.proprio)
    assert labels.mask[:, :5].all()
    assert not labels.mask[:, 5:].any()


def test_pick_is_unknown_after_the_object_slipped_out():
    held = {find_grasps(e.proprio[:, 6], e.proprio[:, 7])[0]: e for e in demos(8, seed=5)}
    grasp, episode = max(held.items(), key=lambda item: item[0].end - item[0].closed)
    proprio = episode.proprio.copy()
    proprio[grasp.end - 2 : grasp.end, 6] = 0.0
    labels = label_keypoints(replace(episode, proprio=proprio, outcome="failure"), SPEC.proprio)
    assert labels.mask[: grasp.end - 2, :5].all()
    assert not labels.mask[grasp.end - 2 :].any()


def test_the_next_grasp_counts_more_than_the_last_release():
    world = BlobWorld(np.random.default_rng(1))
    world.reset()
    first = record(world, lambda _: expert_action(world, 0.0))
    second = record(world, lambda _: expert_action(world, 0.0))  # stays at its goal: nothing is grasped
    proprio = np.concatenate([first.proprio, first.proprio])
    proprio[len(first.proprio) :, 0] += 0.03
    joined = replace(first, proprio=proprio)
    labels = label_keypoints(joined, SPEC.proprio)
    grasps = find_grasps(proprio[:, 6], proprio[:, 7])
    assert len(grasps) == 2
    assert np.allclose(labels.values[grasps[0].end, :3], proprio[grasps[1].closed, :3])
    assert not label_keypoints(second, SPEC.proprio).known.any()


def test_yaw_is_the_same_after_half_a_turn():
    (episode,) = demos(1, seed=6)
    yaw = SPEC.proprio.index("tip_yaw")
    turned = episode.proprio.copy()
    turned[:, yaw] += np.float32(np.pi)
    same = label_keypoints(replace(episode, proprio=turned), SPEC.proprio).values[:, 3:5]
    assert np.allclose(label_keypoints(episode, SPEC.proprio).values[:, 3:5], same, atol=1e-5)


def test_missing_proprioception_is_named():
    with pytest.raises(ConfigError, match="gripper_width"):
        ProprioIndex.of(tuple(name for name in SPEC.proprio if name != "gripper_width"))
