"""Collects an episode step by step, with every step checked when it happens rather than when it is stored."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trajectories.checks import check_array, check_episode, check_observation, plain_metadata
from trajectories.errors import InvalidEpisodeError
from trajectories.labels import sparse_labels
from trajectories.types import ACTION_SIZE, Direction, Episode, Float32, Observation, Outcome, RobotSpec, Source


def new_episode_id(rng: np.random.Generator | None = None) -> str:
    """A new id: 20 digits of Unix time in ns and 8 hex digits, so that ids sort by time of creation.

    Args:
        rng: Draws the hex digits; without it they come from the operating system.
    """
    tail = secrets.token_hex(4) if rng is None else rng.bytes(4).hex()
    return f"{time.time_ns():020d}-{tail}"


@dataclass
class _Columns:
    """What has been recorded of an episode under way."""

    id: str
    task: str
    instruction: str
    direction: Direction
    metadata: dict[str, Any]
    observations: list[Observation] = field(default_factory=list)
    proposed: list[Float32] = field(default_factory=list)
    executed: list[Float32] = field(default_factory=list)
    source: list[int] = field(default_factory=list)
    policy_version: list[int] = field(default_factory=list)
    probability: list[float] = field(default_factory=list)


class Recorder:
    """Records one episode after another: `begin`, any number of `step`, `finish`.

    Arrays are copied, so callers may reuse their buffers. `begin` drops an episode that was not finished.
    """

    def __init__(self, spec: RobotSpec, rng: np.random.Generator | None = None) -> None:
        """Record for this robot; `rng` makes the random part of the ids repeatable."""
        self.spec = spec
        self._rng = rng
        self._columns: _Columns | None = None

    def __len__(self) -> int:
        """Steps recorded of the episode under way; 0 when there is none."""
        return 0 if self._columns is None else len(self._columns.executed)

    def begin(
        self,
        observation: Observation,
        *,
        task: str,
        direction: Direction,
        metadata: Mapping[str, Any] | None = None,
        success_probability: float | None = None,
    ) -> str:
        """Start an episode at its first observation, whose instruction is the episode's; returns its id.

        Args:
            observation: Before the first step.
            task: Task name.
            direction: "forward" or "backward".
            metadata: Plain JSON types.
            success_probability: Of the reward model for this observation; None where none ran.

        Raises:
            InvalidEpisodeError: When the observation doesn't fit the `RobotSpec` or the metadata is no JSON.
        """
        id = new_episode_id(self._rng)
        plain = plain_metadata(metadata or {}, f"of episode {id}")
        columns = _Columns(id, task, observation.instruction, direction, plain)
        self._columns = None
        self._observe(columns, observation, success_probability)
        self._columns = columns
        return id

    def step(
        self,
        observation_after: Observation,
        proposed: Float32,
        executed: Float32,
        source: Source = Source.POLICY,
        policy_version: int = -1,
        success_probability: float | None = None,
    ) -> None:
        """Add a step and the observation that it led to.

        Args:
            observation_after: Taken after the action.
            proposed: float32 (7,) what the policy or person asked for; may hold NaN, which safety turns into
                rest.
            executed: float32 (7,) what was sent after safety; finite.
            source: Who chose it.
            policy_version: Of the policy that acted, -1 where none did.
            success_probability: Of the reward model for `observation_after`; None where none ran.

        Raises:
            InvalidEpisodeError: When no episode has begun, or something doesn't fit the `RobotSpec`.
        """
        columns = self._under_way()
        proposed, executed = np.asarray(proposed), np.asarray(executed)
        check_array(proposed, "proposed action", (ACTION_SIZE,), np.float32)
        check_array(executed, "executed action", (ACTION_SIZE,), np.float32, finite=True)
        self._observe(columns, observation_after, success_probability)
        columns.proposed.append(proposed.copy())
        columns.executed.append(executed.copy())
        columns.source.append(int(Source(source)))
        columns.policy_version.append(int(policy_version))

    def conclude(self, success_probability: float) -> None:
        """Note what a reward model that judges whole episodes said, as that of the newest observation.

        Raises:
            InvalidEpisodeError: When no episode has begun.
        """
        self._under_way().probability[-1] = float(success_probability)

    def finish(self, outcome: Outcome, truncated: bool, metadata: Mapping[str, Any] | None = None) -> Episode:
        """End the episode: labels it sparsely and returns it.

        Args:
            outcome: What the judge said.
            truncated: Time ran out or the session was stopped. Success wins: it terminates and never
                truncates.
            metadata: Added to what `begin` was given.

        Raises:
            InvalidEpisodeError: When no episode has begun, or it has no steps.
        """
        columns = self._under_way()
        self._columns = None
        steps, observations = len(columns.executed), columns.observations
        if steps == 0:
            raise InvalidEpisodeError("The episode has no steps; record at least one before finish.")
        rewards, terminated = sparse_labels(steps, outcome)
        cut = np.zeros(steps, np.bool_)
        cut[-1] = truncated and outcome != "success"
        first = observations[0]
        episode = Episode(
            id=columns.id,
            task=columns.task,
            instruction=columns.instruction,
            direction=columns.direction,
            outcome=outcome,
            images={camera: np.stack([o.images[camera] for o in observations]) for camera in first.images},
            proprio=np.stack([o.proprio for o in observations]),
            t_ns={name: np.array([o.t_ns[name] for o in observations], np.int64) for name in first.t_ns},
            proposed=np.stack(columns.proposed),
            executed=np.stack(columns.executed),
            rewards=rewards,
            terminated=terminated,
            truncated=cut,
            source=np.array(columns.source, np.uint8),
            policy_version=np.array(columns.policy_version, np.int64),
            success_probability=np.array(columns.probability, np.float32),
            metadata=columns.metadata | plain_metadata(metadata or {}, f"of episode {columns.id}"),
            depth={camera: np.stack([o.depth[camera] for o in observations]) for camera in first.depth},
        )
        check_episode(episode, self.spec)
        return episode

    def _under_way(self) -> _Columns:
        if self._columns is None:
            raise InvalidEpisodeError("No episode is being recorded; call begin first.")
        return self._columns

    def _observe(self, columns: _Columns, observation: Observation, probability: float | None) -> None:
        check_observation(observation, self.spec)
        if observation.instruction != columns.instruction:
            raise InvalidEpisodeError(
                f"The instruction changed from {columns.instruction!r} to {observation.instruction!r} within "
                f"an "
                "episode; finish it and begin another."
            )
        if columns.observations and observation.t_ns.keys() != columns.observations[0].t_ns.keys():
            raise InvalidEpisodeError(
                f"t_ns has the sources {sorted(observation.t_ns)}, the first observation had "
                f"{sorted(columns.observations[0].t_ns)}."
            )
        images = {camera: image.copy() for camera, image in observation.images.items()}
        depth = {camera: distances.copy() for camera, distances in observation.depth.items()}
        copy = Observation(images, observation.proprio.copy(), observation.instruction, dict(observation.t_ns), depth)
        columns.observations.append(copy)
        columns.probability.append(float("nan") if probability is None else float(probability))
