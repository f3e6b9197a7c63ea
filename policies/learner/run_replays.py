"""What a fine-tuning run draws batches from: the replay of its own episodes, and the offline data that it keeps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from policies.learner.learner_config import LearnerConfig
from policies.perception.protocol import Perception
from policies.replay.dataset import fill_replay, for_perception_alone, for_replay, read_all
from policies.replay.replay import Replay
from policies.replay.replay_memory import frames_within
from policies.replay.run_replay import RunReplay
from policies.replay.source_weights import SourceWeights
from trajectories.store import TrajectoryStore

_SPARE_FRAMES = 10_000


def new_run_replay(
    path: Path,
    store: TrajectoryStore,
    perception: Perception,
    config: LearnerConfig,
    gamma: float,
    device: torch.device | str,
    seed: int,
) -> RunReplay:
    """An empty replay with room for a run's episodes, as far as the settings allow.

    Args:
        path: File that keeps it.
        store: The run's episodes so far.
        perception: What frames come through.
        config: Of the run.
        gamma: Discount of one step.
        device: Where batches arrive.
        seed: Of the draws.
    """
    held = sum(info.length + 1 for info in store.infos())
    weights = SourceWeights(person=config.person_weight)
    most = frames_within(config.replay_bytes, perception.fields, weighted=not weights.uniform)
    capacity = min(max(2 * config.steps, held) + _SPARE_FRAMES, most)
    replay = Replay(capacity, perception.fields, gamma=gamma, device=device, seed=seed, weights=weights)
    return RunReplay(path, replay, perception)


def offline_replay(
    stores: Sequence[TrajectoryStore],
    task: str | None,
    perception: Perception,
    gamma: float,
    device: torch.device | str,
    seed: int,
) -> Replay:
    """A replay of the offline data that batches are mixed with.

    Args:
        stores: Demonstrations, failures and prior data.
        task: Of which only this task's episodes are kept; None for all.
        perception: What frames come through.
        gamma: Discount of one step.
        device: Where batches arrive.
        seed: Of the draws.
    """
    kept = [
        for_replay(episode, perception, gamma)
        for episode in read_all(stores)
        if not for_perception_alone(episode) and task in (None, episode.task)
    ]
    return fill_replay(kept, perception.fields, gamma, device=device, seed=seed)
