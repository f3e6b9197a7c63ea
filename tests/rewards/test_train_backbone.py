"""The training loop of the embedded backbone, on a model small enough for a test."""

import math

import numpy as np
import pytest
import torch
from helpers.sliding_square import scene

from rewards.augment import augment
from rewards.backbone import load_backbone
from rewards.captioned_images import CaptionedImages
from rewards.train_backbone import (
    ARCHITECTURE,
    BackboneTraining,
    accuracy,
    architecture_of,
    build_model,
    load_trained,
    pairwise_loss,
    save_backbone,
    sized,
    tokenise,
    train,
)
from rewards.vocabulary import forget_unused
from trajectories.errors import CheckpointError, ConfigError

SMALL = ARCHITECTURE | {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
CAPTIONS = ("the square is on the left", "the square is on the right", "a square is on the table")


def captioned(count: int, seed: int) -> CaptionedImages:
    rng = np.random.default_rng(seed)
    places = rng.random(count)
    images = np.stack([scene(rng, x) for x in places])
    truth = np.stack([places < 0.4, places > 0.6, np.ones(count, bool)], axis=1).astype(np.int8)
    truth[(places >= 0.4) & (places <= 0.6), :2] = -1
    return CaptionedImages(images, CAPTIONS, truth)


def test_loss_by_hand():
    logits = torch.tensor([[2.0, -1.0, 5.0]])
    truth = torch.tensor([[1, 0, -1]])
    expected = math.log(1 + math.exp(-2.0)) * 3 + math.log(1 + math.exp(-1.0))
    assert pairwise_loss(logits, truth, positive_weight=3.0).item() == pytest.approx(expected)


def test_unknown_pairs_send_no_gradient():
    logits = torch.zeros(2, 2, requires_grad=True)
    pairwise_loss(logits, torch.tensor([[1, -1], [-1, 0]])).backward()
    assert logits.grad.tolist() == [[-0.25, 0.0], [0.0, 0.25]]


def test_training_learns_where_the_square_is_and_survives_the_file(tmp_path):
    torch.set_num_threads(1)
    model = build_model(SMALL)
    forget_unused(model, tokenise(CAPTIONS, 12))
    held_out = captioned(80, seed=1)
    lines = []
    settings = BackboneTraining(steps=90, batch=32, learning_rate=4e-3, report_every=45, shift=1)
    train(model, captioned(400, seed=0), held_out, settings, lines.append)
    assert [line.step for line in lines] == [45, 90]
    assert accuracy(model, held_out) > 0.9
    path = tmp_path / "tiny.safetensors"
    save_backbone(model, path, SMALL)
    table = load_trained(path).token_embedding.weight
    used = set(tokenise(CAPTIONS, 12).unique().tolist())
    assert {i for i in range(len(table)) if table[i].any()} <= used
    backbone = load_backbone(pretrained=str(path))
    assert (backbone.image_size, backbone.text_width) == (32, 32)
    logits = backbone.zero_shot(
        backbone.encode_images(held_out.images), backbone.encode_text([CAPTIONS[1]] * len(held_out.images))
    )
    known = held_out.truth[:, 1] >= 0
    agreement = ((logits.numpy() > 0) == (held_out.truth[:, 1] > 0))[known].mean()
    assert agreement > 0.9


def test_the_same_seed_gives_the_same_weights():
    torch.set_num_threads(1)
    weights = []
    for _ in range(2):
        model = build_model(SMALL, seed=3)
        data = captioned(40, seed=0)
        train(model, data, data, BackboneTraining(steps=3, batch=8, captions=2))
        weights.append(model.visual.attnpool.c_proj.weight.detach().clone())
    assert torch.equal(*weights)


def test_bfloat16_is_near_and_leaves_the_weights_as_precise():
    weights = []
    for bfloat16 in (False, True):
        model, data = build_model(SMALL, seed=1), captioned(40, seed=0)
        train(model, data, data, BackboneTraining(steps=3, batch=16, bfloat16=bfloat16))
        weights.append(torch.cat([value.flatten() for value in model.visual.state_dict().values()]))
    assert {value.dtype for value in weights} == {torch.float32}
    assert not torch.equal(*weights)
    assert torch.nn.functional.cosine_similarity(*weights, dim=0) > 0.999


def test_a_time_limit_ends_training():
    data = captioned(16, seed=0)
    lines = []
    train(build_model(SMALL), data, data, BackboneTraining(batch=8, max_seconds=1e-3), lines.append)
    assert len(lines) == 1


def test_going_on_without_weights_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.safetensors"):
        load_trained(tmp_path / "none.safetensors")


def test_captions_must_fit_and_match_the_matrix():
    with pytest.raises(ConfigError, match="longer than 10 tokens"):
        tokenise(("one two three four five six seven eight nine ten eleven",), 12)
    images = np.zeros((2, 8, 8, 3), np.uint8)
    with pytest.raises(ConfigError, match="2 images and 1 captions"):
        CaptionedImages(images, ("a",), np.zeros((2, 2), np.int8))
    with pytest.raises(ConfigError, match="repeat"):
        CaptionedImages(images, ("a", "a"), np.zeros((2, 2), np.int8))


def test_augmentation_shifts_by_whole_pixels_and_keeps_the_type():
    image = torch.zeros(64, 9, 9, 3, dtype=torch.uint8)
    image[:, 4, 4] = 255
    changed = augment(image, shift=2, strength=0.0, generator=torch.Generator().manual_seed(0))
    assert changed.dtype == torch.uint8
    assert changed.shape == image.shape
    places = {tuple(place) for i in range(64) for place in (changed[i, :, :, 0] == 255).nonzero().tolist()}
    assert places <= {(row, column) for row in range(2, 7) for column in range(2, 7)}
    assert len(places) > 15
    same = augment(image, shift=0, strength=0.0, generator=torch.Generator())
    assert torch.equal(same, image)


def test_a_text_tower_that_stays_says_what_it_said(tmp_path):
    torch.set_num_threads(1)
    model = build_model(SMALL)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train(model, captioned(40, seed=0), captioned(20, seed=1), BackboneTraining(steps=3, batch=16, train_text=False))
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert any(name.startswith("visual.") for name in changed)
    assert not any(name.startswith(("token_", "positional_", "transformer.", "ln_final", "text_")) for name in changed)


def test_a_tower_goes_on_with_larger_pictures(tmp_path):
    path = tmp_path / "small.safetensors"
    model = build_model(SMALL, seed=1)
    save_backbone(model, path, SMALL)
    larger = load_trained(path, 64)
    assert larger.visual.image_size == 64
    assert larger.encode_image(torch.rand(2, 3, 64, 64)).shape == (2, 32)
    small, large = (m.visual.attnpool.positional_embedding.detach() for m in (load_trained(path), larger))
    assert (len(small), len(large)) == (2, 5)  # the mean, and 1 and 2 x 2 places
    torch.testing.assert_close(large, torch.cat([small, small[1:].expand(3, -1)]))  # one place says the same of all
    assert torch.equal(load_trained(path).token_embedding.weight, larger.token_embedding.weight)


def test_sizes_are_multiples_of_the_towers_stride():
    assert sized(96)["vision_cfg"]["image_size"] == 96
    assert sized(None) == ARCHITECTURE
    assert architecture_of(build_model(sized(96))) == sized(96)
    for size in (0, -32, 100):
        with pytest.raises(ConfigError, match="multiple of 32"):
            sized(size)
