"""Training of the keypoint network on frames with hindsight labels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from policies.common.progress import Progress
from policies.perception.keypoint_config import KeypointConfig
from policies.perception.keypoint_labels import PICK_SIZE
from policies.perception.keypoints import KeypointNet, KeypointNetConfig, as_input
from policies.perception.label_descent import LabelDescent, gains
from policies.perception.labelled_frames import (
    KeypointErrors,
    KeypointFrames,
    errors_of,
    require_labels,
    set_label_scale,
    split_episodes,
)
from policies.perception.place_trust import FOLDS, NO_GROUPS, Groups, PlaceTrust, ShownPlaces, fit_trust
from trajectories.errors import CheckpointError
from trajectories.types import Float32, Int64, UInt8

_NET, _MOMENTS = "net.", "optimiser."
_PARTS = "place_parts"


def measures_alike(header: Mapping[str, Any]) -> bool:
    """Whether the header of a training's state is of a version that measures alike how far places are believed."""
    return header.get(_PARTS) == FOLDS


def _blind(number: int) -> tuple[str, str]:
    """Prefixes of a blind network's weights and of its descent's moments."""
    return f"blind.{number}.net.", f"blind.{number}.optimiser."


class KeypointTraining:
    """Training of a keypoint network that can be interrupted and goes on to the bit.

    Loss: smooth L1 of the normalised labels where the mask is one. Positions share one scale for all axes, so that
    an error in z counts as much as one in x. Where places are to be shrunk, further networks, each blind to a part of
    them, learn beside the first one, which is as it would be without.

    Attributes:
        net: The network.
        step: Gradient steps done.
    """

    def __init__(self, frames: KeypointFrames, config: KeypointConfig, seed: int, groups: Groups = NO_GROUPS) -> None:
        """A network with initial weights.

        Args:
            frames: Labelled frames, proprioception normalised.
            config: Settings.
            seed: Of the initial weights, the held-out episodes, the batches.
            groups: Whose places are to be shrunk, see `PlaceTrust`.

        Raises:
            ConfigError: When no frame has a label.
        """
        require_labels(frames)
        self._frames, self._config, self._groups = frames, config, groups
        self._rng = np.random.default_rng(seed)
        self._train, self._held = split_episodes(frames.episode, config.holdout, self._rng)
        sizes = KeypointNetConfig(frames.images.shape[1], frames.proprio.shape[1], frames.text.shape[1])
        self._first = _Learning(new_keypoint_net(sizes, seed), config)
        self.net = self._first.net
        set_label_scale(self.net, frames, self._train)
        self._text = torch.from_numpy(frames.text)
        self._places = ShownPlaces.of(frames.episode, frames.instruction, frames.values, frames.mask)
        self._hidden = self._places.dealt(groups, seed)
        self._blind = [_Learning(new_keypoint_net(sizes, seed), config) for _ in self._hidden]
        for learning in self._blind:
            learning.net.label_mean.copy_(self.net.label_mean)
            learning.net.label_scale.copy_(self.net.label_scale)
        self.step = 0

    def update(self) -> Tensor:
        """One gradient step; returns its loss, a scalar without gradient."""
        rows = self._train[self._rng.integers(len(self._train), size=self._config.batch)]
        frames = self._frames
        images = augment(frames.images_of(rows), self._config, self._rng)
        target = (torch.from_numpy(frames.values[rows]) - self.net.label_mean) / self.net.label_scale
        mask = torch.from_numpy(frames.mask[rows])
        inputs = (images, torch.from_numpy(frames.proprio[rows]))
        words = self._text[torch.from_numpy(frames.instruction[rows])]
        loss = self._first.update(*inputs, words, target, mask, self.step)
        for learning, hidden in zip(self._blind, self._hidden, strict=True):
            shown = mask.clone()
            shown[torch.from_numpy(np.isin(frames.episode[rows], hidden)), PICK_SIZE:] = 0.0
            learning.update(*inputs, words, target, shown, self.step)
        self.step += 1
        return loss

    def place_trust(self) -> PlaceTrust:
        """How far places are believed under each instruction, by the networks as they are now."""
        places, seen = self._places, np.zeros_like(self._places.place)
        for learning, hidden in zip(self._blind, self._hidden, strict=True):
            mine = np.isin(places.episode, hidden)
            seen[mine] = predictions(learning.net.eval(), self._frames, places.frame[mine])[:, PICK_SIZE:]
        held = np.unique(self._frames.episode[self._held])
        return fit_trust(places, seen, self._hidden, held, self._groups, len(self._frames.text))

    def errors(self, trust: PlaceTrust | None = None) -> KeypointErrors:
        """The network's errors on held-out episodes, of places as they are believed; leaves it in evaluation mode."""
        self.net.eval()
        return measure(self.net, self._frames, self._held, trust=trust)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that decides how training goes on: tensors, and plain JSON."""
        tensors = self._first.tensors(_NET, _MOMENTS)
        for number, learning in enumerate(self._blind):
            tensors |= learning.tensors(*_blind(number))
        return tensors, {
            "step": self.step,
            "rng": self._rng.bit_generator.state,
            "net": self.net.config.to_dict(),
            _PARTS: FOLDS,
        }

    def load_state(self, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
        """Restore what `state` gave, for the same frames, settings and seed.

        Raises:
            CheckpointError: It is of another network, or of a version that measured otherwise how far places are
                believed.
        """
        if self._blind and not measures_alike(header):
            raise CheckpointError(
                "The keypoint network's training was begun by an earlier version, which hid a fourth of the places "
                f"from one more network; this one has {FOLDS}. Delete the policy's training/ folder to begin it anew."
            )
        self._first.load(tensors, _NET, _MOMENTS)
        for number, learning in enumerate(self._blind):
            learning.load(tensors, *_blind(number))
        self._rng.bit_generator.state = header["rng"]
        self.step = int(header["step"])


class _Learning:
    """A network and its descent."""

    def __init__(self, net: KeypointNet, config: KeypointConfig) -> None:
        self.net, self._descent = net, LabelDescent(list(net.parameters()), config)

    def update(self, images: Tensor, proprio: Tensor, words: Tensor, target: Tensor, mask: Tensor, done: int) -> Tensor:
        """One gradient step on normalised labels where the mask is one; its loss."""
        return self._descent.step(self.net.normalised(images, proprio, words), target, mask, done)

    def tensors(self, weights: str, moments: str) -> dict[str, Tensor]:
        """Weights and moments, under these prefixes."""
        state = {f"{weights}{name}": tensor for name, tensor in self.net.state_dict().items()}
        return state | self._descent.tensors(moments)

    def load(self, tensors: Mapping[str, Tensor], weights: str, moments: str) -> None:
        """Inverse of `tensors`."""
        load_net(self.net, tensors, weights)
        self._descent.load(tensors, moments)


def train_keypoints(
    frames: KeypointFrames, config: KeypointConfig, seed: int, progress: Progress | None = None
) -> tuple[KeypointNet, KeypointErrors]:
    """Train a keypoint network from its beginning to its end; arguments and errors as `KeypointTraining`.

    Returns:
        The network, in evaluation mode, and its errors on held-out episodes.
    """
    training = KeypointTraining(frames, config, seed)
    while training.step < config.steps:
        training.update()
        if progress is not None:
            progress("keypoints", training.step, config.steps)
    errors = training.errors()
    return training.net, errors


def new_keypoint_net(config: KeypointNetConfig, seed: int) -> KeypointNet:
    """A network with initial weights, channels last in memory."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = KeypointNet(config)
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def load_net(net: KeypointNet, tensors: Mapping[str, Tensor], prefix: str = _NET) -> None:
    """Copy the network's part of `KeypointTraining.state` into `net`.

    Raises:
        CheckpointError: It is of another network.
    """
    try:
        net.load_state_dict({name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)})
    except RuntimeError as error:
        raise CheckpointError(f"The checkpoint's keypoint network doesn't fit this version: {error}") from error


