"""`regrasp train-reward`: the reward model from the store's successes and failures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from omegaconf import DictConfig
from tqdm import tqdm

from factory.reward import train_reward_model
from factory.run_folders import reward_folder
from factory.sources import open_sources
from factory.spec import cameras_of_judge, spec_of
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


def seen_by(stores: Iterable[EpisodeSource], cameras: Sequence[str]) -> list[EpisodeSource]:
    """The stores that have the judge's cameras, or some in their roles; the others are reported and left out.

    Raises:
        ConfigError: None of them has.
    """
    seen: list[EpisodeSource] = []
    for store in stores:
        without = [camera for camera in cameras if camera in missing_of(store).cameras]
        if without:
            named = ", ".join(map(repr, without))
            tqdm.write(f"left out, since nothing there has the role of the judge's camera {named}: {store.path}")
        else:
            seen.append(store)
    if not seen:
        raise ConfigError(
            f"No store of data has the judge's camera {', '.join(map(repr, cameras))}. Say which of theirs has its "
            f"role, e.g. data_roles=[{{{cameras[0]}:image_0}}]."
        )
    return seen


def run(config: DictConfig) -> None:
    """Train, print the figures on held-out folds, save."""
    import torch

    threads = training_threads(config)
    torch.set_num_threads(threads.threads)
    print(threads.why)
    run_dir, spec = Path(config.run_dir), spec_of(config)
    with (
        ExitStack() as stack,
        tqdm(total=100, desc="training reward", unit="%", dynamic_ncols=True) as bar,
    ):

        def show(stage: str, share: float) -> None:
            bar.set_postfix_str(stage, refresh=False)
            bar.update(100 * share - bar.n)

        stores = seen_by(open_sources(config, stack), cameras_of_judge(config))
        kinds = ("demo", "failure", "prior", AFTERMATH)
        episodes = (episode for store in stores for episode in episodes_of(store, kinds))
        said = train_reward_model(config, episodes, spec, show)
    print(f"{said} Saved in {reward_folder(run_dir)}")
