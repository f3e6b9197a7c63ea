"""Pairs of frames of recorded episodes, labelled by a generative model: which of the two shows the task better done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from rewards.generative.answer import preference_of
from rewards.generative.client import ChatClient
from rewards.generative.kind import chat_settings
from rewards.rivals.preference_pairs import LabelledPair
from trajectories.errors import ConfigError
from trajectories.manifest import EpisodeInfo
from trajectories.types import DIRECTIONS, Episode, RobotSpec

LEAST_LOGIT = 0.4
"""Log-odds below which two frames count as the same: 60 against 40 %."""
_QUESTION = "?"
_KEPT = 32
"""Episodes that are kept in memory: pairs are drawn with replacement."""


def draw_pairs(infos: Sequence[EpisodeInfo], count: int, seed: int) -> list[LabelledPair]:
    """Pairs of frames, not labelled yet: of two episodes of one direction, or twice of the same one.

    The first pairs of a seed are the same whatever the count.

    Args:
        infos: Episodes of one task.
        count: How many pairs.
        seed: Of the draw.

    Raises:
        ConfigError: When there are no episodes.
    """
    if not infos:
        raise ConfigError("There are no episodes of the task to draw pairs from; give store=FOLDER and task=NAME.")
    rng = np.random.default_rng(seed)
    of = [mine for d in DIRECTIONS if (mine := sorted((i for i in infos if i.direction == d), key=lambda i: i.id))]
    found = []
    for _ in range(count):
        mine = of[int(rng.integers(len(of)))]
        first, second = (mine[int(rng.integers(len(mine)))] for _ in range(2))
        frames = (int(rng.integers(first.length + 1)), int(rng.integers(second.length + 1)))
        found.append(LabelledPair((first.id, second.id), frames, _QUESTION))
    return found


def ask_about_pairs(
    pairs: Sequence[LabelledPair],
    read: Callable[[str], Episode],
    settings: Mapping[str, Any],
    spec: RobotSpec,
    log: Path,
) -> Iterator[LabelledPair]:
    """The pairs with their labels, one after the other.

    Args:
        pairs: As drawn.
        read: An episode by its id.
        settings: Of the group `reward` with the kind generative_vlm.
        spec: The robot that recorded them.
        log: File of JSON lines, one for every question.

    Raises:
        ConfigError: For a wrong setting, or a server that refuses the question.
        Unanswered: When a question gets no answer.
    """
    config = chat_settings(settings, spec)
    client, kept = ChatClient(config, log), lru_cache(maxsize=_KEPT)(read)
    for pair in pairs:
        episodes = [kept(id) for id in pair.episodes]
        pictures = [e.images[config.camera][frame] for e, frame in zip(episodes, pair.frames, strict=True)]
        question = config.pair_prompt.replace("{instruction}", episodes[0].instruction)
        logit = client.ask(question, pictures, " ".join(pair.episodes), preference_of).logit
        better = "same" if abs(logit) < LEAST_LOGIT else ("second" if logit > 0 else "first")
        yield LabelledPair(pair.episodes, pair.frames, better)