def predictions(net: KeypointNet, frames: KeypointFrames, rows: Int64, batch: int = 256) -> Float32:
    """What a network sees in these of the N frames: float32 (R, 8), see `KeypointLabels`."""
    text = torch.from_numpy(frames.text)
    parts = []
    with torch.no_grad():
        for start in range(0, len(rows), batch):
            part = rows[start : start + batch]
            parts.append(
                net(
                    as_input(torch.from_numpy(frames.images_of(part))),
                    torch.from_numpy(frames.proprio[part]),
                    text[torch.from_numpy(frames.instruction[part])],
                ).numpy()
            )
    return np.concatenate(parts)


def measure(net: KeypointNet, frames: KeypointFrames, rows: Int64, trust: PlaceTrust | None = None) -> KeypointErrors:
    """Mean errors on the given frames, of places as seen or, with `trust`, as believed."""
    if len(rows) == 0:
        return KeypointErrors(math.nan, math.nan, math.nan)
    predicted, values, mask = predictions(net, frames, rows), frames.values[rows], frames.mask[rows]
    if trust is not None:
        predicted[:, PICK_SIZE:] = trust.shrunk(predicted[:, PICK_SIZE:], frames.instruction[rows])
    return errors_of(predicted, values, mask)


def augment(images: UInt8, config: KeypointConfig, rng: np.random.Generator) -> Tensor:
    """Change brightness and colour of each image and shift all by the same whole pixels.

    Args:
        images: uint8 (N, S, S, 3).
        config: How much.
        rng: Draws the changes.

    Returns:
        float32 (N, 3, S, S) around [-0.5, 0.5], channels last in memory.
    """
    count = len(images)
    gain = gains(config, count, rng)
    offset = rng.uniform(-config.colour, config.colour, (count, 3)) / 2 - 0.5
    if config.shift > 0:
        down, right = rng.integers(-config.shift, config.shift + 1, size=2).tolist()
        images = np.roll(images, (down, right), axis=(1, 2))
    factor = torch.from_numpy((gain / 255.0).astype(np.float32))[:, None, None]
    added = torch.from_numpy(offset.astype(np.float32))[:, None, None]
    return torch.from_numpy(images).float().mul_(factor).add_(added).permute(0, 3, 1, 2)
