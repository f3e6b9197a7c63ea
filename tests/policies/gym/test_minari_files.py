"""Minari data sets, written by minari itself; every number says where it belongs."""

import json
import os
from dataclasses import replace

import h5py
import minari
import numpy as np
import pytest
from gymnasium import spaces
from minari.data_collector.episode_buffer import EpisodeBuffer
from minari.serialization import serialize_space

from policies.gym.minari_files import flatten_all, is_minari, read_minari
from trajectories.errors import ConfigError
from trajectories.flat.errors import DatasetError

LENGTHS = (3, 2, 4)
ENDS = ((True, False), (False, True), (True, True))  # terminated, truncated at each last step
GOALS = spaces.Dict(
    {
        "observation": spaces.Box(-1e4, 1e4, (2,), np.float64),
        "desired_goal": spaces.Box(-1e4, 1e4, (1,), np.float64),
        "achieved_goal": spaces.Box(-1e4, 1e4, (1,), np.float64),
    }
)
ACTIONS = spaces.Box(-2, 2, (1,), np.float32)


def buffer(episode, space):
    steps = LENGTHS[episode]
    state = [np.array([100 * episode + t, t], float) for t in range(steps + 1)]
    observations = {
        "observation": state,
        "achieved_goal": [np.array([1000.0 * episode + t]) for t in range(steps + 1)],
        "desired_goal": [np.array([-float(episode)]) for _ in range(steps + 1)],
    }
    terminated, truncated = ENDS[episode]
    return EpisodeBuffer(
        observations=observations if isinstance(space, spaces.Dict) else state,
        actions=[np.array([0.1 * episode + 0.01 * t], np.float32) for t in range(steps)],
        rewards=[10.0 * episode + t for t in range(steps)],
        terminations=[terminated and t == steps - 1 for t in range(steps)],
        truncations=[truncated and t == steps - 1 for t in range(steps)],
    )


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))

    def create(name="regrasp/test-v0", space=GOALS, actions=ACTIONS, buffers=None):
        minari.create_dataset_from_buffers(
            name,
            buffer=[buffer(e, space) for e in range(len(LENGTHS))] if buffers is None else buffers,
            observation_space=space,
            action_space=actions,
            algorithm_name="test",
            author="test",
            author_email="test@example.org",
            code_permalink="https://example.org",
        )
        return tmp_path / name

    return create


def test_dictionaries_become_vectors_in_gymnasiums_order_and_ends_stay_what_they_were(write):
    path = write()
    assert (path / "data" / "main_data.hdf5").is_file()
    data = read_minari(path)
    assert data.sizes == (4, 1)
    assert [episode.terminated for episode in data.episodes] == [True, False, True]
    for number, episode in enumerate(data.episodes):
        steps = LENGTHS[number]
        # achieved_goal, desired_goal, observation
        expected = [[1000 * number + t, -number, 100 * number + t, t] for t in range(steps + 1)]
        np.testing.assert_array_equal(episode.observations, np.array(expected, np.float32))
        np.testing.assert_array_equal(episode.rewards, [10 * number + t for t in range(steps)])
        np.testing.assert_allclose(episode.actions[:, 0], [0.1 * number + 0.01 * t for t in range(steps)], rtol=1e-6)
        first = {key: np.array(value[0]) for key, value in buffer(number, GOALS).observations.items()}
        np.testing.assert_array_equal(episode.observations[0], spaces.flatten(GOALS, first).astype(np.float32))


def test_flat_observations_and_the_data_folder_itself_work_too(write):
    path = write("flat-v3", GOALS["observation"])
    data = read_minari(path / "data")
    assert data.sizes == (2, 1)
    np.testing.assert_array_equal(data.episodes[2].observations[:, 0], [200, 201, 202, 203, 204])
    assert is_minari(path)
    assert is_minari(path / "data")
    assert not is_minari(path.parent)


def test_every_kind_of_number_is_flattened_as_gymnasium_does():
    space = spaces.Dict(
        {
            "z": spaces.Box(-1, 1, (2, 2)),
            "tuple": spaces.Tuple((spaces.MultiBinary(3), spaces.MultiDiscrete([2, 3]))),
            "number": spaces.Discrete(4, start=1),
        }
    )
    space.seed(0)
    samples = [space.sample() for _ in range(5)]
    stacked = {
        "z": np.stack([s["z"] for s in samples]),
        "tuple": tuple(np.stack([s["tuple"][i] for s in samples]) for i in range(2)),
        "number": np.array([s["number"] for s in samples]),
    }
    expected = np.stack([spaces.flatten(space, s) for s in samples]).astype(np.float32)
    np.testing.assert_array_equal(flatten_all(space, stacked, 5, "here"), expected)
    with pytest.raises(DatasetError, match=r"has 5 observations of .*; expected 6"):
        flatten_all(space, stacked, 6, "here")


