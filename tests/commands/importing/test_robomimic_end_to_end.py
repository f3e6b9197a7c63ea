"""robosuite's Lift in robomimic's HDF5 goes into a store: frames, poses, actions, outcomes."""

import json

import h5py
import numpy as np
import pytest
from helpers.doors import do_import, episodes_of
from scipy.spatial.transform import Rotation

from sim.robosuite.gym_env import RobosuiteEnv
from trajectories.inspect import inspect_store

BASE = np.array([-0.56, 0.0, 0.912])
"""Of the Panda at the table of Lift, m, in robosuite's world."""
OPEN, CLOSED, STEP, TURN = -1.0, 1.0, 0.05, 0.5
"""robosuite's gripper commands; m and rad of an OSC_POSE action of 1."""
SIDE = 24


def lift(env: RobosuiteEnv, seed: int, lifts: bool) -> dict[str, np.ndarray]:
    """One episode in robomimic's columns, observations with one row more than actions; the hand turns on its way."""
    seen, _ = env.reset(seed=seed)
    columns: dict[str, list] = {name: [] for name in ("actions", "rewards", "dones", "states")}
    frames, closed, over = [seen], 0, False
    while not over:
        to_cube = seen["object"][:3] - seen["robot0_eef_pos"]
        aside = np.linalg.norm(to_cube[:2]) > 0.01
        goal = to_cube + np.array([0, 0, 0.08 if aside else 0.0])
        closed += int(np.linalg.norm(to_cube) < 0.02 or closed > 0)
        if closed > 6:
            goal = np.array([0, 0, 0.04 if lifts else 0.0])
        turn = 0.1 if len(columns["actions"]) < 5 else 0.0
        action = np.array([*np.clip(goal / STEP, -1, 1), 0, 0, turn, CLOSED if closed else OPEN])
        columns["states"].append(env.state())
        seen, reward, terminated, truncated, _ = env.step(action)
        over = terminated or truncated
        for name, value in (("actions", action), ("rewards", reward), ("dones", over)):
            columns[name].append(value)
        frames.append(seen)
    return {k: np.array(v) for k, v in columns.items()} | {k: np.stack([f[k] for f in frames]) for k in seen}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A file as robomimic's scripts write it, made by h5py alone, and its episodes: a lift, and one that lets go."""
    env = RobosuiteEnv("Lift", cameras=("agentview",), image_size=SIDE, max_steps=35)
    episodes = [lift(env, 1, lifts=True), lift(env, 2, lifts=False)]
    path = tmp_path_factory.mktemp("robomimic") / "lift.hdf5"
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps(env.environment())
        data.attrs["total"] = sum(len(one["actions"]) for one in episodes)
        for number, one in enumerate(episodes):
            demo = data.create_group(f"demo_{number}")
            demo.attrs["num_samples"] = len(one["actions"])
            demo.attrs["model_file"] = env.model_xml()
            for key, values in one.items():
                if len(values) == len(one["actions"]):
                    demo[key] = values
                else:
                    demo[f"obs/{key}"], demo[f"next_obs/{key}"] = values[:-1], values[1:]
    env.close()
    return path, episodes


def test_lift_goes_into_a_store(recorded, tmp_path):
    path, originals = recorded
    given = ("control_hz=20", f"image_size={SIDE}", "doors.instruction=lift the cube", "doors.task=lift")
    do_import(path, tmp_path / "store", *given, doors="robomimic")
    found = episodes_of(tmp_path / "store")
    assert [episode.outcome for episode in found] == ["success", "failure"]
    for episode, original in zip(found, originals, strict=True):
        assert (episode.instruction, episode.task) == ("lift the cube", "lift")
        assert episode.terminated.any() == (episode.outcome == "success")
        np.testing.assert_array_equal(episode.images["front"], original["agentview_image"])
        np.testing.assert_allclose(episode.proprio[:, :3], original["robot0_eef_pos"] - BASE, atol=1e-6)
        actions = original["actions"]
        np.testing.assert_allclose(episode.executed[:, :3], actions[:, :3], atol=1e-6)
        turned = Rotation.from_euler("xyz", 0.25 * episode.executed[:, 3:6]).as_rotvec()
        np.testing.assert_allclose(turned, TURN * actions[:, 3:6], atol=1e-6)
        np.testing.assert_array_equal(episode.executed[:, 6], np.where(actions[:, 6] == OPEN, 1, -1))
        moved = np.diff(episode.proprio[:, :3], axis=0)
        far = np.linalg.norm(actions[:, :3], axis=1) > 0.9
        assert (np.sum(moved * actions[:, :3], axis=1)[far][1:] > 0).all()
        yaw = np.unwrap(episode.proprio[:, 5].astype(float))
        assert yaw[7] - yaw[0] > 0.03
    assert "Imported: 2 episodes from lift.hdf5" in inspect_store(tmp_path / "store", tmp_path / "report")
