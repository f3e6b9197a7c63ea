"""Labels and embeds the frames of recorded episodes, so that training never touches an image again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from rewards.augment import augment
from rewards.backbone import Backbone
from rewards.classifier import ImageFeatures, frames_that_count, image_features, views_of
from rewards.config import RewardConfig
from rewards.frames import OTHER, SUCCESS, UNKNOWN, label_aftermath, label_frames
from rewards.windows import Windows, window_rows
from trajectories.errors import ConfigError
from trajectories.kinds import AFTERMATH, kind_of, parent_of
from trajectories.types import Direction, Episode, Float32, Int64, RobotSpec, UInt8
from trajectories.verdicts import was_missed

Goal = tuple[str, str]
"""Task and direction."""


@dataclass(frozen=True)
class EpisodeRows:
    """One episode's frames among all embedded ones.

    Attributes:
        id: Of the episode.
        goal: Index of its goal.
        outcome: "success" or "failure".
        rows: int64 (n,) rows of its unchanged frames, in order of time.
        labels: int8 (n,) of those frames, see `rewards.frames`.
        counts: bool (n,) whether each frame may count towards done, see `RewardConfig.require_open_gripper`.
        aftermath: Whether the arm only looks at what it left: nothing to decide on a threshold by.
        complete: Whether every frame is there.
        fold: Part of the cross-validation.
        film: int64 (T + 1,) rows of all its frames; empty where nothing looks at more than one frame.
        film_labels: int8, theirs.
    """

    id: str
    goal: int
    outcome: str
    rows: Int64
    labels: NDArray[np.int8]
    counts: NDArray[np.bool_]
    aftermath: bool
    complete: bool
    fold: int
    film: Int64 = field(default_factory=lambda: np.zeros(0, np.int64))
    film_labels: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))

    @property
    def known(self) -> NDArray[np.bool_]:
        """Frames whose label is known: bool (n,)."""
        return self.labels != UNKNOWN


@dataclass(frozen=True)
class RewardData:
    """All that training needs; images are gone by then.

    Attributes:
        features: Of all frames, changed copies included.
        goals: Goals by index.
        wordings: Instructions of each goal.
        episodes: Where each episode's frames are.
        copies: Row of an unchanged frame -> rows of its changed copies.
    """

    features: ImageFeatures
    goals: tuple[Goal, ...]
    wordings: tuple[tuple[str, ...], ...]
    episodes: tuple[EpisodeRows, ...]
    copies: dict[int, list[int]]


def gather(
    episodes: Iterable[Episode],
    task: str,
    backbone: Backbone,
    spec: RobotSpec,
    config: RewardConfig,
    instructions: Mapping[Direction, Sequence[str]] | None = None,
) -> RewardData:
    """Label and embed the frames of all episodes, one episode at a time.

    All frames of `task` are embedded (its held-out episodes are judged as a whole), of the other tasks only
    the successes and `frames_per_episode` others. Episodes of unknown outcome are skipped. Goals of `task` have the
    wordings of `instructions` beside those that were recorded.

    Raises:
        ConfigError: When the camera is missing, or `task` lacks successes or failures.
    """
    gathering = _Gathering(task, backbone, spec, config)
    for direction, wordings in (instructions or {}).items():
        gathering.goals[task, direction] = dict.fromkeys(wordings)
    for episode in episodes:
        if episode.outcome != "unknown":
            gathering.add(episode)
    return gathering.result()


class _Gathering:
    def __init__(self, task: str, backbone: Backbone, spec: RobotSpec, config: RewardConfig) -> None:
        self.task, self.backbone, self.spec, self.config = task, backbone, spec, config
        self.rng = np.random.default_rng(config.seed)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.parts: list[ImageFeatures] = []
        self.proprio: list[Float32] = []
        self.windows: list[Int64] = []
        self.count = 0
        self.goals: dict[Goal, dict[str, None]] = {}
        self.episodes: list[EpisodeRows] = []
        self.copies: dict[int, list[int]] = {}
        self.parents: list[str] = []

    def add(self, episode: Episode) -> None:
        config = self.config
        missing = [camera for camera in config.views if camera not in episode.images]
        if missing:
            raise ConfigError(
                f"Episode {episode.id} has no camera {', '.join(map(repr, missing))}, only "
                f"{', '.join(episode.images)}; give some of these: reward.cameras=[NAME,...]."
            )
        after = kind_of(episode) == AFTERMATH
        counts = frames_that_count(episode.proprio, self.spec, config.require_open_gripper)
        if after:
            labels = label_aftermath(len(episode), episode.outcome)
        else:
            labels = label_frames(
                len(episode),
                episode.outcome,
                config.success_frames,
                config.gap,
                missed=was_missed(episode),
                counts=counts,
            )
        sample = self._sample(labels)
        kept = np.arange(len(labels)) if episode.task == self.task else sample
        shown = np.arange(len(labels)) if config.window else kept
        film = self._embed(views_of(episode.images, config.views, shown))
        self._see(film, episode.proprio[shown])
        rows = film[np.searchsorted(shown, kept)]
        for _ in range(config.augmentations):
            changed = [
                augment(torch.from_numpy(images), config.shift, config.colour, self.generator).numpy()
                for images in views_of(episode.images, config.views, sample)
            ]
            originals, copies = film[np.searchsorted(shown, sample)], self._embed(changed)
            self._see(film, episode.proprio[sample], copies, np.searchsorted(shown, sample))
            for original, copy in zip(originals, copies, strict=True):
                self.copies.setdefault(int(original), []).append(int(copy))
        goal = (episode.task, episode.direction)
        self.goals.setdefault(goal, {})[episode.instruction] = None
        index = list(self.goals).index(goal)
        self.parents.append(parent_of(episode) or episode.id)
        self.episodes.append(
            EpisodeRows(
                id=episode.id,
                goal=index,
                outcome=episode.outcome,
                rows=rows,
                labels=labels[kept],
                counts=counts[kept],
                aftermath=after,
                complete=len(kept) == len(labels),
                fold=-1,
                film=film if config.window else np.zeros(0, np.int64),
                film_labels=labels if config.window else np.zeros(0, np.int8),
            )
        )

    def result(self) -> RewardData:
        names = list(self.goals)
        for outcome in ("success", "failure"):
            shown = [e for e in self.episodes if names[e.goal][0] == self.task and not e.aftermath]
            count = sum(e.outcome == outcome for e in shown)
            if count < self.config.folds:
                raise ConfigError(
                    f"The success classifier of {self.task!r} needs at least {self.config.folds} episodes "
                    f"marked {outcome}, got {count}. Record more with `regrasp collect`, or lower "
                    "+reward.folds=N (at least 2)."
                )
        pooled = torch.cat([part.pooled for part in self.parts])
        trunk = None
        if self.config.finetune_last_block:
            trunk = torch.cat([part.require_trunk() for part in self.parts])
        wordings = tuple(tuple(words) for words in self.goals.values())
        episodes = tuple(
            replace(episode, fold=fold) for episode, fold in zip(self.episodes, self._folds(), strict=True)
        )
        windows = None
        if self.config.window:
            proprio = torch.from_numpy(np.concatenate(self.proprio)).to(pooled.device)
            rows = torch.from_numpy(np.concatenate(self.windows)).to(pooled.device)
            windows = Windows(pooled, proprio, rows)
        return RewardData(ImageFeatures(pooled, trunk, windows), tuple(names), wordings, episodes, self.copies)

    def _folds(self) -> list[int]:
        """The part of each episode: an episode and the looks at what it left share one, and kinds are spread evenly."""
        heads: dict[str, EpisodeRows] = {}
        for parent, episode in zip(self.parents, self.episodes, strict=True):
            if parent not in heads or episode.id == parent:
                heads[parent] = episode
        names, seen, folds = list(self.goals), dict[tuple[str, str, bool], int](), dict[str, int]()
        for parent, head in sorted(heads.items(), key=lambda item: item[1].goal):  # stable: else in order of time
            stratum = (names[head.goal][0], head.outcome, head.aftermath)
            number = seen.get(stratum, 0)
            seen[stratum], folds[parent] = number + 1, number % self.config.folds
        return [folds[parent] for parent in self.parents]

    def _sample(self, labels: NDArray[np.int8]) -> Int64:
        """Frames to train on: all successes and some others, in order of time."""
        others = np.flatnonzero(labels == OTHER)
        if len(others) > self.config.frames_per_episode:
            others = self.rng.choice(others, self.config.frames_per_episode, replace=False)
        return np.sort(np.concatenate([others, np.flatnonzero(labels == SUCCESS)]))

    def _see(self, film: Int64, proprio: Float32, copies: Int64 | None = None, at: Int64 | None = None) -> None:
        """Note proprioception and windows of an episode's frames, or of changed copies of those at the places `at`."""
        if not self.config.window:
            return
        windows = window_rows(film, self.config.window)
        if copies is not None and at is not None:
            windows = windows[at]
            windows[:, -1] = copies
        self.proprio.append(np.asarray(proprio, np.float32))
        self.windows.append(windows)

    def _embed(self, views: list[UInt8]) -> Int64:
        """Rows of the features of these images, (n, H, W, 3) of each camera."""
        self.parts.append(image_features(self.backbone, views, self.config.finetune_last_block))
        self.count += len(views[0])
        return np.arange(self.count - len(views[0]), self.count)
