"""The image encoder of a Gymnasium agent: what it looks at, and its first weights."""

from __future__ import annotations

import torch

from policies.gym.environment import Interface
from policies.perception.encoders.config import ClipConfig, EncoderConfig
from policies.perception.encoders.encoder import Encoder
from trajectories.errors import ConfigError


def new_encoder(
    config: EncoderConfig | None, interface: Interface, env: str, seed: int, device: torch.device | str
) -> Encoder | None:
    """An encoder with initial weights; None where there is none to make.

    Args:
        config: Its settings.
        interface: Of the environment.
        env: Its id, for messages.
        seed: Of the initial weights.
        device: Where it lives.

    Raises:
        ConfigError: There is nothing to look at, no such image, nothing would ever train the encoder, or keypoints are
            asked for.
        MissingDependencyError: Pre-trained weights that it needs are not on this machine.
    """
    if config is None:
        return None
    images = interface.layout.cameras
    if not images:
        raise ConfigError(f"{env} observes no images that an encoder could look at. Leave encoder= out.")
    if config.keypoints:
        raise ConfigError(
            "encoder.keypoints=true is for robots: what an environment observes doesn't say what was picked. Set it to "
            "false."
        )
    if config.frozen and not isinstance(config.network, ClipConfig):
        raise ConfigError(
            f"encoder.frozen=true would leave an encoder of kind {config.kind!r} with its random initial weights. Let "
            "`regrasp pretrain` train it and begin `regrasp finetune` with encoder.frozen=true, or take encoder=clip."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = Encoder(config, images, interface.observations)
    return encoder.to(device)
