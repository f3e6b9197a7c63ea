"""`regrasp train-reward`: the reward model from the store's successes and failures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from omegaconf import DictConfig
from tqdm import tqdm

from commands.label import read_labels, with_outcomes
from factory.reward import train_reward_model
from factory.run_folders import reward_folder
from factory.sources import open_sources
from factory.spec import camera_names, spec_of
from factory.threads import training_threads
from trajectories.alignment import EpisodeSource, missing_of
from trajectories.errors import ConfigError, CorruptEpisodeError
from trajectories.kinds import AFTERMATH, kind_of
from trajectories.types import Episode


def episodes_of(store: EpisodeSource, kinds: tuple[str, ...]) -> Iterator[Episode]:
    """The store's episodes of these kinds, one at a time; damaged ones are reported and left out."""
    for info in store.infos():
        if kind_of(info) in kinds:
            try:
                yield store.read(info.id)
            except CorruptEpisodeError as error:
                tqdm.write(f"left out: {error}")


def seen_by(stores: Iterable[EpisodeSource], camera: str) -> list[EpisodeSource]:
    """The stores that have the judge's camera, or one in its role; the others are reported and left out.

    Raises:
        ConfigError: None of them has.
    """
    seen: list[EpisodeSource] = []
    for store in stores:
        if camera in missing_of(store).cameras:
            tqdm.write(f"left out, since nothing there has the role of the judge's camera {camera!r}: {store.path}")
        else:
            seen.append(store)
    if not seen:
        raise ConfigError(
            f"No store of data has the judge's camera {camera!r}. Say which of theirs has its role, e.g. "
            f"data_roles=[{{{camera}:image_0}}]."
        )
    return seen


def run(config: DictConfig) -> None:
    """Train, print the figures on held-out folds, save."""
    import torch

    threads = training_threads(config)
    torch.set_num_threads(threads.threads)
    print(threads.why)
    run_dir, spec = Path(config.run_dir), spec_of(config)
    camera = str(config.reward.get("camera") or camera_names(config)[0])
    with (
        ExitStack() as stack,
        tqdm(total=100, desc="training reward", unit="%", dynamic_ncols=True) as bar,
    ):

        def show(stage: str, share: float) -> None:
            bar.set_postfix_str(stage, refresh=False)
            bar.update(100 * share - bar.n)

        stores = seen_by(open_sources(config, stack), camera)
        kinds = ("demo", "failure", "prior", AFTERMATH)
        labels = {} if config.labels is None else read_labels(Path(config.labels))
        episodes = with_outcomes((episode for store in stores for episode in episodes_of(store, kinds)), labels)
        said = train_reward_model(config, episodes, spec, show)
    print(f"{said} Saved in {reward_folder(run_dir)}")
