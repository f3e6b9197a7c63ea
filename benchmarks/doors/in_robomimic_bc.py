"""Train robomimic's own behaviour cloning on an HDF5 file and roll it out, with robomimic's interpreter.

    FOLDER/robomimic/bin/python benchmarks/doors/in_robomimic_bc.py FILE [updates=3000] [seeds=0,1,2] [episodes=20]
        [horizon=100]

`other_oracles.py --folder FOLDER --robomimic CHECKOUT` makes that interpreter. robomimic's defaults of `bc`, every
episode of the file, the environment that the file names. Prints one line of JSON a seed.
"""

import json
import sys

import numpy as np
import robomimic
import robomimic.utils.env_utils as EnvUtils
import robomimic.utils.file_utils as FileUtils
import robomimic.utils.obs_utils as ObsUtils
import robomimic.utils.train_utils as TrainUtils
import torch
from robomimic.algo import RolloutPolicy, algo_factory
from robomimic.config import Config, config_factory
from torch.utils.data import DataLoader

OBSERVED = ["object", "robot0_eef_pos", "robot0_eef_quat", "robot0_gripper_qpos"]
EPOCH = 100


def settings(file: str, seed: int, horizon: int, episodes: int) -> Config:
    """Robomimic's own for BC, with what the file and the comparison say."""
    config = config_factory("bc")
    with config.values_unlocked():
        config.train.data = [{"path": file}] if robomimic.__version__ >= "0.4" else file
        config.train.seed = seed
        config.train.hdf5_filter_key = None
        config.train.num_data_workers = 0
        config.experiment.validate = False
        config.experiment.rollout.n = episodes
        config.experiment.rollout.horizon = horizon
        config.observation.modalities.obs.low_dim = OBSERVED
    return config


def one(file: str, seed: int, updates: int, horizon: int, episodes: int) -> dict[str, object]:
    """Train and roll out."""
    config = settings(file, seed, horizon, episodes)
    np.random.seed(seed)  # noqa: NPY002  # what robomimic draws from
    torch.manual_seed(seed)
    ObsUtils.initialize_obs_utils_with_config(config)
    shapes = FileUtils.get_shape_metadata_from_dataset(
        dataset_config=config.train.data[0], action_keys=config.train.action_keys, all_obs_keys=config.all_obs_keys
    )
    env = EnvUtils.create_env_from_metadata(FileUtils.get_env_metadata_from_dataset(file), render=False)
    model = algo_factory(
        algo_name="bc", config=config, obs_key_shapes=shapes["all_shapes"], ac_dim=shapes["ac_dim"], device="cpu"
    )
    data, _ = TrainUtils.load_data_for_training(config, obs_keys=shapes["all_obs_keys"])
    loader = DataLoader(data, batch_size=config.train.batch_size, shuffle=True, drop_last=True)
    for epoch in range(1, updates // EPOCH + 1):
        log = TrainUtils.run_epoch(model=model, data_loader=loader, epoch=epoch, num_steps=EPOCH)
        model.on_epoch_end(epoch)
    np.random.seed(seed + 70000)  # noqa: NPY002  # what robosuite draws from
    found = TrainUtils.rollout_with_stats(
        policy=RolloutPolicy(model), envs={"Lift": env}, horizon=horizon, num_episodes=episodes, epoch=updates
    )
    rollouts = found[0]["Lift"]
    return {
        "reader": f"robomimic {robomimic.__version__}", "seed": seed, "updates": updates, "loss": log["Loss"],
        "success": rollouts["Success_Rate"], "episodes": episodes, "batch": config.train.batch_size,
        "hidden": list(config.algo.actor_layer_dims), "rate": config.algo.optim_params.policy.learning_rate.initial,
    }  # fmt: skip


if __name__ == "__main__":
    given = dict(word.split("=", 1) for word in sys.argv[2:])
    for seed in given.get("seeds", "0,1,2").split(","):
        result = one(
            sys.argv[1], int(seed), int(given.get("updates", 3000)), int(given.get("horizon", 100)),
            int(given.get("episodes", 20)),
        )  # fmt: skip
        print(json.dumps(result), flush=True)
