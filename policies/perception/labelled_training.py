"""`LabelledTraining`: an image encoder learns from labels in hindsight where to pick and place, before cloning.

Cloning alone learns its demonstrations by heart; the labels of `policies.perception.keypoint_labels` are in play and in
failures, too, and say in metres what a picture has to be looked at for. The head that reads them is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from policies.perception.encoders.augmentation import shift
from policies.perception.encoders.encoder import Encoder
from policies.perception.keypoint_config import KeypointConfig
from policies.perception.keypoint_labels import KEYPOINT_SIZE
from policies.perception.label_descent import LabelDescent, gains
from policies.perception.labelled_frames import (
    KeypointErrors,
    KeypointFrames,
    errors_of,
    require_labels,
    set_label_scale,
    split_episodes,
)
from trajectories.errors import CheckpointError
from trajectories.types import Float32, Int64, UInt8

VIEWS = 2
"""Times that a frozen tower looks at each image: as it is, and shifted and coloured."""
HIDDEN = (128, 64)
_HEAD, _MOMENTS, _ENCODER = "head.", "optimiser.", "encoder."
_BATCH = 128


class LabelHead(nn.Module):
    """Features of an encoder to the eight numbers of `KeypointLabels`."""

    label_mean: Tensor
    label_scale: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        first, second = HIDDEN
        self.layers = nn.Sequential(
            nn.Linear(features, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU(), nn.Linear(second, KEYPOINT_SIZE)
        )
        self.register_buffer("label_mean", torch.zeros(KEYPOINT_SIZE))
        self.register_buffer("label_scale", torch.ones(KEYPOINT_SIZE))

    def forward(self, features: Tensor) -> Tensor:
        """(N, F) to labels (N, 8) about zero mean and unit deviation."""
        return self.layers(features)  # type: ignore[no-any-return]


class LabelledTraining:
    """Training of an encoder of one camera on labelled frames, resumable bit for bit.

    The loss is that of `KeypointTraining`. Images change in brightness and colour, and are shifted by the encoder's
    `displacement` (unless its `augmentation` is "none"), while the labels stay; behind a frozen tower they are changed
    once, see `VIEWS`, whose maps take as much memory as replay's for each of them.

    Attributes:
        encoder: Trained in place.
        step: Gradient steps done.
    """

    def __init__(
        self,
        encoder: Encoder,
        frames: KeypointFrames,
        config: KeypointConfig,
        seed: int,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin.

        Args:
            encoder: Of one camera.
            frames: Labelled, its proprioception as the encoder takes it.
            config: Settings.
            seed: Of the head, the held-out episodes, the batches.
            alive: Called between the batches that a frozen tower looks at before the first update.

        Raises:
            ConfigError: When no frame has a label.
        """
        require_labels(frames)
        self.encoder, self._frames, self._config = encoder, frames, config
        self._device = next(encoder.parameters()).device
        self._rng = np.random.default_rng(seed)
        self._train, self._held = split_episodes(frames.episode, config.holdout, self._rng)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._head = LabelHead(encoder.size)
        set_label_scale(self._head, frames, self._train)
        self._head.to(self._device)
        trained = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
        self._descent = LabelDescent([*trained, *self._head.parameters()], config)
        self._text = torch.from_numpy(frames.text).to(self._device)
        views = range(0 if encoder.tower is None else VIEWS)
        self._views = [self._looked_at(number > 0, alive) for number in views]
        self.step = 0

    def update(self) -> Tensor:
        """One gradient step; returns its loss, a scalar without gradient."""
        rows = self._train[self._rng.integers(len(self._train), size=self._config.batch)]
        values, mask = (self._moved(part[rows]) for part in (self._frames.values, self._frames.mask))
        target = (values - self._head.label_mean) / self._head.label_scale
        loss = self._descent.step(self._normalised(rows, changed=True), target, mask, self.step)
        self.step += 1
        return loss

    def errors(self) -> KeypointErrors:
        """The head's errors on held-out episodes."""
        parts = [self._held[start : start + _BATCH] for start in range(0, len(self._held), _BATCH)]
        with torch.no_grad():
            normal = [self._normalised(rows, changed=False).cpu() for rows in parts]
        if not normal:
            return KeypointErrors(float("nan"), float("nan"), float("nan"))
        scale, mean = self._head.label_scale.cpu(), self._head.label_mean.cpu()
        predicted: Float32 = (torch.cat(normal) * scale + mean).numpy()
        return errors_of(predicted, self._frames.values[self._held], self._frames.mask[self._held])

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that decides how training goes on: tensors, and plain JSON."""
        tensors = {_ENCODER + name: tensor.detach() for name, tensor in self.encoder.trained_tensors().items()}
        tensors |= {_HEAD + name: tensor for name, tensor in self._head.state_dict().items()}
        tensors |= self._descent.tensors(_MOMENTS)
        return tensors, {"step": self.step, "rng": self._rng.bit_generator.state}

    def load_state(self, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
        """Restore what `state` gave, for the same frames, settings and seed.

        Raises:
            CheckpointError: It is of another encoder.
        """
        self.encoder.load_trained(encoder_of(tensors))
        head = {name.removeprefix(_HEAD): tensor for name, tensor in tensors.items() if name.startswith(_HEAD)}
        try:
            self._head.load_state_dict(head)
        except RuntimeError as error:
            raise CheckpointError(f"The checkpoint's head is of another encoder: {error}") from error
        self._descent.load(tensors, _MOMENTS)
        self._rng.bit_generator.state = header["rng"]
        self.step = int(header["step"])

    def _normalised(self, rows: Int64, *, changed: bool) -> Tensor:
        """What the head says of these of the N frames, whose images are changed as in training or not."""
        frames = self._frames
        proprio, words = self._moved(frames.proprio[rows]), self._text[self._moved(frames.instruction[rows])]
        code = None if self.encoder.config.instruction == "none" else words
        return self._head(self.encoder.combine(self._seen(frames.image[rows], changed), proprio, code))  # type: ignore[no-any-return]

    def _seen(self, images: Int64, changed: bool) -> dict[str, Tensor]:
        (camera,) = self.encoder.cameras
        if self._views:
            view = self._views[int(self._rng.integers(VIEWS)) if changed else 0]
            return {camera: view[torch.from_numpy(images)].to(self._device)}
        fresh = self._changed(self._frames.images[images]) if changed else torch.from_numpy(self._frames.images[images])
        return self.encoder.see({camera: fresh.to(self._device)})

    def _looked_at(self, changed: bool, alive: Callable[[], None]) -> Tensor:
        """The frozen tower's maps of all M images, float16, on the CPU."""
        (camera,), images = self.encoder.cameras, self._frames.images
        maps = torch.empty(len(images), *self.encoder.branch(0).input_shape, dtype=torch.float16)
        for start in range(0, len(images), _BATCH):
            rows = slice(start, start + _BATCH)
            fresh = self._changed(images[rows]) if changed else torch.from_numpy(images[rows])
            maps[rows] = self.encoder.see({camera: fresh.to(self._device)})[camera].cpu()
            alive()
        return maps

    def _changed(self, images: UInt8) -> Tensor:
        """Brightness, colour and place of each image changed: uint8 (B, H, W, 3)."""
        count = len(images)
        gain = torch.from_numpy(gains(self._config, count, self._rng)).float()[:, None, None]
        fresh = (torch.from_numpy(images).float() * gain).clamp_(0, 255).to(torch.uint8)
        if self.encoder.config.augmentation == "none":
            return fresh
        reach = self.encoder.config.displacement
        return shift(fresh, torch.from_numpy(self._rng.integers(0, 2 * reach + 1, (count, 2))), reach)

    def _moved(self, values: Float32 | Int64) -> Tensor:
        return torch.from_numpy(values).to(self._device)


def encoder_of(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder's part of `LabelledTraining.state`, for `Perception.with_encoder`."""
    return {name.removeprefix(_ENCODER): tensor for name, tensor in tensors.items() if name.startswith(_ENCODER)}
