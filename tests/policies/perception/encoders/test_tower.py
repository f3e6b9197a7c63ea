"""The open_clip tower inside an encoder is the one that the success classifier uses, seen at any stage."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from policies.perception.encoders.config import ClipConfig, EncoderConfig
from policies.perception.encoders.encoder import Encoder
from policies.perception.encoders.tower import Tower
from rewards.backbone import load_backbone
from rewards.last_block import trunk_features
from trajectories.errors import ConfigError

VIT = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "layers": 3, "width": 64, "head_width": 32},
    "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def transformer_file(tmp_path_factory):
    """A small vision transformer with weights of its own, as a user's file."""
    import open_clip

    path = tmp_path_factory.mktemp("vit") / "encodertestvit.safetensors"
    path.with_suffix(".json").write_text(json.dumps(VIT))
    open_clip.add_model_config(path.with_suffix(".json"))
    torch.manual_seed(0)
    save_file(open_clip.create_model("encodertestvit", pretrained=None).state_dict(), path)
    return path


def test_the_embedding_is_the_success_classifiers(images):
    backbone = load_backbone()
    encoder = Encoder(
        EncoderConfig(ClipConfig(stage=None), width=0, proprio_width=0, instruction="none"), {"front": (48, 64)}, 2
    )
    features = encoder({"front": torch.from_numpy(images)}, torch.zeros(3, 2))
    assert torch.allclose(features[:, :-2], backbone.encode_images(images), atol=1e-3)  # half precision
    assert encoder.tower.digest == backbone.digest


def test_the_map_is_what_enters_the_last_stage(images):
    with torch.no_grad():
        seen = Tower(ClipConfig())(torch.from_numpy(images))
    expected = load_backbone().encode_trunk(images)
    assert seen.shape == (3, 6, 6, 256)
    assert torch.allclose(seen.permute(0, 3, 1, 2), expected, atol=1e-4)


def test_a_transformers_map_is_its_tokens_in_rows(transformer_file):
    tower = Tower(ClipConfig(pretrained=str(transformer_file)))
    pixels = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    with torch.no_grad():
        seen = tower(torch.from_numpy(pixels))
        scaled = (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - tower.mean) / tower.std
        tokens = trunk_features(tower.visual, scaled)
    assert seen.shape == (2, 4, 4, 64)
    assert torch.allclose(seen.flatten(1, 2), tokens[:, 1:], atol=1e-5)


@pytest.mark.parametrize("stage", [-2, None])
@pytest.mark.parametrize("transformer", [False, True])
def test_a_trained_tower_learns_and_keeps_its_statistics(stage, transformer, transformer_file, images):
    network = ClipConfig(pretrained=str(transformer_file) if transformer else None, stage=stage, width=8, finetune=True)
    encoder = Encoder(EncoderConfig(network, width=6, instruction="none"), {"front": (48, 64)}, 2).train()
    statistics = {name: buffer.clone() for name, buffer in encoder.named_buffers()}
    features = encoder({"front": torch.from_numpy(images)}, torch.randn(3, 2))
    (features * torch.randn(features.shape)).sum().backward()
    trained = {name: p for name, p in encoder.named_parameters() if p.requires_grad}
    assert any("visual" in name for name in trained)
    assert [name for name, p in trained.items() if p.grad is None or not p.grad.any()] == []
    assert all(torch.equal(buffer, statistics[name]) for name, buffer in encoder.named_buffers())
    assert encoder.tower is None


def test_a_stage_that_the_tower_has_not_got_is_refused():
    with pytest.raises(ConfigError, match="no map at stage 9"):
        Tower(ClipConfig(stage=9))


def test_unknown_models_are_refused_with_close_names():
    with pytest.raises(ConfigError, match="ViT-B-32"):
        Tower(ClipConfig(model="ViT-B-33", pretrained="openai"))
