"""What data becomes on its way to the replay, by hand."""

import numpy as np
import pytest
import torch
from helpers.line_world import line_data

from policies.gym.environment import Interface
from policies.gym.preparation import Preparation, fitted, read_dataset
from policies.gym.settings import DataSettings
from trajectories.errors import ConfigError
from trajectories.flat.d4rl_writer import write_d4rl
from trajectories.flat.episode import FlatDataset, FlatEpisode
from trajectories.flat.errors import DatasetError
from trajectories.types import Source

LINE = Interface(1, np.array([0.0], np.float32), np.array([4.0], np.float32))


def data(actions=(1.0, 4.0, 2.0)):
    """Two episodes of 2 and 1 steps: the first terminated, the second cut."""
    a = np.array(actions, np.float32)[:, None]
    return FlatDataset(
        (
            FlatEpisode(np.array([[1], [2], [3]], np.float32), a[:2], np.array([0, 1], np.float32), True),
            FlatEpisode(np.array([[10], [20]], np.float32), a[2:], np.array([0.5], np.float32), False),
        ),
        "data",
    )


def all_rows(replay):
    return replay.gather(torch.arange(len(replay)))


def test_transitions_carry_scaled_rewards_bootstraps_and_returns():
    settings = DataSettings(reward_scale=10.0, reward_bias=-5.0)
    preparation = Preparation.fit(settings, 0.5, 1, None)
    batch = all_rows(preparation.offline_replay(fitted(data(), LINE, "test"), 0, "cpu"))
    np.testing.assert_array_equal(batch.state[:, 0], [1, 2, 10])
    np.testing.assert_array_equal(batch.next_state[:, 0], [2, 3, 20])
    np.testing.assert_array_equal(batch.reward, [-5, 5, 0])
    np.testing.assert_array_equal(batch.discount, [0.5, 0, 0.5])  # terminated: 0; cut: bootstraps from 20
    np.testing.assert_array_equal(batch.mc_return, [-5 + 0.5 * 5, 5, 0])
    np.testing.assert_array_equal(batch.imitate, [1, 1, 1])
    # bounds 0 ... 4 become -1 ... 1, and the ends stay where a tanh can reach them
    np.testing.assert_allclose(batch.action[:, 0], [-0.5, 0.99999, 0.0], rtol=0, atol=1e-7)


def test_the_tail_of_a_cut_episode_is_the_settings():
    for tail, expected in (("repeat", 0.5 / (1 - 0.9)), ("zero", 0.5)):
        preparation = Preparation.fit(DataSettings(tail=tail), 0.9, 1, None)
        batch = all_rows(preparation.offline_replay(data((0, 0, 0)), 0, "cpu"))
        np.testing.assert_allclose(batch.mc_return[2], expected, rtol=1e-6)


def test_observations_are_normalised_by_all_of_the_data():
    preparation = Preparation.fit(DataSettings(normalise=True), 0.9, 1, data())
    # of 1, 2, 3, 10, 20: mean 7.2, squared deviations 38.44 + 27.04 + 17.64 + 7.84 + 163.84 = 254.8, / 5 = 50.96
    assert preparation.mean[0] == pytest.approx(7.2)
    assert preparation.spread[0] == pytest.approx(50.96**0.5 + 1e-3)
    batch = all_rows(preparation.offline_replay(data((0, 0, 0)), 0, "cpu"))
    np.testing.assert_allclose(batch.next_state[2], (20 - 7.2) / (50.96**0.5 + 1e-3), rtol=1e-6)
    with pytest.raises(DatasetError, match="without a data set"):
        Preparation.fit(DataSettings(normalise=True), 0.9, 1, None)


def test_normalised_observations_stay_within_ten_deviations():
    """Else a number that is as good as constant in the data makes critics diverge once it changes."""
    preparation = Preparation.fit(DataSettings(normalise=True), 0.9, 1, data())
    far = preparation.mean + preparation.spread * np.array([[-1e4], [-9.5], [9.5], [1e4]], np.float32)
    np.testing.assert_allclose(preparation.observation(far), [[-10.0], [-9.5], [9.5], [10.0]], rtol=1e-5)
    plain = Preparation.fit(DataSettings(), 0.9, 1, data())
    np.testing.assert_array_equal(plain.observation(far), far)


def test_online_steps_are_not_for_cloning():
    preparation = Preparation.fit(DataSettings(), 0.9, 1, None)
    replay = preparation.empty_replay(1, 10, 0, "cpu")
    preparation.add(replay, data((0, 0, 0)).episodes[0], Source.POLICY)
    np.testing.assert_array_equal(all_rows(replay).imitate, [0, 0])


def test_data_of_another_environment_are_refused():
    with pytest.raises(DatasetError, match=r"observations of 1 and actions of 1 numbers; test has 2 and 1"):
        fitted(data(), Interface(2, LINE.low, LINE.high), "test")
    with pytest.raises(
        DatasetError, match=r"episode 0, step 1: entry 0 of the action is 4\.5; test takes 0\.0 to 4\.0"
    ):
        fitted(data((1.0, 4.5, 2.0)), LINE, "test")
    rounding = fitted(data((1.0, 4.00003, 2.0)), LINE, "test")
    assert rounding.episodes[0].actions[1, 0] == pytest.approx(1.0, abs=1e-4)


def test_settings_out_of_range_are_refused():
    for change in ({"reward_scale": 0.0}, {"action_limit": 1.5}, {"tail": "mean"}):
        with pytest.raises(ConfigError, match=next(iter(change))):
            DataSettings(**change)


def test_a_path_tells_its_format(tmp_path):
    made = line_data(3)
    write_d4rl(tmp_path / "line.hdf5", made)
    assert read_dataset(tmp_path / "line.hdf5", LINE.layout).digest == made.digest
    with pytest.raises(DatasetError, match=r"without Minari's metadata\.json"):
        read_dataset(tmp_path, LINE.layout)
