"""`regrasp train-reward`: the reward model from the store's successes and failures, and from a person's word."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import chain
from pathlib import Path

from omegaconf import DictConfig
from tqdm import tqdm

from commands.label import in_use, read_labels, with_outcomes
from factory.reward import train_reward_model
from factory.reward_episodes import RECORDED, confirmed, episodes_of, open_sessions, seen_by, session_episodes
from factory.run_folders import reward_folder
from factory.sources import open_sources
from factory.spec import cameras_of_judge, spec_of
from factory.threads import training_threads
from factory.unsent import unsent_verdicts
from trajectories.alignment import EpisodeSource
from trajectories.types import Outcome


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

        stores = seen_by(open_sources(config, stack), cameras_of_judge(config), tqdm.write)
        sessions = open_sessions(config, stack)
        chosen = [(store, _of_session(config, store)) for store in sessions]
        labels: dict[str, Outcome] = {}
        if config.get("labels") is not None:
            labels = read_labels(Path(config.labels))
            print(in_use(labels, Path(config.labels), stores))
        recorded = (episode for store in stores for episode in episodes_of(store, RECORDED, tqdm.write))
        episodes = chain(
            with_outcomes(recorded, labels),
            (episode for store, ids in chosen for episode in session_episodes(store, ids, tqdm.write)),
        )
        said = train_reward_model(config, episodes, spec, show)
    print(f"{said} Saved in {reward_folder(run_dir)}")


def _of_session(config: DictConfig, store: EpisodeSource) -> list[str]:
    """Ids of the session's episodes that it learns from: those that people spoke about, or all."""
    if isinstance(store.path, Path) and (waiting := unsent_verdicts(store.path)):  # a bucket has no actors
        print(waiting)
    ids = confirmed(store)
    if bool(config.train_reward.unconfirmed):
        print(f"It learns from all {len(store)} episodes in {store.path}, {len(ids)} of them by a person's word.")
        return store.ids()
    if ids:
        print(f"It learns from {len(ids)} of the {len(store)} episodes in {store.path}: those that people spoke about.")
    return ids
