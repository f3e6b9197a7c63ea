"""What `other_oracles.py` runs with robomimic's interpreter: check a file that we wrote, record one of theirs.

python in_robomimic.py check FILE EXPECTED.npz     one line of JSON: version, what was compared
python in_robomimic.py record FILE                 two demonstrations of robosuite's Lift, with pictures and masks
"""

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import robomimic
import robomimic.utils.obs_utils as ObsUtils

CAMERA, SIZE, STEPS = "agentview", 24, 5


def check(file: str, expected: str) -> dict[str, object]:
    """Read every step by `SequenceDataset` and compare it with the arrays that were exported, bit by bit.

    Args:
        file: The exported HDF5 file.
        expected: Arrays `demo_{i}/{key}`, observations with one row more than actions.
    """
    from robomimic.utils.dataset import SequenceDataset

    arrays = np.load(expected)
    kinds: dict[str, list[str]] = {"low_dim": [], "rgb": [], "depth": []}
    for key in (key for key in arrays.files if key.startswith("demo_0/obs/")):
        name, array = key.removeprefix("demo_0/obs/"), arrays[key]
        kinds["rgb" if array.ndim == 4 and array.shape[3] == 3 else "depth" if array.ndim >= 3 else "low_dim"].append(
            name
        )
    ObsUtils.initialize_obs_utils_with_obs_specs({"obs": kinds})
    names = [name for kind in kinds.values() for name in kind]
    given = {
        "obs_keys": names, "dataset_keys": ("actions", "rewards", "dones"), "frame_stack": 1, "seq_length": 1,
        "pad_frame_stack": True, "pad_seq_length": True, "get_pad_mask": False, "goal_mode": None,
        "hdf5_cache_mode": None, "hdf5_use_swmr": True, "hdf5_normalize_obs": False, "load_next_obs": True,
    }  # fmt: skip
    if robomimic.__version__ >= "0.4":
        given |= {"action_keys": ("actions",), "action_config": {"actions": {"normalization": None}}}
    data = SequenceDataset(file, **given)
    at = 0
    for demo in range(data.n_demos):
        steps = len(arrays[f"demo_{demo}/actions"])
        for t in range(steps):
            found = data.get_item(at)
            for key in ("actions", "rewards", "dones"):
                np.testing.assert_array_equal(found[key][0], arrays[f"demo_{demo}/{key}"][t])
            for name in names:
                rows = arrays[f"demo_{demo}/obs/{name}"]
                np.testing.assert_array_equal(found["obs"][name][0], rows[t].reshape(found["obs"][name][0].shape))
                np.testing.assert_array_equal(
                    found["next_obs"][name][0], rows[t + 1].reshape(found["obs"][name][0].shape)
                )
            at += 1
    if at != len(data):
        raise SystemExit(f"SequenceDataset has {len(data)} steps, {at} were exported")
    return {"reader": f"robomimic {robomimic.__version__}, SequenceDataset", "steps": at, "keys": names}


def record(file: str) -> dict[str, object]:
    """Two demonstrations: states and actions by robomimic's environment, observations and masks by its scripts."""
    import robomimic.utils.env_utils as EnvUtils
    import robosuite
    from robomimic.envs.env_base import EnvType

    ObsUtils.initialize_obs_utils_with_obs_specs({"obs": {"low_dim": ["robot0_eef_pos"], "rgb": []}})
    settings = {
        "robots": ["Panda"], "control_freq": 20, "has_renderer": False, "has_offscreen_renderer": False,
        "use_camera_obs": False, "use_object_obs": True, "reward_shaping": False,
    }  # fmt: skip
    meta = {
        "env_name": "Lift",
        "env_version": robosuite.__version__,
        "type": EnvType.ROBOSUITE_TYPE,
        "env_kwargs": settings,
    }
    env = EnvUtils.create_env_from_metadata(meta, render=False, render_offscreen=False, use_image_obs=False)
    raw, rng = Path(file).with_suffix(".raw.hdf5"), np.random.default_rng(0)
    with h5py.File(raw, "w") as out:
        data = out.create_group("data")
        for number in range(2):
            env.reset()
            state = env.get_state()
            env.reset_to(state)
            states, actions = [], []
            for _ in range(STEPS - number):
                states.append(env.get_state()["states"])
                actions.append(rng.uniform(-1, 1, 7))
                env.step(actions[-1])
            demo = data.create_group(f"demo_{number}")
            demo["states"], demo["actions"] = np.array(states), np.array(actions)
            demo.attrs["model_file"], demo.attrs["num_samples"] = state["model"], len(actions)
        data.attrs["env_args"], data.attrs["total"] = json.dumps(meta), 2 * STEPS - 1
    scripts = Path(robomimic.__file__).parent / "scripts"
    if not scripts.is_dir():
        raise SystemExit(f"robomimic {robomimic.__version__} was installed without its scripts")
    convert = [
        "dataset_states_to_obs.py", "--dataset", str(raw), "--output_name", Path(file).name, "--done_mode", "2",
        "--camera_names", CAMERA, "--camera_height", str(SIZE), "--camera_width", str(SIZE), "--compress",
    ]  # fmt: skip
    for script, *arguments in (convert, ["split_train_val.py", "--dataset", file, "--ratio", "0.5"]):
        subprocess.run([sys.executable, str(scripts / script), *arguments], check=True, stdout=subprocess.DEVNULL)
    raw.unlink()
    return {
        "writer": f"robomimic {robomimic.__version__}, dataset_states_to_obs.py",
        "robosuite": robosuite.__version__,
    }


if __name__ == "__main__":
    print(json.dumps((check if sys.argv[1] == "check" else record)(*sys.argv[2:])))
