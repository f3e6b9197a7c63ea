"""`KeypointPerception`: observations to a state vector, through keypoints that a frozen network finds.

The image enters through the frozen keypoint network only, so replay keeps a few dozen numbers a frame instead of
an image. Nothing in the state is known to the twin alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from policies.common.tensor_file import content_digest, read_tensors, write_tensors
from policies.perception.common import FILE, Common, Content, part_of
from policies.perception.gaps import NO_GAPS, Gaps
from policies.perception.keypoint_labels import KEYPOINT_SIZE, PICK_SIZE, ProprioIndex
from policies.perception.keypoints import KeypointNet, KeypointNetConfig, as_input
from policies.perception.place_trust import PlaceTrust
from policies.perception.scaling import LARGEST, ProprioScaling
from policies.perception.text_table import TextTable
from policies.replay.ring_buffer import Fields
from trajectories.errors import CheckpointError, ConfigError
from trajectories.types import Episode, Float32, Int64, Observation, RobotSpec, UInt8

KIND = "regrasp-features-1"
REACH = 0.1
"""m, unit of the position differences."""
NEAR = 0.02
"""m, unit of the fine position difference, which saturates beyond."""
PLACES = ("tip_x", "tip_y", "target_x", "target_y")
"""Proprioception that the state holds as differences only."""
_GEOMETRY = 20
_NET = "net."
_BATCH = 128


class KeypointPerception:
    """Frozen: keypoint network, scaling of proprioception, table of instructions.

    Implements `policies.perception.protocol.Perception`.

    Attributes:
        net: The keypoint network.
        scaling: Of proprioception.
        text: Known instructions.
        spec: The robot.
        camera: Name of the camera that is looked through.
        gaps: What some of the data lack; the state then ends with their flags.
        trust: How far the places that the network sees are believed.
        digest: Hex sha256 of all of these.
    """

    kind = "keypoints"

    def __init__(
        self,
        net: KeypointNet,
        scaling: ProprioScaling,
        text: TextTable,
        spec: RobotSpec,
        camera: str,
        gaps: Gaps = NO_GAPS,
        trust: PlaceTrust | None = None,
    ) -> None:
        """Freeze and combine; without `trust` every place is believed as it is seen.

        Raises:
            ConfigError: When the robot has no such camera, or it has another size than the network, or the
                proprioception with its gaps has.
        """
        require_camera(spec, camera)
        if spec.cameras[camera][0] != net.config.image_size:
            raise ConfigError(
                f"Camera {camera!r} gives {spec.cameras[camera]} pixels, the encoder was trained on "
                f"{net.config.image_size}: use the camera size of pre-training."
            )
        inputs = len(spec.proprio) + gaps.size
        if net.config.proprio_size != inputs:
            raise ConfigError(
                f"The keypoint network takes {net.config.proprio_size} entries beside the image, the robot's "
                f"proprioception with the gaps of the data has {inputs}: use the stores and cameras of its training."
            )
        self.net = net.eval().requires_grad_(False)
        self.scaling, self.text, self.spec, self.camera, self.gaps = scaling, text, spec, camera, gaps
        self.trust = PlaceTrust.whole(len(text.instructions)) if trust is None else trust.extended(text.rows)
        self._index = ProprioIndex.of(spec.proprio)
        self._kept = [i for i, name in enumerate(spec.proprio) if name not in PLACES]
        self._targets = [spec.proprio.index(f"target_{axis}") for axis in "xyz"]
        tensors, header = self._content()
        self.digest = content_digest(tensors, header)

    @property
    def size(self) -> int:
        """F, length of the state vector."""
        return len(self._kept) + _GEOMETRY + self.gaps.size

    @property
    def fields(self) -> Fields:
        """Replay keeps state vectors."""
        return {"state": ((self.size,), torch.float32)}

    @property
    def encoder(self) -> None:
        """There is none: the network learns from labels alone."""

    @property
    def trained(self) -> None:
        """No agent trains the network."""

    @property
    def sees_words(self) -> bool:
        """Yes: the network looks for what the instruction speaks of."""
        return True

    def instruction(self, text: str) -> int:
        """Row of an instruction in the table.

        Raises:
            ConfigError: When it is unknown.
        """
        return self.text.row(text)

    def with_text(self, text: TextTable) -> KeypointPerception:
        """A copy that knows the instructions of another table of the same text tower."""
        return KeypointPerception(self.net, self.scaling, text, self.spec, self.camera, self.gaps, self.trust)

    def settled(self) -> KeypointPerception:
        """Itself: nothing trains it."""
        return self

    def with_encoder(self, tensors: Mapping[str, Tensor]) -> KeypointPerception:
        """Refuse weights of an image encoder.

        Raises:
            CheckpointError: Always.
        """
        raise CheckpointError(
            f"These weights bring an image encoder ({len(tensors)} tensors), and this policy sees through keypoints. "
            "Actor and learner must start from one pre-trained folder."
        )

    def keypoints(self, images: UInt8, proprio: Float32, rows: Int64) -> Float32:
        """What the network sees, places as far as they are believed: float32 (N, 8) as in `KeypointLabels`.

        Args:
            images: uint8 (N, S, S, 3).
            proprio: float32 (N, P), as measured; NaN where it is missing.
            rows: int64 (N,) of the text table.
        """
        there = {self.camera: images}
        scaled = torch.from_numpy(self.gaps.beside(self.scaling.apply(proprio), proprio, there, self.spec))
        words = torch.from_numpy(self.text.rows[rows])
        parts = []
        with torch.inference_mode():
            for start in range(0, len(images), _BATCH):
                part = slice(start, start + _BATCH)
                pixels = as_input(torch.from_numpy(np.ascontiguousarray(images[part])))
                parts.append(self.net(pixels, scaled[part], words[part]).numpy())
        points = np.concatenate(parts)
        points[:, PICK_SIZE:] = self.trust.shrunk(points[:, PICK_SIZE:], rows)
        return points

    def state(self, observation: Observation) -> Float32:
        """State of one observation, float32 (F,).

        Raises:
            ConfigError: The camera's image is not there, or the instruction is unknown.
        """
        if self.camera not in observation.images:
            there = ", ".join(sorted(observation.images)) or "none"
            raise ConfigError(f"There is no image of camera {self.camera!r}, for keypoints; given are {there}.")
        rows = np.array([self.text.row(observation.instruction)])
        proprio = observation.proprio[None]
        points = self.keypoints(observation.images[self.camera][None], proprio, rows)
        return self._with_flags(proprio, points, observation.images)[0]

    def episode(self, episode: Episode) -> Float32:
        """States of all frames of an episode, float32 (T + 1, F).

        What is made of a missing entry of the proprioception, or of the image of a missing camera, is 0.

        Raises:
            ConfigError: The camera is missing, and wasn't in any of the data that this was made for.
        """
        if self.camera not in episode.images and self.camera not in self.gaps.cameras:
            raise ConfigError(
                f"Episode {episode.id} has no images of camera {self.camera!r}, which this policy looks through. Name "
                "its store in `data` when you pre-train, so that the policy learns that they may be missing."
            )
        rows = np.full(len(episode.proprio), self.text.row(episode.instruction))
        images = episode.images.get(self.camera)
        unseen = np.full((len(rows), KEYPOINT_SIZE), np.nan, np.float32)
        points = unseen if images is None else self.keypoints(images, episode.proprio, rows)
        return self._with_flags(episode.proprio, points, episode.images)

    def frames(self, episode: Episode) -> dict[str, Float32]:
        """`fields` of all frames of an episode."""
        return {"state": self.episode(episode)}

    def _with_flags(self, proprio: Float32, points: Float32, images: Mapping[str, UInt8]) -> Float32:
        """(N, P), (N, 8) and the images that there are -> (N, F), 0 for what is missing."""
        return self.gaps.beside(self._assemble(proprio, points), proprio, images, self.spec)

    def _assemble(self, proprio: Float32, points: Float32) -> Float32:
        """(N, P) and (N, 8) -> (N, F) but for flags; what is made of NaN is NaN.

        Where things are on the table enters through differences only, so that what was learned in one place holds
        in another: a handful of demonstrations covers few places.
        """
        pick, place = points[:, :3], points[:, PICK_SIZE:]
        tip, target = proprio[:, self._index.tip], proprio[:, self._targets]
        turn = np.arctan2(points[:, 3], points[:, 4]) - 2.0 * proprio[:, self._index.yaw]
        parts = [
            self.scaling.apply(proprio)[:, self._kept],
            np.clip((tip - target) / NEAR, -LARGEST, LARGEST),
            (pick - target) / REACH,
            np.tanh((pick - target) / NEAR),
            (place - target) / REACH,
            np.tanh((place - target) / NEAR),
            (place - pick) / REACH,
            np.stack([np.sin(turn), np.cos(turn)], axis=1),
        ]
        return np.concatenate(parts, axis=1).astype(np.float32)

    def own_content(self) -> Content:
        """Tensors and header of network, trust and gaps, without what every perception has."""
        tensors = {f"{_NET}{name}": tensor.contiguous() for name, tensor in self.net.state_dict().items()}
        header = {"camera": self.camera, "net": self.net.config.to_dict()}
        return tensors | self.trust.tensors(), header | ({"gaps": self.gaps.to_dict()} if self.gaps else {})

    def _content(self) -> Content:
        (tensors, own), (shared, header) = self.own_content(), Common(self.scaling, self.text, self.spec).content()
        return tensors | shared, header | own

    def save(self, folder: Path) -> None:
        """Write `features.safetensors` into `folder`.

        Raises:
            CheckpointError: The disk refuses.
        """
        write_tensors(folder / FILE, KIND, *self._content())

    @classmethod
    def load(cls, folder: Path, spec: RobotSpec | None = None) -> KeypointPerception:
        """Read what `save` wrote.

        Args:
            folder: Policy folder.
            spec: The robot at hand; None takes the saved one.

        Raises:
            CheckpointError: The file is missing, damaged or incomplete.
            SpecMismatchError: It was made for another robot.
        """
        tensors, header, _ = read_tensors(folder / FILE, KIND)
        return cls.rebuilt(tensors, header, Common.read(tensors, header, folder, spec), folder)

    @classmethod
    def rebuilt(
        cls, tensors: Mapping[str, Tensor], header: Mapping[str, Any], common: Common, folder: Path
    ) -> KeypointPerception:
        """What `own_content` gave, with scaling, instructions and robot of `common`; `folder` is for messages.

        Raises:
            CheckpointError: The network isn't one of this version.
        """
        net = KeypointNet(KeypointNetConfig.from_dict(header["net"]))
        try:
            net.load_state_dict(part_of(tensors, _NET))
        except RuntimeError as error:
            raise CheckpointError(f"{folder / FILE} doesn't fit this version's encoder: {error}") from error
        net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        trust = PlaceTrust.of(tensors, len(common.text.instructions))
        gaps = Gaps.from_dict(header["gaps"]) if "gaps" in header else NO_GAPS
        return cls(net, common.scaling, common.text, common.spec, header["camera"], gaps, trust)


def require_camera(spec: RobotSpec, camera: str) -> None:
    """Refuse a camera that the robot does not have.

    Raises:
        ConfigError: Lists those that it has.
    """
    if camera not in spec.cameras:
        raise ConfigError(f"There is no camera {camera!r}; the robot has {', '.join(sorted(spec.cameras))}.")
