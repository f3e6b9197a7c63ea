"""A kind of reward model: how one is trained into a folder, loaded from it, and measured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rewards.evaluation import decision_figures, frame_figures
from robot.interfaces import ConcludingReward, RewardModel, RewardReading
from trajectories.types import Direction, Episode, Float32, Float64, Observation, RobotSpec


class LoadedReward(RewardModel, Protocol):
    """A reward model as `RewardKind.load` gives it: it judges one session's observations, one after the other."""

    @property
    def camera(self) -> str:
        """Name of the camera that it looks through."""
        ...


@runtime_checkable
class CountingReward(Protocol):
    """A reward model for which some frames never count, since the gripper is commanded closed in them."""

    def counts(self, proprio: Float32) -> NDArray[np.bool_]:
        """Whether frames with proprioception (N, P) may count towards done: bool (N,)."""
        ...


def counting(reward: LoadedReward, episode: Episode) -> NDArray[np.bool_] | None:
    """Whether each of an episode's T + 1 frames may count towards done; None where the model makes no difference."""
    return reward.counts(episode.proprio) if isinstance(reward, CountingReward) else None


@dataclass(frozen=True)
class Seen:
    """What a judge said of one episode (`rewards.measuring.look_at`).

    Attributes:
        readings: Of each of the T + 1 observations; of a judge that concludes, its conclusion of the last one alone;
            none where that gave no answer.
        stop: Index of the observation at which it said done, or None.
        unsure: Whether it didn't know where the episode would end by its word, or gave no answer.
    """

    readings: Mapping[int, RewardReading]
    stop: int | None
    unsure: bool = False


@dataclass(frozen=True)
class HeldOutEpisode:
    """A recording that training never saw, the truth, and what the reward model said of it.

    Attributes:
        episode: Its outcome is the truth of its end.
        rows: Frames whose truth is known and that are judged one by one.
        done: Whether the task is done in each of them.
        kind: What these frames show, e.g. "success", "failure: dropped".
        whole: Whether the session's decision on the whole episode counts, too.
        seen: What the reward model that is measured said.
    """

    episode: Episode
    rows: Sequence[int]
    done: Sequence[bool]
    kind: str
    whole: bool
    seen: Seen


@dataclass(frozen=True)
class HeldOut:
    """What a reward model is measured on.

    Attributes:
        task: Name of the task.
        occluded: What the reward model said of single observations in which the arm hides the object or the goal; the
            task is done in none of them.
        episodes: Recordings.
    """

    task: str
    occluded: Sequence[RewardReading]
    episodes: Sequence[HeldOutEpisode]


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
            folder: Exists; holds no reward model. It takes its place once it is whole.
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

    def training_settings(self, settings: Mapping[str, Any], spec: RobotSpec) -> dict[str, Any]:
        """The settings that a reward model is made with and then keeps, by their names, plain; here none.

        A session refuses typed ones that its reward model was not trained with (under "config" of `training.json`):
        they would do nothing.

        Args:
            settings: As for `train`.
            spec: As for `train`.

        Raises:
            ConfigError: For a wrong one.
        """
        return {}

    def evaluate(self, trained: LoadedReward, held_out: HeldOut) -> dict[str, Any]:
        """Measure a reward model by what it said of held-out data, as in a session; nothing is judged again.

        Of one that concludes, the ends of whole episodes count alone.

        Returns:
            "frames": as of `rewards.evaluation.frame_figures`; "whole_episodes": as of `decision_figures` there.
        """
        single = [(reading, False, "occluded") for reading in held_out.occluded]
        for item in held_out.episodes:
            if item.whole or not isinstance(trained, ConcludingReward):
                said = item.seen.readings
                told = zip(item.rows, item.done, strict=True)
                single += [(said[row], done, item.kind) for row, done in told if row in said]
        probability = np.array([reading.probability for reading, _, _ in single], np.float64)
        figures = frame_figures(
            labels=[done for _, done, _ in single],
            before=self.uncalibrated(trained, probability),
            after=probability,
            tasks=[held_out.task] * len(single),
            kinds=[kind for _, _, kind in single],
            above=[reading.above for reading, _, _ in single],
        )
        whole = [(item.episode, item.seen.stop, item.seen.unsure) for item in held_out.episodes if item.whole]
        return {"frames": figures, "whole_episodes": decision_figures(whole)}

    def uncalibrated(self, trained: LoadedReward, probability: Float64) -> Float64:
        """What a reward model's probabilities (N,) were before calibration; here the same, where it has none."""
        return probability


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
