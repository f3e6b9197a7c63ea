"""`ImagePerception`: camera images, proprioception and the instruction through an encoder that is trained.

Behind a frozen encoder replay keeps features; behind one that goes on being trained it keeps bytes of images, or what a
frozen tower saw in them, and the agent encodes its batches itself (`policies.perception.encoders.frames`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from policies.common.tensor_file import content_digest, read_tensors, write_tensors
from policies.perception.common import FILE, Common, Content, part_of
from policies.perception.encoders.description import described, rebuilt
from policies.perception.encoders.encoder import Encoder
from policies.perception.encoders.frames import episode_fields, frame_fields
from policies.perception.gaps import NO_GAPS, Gaps
from policies.perception.keypoint_perception import KeypointPerception
from policies.perception.scaling import ProprioScaling
from policies.perception.text_table import TextTable
from policies.replay.ring_buffer import Fields
from trajectories.errors import CheckpointError, ConfigError
from trajectories.types import Episode, Float32, Observation, RobotSpec

KIND = "regrasp-images-1"
_BESIDE = "keypoints"
_ENCODER, _KEYPOINTS = "encoder.", f"{_BESIDE}."
_TRIALS = 4


class ImagePerception:
    """An image encoder, scaling of proprioception, table of instructions.

    Implements `policies.perception.protocol.Perception`. The encoder is shared with the agent that trains it, so that
    `state` always uses its present weights; `digest` stays that of the weights at the start.

    Attributes:
        encoder: The image encoder.
        scaling: Of proprioception.
        text: Known instructions.
        spec: The robot.
        gaps: What some of the data lack of what the encoder takes, which then ends with their flags.
        keypoints: Frozen; their state vector stands in the place of the encoder's proprioception. None without.
        digest: Hex sha256 of all of these, as they were at first.
    """

    def __init__(
        self,
        encoder: Encoder,
        scaling: ProprioScaling,
        text: TextTable,
        spec: RobotSpec,
        gaps: Gaps = NO_GAPS,
        keypoints: KeypointPerception | None = None,
    ) -> None:
        """Combine.

        Raises:
            ConfigError: The robot's cameras or proprioception, or the instructions, are not those of the encoder.
        """
        expected = {name: tuple(spec.cameras.get(name, ())) for name in encoder.cameras}
        if encoder.cameras != expected:
            raise ConfigError(
                f"The encoder was made for cameras {encoder.cameras}, the robot has {dict(spec.cameras)}: use the "
                "cameras and sizes of pre-training."
            )
        sizes = (gaps.size + (len(spec.proprio) if keypoints is None else keypoints.size), text.rows.shape[1])
        if encoder.sizes != sizes:
            raise ConfigError(f"The encoder was made for proprioception and text of {encoder.sizes}, not {sizes}.")
        self.encoder, self.scaling, self.text, self.spec, self.gaps = encoder, scaling, text, spec, gaps
        self.keypoints = keypoints
        self._rows = torch.from_numpy(text.rows)
        self.digest = content_digest(*self._content())

    @property
    def kind(self) -> str:
        """Of the encoder: "cnn", "resnet", "clip"."""
        return self.encoder.config.kind

    @property
    def size(self) -> int:
        """F, features of a frame."""
        return self.encoder.size

    @property
    def fields(self) -> Fields:
        """What replay keeps of a frame."""
        return frame_fields(self.encoder)

    @property
    def trained(self) -> Encoder | None:
        """The encoder, unless it is frozen."""
        return None if self.encoder.frozen else self.encoder

    @property
    def sees_words(self) -> bool:
        """Whether replay keeps what the instruction had a part in: features, or the keypoints' states.

        Then each wording of an episode has frames of its own in replay, images and maps with them.
        """
        return self.keypoints is not None or (self.encoder.frozen and self.encoder.config.instruction != "none")

    def instruction(self, text: str) -> int:
        """Row of an instruction in the table.

        Raises:
            ConfigError: When it is unknown.
        """
        return self.text.row(text)

    def state(self, observation: Observation) -> Float32:
        """Features of one observation, float32 (F,).

        Raises:
            ConfigError: When the instruction is unknown, or a camera is missing or of another size.
        """
        code = self._rows[self.text.row(observation.instruction)]
        self.encoder.require_cameras(observation.images)
        images = {name: observation.images[name][None] for name in self.encoder.cameras}
        states = None if self.keypoints is None else self.keypoints.state(observation)[None]
        features = self.encoder.encode_episode(images, self.inputs(observation.proprio[None], images, states), code)
        return features[0].cpu().numpy()

    def frames(self, episode: Episode) -> dict[str, NDArray[Any] | Tensor]:
        """`fields` of all frames of an episode, (T + 1, ...) each; images are the episode's own, not copied.

        A camera that may be missing, and is, has black images, of which the encoder makes no features.

        Raises:
            ConfigError: As `state`.
        """
        code, images = self._rows[self.text.row(episode.instruction)], dict(episode.images)
        for name in self.gaps.cameras:
            if name not in images:
                images[name] = np.zeros((len(episode.proprio), *self.encoder.cameras[name], 3), np.uint8)
        states = None if self.keypoints is None else self.keypoints.episode(episode)
        return episode_fields(self.encoder, images, self.inputs(episode.proprio, episode.images, states), code)

    def with_text(self, text: TextTable) -> ImagePerception:
        """A copy that knows the instructions of another table of the same text tower."""
        keypoints = None if self.keypoints is None else self.keypoints.with_text(text)
        return ImagePerception(self.encoder, self.scaling, text, self.spec, self.gaps, keypoints)

    def with_encoder(self, tensors: Mapping[str, Tensor]) -> ImagePerception:
        """A copy with these weights of the encoder, which have given finite features in a trial.

        Raises:
            CheckpointError: They don't fit, or a trial frame's features are not finite.
        """
        fresh = self._through(self.encoder.renewed(tensors))
        noise = np.random.default_rng(0)
        for instruction in self.text.instructions[:_TRIALS]:
            images = {n: noise.integers(0, 256, (*size, 3), np.uint8) for n, size in self.spec.cameras.items()}
            if not np.isfinite(fresh.state(Observation(images, self.scaling.mean, instruction, {}))).all():
                raise CheckpointError("The encoder's trial frame gave features that are not finite; don't use it.")
        return fresh

    def settled(self) -> ImagePerception:
        """A copy whose encoder stays as it is now: replay keeps its features."""
        return self._through(self.encoder.settled())

    def inputs(self, proprio: Float32, images: Mapping[str, NDArray[Any]], states: Float32 | None = None) -> Float32:
        """What the encoder takes beside images: float32 (N, P + G), or (N, K + G) with keypoints.

        Args:
            proprio: float32 (N, P) as measured.
            images: Those that there are.
            states: float32 (N, K) of the keypoints; None without, and where they are to be hidden, as 0: from frames
                whose labels, which they hold, are to be learned.
        """
        if self.keypoints is None:
            states = self.scaling.apply(proprio)
        elif states is None:
            states = np.zeros((len(proprio), self.keypoints.size), np.float32)
        return self.gaps.beside(states, proprio, images, self.spec)

    def _through(self, encoder: Encoder) -> ImagePerception:
        """A copy with another encoder of the same sizes."""
        return ImagePerception(encoder, self.scaling, self.text, self.spec, self.gaps, self.keypoints)

    def _content(self) -> Content:
        tensors = {_ENCODER + name: tensor for name, tensor in self.encoder.trained_tensors().items()}
        shared, header = Common(self.scaling, self.text, self.spec, self.gaps).content()
        header["encoder"] = described(self.encoder)
        if self.keypoints is not None:
            own, header[_BESIDE] = self.keypoints.own_content()
            tensors |= {_KEYPOINTS + name: tensor for name, tensor in own.items()}
        return tensors | shared, header

    def save(self, folder: Path) -> None:
        """Write `features.safetensors` into `folder`.

        Raises:
            CheckpointError: The disk refuses.
        """
        write_tensors(folder / FILE, KIND, *self._content())

    @classmethod
    def load(cls, folder: Path, spec: RobotSpec | None = None) -> ImagePerception:
        """Read what `save` wrote.

        Args:
            folder: Policy folder.
            spec: The robot at hand; None takes the saved one.

        Raises:
            CheckpointError: The file is missing, damaged or incomplete, or its tower is not the one of training.
            SpecMismatchError: It was made for another robot.
            MissingDependencyError: The tower's weights are not on this machine.
        """
        tensors, header, _ = read_tensors(folder / FILE, KIND)
        common = Common.read(tensors, header, folder, spec)
        encoder, keypoints = rebuilt(header["encoder"], part_of(tensors, _ENCODER)), None
        if _BESIDE in header:
            keypoints = KeypointPerception.rebuilt(part_of(tensors, _KEYPOINTS), header[_BESIDE], common, folder)
        return cls(encoder, common.scaling, common.text, common.spec, common.gaps, keypoints)
