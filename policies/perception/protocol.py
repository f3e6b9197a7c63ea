"""`Perception`: what the rest of the room knows of how a policy sees."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray
from torch import Tensor

from policies.perception.encoders.encoder import Encoder
from policies.perception.text_table import TextTable
from policies.replay.ring_buffer import Fields
from trajectories.types import Episode, Float32, Observation, RobotSpec


class Perception(Protocol):
    """Observations to the features that actor and critics see.

        acting      state(observation)                      -> float32 (F,) -> actor
        learning    frames(episode) -> replay -> batch      -> `Agent`, which encodes `trained`'s frames itself

    `digest` is that of the content as it was made or loaded: a replay or a robot that agrees on it sees the same.
    """

    @property
    def kind(self) -> str:
        """What it looks through: "keypoints", "cnn", "resnet", "clip"."""

    @property
    def digest(self) -> str:
        """Hex sha256 of weights, scaling, instructions, robot."""

    @property
    def spec(self) -> RobotSpec:
        """The robot."""

    @property
    def text(self) -> TextTable:
        """Known instructions."""

    @property
    def size(self) -> int:
        """F, features of a frame."""

    @property
    def fields(self) -> Fields:
        """What replay keeps of a frame: the features ("state"), or what the trained encoder makes them of."""

    @property
    def encoder(self) -> Encoder | None:
        """The image encoder, trained or frozen; None for keypoints."""

    @property
    def trained(self) -> Encoder | None:
        """The image encoder if an agent shall train it, for `Agent(encoder=...)`; None where replay keeps features."""

    @property
    def sees_words(self) -> bool:
        """Whether what replay keeps of a frame depends on the episode's instruction."""

    def instruction(self, text: str) -> int:
        """Row of an instruction in the table.

        Raises:
            ConfigError: When it is unknown.
        """

    def state(self, observation: Observation) -> Float32:
        """Features of one observation, float32 (F,)."""

    def frames(self, episode: Episode) -> Mapping[str, NDArray[Any] | Tensor]:
        """`fields` of all frames of an episode, (T + 1, ...) each."""

    def with_encoder(self, tensors: Mapping[str, Tensor]) -> Perception:
        """A copy with these weights of the encoder, which have given finite features in a trial.

        Raises:
            CheckpointError: They don't fit, there is no encoder, or a trial frame's features are not finite.
        """

    def settled(self) -> Perception:
        """A copy that nothing trains any more: replay keeps features."""

    def with_text(self, text: TextTable) -> Perception:
        """A copy that knows the instructions of another table of the same text tower."""

    def save(self, folder: Path) -> None:
        """Write `features.safetensors` into a policy folder.

        Raises:
            CheckpointError: The disk refuses.
        """
