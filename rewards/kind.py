"""A kind of reward model: how one is trained into a folder, loaded from it, and measured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rewards.evaluation import episode_figures, frame_figures
from robot.interfaces import RewardModel, RewardReading
from trajectories.types import Direction, Episode, Observation, RobotSpec


class LoadedReward(RewardModel, Protocol):
    """A reward model as `RewardKind.load` gives it: it judges one session's observations, one after the other."""

    @property
    def camera(self) -> str:
        """Name of the camera that it looks through."""
        ...


@dataclass(frozen=True)
class HeldOutEpisode:
    """A recording that training never saw, and the truth.

    Attributes:
        episode: Its outcome is the truth of its end.
        rows: Frames whose truth is known and that are judged one by one.
        done: Whether the task is done in each of them.
        kind: What these frames show, e.g. "success", "failure: dropped".
        whole: Whether the session's decision on the whole episode counts, too.
    """

    episode: Episode
    rows: Sequence[int]
    done: Sequence[bool]
    kind: str
    whole: bool


@dataclass(frozen=True)
class HeldOut:
    """What a reward model is measured on.

    Attributes:
        task: Name of the task.
        occluded: Single observations in which the arm hides the object or the goal; the task is done in none of them.
        episodes: Recordings.
    """

    task: str
    occluded: Sequence[Observation]
    episodes: Sequence[HeldOutEpisode]

    @property
    def done(self) -> list[bool]:
        """The truth of all frames that are judged one by one, the occluded ones first."""
        return [False] * len(self.occluded) + [done for item in self.episodes for done in item.done]

    @property
    def kinds(self) -> list[str]:
        """What each of them shows."""
        return ["occluded"] * len(self.occluded) + [item.kind for item in self.episodes for _ in item.rows]


class RewardKind(ABC):
    """A kind of reward model, as an entry of `rewards.registry.KINDS`."""

    @abstractmethod
    def train(
        self,
        episodes: Iterable[Episode],
        task: str,
        instructions: Mapping[Direction, Sequence[str]],
        spec: RobotSpec,
        settings: Mapping[str, Any],
        folder: Path,
        progress: Callable[[str, float], None],
    ) -> str:
        """Train a reward model and write it into a folder.

        Args:
            episodes: Demonstrations and failures of `task`, prior data and looks at what an episode left behind
                (`trajectories.kinds`); can be read once.
            task: The task that it shall judge.
            instructions: Direction -> wordings of that task that a session may ask it about; it shall know each.
            spec: The robot that recorded them.
            settings: Those of the group `reward` but `kind`, as plain types.
            folder: Exists; may hold an earlier reward model.
            progress: Called with the name of the stage and the share of the whole that is done.

        Returns:
            What to tell the person, one or more lines.

        Raises:
            ConfigError: For a wrong setting, or when the episodes don't suffice.
        """

    @abstractmethod
    def load(self, folder: Path, spec: RobotSpec, settings: Mapping[str, Any]) -> LoadedReward:
        """Load what `train` left in the folder.

        Args:
            folder: Where it lies.
            spec: The robot at hand.
            settings: As for `train`.

        Raises:
            CheckpointError: When the folder is incomplete or damaged, or doesn't fit the settings.
            SpecMismatchError: When it was trained for another robot.
        """

    def evaluate(self, trained: LoadedReward, held_out: HeldOut) -> dict[str, Any]:
        """Measure a reward model on held-out data; here by what it reads from each episode, as in a session.

        Returns:
            "frames": as of `rewards.evaluation.frame_figures`; "whole_episodes": as of `episode_figures` there.
        """
        single = [readings_of(trained, [observation])[0] for observation in held_out.occluded]
        stops = []
        for item in held_out.episodes:
            seen = readings_of(trained, observations_of(item.episode))
            single += [seen[row] for row in item.rows]
            if item.whole:
                stops.append((item.episode, next((i for i, reading in enumerate(seen) if reading.done), None)))
        probability = [reading.probability for reading in single]
        figures = frame_figures(
            labels=held_out.done,
            before=probability,
            after=probability,
            tasks=[held_out.task] * len(single),
            kinds=held_out.kinds,
            above=[reading.above for reading in single],
        )
        return {"frames": figures, "whole_episodes": episode_figures(stops)}


def observations_of(episode: Episode) -> list[Observation]:
    """The T + 1 observations of an episode, one by one."""
    return [
        Observation(
            {camera: frames[row] for camera, frames in episode.images.items()},
            episode.proprio[row],
            episode.instruction,
            {source: int(np.asarray(times)[row]) for source, times in episode.t_ns.items()},
        )
        for row in range(len(episode) + 1)
    ]


def readings_of(trained: LoadedReward, observations: Sequence[Observation]) -> list[RewardReading]:
    """What a reward model reads from the observations of one episode, one after the other."""
    trained.reset(observations[0].instruction)
    return [trained.update(observation) for observation in observations]
