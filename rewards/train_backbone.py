"""Trains the embedded CLIP on images and captions whose truth is known exactly.

Sigmoid pairwise loss (SigLIP, arXiv 2303.15343, eq. 1), but against a truth matrix instead of "own caption
or not": many captions are true of the same image, and the hard ones differ in one word from a true one.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from rewards.augment import augment
from rewards.captioned_images import CaptionedImages, TaskScore, agreement, task_scores
from rewards.preprocess import resize, resize_stored, standardise
from rewards.vocabulary import NEW_TOKENS, learn_rows, table_of
from rewards.weight_files import CLIP_MEAN, CLIP_STD
from trajectories.durable import replace_file
from trajectories.errors import CheckpointError, ConfigError
from trajectories.types import Float32

ARCHITECTURE: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 48, "heads": 3, "layers": 3},
    "init_logit_scale": math.log(10.0),
    "init_logit_bias": -4.0,
}
"""open_clip's configuration of the embedded model: 3.8 M parameters, 62 % of them the token table."""
STRIDE = 32
"""Pixels of a picture for each place of the image tower's last map."""
_NOT_TEXT = ("visual.", "logit_")
_WORDS_RATE = 3.0
"""Factor on the learning rate of new words, which learn alone in a text tower that stays."""
_PLACES = "visual.attnpool.positional_embedding"


@dataclass(frozen=True)
class BackboneTraining:
    """Settings of the loop.

    Attributes:
        steps: Optimiser steps, unless time is up before.
        batch: Images a step.
        captions: Captions a step, drawn anew, at least one true one for each image; 0 for all.
        learning_rate: Peak of the cosine schedule, after a warm-up of 3 %.
        weight_decay: AdamW's, on matrices only.
        positive_weight: Factor on the loss of true captions, which are few.
        shift: Augmentation: largest shift, pixels.
        colour: Augmentation: largest relative change of brightness and contrast.
        seed: Seed of everything random.
        report_every: Steps between two progress lines and checkpoints.
        max_seconds: Stop early, with the schedule squeezed into this time; 0 for no limit.
        train_text: Whether the text tower learns, too. Policies have learned from what it says: where it changes, the
            earlier ones are worth nothing.
        bfloat16: Whether the image tower computes in bfloat16, which is faster where the processor does so in hardware;
            the weights stay float32.
    """

    steps: int = 1_000_000
    batch: int = 128
    captions: int = 96
    learning_rate: float = 1.3e-3
    weight_decay: float = 0.02
    positive_weight: float = 2.0
    shift: int = 1
    colour: float = 0.2
    seed: int = 0
    report_every: int = 200
    max_seconds: float = 0.0
    train_text: bool = True
    bfloat16: bool = False


@dataclass(frozen=True)
class Progress:
    """One progress line.

    Attributes:
        step: Steps done.
        seconds: Since training began.
        loss: Mean since the last line.
        balanced_accuracy: On held-out images, over all captions.
        tasks: The same, task by task.
    """

    step: int
    seconds: float
    loss: float
    balanced_accuracy: float
    tasks: Mapping[str, TaskScore] = field(default_factory=dict)


def pairwise_loss(logits: Tensor, truth: Tensor, positive_weight: float = 1.0) -> Tensor:
    """Sigmoid loss over known pairs, summed over captions and averaged over images.

    Args:
        logits: (B, C).
        truth: (B, C): 1 true, 0 false, -1 unknown (no loss).
        positive_weight: Factor on true pairs.
    """
    signs = torch.where(truth > 0, 1.0, -1.0)
    weights = torch.where(truth > 0, positive_weight, 1.0) * (truth >= 0)
    return -(weights * functional.logsigmoid(signs * logits)).sum(dim=1).mean()


def build_model(architecture: dict[str, Any] | None = None, seed: int = 0) -> Any:
    """A fresh, untrained CLIP for `train`."""
    from open_clip.model import CLIP

    torch.manual_seed(seed)
    return CLIP(**(architecture or ARCHITECTURE)).to(memory_format=torch.channels_last)