def test_what_cannot_be_learned_from_is_refused(write, tmp_path):
    with pytest.raises(DatasetError, match="can't be read as a Minari data set"):
        read_minari(tmp_path / "nothing")
    with pytest.raises(DatasetError, match=r"expected a vector of continuous ones"):
        read_minari(write("discrete-v0", actions=spaces.Discrete(3), buffers=[discrete()]))
    bad = buffer(1, GOALS)
    bad.rewards[1] = np.nan
    with pytest.raises(DatasetError, match="episode 0: rewards hold NaN or infinity in 1 of 2 rows, first in row 1"):
        read_minari(write("nan-v0", buffers=[bad]))
    early = buffer(0, GOALS)
    early.terminations[0] = True
    with pytest.raises(DatasetError, match="goes on after its end"):
        read_minari(write("early-v0", buffers=[early]))


def test_keys_come_in_alphabetical_order_however_the_space_was_written(write):
    space = spaces.Dict(velocity=spaces.Box(0, 100, (1,), np.float64), angle=spaces.Box(0, 1, (1,), np.float64))
    assert list(space.spaces) == ["velocity", "angle"]
    seen = {"velocity": [np.array([50.0])] * 4, "angle": [np.array([0.5])] * 4}
    made = replace(buffer(0, GOALS), observations=seen)
    np.testing.assert_array_equal(
        read_minari(write("keywords-v0", space, buffers=[made])).episodes[0].observations[0], [0.5, 50]
    )
    values = {name: np.stack(column) for name, column in seen.items()}
    np.testing.assert_array_equal(flatten_all(space, values, 4, "here")[0], [0.5, 50])


def test_damaged_files_say_where_and_what_to_do(write):
    def damaged(change, name):
        path = write(name)
        with h5py.File(path / "data" / "main_data.hdf5", "r+") as file:
            change(file)
        return path

    def without(name):
        def change(file):
            del file[name]

        return change

    def emptied(file):
        for name in ("actions", "rewards", "terminations", "truncations"):
            del file[f"episode_2/{name}"]
            file[f"episode_2/{name}"] = np.zeros((0, 1) if name == "actions" else 0, np.float32)

    def uncertain(file):
        del file["episode_1/terminations"]
        file["episode_1/terminations"] = np.array([0, np.nan])

    for change, name, message in (
        (without("episode_1"), "gone-v0", r"gone-v0, episode 1 can't be read as a Minari data set.*download"),
        (without("episode_2/rewards"), "column-v0", r"column-v0, episode 2 can't be read"),
        (emptied, "empty-v0", r"empty-v0, episode 2 has 0 actions and 0 rewards; expected .* at least one"),
        (uncertain, "nan-flag-v0", r"nan-flag-v0, episode 1: terminations hold nan in row 1"),
    ):
        with pytest.raises(DatasetError, match=message):
            read_minari(damaged(change, name))


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_file_cut_short_is_refused(write, share):
    path = write("cut-v0")
    file = path / "data" / "main_data.hdf5"
    os.truncate(file, int(share * file.stat().st_size))
    with pytest.raises(DatasetError, match=r"cut-v0.* can't be read as a Minari data set .*copy, download or record"):
        read_minari(path)


def test_images_come_beside_the_numbers(write):
    space = spaces.Dict({"view": spaces.Box(0, 255, (2, 2, 3), np.uint8), "at": spaces.Box(-9, 9, (1,), np.float32)})

    def made(number):
        rows = range(LENGTHS[number] + 1)
        seen = {
            "view": [np.full((2, 2, 3), 10 * number + t, np.uint8) for t in rows],
            "at": [np.array([number + t / 10], np.float32) for t in rows],
        }
        return replace(buffer(number, ACTIONS), observations=seen)

    data = read_minari(write("views-v0", space, buffers=[made(number) for number in range(len(LENGTHS))]))
    assert (data.sizes, data.cameras) == ((1, 1), {"view": (2, 2)})
    for number, episode in enumerate(data.episodes):
        t = np.arange(LENGTHS[number] + 1)
        np.testing.assert_array_equal(episode.images["view"][:, 1, 1, 2], 10 * number + t)
        np.testing.assert_allclose(episode.observations[:, 0], number + t / 10, rtol=1e-6)


def test_images_that_are_neither_grey_nor_rgb_are_refused(write):
    path = write("flat-v0", GOALS["observation"])
    about = json.loads((path / "data" / "metadata.json").read_text())
    about["observation_space"] = serialize_space(spaces.Box(0, 255, (8, 8, 4), np.uint8))
    (path / "data" / "metadata.json").write_text(json.dumps(about))
    with pytest.raises(ConfigError, match="neither grey nor RGB"):
        read_minari(path)


def discrete():
    made = buffer(0, GOALS)
    return EpisodeBuffer(
        observations=made.observations,
        actions=[1, 2, 0],
        rewards=made.rewards,
        terminations=made.terminations,
        truncations=made.truncations,
    )
