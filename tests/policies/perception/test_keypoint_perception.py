"""State vectors: what they hold, and that a saved extractor is the same one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.blob_world import SPEC, BlobWorld, demos, fake_text

from policies.perception.common import FILE
from policies.perception.keypoint_perception import KeypointPerception
from policies.perception.keypoints import KeypointNet, KeypointNetConfig
from policies.perception.scaling import ProprioScaling
from policies.perception.text_table import TextTable
from trajectories.errors import CheckpointError, ConfigError, SpecMismatchError
from trajectories.types import Observation, RobotSpec


class Known(KeypointNet):
    """Sees the keypoints that it is told."""

    def forward(self, images, proprio, text):
        return torch.tensor([[0.25, 0.05, 0.03, 1.0, 0.0, 0.30, -0.10, 0.04]]).expand(len(images), -1)


def extractor(net_class=KeypointNet):
    episodes = demos(4, seed=0)
    text = TextTable.build({e.instruction for e in episodes}, fake_text, "fake")
    torch.manual_seed(0)
    net = net_class(KeypointNetConfig(64, len(SPEC.proprio), text.rows.shape[1]))
    return KeypointPerception(
        net, ProprioScaling.fit(np.concatenate([e.proprio for e in episodes])), text, SPEC, "front"
    ), episodes


def observe(**values):
    observation = BlobWorld(np.random.default_rng(0)).reset()
    proprio = observation.proprio.copy()
    for name, value in values.items():
        proprio[SPEC.proprio.index(name)] = value
    return Observation(observation.images, proprio, observation.instruction, observation.t_ns)


def test_differences_are_from_the_target_in_units_of_ten_centimetres():
    perception, _ = extractor(Known)
    state = perception.state(
        observe(tip_x=0.2, tip_y=0.0, tip_z=0.1, target_x=0.22, target_y=0.0, target_z=0.1, tip_yaw=0.0)
    )
    assert state.shape == (perception.size,)
    assert np.allclose(state[9:12], [-1.0, 0.0, 0.0], atol=1e-5)  # tip - target, in 2 cm
    assert np.allclose(state[12:15], [0.3, 0.5, -0.7], atol=1e-5)  # pick - target
    assert np.allclose(state[15:18], np.tanh([1.5, 2.5, -3.5]), atol=1e-5)
    assert np.allclose(state[18:21], [0.8, -1.0, -0.6], atol=1e-5)  # place - target
    assert np.allclose(state[24:27], [0.5, -1.5, 0.1], atol=1e-5)  # place - pick
    assert np.allclose(state[-2:], [1.0, 0.0], atol=1e-5)  # twice the yaw is 90 degrees


def test_what_happens_elsewhere_on_the_table_looks_the_same():
    """Moving gripper and keypoints together along the table changes nothing."""
    perception, _ = extractor()
    points = np.array([[0.25, 0.05, 0.03, 1.0, 0.0, 0.30, -0.10, 0.04]], np.float32)
    here = observe().proprio[None].copy()
    there, shift = here.copy(), np.array([0.03, -0.06], np.float32)
    for name, change in zip(("x", "y"), shift, strict=True):
        for frame in ("tip", "target"):
            there[0, SPEC.proprio.index(f"{frame}_{name}")] += change
    moved = points.copy()
    moved[0, [0, 1]] += shift
    moved[0, [5, 6]] += shift
    assert np.allclose(perception._assemble(here, points), perception._assemble(there, moved), atol=1e-5)


def test_yaw_difference_follows_the_gripper():
    perception, _ = extractor(Known)
    state = perception.state(observe(tip_yaw=np.pi / 4))
    assert np.allclose(state[-2:], [0.0, 1.0], atol=1e-5)


def test_an_episode_is_its_observations():
    perception, episodes = extractor()
    episode = episodes[0]
    states = perception.episode(episode)
    assert states.shape == (len(episode) + 1, perception.size)
    assert states.dtype == np.float32
    one = Observation({"front": episode.images["front"][3]}, episode.proprio[3], episode.instruction, {})
    assert np.allclose(states[3], perception.state(one), atol=1e-5)


def test_saved_and_loaded_it_is_the_same(tmp_path):
    perception, episodes = extractor()
    perception.save(tmp_path)
    again = KeypointPerception.load(tmp_path, SPEC)
    assert again.digest == perception.digest
    assert np.array_equal(again.episode(episodes[1]), perception.episode(episodes[1]))


def test_a_flipped_bit_is_found(tmp_path):
    perception, _ = extractor()
    perception.save(tmp_path)
    path = tmp_path / FILE
    raw = bytearray(path.read_bytes())
    raw[-100] ^= 1
    path.write_bytes(bytes(raw))
    with pytest.raises(CheckpointError, match="damaged"):
        KeypointPerception.load(tmp_path)


def test_another_robot_and_another_camera_are_refused(tmp_path):
    perception, _ = extractor()
    perception.save(tmp_path)
    with pytest.raises(SpecMismatchError, match="control_hz"):
        KeypointPerception.load(tmp_path, replace(SPEC, control_hz=10.0))
    with pytest.raises(ConfigError, match="no camera 'wrist'"):
        KeypointPerception(perception.net, perception.scaling, perception.text, SPEC, "wrist")
    large = RobotSpec(cameras={"front": (96, 96)})
    with pytest.raises(ConfigError, match="96"):
        KeypointPerception(perception.net, perception.scaling, perception.text, large, "front")


def test_scaling_gives_zero_mean_and_unit_deviation_and_tames_constants():
    episodes = demos(4, seed=0)
    values = np.concatenate([episode.proprio for episode in episodes])
    scaling = ProprioScaling.fit(values)
    scaled = scaling.apply(values)
    moving = values.std(axis=0) > 0.01
    assert np.allclose(scaled.mean(axis=0), 0.0, atol=0.05)
    assert np.allclose(scaled[:, moving].std(axis=0), 1.0, atol=0.05)
    assert np.abs(scaling.apply(values + 100.0)).max() == 5.0


def test_a_text_table_is_standardised_and_names_what_it_knows():
    table = TextTable.build(["put the pot down", "lift the pot"], fake_text, "tower")
    assert table.instructions == ("lift the pot", "put the pot down")
    assert np.allclose(table.rows.mean(axis=0), 0.0, atol=1e-5)
    assert np.isclose(table.rows.std(), 1.0, atol=0.01)
    with pytest.raises(ConfigError, match="lift the pot"):
        table.row("wipe the table")
