"""robomimic's files as data of an environment; every number says where it belongs."""

import json

import h5py
import numpy as np
import pytest
from gymnasium import spaces

from policies.gym.observation_spaces import Layout
from policies.gym.preparation import read_dataset
from trajectories.flat.errors import DatasetError

SPACE = spaces.Dict(
    {
        "object": spaces.Box(-np.inf, np.inf, (2,), np.float32),
        "eef": spaces.Box(-np.inf, np.inf, (1,), np.float32),
        "front_image": spaces.Box(0, 255, (2, 2, 3), np.uint8),
    }
)
LAYOUT = Layout.of(SPACE, "test")
NUMBERS = Layout(LAYOUT.numbers, ())
STEPS = 4


def rows(first, steps, width):
    return 100.0 * first + np.arange(steps)[:, None] + 0.1 * np.arange(width)


def write(path, dones, rewards, after=True, without=()):
    """One demonstration an entry of `dones`; observation t of demo d begins with 100 d + t."""
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps({"env_name": "Lift", "type": 1, "env_kwargs": {}})
        for number, (done, reward) in enumerate(zip(dones, rewards, strict=True)):
            group = data.create_group(f"demo_{number}")
            group.attrs["num_samples"] = STEPS
            seen = {"object": rows(number, STEPS + 1, 2), "eef": rows(number, STEPS + 1, 1) + 1000}
            images = np.broadcast_to(np.arange(STEPS + 1, dtype=np.uint8)[:, None, None, None], (STEPS + 1, 2, 2, 3))
            for key, column in (seen | {"front_image": images + 10 * number}).items():
                group[f"obs/{key}"] = column[:-1]
                if after:
                    group[f"next_obs/{key}"] = column[1:]
            columns = {"actions": rows(number, STEPS, 1) / 1000, "rewards": reward, "dones": done}
            for key, column in columns.items():
                if key not in without:
                    group[key] = np.asarray(column)
    return path


def test_an_episode_ends_where_it_is_done_and_a_reward_there_terminates_it(tmp_path):
    dones = [[0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
    rewards = [[0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
    data = read_dataset(write(tmp_path / "d.hdf5", dones, rewards), LAYOUT)
    assert [(len(e), e.terminated) for e in data.episodes] == [(3, True), (4, False), (4, False)]
    assert (data.sizes, data.dropped, data.stand_ins, data.cameras) == ((3, 1), 0, 0, {"front_image": (2, 2)})
    for number, episode in enumerate(data.episodes):
        t = np.arange(len(episode) + 1)
        expected = np.stack([1000 + 100 * number + t, 100 * number + t, 100 * number + t + 0.1], 1)  # eef, object
        np.testing.assert_allclose(episode.observations, expected, rtol=1e-6)
        np.testing.assert_array_equal(episode.images["front_image"][:, 0, 0, 0], t + 10 * number)
        np.testing.assert_allclose(episode.actions[:, 0], (100 * number + t[:-1]) / 1000, rtol=1e-6)


def test_without_next_obs_a_cut_loses_its_last_step_and_a_termination_its_last_observation(tmp_path):
    dones, rewards = [[0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 1]], [[0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 1]]
    data = read_dataset(write(tmp_path / "d.hdf5", dones, rewards, after=False), NUMBERS)
    assert [(len(e), e.terminated) for e in data.episodes] == [(3, True), (3, False), (4, True)]
    assert (data.dropped, data.stand_ins) == (1, 1)
    np.testing.assert_allclose(data.episodes[0].observations[-1, 0], 1003)  # the row after its end is there
    np.testing.assert_allclose(data.episodes[1].observations[-1, 0], 1103)
    np.testing.assert_allclose(data.episodes[2].observations[-2:, 0], [1203, 1203])


def test_what_the_environment_observes_and_the_file_lacks_is_named(tmp_path):
    path = write(tmp_path / "d.hdf5", [[0, 0, 0, 1]], [[0, 0, 0, 1]])
    other = Layout.of(spaces.Dict({"cube": spaces.Box(-1, 1, (1,))}), "test")
    with pytest.raises(DatasetError, match=r"demo_0 lacks the observation 'cube'; it has eef, front_image, object\."):
        read_dataset(path, other)
    bare = write(tmp_path / "bare.hdf5", [[0, 0, 0, 1]], [[0, 0, 0, 1]], without=("rewards",))
    with pytest.raises(DatasetError, match=r"demo_0 has no rewards.*dataset_states_to_obs\.py"):
        read_dataset(bare, NUMBERS)
