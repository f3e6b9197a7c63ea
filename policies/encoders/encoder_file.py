"""An encoder on disk: `encoder.safetensors` with its settings; a frozen tower is named by its digest, not copied."""

from __future__ import annotations

from pathlib import Path

import torch

from policies.encoders.config import EncoderConfig
from policies.encoders.encoder import Encoder
from policies.tensor_file import read_tensors, write_tensors
from trajectories.errors import CheckpointError

FILE = "encoder.safetensors"
KIND = "regrasp-encoder-1"


def save_encoder(folder: Path, encoder: Encoder) -> str:
    """Write an encoder into `folder`; returns the digest of settings and weights.

    Raises:
        CheckpointError: The disk refuses.
    """
    header = {
        "config": encoder.config.to_dict(),
        "cameras": {name: list(size) for name, size in encoder.cameras.items()},
        "sizes": list(encoder.sizes),
        "tower": None if encoder.tower is None else encoder.tower.digest,
    }
    return write_tensors(folder / FILE, KIND, encoder.trained_tensors(), header)


def load_encoder(folder: Path, device: torch.device | str = "cpu") -> Encoder:
    """Read what `save_encoder` wrote.

    Raises:
        CheckpointError: The file is missing, damaged, of another version, or its tower is not the one of training.
        MissingDependencyError: The tower's weights are not on this machine.
    """
    tensors, header, _ = read_tensors(folder / FILE, KIND)
    cameras = {name: (int(height), int(width)) for name, (height, width) in header["cameras"].items()}
    with torch.random.fork_rng(devices=[]):
        encoder = Encoder(EncoderConfig.from_dict(header["config"]), cameras, *header["sizes"])
    if encoder.tower is not None and encoder.tower.digest != header["tower"]:
        raise CheckpointError(
            f"{folder / FILE} was trained behind the image tower {str(header['tower'])[:12]}, and here it is "
            f"{encoder.tower.digest[:12]}. Give it the weight file of training (encoder.network.pretrained)."
        )
    encoder.load_trained(tensors)
    return encoder.to(device)
