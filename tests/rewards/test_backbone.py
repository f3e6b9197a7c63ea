"""The embedded backbone and the search for weights."""

import shutil

import numpy as np
import pytest
import torch
from helpers.sliding_square import scene

from rewards.backbone import load_backbone
from rewards.last_block import split_off_last_block, trunk_features
from rewards.preprocess import resize
from rewards.weight_files import ASSETS, find_weights
from trajectories.errors import CheckpointError, ConfigError, MissingDependencyError


def test_embeddings_are_unit_vectors_of_the_stated_width(backbone):
    rng = np.random.default_rng(0)
    images = np.stack([scene(rng, x) for x in (0.0, 0.5, 1.0)])
    encoded, texts = backbone.encode_images(images), backbone.encode_text(["put the pot on the rack", "a cat"])
    assert encoded.shape == (3, backbone.image_width)
    assert texts.shape == (2, backbone.text_width)
    assert encoded.dtype == texts.dtype == torch.float32
    torch.testing.assert_close(encoded.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(texts.norm(dim=1), torch.ones(2))


def test_an_image_is_encoded_alike_alone_and_in_a_batch(backbone):
    rng = np.random.default_rng(1)
    images = np.stack([scene(rng, x) for x in np.linspace(0, 1, 70)])  # more than one internal batch
    together = backbone.encode_images(images)
    alone = torch.cat([backbone.encode_images(images[i : i + 1]) for i in (0, 65, 69)])
    torch.testing.assert_close(together[[0, 65, 69]], alone, atol=1e-5, rtol=0)


def test_texts_go_through_the_tower_once(backbone, monkeypatch):
    first = backbone.encode_text(["lift the lid"])
    monkeypatch.setattr(backbone._model, "encode_text", None)  # a second pass would raise
    again = backbone.encode_text(["lift the lid", "lift the lid"])
    assert torch.equal(again[0], first[0])
    again[0] = 0.0  # callers own what they get
    assert torch.equal(backbone.encode_text(["lift the lid"])[0], first[0])


def test_no_images_and_no_texts_give_empty_results(backbone):
    assert backbone.encode_images(np.zeros((0, 8, 8, 3), np.uint8)).shape == (0, backbone.image_width)
    assert backbone.encode_text([]).shape == (0, backbone.text_width)


@pytest.mark.parametrize("bad", [np.zeros((1, 8, 8, 3), np.float32), np.zeros((8, 8, 3), np.uint8)])
def test_other_images_are_refused(backbone, bad):
    with pytest.raises(ConfigError, match=r"uint8 \(N, H, W, 3\)"):
        backbone.encode_images(bad)


def test_resizing_keeps_the_whole_view_and_the_mean():
    image = torch.zeros(1, 40, 80, 3, dtype=torch.uint8)
    image[:, :, 40:] = 200
    small = resize(image, 20)
    assert small.shape == (1, 3, 20, 20)
    assert small.mean() == pytest.approx(100 / 255, abs=0.01)
    assert small[0, 0, 10, 4] == pytest.approx(0.0, abs=0.01)
    assert small[0, 0, 10, 15] == pytest.approx(200 / 255, abs=0.01)


def test_the_last_block_continues_the_trunk(backbone):
    rng = np.random.default_rng(2)
    images = np.stack([scene(rng, x) for x in (0.1, 0.9)])
    tail = backbone.last_block().eval()
    with torch.no_grad():
        joined = tail(backbone.encode_trunk(images))
    torch.testing.assert_close(joined, backbone.encode_images(images), atol=1e-5, rtol=0)
    assert all(parameter.requires_grad for parameter in tail.parameters())


def test_the_last_block_of_a_vision_transformer_continues_its_trunk():
    from open_clip.transformer import VisionTransformer

    torch.manual_seed(0)
    tower = VisionTransformer(
        image_size=32, patch_size=8, width=32, layers=3, heads=2, mlp_ratio=2, output_dim=16
    ).eval()
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        joined = split_off_last_block(tower).eval()(trunk_features(tower, images))
        whole = torch.nn.functional.normalize(tower(images), dim=-1)
    torch.testing.assert_close(joined, whole)


def timm_tower(trunk):
    """open_clip's wrapper, as it makes it of a model's JSON, around a small trunk of the same family."""
    from open_clip.timm_model import TimmModel

    tower = TimmModel("vit_tiny_patch16_224", embed_dim=24, pool="token", proj="none")
    tower.trunk = trunk
    return tower.eval()


def small_trunk(family):
    import timm

    small = {"depth": 2, "embed_dim": 24, "num_heads": 2, "img_size": 64}
    if family == "SigLIP 2":
        return timm.create_model("vit_base_patch16_siglip_256", num_classes=0, global_pool="map", **small)
    if family == "averaged":
        return timm.create_model("vit_base_patch16_siglip_gap_256", num_classes=20, global_pool="avg", **small)
    if family == "MobileCLIP2-B":  # its stem of convolutions ends with 768 channels
        return timm.create_model("vit_base_mci_224", num_classes=20, global_pool="token", depth=2, img_size=64)
    stages = {"layers": (1,) * 4, "num_classes": 20}
    return timm.create_model("fastvit_mci0", **stages)


@pytest.mark.parametrize("family", ["SigLIP 2", "averaged", "MobileCLIP2-B", "MobileCLIP2-S0"])
def test_the_last_block_of_each_family_continues_its_trunk_and_learns(family):
    torch.manual_seed(1)
    tower = timm_tower(small_trunk(family))
    for parameter in tower.parameters():
        torch.nn.init.normal_(parameter, std=0.2)  # zeros and ones would hide what is left out
    images = torch.rand(2, 3, 64, 64)
    tail = split_off_last_block(tower).eval()
    with torch.no_grad():
        features = trunk_features(tower, images)
        whole = torch.nn.functional.normalize(tower(images), dim=-1)
        torch.testing.assert_close(tail(features), whole, atol=1e-5, rtol=1e-4)
    tail(features)[:, 0].sum().backward()
    assert any(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in tail.parameters())
    assert all(parameter.grad is None for parameter in tower.parameters())
    count = sum(parameter.numel() for parameter in tail.parameters())
    assert 0 < count < sum(parameter.numel() for parameter in tower.parameters())
    assert not {"cls_token", "pos_embed"} & {name.rpartition(".")[2] for name in tail.state_dict()}


def test_a_tower_without_a_known_last_block_is_refused():
    with pytest.raises(ConfigError, match="finetune_last_block=false"):
        split_off_last_block(torch.nn.Linear(2, 2))


def test_missing_weights_are_named_at_once_with_the_way_to_get_them(monkeypatch, tmp_path):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", None)  # any use of the network would raise
    with pytest.raises(MissingDependencyError) as caught:
        load_backbone("ViT-B-32", "laion2b_s34b_b79k")
    message = str(caught.value)
    assert "hf download laion/CLIP-ViT-B-32-laion2B-s34B-b79K open_clip_model.safetensors" in message
    assert "allow_download" in message


def test_cached_weights_are_found_without_network(monkeypatch, tmp_path):
    import huggingface_hub

    cached = tmp_path / "open_clip_model.safetensors"
    cached.touch()
    monkeypatch.setattr(
        huggingface_hub, "try_to_load_from_cache", lambda repository, name: str(cached) if name == cached.name else None
    )
    found = find_weights("ViT-B-32", "laion2b_s34b_b79k", allow_download=False)
    assert (found.model, found.path) == ("ViT-B-32", cached)


def test_a_download_that_fails_says_so_instead_of_falling_back(monkeypatch):
    import huggingface_hub

    def no_network(*_):
        raise OSError("no route")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", no_network)
    with pytest.raises(MissingDependencyError, match="HF_HOME"):
        find_weights("ViT-B-32", "laion2b_s34b_b79k", allow_download=True)


@pytest.mark.parametrize(
    ("name", "tag", "hint"),
    [
        ("ViT-B-33", "openai", "ViT-B-32"),
        ("ViT-B-32", "laion", "laion2b_s34b_b79k"),
        ("ViT-B-32", None, "at random"),
        ("ViT-B-32", "openai", "ViT-B-32-quickgelu"),
    ],
)
def test_unknown_models_and_tags_are_answered_with_the_choices(name, tag, hint):
    with pytest.raises(ConfigError, match=hint):
        find_weights(name, tag, allow_download=False)


def test_damaged_weights_are_refused(tmp_path):
    shutil.copy(ASSETS / "embedded.json", tmp_path / "copy.json")
    (tmp_path / "copy.safetensors").write_bytes((ASSETS / "embedded.safetensors").read_bytes()[:100_000])
    with pytest.raises(CheckpointError, match=r"copy\.safetensors"):
        load_backbone(pretrained=str(tmp_path / "copy.safetensors"))
    with pytest.raises(MissingDependencyError, match="train_backbone"):
        load_backbone(pretrained=str(tmp_path / "none.safetensors"))


def test_the_shipped_weights_are_small():
    assert (ASSETS / "embedded.safetensors").stat().st_size < 9e6
