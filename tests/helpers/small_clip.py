"""A real open_clip model, small and with random weights, for the code that any CLIP goes through."""

import json
from pathlib import Path

import open_clip
import torch
from safetensors.torch import save_file

NAME = "small-clip"
_CONFIG = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8, "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}


def small_clip(folder: Path) -> Path:
    """Make open_clip know the model in this process; returns the file of its weights."""
    config, weights = folder / f"{NAME}.json", folder / "weights.safetensors"
    config.write_text(json.dumps(_CONFIG))
    open_clip.add_model_config(config)
    torch.manual_seed(0)
    save_file({k: v.contiguous() for k, v in open_clip.create_model(NAME).state_dict().items()}, weights)
    return weights
