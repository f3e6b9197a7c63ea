"""Small files in tests/data that other projects' own code recorded (`benchmarks/doors/other_oracles.py --fixtures`)."""

from itertools import chain
from pathlib import Path

import h5py
import numpy as np

from trajectories.formats.registry import open_source

DATA = Path(__file__).resolve().parents[2] / "data"


def test_robosuites_lift_as_robomimics_scripts_record_it():
    source = open_source(DATA / "robomimic_lift.hdf5")
    assert source.names() == ["demo_0", "demo_1"]
    told = source.describe()
    assert (told.format, told.robot_type, told.fps) == ("robomimic", "Panda", 20.0)
    assert (told.attributes["env_args"]["env_name"], told.attributes["env_args"]["type"]) == ("Lift", 1)
    assert sorted(chain(*told.attributes["masks"].values())) == ["demo_0", "demo_1"]
    assert told.keys["obs/agentview_image"].shape == (24, 24, 3)
    for name, steps in (("demo_0", 5), ("demo_1", 4)):
        episode = source.read(name)
        assert episode.attributes["model_file"].startswith("<mujoco")
        assert episode.columns["actions"].shape == (steps, 7)
        assert episode.columns["states"].shape == (steps, 32)
        assert episode.columns["dones"].tolist() == [0] * (steps - 1) + [1]
        assert episode.columns["obs/robot0_eef_pos"].shape == (steps + 1, 3)
        pixels = episode.images["obs/agentview_image"].read()
        with h5py.File(DATA / "robomimic_lift.hdf5") as file:
            np.testing.assert_array_equal(pixels[:-1], file[f"data/{name}/obs/agentview_image"][()])
            np.testing.assert_array_equal(pixels[1:], file[f"data/{name}/next_obs/agentview_image"][()])
            np.testing.assert_array_equal(
                episode.columns["obs/robot0_eef_pos"][-1], file[f"data/{name}/next_obs/robot0_eef_pos"][-1]
            )


def test_a_buffer_of_zarr_2():
    source, expected = open_source(DATA / "zarr2_buffer.zarr.zip"), np.load(DATA / "zarr2_buffer.npz")
    assert source.names() == ["episode_0", "episode_1"]
    for name, rows in (("episode_0", slice(0, 3)), ("episode_1", slice(3, 5))):
        episode = source.read(name)
        for key in ("action", "state"):
            np.testing.assert_array_equal(episode.columns[key], expected[key][rows])
        np.testing.assert_array_equal(episode.images["img"].read(), expected["img"][rows])


def test_a_data_set_of_minari():
    source = open_source(DATA / "minari/theirs-v0")
    assert source.describe().attributes["dataset_id"] == "theirs-v0"
    shades, columns = np.mgrid[0:32, 0:40]
    for number, steps in enumerate((2, 3, 1)):
        episode = source.read(f"episode_{number}")
        np.testing.assert_array_equal(episode.columns["observations/pose"], [[number, t] for t in range(steps + 1)])
        assert episode.columns["infos/success"].tolist() == [False] * steps + [True]
        assert episode.columns["terminations"].tolist() == [False] * (steps - 1) + [True]
        pixels = episode.images["observations/image"].read()
        for t, picture in enumerate(pixels):
            painted = np.stack([shades * 3, columns * 3, 40 * number + 9 * t + shades], -1)
            assert np.abs(picture - painted).mean() < 4
