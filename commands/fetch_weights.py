"""`regrasp fetch-weights`: the weights of the judge's backbone onto this machine, from the hub or from a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from factory.spec import plain
from trajectories.errors import ConfigError

if TYPE_CHECKING:
    from rewards.backbone import Backbone


def run(config: DictConfig) -> None:
    """Say what comes from where, get it, and say where it lies, how large it is, and its digest.

    Raises:
        ConfigError: For an unknown model or tag, a file that is no safetensors file, or one that would not be used.
        MissingDependencyError: When there is no way to the hub.
        CheckpointError: When the weights are damaged, or of another model.
    """
    from rewards.backbone import EMBEDDED, load_backbone
    from rewards.fetching import describe, expected, fetch, take
    from rewards.weight_files import find_weights

    settings, file = plain(config.reward), config.get("from")
    name, tag = str(settings.get("backbone") or EMBEDDED), settings.get("pretrained")
    if name == EMBEDDED or not tag or str(tag).endswith(".safetensors"):
        if file is not None:
            raise ConfigError(
                f"from={file} would not be used: reward.backbone={name} with reward.pretrained={tag} is a file "
                "already. Name the model and open_clip's tag of its weights, e.g. reward=clip, or leave from= out."
            )
        print("\n  ".join(describe(find_weights(name, tag, allow_download=False), tag)))
        print(f"Nothing to fetch: that file is used as it is. {_loads(load_backbone(name, tag))}")
        return
    print(expected(name, tag))
    weights = fetch(name, tag) if file is None else take(name, tag, Path(file))
    print("\n  ".join(describe(weights, tag)))
    print(f"{_loads(load_backbone(name, tag))} Judge by it with reward.backbone={name} reward.pretrained={tag}.")


def _loads(backbone: Backbone) -> str:
    return (
        f"It loads: images of {backbone.image_size} pixels, embeddings of {backbone.image_width} numbers, texts of up "
        f"to {backbone.context} tokens."
    )
