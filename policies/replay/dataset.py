"""Episodes to replay: labels by outcome, and what the perception wants of each frame."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from policies.common.ranks import ALONE, Ranks
from policies.perception.keypoint_labels import label_keypoints
from policies.perception.labelled_frames import KeypointFrames
from policies.perception.protocol import Perception
from policies.perception.text_table import TextTable
from policies.replay.choices import Kept
from policies.replay.known_progress import gained
from policies.replay.replay import Replay
from policies.replay.replay_episode import ReplayEpisode
from policies.replay.replay_settings import ReplaySettings
from policies.replay.ring_buffer import Fields
from policies.replay.shaping import NO_SHAPING, Labels, Shaping
from trajectories.alignment import EpisodeSource
from trajectories.errors import ConfigError, CorruptEpisodeError
from trajectories.kinds import teaches_actions
from trajectories.labels import labelled, monte_carlo_returns
from trajectories.types import Episode, Int64, Source, UInt8

logger = logging.getLogger(__name__)
_PLAIN = ReplaySettings()


def read_all(stores: Iterable[EpisodeSource]) -> Iterator[Episode]:
    """Every episode of the stores, in order of creation within each; a damaged one is left out with a warning."""
    for store in stores:
        yield from read_whole(store, store.ids())


def read_whole(store: EpisodeSource, ids: Iterable[str]) -> Iterator[Episode]:
    """These episodes of a store; a damaged one is left out with a warning."""
    for id in ids:
        try:
            yield store.read(id)
        except CorruptEpisodeError as error:
            logger.warning("going on without a damaged episode: %s", error)


def kept_offline(episodes: Iterable[Episode], task: str | None, kept: Kept) -> Iterator[Episode]:
    """The episodes that a method keeps as offline data while it learns online.

    Args:
        episodes: Everything recorded before; what teaches no actions is left out.
        task: The target task; None takes every task for it.
        kept: "target": the target task's episodes of both directions, deliberate failures included; "successes": those
            of them that succeeded; "all": the prior tasks', too.
    """
    for episode in episodes:
        if not teaches_actions(episode) or (kept != "all" and task not in (None, episode.task)):
            continue
        if kept != "successes" or episode.outcome == "success":
            yield episode


def for_replay(
    episode: Episode, perception: Perception, gamma: float, shaping: Shaping = NO_SHAPING, *, gains: bool = False
) -> ReplayEpisode:
    """Take from an episode's frames what replay keeps, and its labels.

    Every episode follows one convention: -1 a step, 0 and termination in the last frames of a success
    (`trajectories.labels`). Stored labels that follow from the outcome are used; others are made anew from the outcome,
    which alone counts. An outcome "unknown" counts as truncated.

    Args:
        episode: Of any source.
        perception: How the policy sees.
        gamma: Discount of one step.
        shaping: What progress adds to the rewards.
        gains: Whether it counts what each step gained in progress.

    Raises:
        ConfigError: Progress counts, and none was noted.
    """
    episode = labelled(episode)
    chosen = np.asarray(episode.source) != Source.POLICY
    returns = monte_carlo_returns(episode.rewards, episode.terminated, episode.truncated, gamma)
    labels = shaping.shaped(Labels(episode.rewards, episode.terminated, returns), episode.metadata, episode.id, gamma)
    return ReplayEpisode(
        frames=perception.frames(episode),
        executed=np.asarray(episode.executed, dtype=np.float32),
        rewards=labels.rewards,
        terminated=labels.terminated,
        truncated=episode.truncated,
        mc_returns=labels.mc_returns,
        source=np.asarray(episode.source, dtype=np.uint8),
        instructions=(perception.instruction(episode.instruction),),
        imitate=chosen & (episode.outcome == "success"),
        gain=gained(episode.metadata, len(episode), episode.id) if gains else None,
    )


def under_all_wordings(
    episodes: Iterable[Episode], perception: Perception, gamma: float, shaping: Shaping = NO_SHAPING
) -> Iterator[ReplayEpisode]:
    """The episodes as replay takes them, copies under other wordings without frames of their own where they can be.

    Frames are looked at, and kept, once for all wordings, unless what is kept of them depends on the wording.

    Args:
        episodes: Those of one id one after the other: an episode and its copies under other wordings.
        perception: How the policy sees.
        gamma: Discount of one step.
        shaping: What progress adds to the rewards; under every wording the same.

    Raises:
        ConfigError: Progress counts, and none was noted.
    """
    for _, copies in groupby(episodes, key=lambda episode: episode.id):
        if perception.sees_words:
            yield from (for_replay(copy, perception, gamma, shaping) for copy in copies)
        else:
            same = list(copies)
            rows = tuple(perception.instruction(copy.instruction) for copy in same)
            yield replace(for_replay(same[0], perception, gamma, shaping), instructions=rows)


def fill_replay(
    episodes: Sequence[ReplayEpisode],
    fields: Fields,
    gamma: float,
    *,
    device: torch.device | str = "cpu",
    seed: int = 0,
    settings: ReplaySettings = _PLAIN,
    ranks: Ranks = ALONE,
) -> Replay:
    """A replay that holds exactly these episodes.

    Raises:
        ConfigError: When there are none, or they take more memory than there is.
    """
    if not episodes:
        raise ConfigError("There is no episode to learn actions from: play teaches the encoder only. Add demos.")
    capacity = sum(len(episode) + 1 for episode in episodes)
    transitions = sum(len(episode) * len(episode.instructions) for episode in episodes)
    replay = settings.empty(
        capacity, fields, gamma=gamma, transitions=transitions, device=device, seed=seed, ranks=ranks
    )
    for episode in episodes:
        episode.add_to(replay)
    return replay


def keypoint_frames(
    episodes: Iterable[Episode], capacity: int, text: TextTable, camera: str, names: tuple[str, ...]
) -> KeypointFrames:
    """Labelled frames of all episodes, for the encoder; frames without any label or image are left out.

    Episodes are taken one at a time, and copies of one under other wordings share its id and its images, so that memory
    holds each image once.

    Args:
        episodes: Play, demonstrations, failures, prior data.
        capacity: Upper bound of the number of their frames, each counted once.
        text: Knows all their instructions.
        camera: Which images.
        names: Names of the proprioception's entries.

    Raises:
        ConfigError: When there are more frames than `capacity`.
    """
    images: UInt8 | None = None
    end = 0
    columns: dict[str, list[NDArray[Any]]] = {
        name: [] for name in ("image", "proprio", "rows", "values", "mask", "episode")
    }
    numbers: dict[str, int] = {}  # of episodes; copies under other wordings share the id
    rows_of: dict[str, Int64] = {}  # id -> row of the image of each of its frames, -1 where it isn't kept so far
    for episode in episodes:
        if camera not in episode.images:
            continue
        labels = label_keypoints(episode, names)
        known = labels.known
        count = int(known.sum())
        rows = rows_of.setdefault(episode.id, np.full(len(known), -1))
        new = known & (rows < 0)
        more = int(new.sum())
        if end + more > capacity:
            raise ConfigError(f"The episodes have more than the {capacity} frames that were announced.")
        if images is None:
            images = np.empty((capacity, *episode.images[camera].shape[1:]), np.uint8)
        images[end : end + more] = episode.images[camera][new]
        rows[new] = end + np.arange(more)
        end += more
        columns["image"].append(rows[known])
        columns["proprio"].append(episode.proprio[known])
        columns["rows"].append(np.full(count, text.row(episode.instruction), dtype=np.int64))
        columns["values"].append(labels.values[known])
        columns["mask"].append(labels.mask[known])
        columns["episode"].append(np.full(count, numbers.setdefault(episode.id, len(numbers)), dtype=np.int64))
    if images is None:
        raise ConfigError("There is no episode to train the encoder on. Run `regrasp collect` first.")
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    return KeypointFrames(
        images[:end], joined["image"], joined["proprio"], joined["rows"], text.rows, joined["values"], joined["mask"],
        joined["episode"],
    )  # fmt: skip