def load_trained(path: Path, image_size: int | None = None) -> Any:
    """The model that `save_backbone` wrote, for more training.

    Args:
        path: Safetensors file with the configuration beside it.
        image_size: Side of the square that the image tower shall see from now on, pixels: the places of its attention
            pooling are interpolated, and it has to learn on. None leaves it.

    Raises:
        CheckpointError: When there is none or it does not fit its configuration.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        architecture = sized(image_size, json.loads(path.with_suffix(".json").read_text(encoding="utf-8")))
        tensors = load(path.read_bytes())
        model = build_model(architecture)
        places = model.visual.attnpool.positional_embedding
        tensors[_PLACES] = _resized_places(tensors[_PLACES].float(), len(places))
        model.load_state_dict(tensors, strict=True)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"Can't go on from the backbone in {path}: {error}") from error
    return model


def sized(image_size: int | None, architecture: Mapping[str, Any] = ARCHITECTURE) -> dict[str, Any]:
    """An architecture for pictures of another size, pixels; None leaves it.

    Raises:
        ConfigError: For a size that isn't a multiple of the tower's stride.
    """
    if image_size is None:
        return dict(architecture)
    if image_size < STRIDE or image_size % STRIDE:
        raise ConfigError(f"train_backbone.image_size must be a multiple of {STRIDE} pixels, got {image_size}.")
    return {**architecture, "vision_cfg": {**architecture["vision_cfg"], "image_size": image_size}}


def architecture_of(model: Any) -> dict[str, Any]:
    """open_clip's configuration of a model of `build_model` or `load_trained`."""
    return sized(int(model.visual.image_size))


def _resized_places(places: Tensor, count: int) -> Tensor:
    """Embeddings of the mean and of a square of places, (1 + n², C), for a square of another size: (count, C)."""
    if len(places) == count:
        return places
    mean, square = places[:1], places[1:]
    side, wanted = math.isqrt(len(square)), math.isqrt(count - 1)
    grid = square.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    grid = functional.interpolate(grid, (wanted, wanted), mode="bicubic", align_corners=False)
    return torch.cat([mean, grid.permute(0, 2, 3, 1).reshape(wanted * wanted, -1)])


def tokenise(captions: tuple[str, ...], context_length: int) -> Tensor:
    """int64 (C, context_length) tokens.

    Raises:
        ConfigError: When a caption does not fit: its end would be cut off silently.
    """
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer(context_length=context_length)
    for caption in captions:
        if len(tokenizer.encode(caption)) + 2 > context_length:
            raise ConfigError(f"Caption {caption!r} is longer than {context_length - 2} tokens; shorten it.")
    return tokenizer(list(captions))


def train(
    model: Any,
    data: CaptionedImages,
    held_out: CaptionedImages,
    settings: BackboneTraining,
    report: Callable[[Progress], None] = lambda progress: None,
    new_tokens: Sequence[int] = (),
) -> None:
    """Train `model` in place.

    Args:
        model: From `build_model`; may have been trained before.
        data: Training images of any size.
        held_out: Images of other scenes for the progress reports, with its own captions.
        settings: See `BackboneTraining`.
        report: Called every `report_every` steps and at the end; may save a checkpoint.
        new_tokens: Rows of the token table that learn although the text tower stays, see `rewards.vocabulary`.
    """
    rng = np.random.default_rng(settings.seed)
    generator = torch.Generator().manual_seed(settings.seed)
    learns_words = bool(new_tokens) and not settings.train_text
    learning, optimiser = _optimiser(model, settings, learns_words)
    hook = learn_rows(table_of(model), new_tokens) if learns_words else None
    side = model.visual.image_size
    images, truth = resize_stored(torch.from_numpy(data.images), side), torch.from_numpy(data.truth)
    tokens = tokenise(data.captions, model.context_length)
    started, step, losses = time.monotonic(), 0, []
    done = 0.0
    order = _shuffled_for_ever(len(images), settings.batch, rng)
    while done < 1.0:
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * _schedule(done)
        rows = next(order)
        columns = _columns(data.truth[rows], settings.captions, rng)
        model.train()
        changed = augment(images[rows], settings.shift, settings.colour, generator)
        batch = standardise(resize(changed, side), CLIP_MEAN, CLIP_STD)
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
            image = model.encode_image(batch)
        image = functional.normalize(image.float(), dim=-1)
        with torch.set_grad_enabled(settings.train_text or learns_words):
            text = model.encode_text(tokens[columns], normalize=True)
        logits = model.logit_scale.exp() * image @ text.T + model.logit_bias
        loss = pairwise_loss(logits, truth[rows][:, columns], settings.positive_weight)
        model.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(learning, 5.0)
        optimiser.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0.0, math.log(50.0))
        losses.append(float(loss.detach()))
        step += 1
        seconds = time.monotonic() - started
        done = step / settings.steps
        if settings.max_seconds:
            done = max(done, seconds / settings.max_seconds)
        if step % settings.report_every == 0 or done >= 1.0:
            report(Progress(step, seconds, float(np.mean(losses)), *_scores(predict(model, held_out), held_out)))
            losses.clear()
    if hook is not None:
        hook.remove()
    model.eval()


