"""The settings of a policy: its networks, losses and image encoder."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf

from factory.spec import camera_names, plain
from policies.agent.config import AgentConfig, value_range
from policies.perception.encoders.config import EncoderConfig
from trajectories.errors import ConfigError

KEYPOINTS = "keypoints"


def agent_config(config: DictConfig) -> AgentConfig:
    """The networks and losses of the settings, checked; targets are clamped to what rewards of -1 and 0 add up to."""
    raw: dict[str, Any] = OmegaConf.to_container(config.agent, resolve=True)  # type: ignore[assignment]
    return AgentConfig.from_dict({"target_range": value_range(float(raw["gamma"])), **raw})


def encoder_config(config: DictConfig) -> EncoderConfig | None:
    """The image encoder of the settings, checked; None for keypoints."""
    raw = plain(config.encoder)
    if raw["kind"] != KEYPOINTS:
        return EncoderConfig.from_dict({**raw, "cameras": raw.get("cameras") or [camera_names(config)[0]]})
    if len(raw) > 1:
        raise ConfigError(f"encoder=keypoints has no settings; {sorted(set(raw) - {'kind'})} belong to image encoders.")
    return None
