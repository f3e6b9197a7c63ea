"""An encoder as JSON and tensors, and back; a frozen tower is named by its digest, not copied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from policies.perception.encoders.config import EncoderConfig
from policies.perception.encoders.encoder import Encoder
from trajectories.errors import CheckpointError


def described(encoder: Encoder) -> dict[str, Any]:
    """Settings, sizes and tower as plain JSON: with `Encoder.trained_tensors`, the whole encoder."""
    return {
        "config": encoder.config.to_dict(),
        "cameras": {name: list(size) for name, size in encoder.cameras.items()},
        "sizes": list(encoder.sizes),
        "tower": None if encoder.tower is None else encoder.tower.digest,
        **({"absent": encoder.absent} if encoder.absent else {}),
    }


def rebuilt(description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Encoder:
    """The encoder that was described.

    Args:
        description: From `described`.
        tensors: From `Encoder.trained_tensors`.

    Raises:
        CheckpointError: The tensors don't fit, or the tower is not the one of training.
        MissingDependencyError: The tower's weights are not on this machine.
    """
    cameras = {name: (int(height), int(width)) for name, (height, width) in description["cameras"].items()}
    with torch.random.fork_rng(devices=[]):
        config, absent = EncoderConfig.from_dict(description["config"]), description.get("absent")
        proprio_size, text_size = description["sizes"]
        encoder = Encoder(config, cameras, proprio_size, text_size, absent)
    if encoder.tower is not None and encoder.tower.digest != description["tower"]:
        raise CheckpointError(
            f"The encoder was trained behind the image tower {str(description['tower'])[:12]}, and here it is "
            f"{encoder.tower.digest[:12]}. Give it the weight file of training (encoder.network.pretrained)."
        )
    encoder.load_trained(tensors)
    return encoder