@torch.no_grad()
def predict(model: Any, data: CaptionedImages) -> NDArray[np.float32]:
    """Logits float32 (N, C) of every image and caption."""
    model.eval()
    text = model.encode_text(tokenise(data.captions, model.context_length), normalize=True)
    parts = [
        resize(torch.from_numpy(data.images[start : start + 64]), model.visual.image_size)
        for start in range(0, len(data.images), 64)
    ]
    image = torch.cat([model.encode_image(standardise(part, CLIP_MEAN, CLIP_STD), normalize=True) for part in parts])
    return (model.logit_scale.exp() * image @ text.T + model.logit_bias).numpy()


def accuracy(model: Any, data: CaptionedImages) -> float:
    """Balanced accuracy over captions that are true of some images and false of others, at logit 0."""
    return agreement(predict(model, data), data)


def save_backbone(
    model: Any, path: Path, architecture: dict[str, Any] | None = None, new_tokens: Sequence[int] = ()
) -> None:
    """Write float16 weights to `path` and open_clip's configuration to the JSON beside it.

    Each file appears in one rename. Rows of the token table that nobody learned are zero (`vocabulary.forget_unused`),
    so that the file packs well.

    Args:
        model: From `build_model` or `load_trained`.
        path: Safetensors file.
        architecture: open_clip's configuration; None for `ARCHITECTURE`.
        new_tokens: Rows of the token table that learned, which the file notes, so that the same training can go on.
    """
    from safetensors.torch import save

    tensors = {}
    for name, value in model.state_dict().items():
        tensor = value.detach().clone(memory_format=torch.contiguous_format)
        tensors[name] = tensor.to(torch.float16) if tensor.is_floating_point() else tensor
    path.parent.mkdir(parents=True, exist_ok=True)
    config = json.dumps(architecture or ARCHITECTURE, indent=1) + "\n"
    about = {NEW_TOKENS: json.dumps([int(token) for token in new_tokens])}
    for target, payload in ((path.with_suffix(".json"), config.encode()), (path, save(tensors, about))):
        replace_file(target, payload)


def _optimiser(model: Any, settings: BackboneTraining, learns_words: bool) -> tuple[list[Tensor], torch.optim.AdamW]:
    """What learns, and its optimiser; rows of the token table without a gradient stay as they are, to the bit."""
    learning = [p for name, p in model.named_parameters() if settings.train_text or name.startswith(_NOT_TEXT)]
    rate, table = settings.learning_rate, [table_of(model)] if learns_words else []
    groups = [
        {"params": [p for p in learning if p.ndim > 1], "weight_decay": settings.weight_decay, "peak": rate},
        {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0, "peak": rate},
        {"params": table, "weight_decay": 0.0, "peak": _WORDS_RATE * rate},
    ]
    return learning + table, torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))


def _scores(logits: Float32, data: CaptionedImages) -> tuple[float, dict[str, TaskScore]]:
    return agreement(logits, data), task_scores(logits, data)


def _schedule(done: float, warm_up: float = 0.03) -> float:
    if done < warm_up:
        return max(done / warm_up, 0.02)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up)))


def _shuffled_for_ever(count: int, batch: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    while True:
        order = rng.permutation(count)
        for start in range(0, max(count - batch + 1, 1), batch):
            yield order[start : start + batch]


def _columns(truth: NDArray[np.int8], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices of the captions of one step: some true caption of every image, the rest at random."""
    total = truth.shape[1]
    if not count or count >= total:
        return np.arange(total)
    noise = rng.random(truth.shape)
    own = np.unique(np.where(truth > 0, noise, -1.0).argmax(axis=1)[(truth > 0).any(axis=1)])
    rest = rng.permutation(np.setdiff1d(np.arange(total), own))
    return np.sort(np.concatenate([own, rest[: max(count - len(own), 0)]]))
