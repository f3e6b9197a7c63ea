"""`regrasp train-reward`: the reward model from the store's successes and failures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig
from tqdm import tqdm

from factory.data import open_data
from factory.reward import train_reward_model
from factory.run_folders import reward_folder
from factory.spec import spec_of
from factory.threads import training_threads
from trajectories.errors import CorruptEpisodeError
from trajectories.kinds import AFTERMATH, kind_of
from trajectories.store import TrajectoryStore
from trajectories.types import Episode


def episodes_of(store: TrajectoryStore, kinds: tuple[str, ...]) -> Iterator[Episode]:
    """The store's episodes of these kinds, one at a time; damaged ones are reported and left out."""
    for info in store.infos():
        if kind_of(info) in kinds:
            try:
                yield store.read(info.id)
            except CorruptEpisodeError as error:
                tqdm.write(f"left out: {error}")


def run(config: DictConfig) -> None:
    """Train, print the figures on held-out folds, save."""
    import torch

    threads = training_threads(config)
    torch.set_num_threads(threads.threads)
    print(threads.why)
    run_dir, spec = Path(config.run_dir), spec_of(config)
    with (
        open_data(config, read_only=True) as store,
        tqdm(total=100, desc="training reward", unit="%", dynamic_ncols=True) as bar,
    ):

        def show(stage: str, share: float) -> None:
            bar.set_postfix_str(stage, refresh=False)
            bar.update(100 * share - bar.n)

        said = train_reward_model(config, episodes_of(store, ("demo", "failure", "prior", AFTERMATH)), spec, show)
    print(f"{said} Saved in {reward_folder(run_dir)}")
