"""New words of the embedded text tower: what was known stays as it was, to the bit."""

import numpy as np
import pytest
import torch

from commands import train_backbone as verb
from commands.train_backbone import train_backbone
from rewards.backbone import load_backbone
from rewards.captioned_images import CaptionedImages
from rewards.train_backbone import (
    BackboneTraining,
    architecture_of,
    build_model,
    load_trained,
    save_backbone,
    tokenise,
    train,
)
from rewards.vocabulary import forget_unused, known_rows, learned_last, open_new_words, unknown_rows, words_of
from rewards.weight_files import ASSETS
from sim.captions.frames import captions_of
from sim.tasks import TASKS, find_task
from trajectories.errors import CheckpointError, ConfigError

SHIPPED = ASSETS / "embedded.safetensors"
NEW = ("hang the towel on the hook", "the towel is on the bare table")
"""Words that no task says, so that they stay new whatever the shipped weights learn."""


@pytest.fixture(scope="module")
def known():
    """Every caption of the twin's tasks that the shipped weights read whole."""
    backbone = load_backbone()
    texts = dict.fromkeys(caption.text for name in TASKS.own for caption in captions_of(find_task(name)))
    return [text for text in texts if not backbone.unread_words(text)]


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """The shipped weights after some steps on new words and what stands beside them."""
    torch.set_num_threads(1)
    model = load_trained(SHIPPED)
    rng = np.random.default_rng(0)
    captions = (*NEW, "put the pot on the rack")
    images = rng.integers(0, 255, (12, 96, 96, 3), dtype=np.uint8)
    data = CaptionedImages(images, captions, rng.integers(0, 2, (12, 3)).astype(np.int8))
    opened = open_new_words(model, tokenise(captions, model.context_length), seed=0)
    path = tmp_path_factory.mktemp("learned") / "towel.safetensors"
    settings = BackboneTraining(steps=3, batch=6, train_text=False, captions=0)
    train(model, data, data, settings, new_tokens=opened)
    save_backbone(model, path, architecture_of(model), opened)
    return path, opened


def test_texts_of_known_words_say_what_they_said_to_the_bit(learned, known):
    path, _ = learned
    assert len(known) > 150
    before, after = load_backbone(), load_backbone(pretrained=str(path))  # which encode the same batches
    assert torch.equal(after.encode_text(known), before.encode_text(known))
    image = np.full((1, 96, 96, 3), 100, np.uint8)
    assert not torch.equal(after.encode_images(image), before.encode_images(image))


def test_new_words_are_read_and_learn(learned):
    path, opened = learned
    after, drawn = load_backbone(pretrained=str(path)), load_trained(SHIPPED)
    assert all(after.unread_words(text) == () for text in NEW)
    assert {"towel", "hook"} <= set(words_of(opened))
    open_new_words(drawn, torch.tensor(opened), seed=0)
    rows = load_trained(path).token_embedding.weight[opened]
    assert (rows - drawn.token_embedding.weight[opened]).abs().min(dim=1).values.max() > 1e-4


def test_the_file_says_which_words_go_on_learning(learned, tmp_path):
    path, opened = learned
    assert learned_last(path) == opened
    assert unknown_rows(load_trained(path), torch.tensor(opened)) == []
    assert learned_last(SHIPPED) == [] or set(learned_last(SHIPPED)).isdisjoint(opened)
    with pytest.raises(CheckpointError, match=r"none\.safetensors"):
        learned_last(tmp_path / "none.safetensors")


def test_a_fresh_table_forgets_what_no_caption_says():
    model = build_model()
    tokens = tokenise(("put the pot on the rack",), 24)
    forget_unused(model, tokens)
    assert known_rows(model).nonzero().flatten().tolist() == sorted(set(tokens.flatten().tolist()))


def test_words_that_were_never_learned_are_refused_where_they_may_not_learn(tmp_path):
    model = load_trained(SHIPPED)
    forget_unused(model, tokenise(("put the pot on the rack",), 24))
    path = tmp_path / "pot.safetensors"
    save_backbone(model, path, architecture_of(model))
    said = {"minutes": 0.001, "images": 8, "held_out": 8, "seed": 0, "resume": True, "train_text": False}
    with pytest.raises(ConfigError, match=r"never learned .*vase.*new_words=true"):
        train_backbone(path, tasks=["bin_vase"], **said)


def test_interrupted_training_of_new_words_goes_on_with_them(tmp_path, capsys):
    model = load_trained(SHIPPED)
    spared = tokenise(tuple(c.text for c in captions_of(find_task("bin_weight"))), 24)
    forget_unused(model, spared)
    path = tmp_path / "weight.safetensors"
    save_backbone(model, path, architecture_of(model))
    said = {"minutes": 0.001, "images": 8, "held_out": 8, "resume": True, "train_text": False, "new_words": True}
    (line,) = train_backbone(path, tasks=["bin_weight", "bin_vase"], seed=0, **said)
    assert set(line.tasks) == {"bin_weight", "bin_vase"}
    first, rows = learned_last(path), load_trained(path).token_embedding.weight
    assert words_of(first) == ["vase"]
    capsys.readouterr()
    train_backbone(path, tasks=["bin_weight", "bin_vase"], seed=1, **said)
    assert learned_last(path) == first
    assert f"words that learn: {', '.join(words_of(first))}" in capsys.readouterr().out
    again = load_trained(path).token_embedding.weight
    changed = (again != rows).any(dim=1).nonzero().flatten().tolist()
    assert set(changed) <= set(first)


class FarEnough(Exception):
    """What is said is said by now."""


@pytest.mark.parametrize("cost", [0.7, 9.0])
def test_bfloat16_that_is_slow_here_is_spoken_of(tmp_path, monkeypatch, capsys, cost):
    def render(*_):
        raise FarEnough

    assert verb.bfloat16_cost() > 0
    monkeypatch.setattr(verb, "bfloat16_cost", lambda: cost)
    monkeypatch.setattr(verb, "render", render)
    with pytest.raises(FarEnough):
        train_backbone(
            tmp_path / "new.safetensors", minutes=0.01, images=4, held_out=4, seed=0, resume=False, bfloat16=True
        )
    assert ("9 times as long" in capsys.readouterr().out) == (cost > 1)
