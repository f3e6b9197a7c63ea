"""`regrasp train-backbone`: trains the small vision-language model that ships in `rewards/assets`.

For developers. Renders states of all tasks with captions whose truth is known, trains for the minutes it is
given, and saves a checkpoint with every progress line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig
from tqdm import tqdm

from rewards.captioned_images import CaptionedImages, CaptionGroups, score_table, task_scores
from rewards.train_backbone import (
    BackboneTraining,
    Progress,
    architecture_of,
    build_model,
    load_trained,
    predict,
    save_backbone,
    sized,
    tokenise,
    train,
)
from rewards.vocabulary import forget_unused, known_rows, learned_last, open_new_words, unknown_rows, words_of
from trajectories.errors import ConfigError

HELD_OUT_SEED = 1_000_003
_SLOW = 1.5
"""How many times as long as in float32 a convolution in bfloat16 takes where it is spoken of."""


def bfloat16_cost() -> float:
    """How many times as long as in float32 a convolution in bfloat16 takes on this processor."""
    import torch

    from robot.rollout.judging import measured_s

    images, weights = torch.ones(32, 32, 32, 32).contiguous(memory_format=torch.channels_last), torch.ones(32, 32, 3, 3)

    def taken_s(dtype: torch.dtype) -> float:
        return measured_s(lambda: torch.nn.functional.conv2d(images.to(dtype), weights.to(dtype)))

    return taken_s(torch.bfloat16) / taken_s(torch.float32)


def render(count: int, seed: int, tasks: Sequence[str] | None = None) -> CaptionedImages:
    """Images of tasks' scenes with the truth of every caption; prints how many of each task a second.

    Args:
        count: Images.
        seed: Of the scenes.
        tasks: Names; None for all in their usual shares, see `sim.captions.frames`.
    """
    from sim.captions.frames import sample_captioned_frames

    with tqdm(total=count, desc="rendering", unit="img") as bar:
        frames = sample_captioned_frames(count, np.random.default_rng(seed), tasks, progress=bar.update)
    rates = ", ".join(f"{name} {rate:.0f}" for name, rate in frames.rates.items())
    tqdm.write(f"{count} images, {len(frames.captions)} captions; images a second: {rates}")
    groups = CaptionGroups(frames.tasks, frames.task, frames.about, frames.instructions)
    return CaptionedImages(frames.images, frames.captions, frames.truth, groups)


def train_backbone(
    path: Path,
    *,
    minutes: float,
    images: int,
    held_out: int,
    seed: int,
    resume: bool,
    tasks: Sequence[str] | None = None,
    train_text: bool = True,
    new_words: bool = False,
    image_size: int | None = None,
    bfloat16: bool = False,
) -> list[Progress]:
    """Train the embedded backbone and save it.

    Args:
        path: Safetensors file to write; open_clip's configuration goes to the JSON beside it.
        minutes: How long to train, rendering not counted.
        images: Training images.
        held_out: Images of other scenes for the progress lines, as many of each task.
        seed: Of the weights, the scenes and the order.
        resume: Go on from the weights in `path` with other scenes, instead of from random ones.
        tasks: Names of tasks, one that is named twice with twice as many images; None for all in their usual shares.
        train_text: Whether the text tower learns, too, see `rewards.train_backbone.BackboneTraining`.
        new_words: Whether it learns the words alone that it never learned, see `rewards.vocabulary`; where there are
            none, those that the file says it learned last, so that an interrupted training goes on.
        image_size: Side of the pictures that it sees from now on, pixels; None leaves it.
        bfloat16: Whether the image tower computes in bfloat16, see `rewards.train_backbone.BackboneTraining`.

    Returns:
        The progress lines.

    Raises:
        CheckpointError: When `resume` finds no fitting weights.
        ConfigError: Captions have words that the text tower never learned, and it may not learn them.
    """
    model = load_trained(path, image_size) if resume else build_model(sized(image_size), seed)
    if bfloat16 and (cost := bfloat16_cost()) > _SLOW:
        tqdm.write(
            f"train_backbone.bfloat16=true: a convolution takes {cost:.0f} times as long here as in float32, since the "
            "processor has no arithmetic of that kind. Leave the setting out."
        )
    captions = _captions(tasks)
    opened = _learn_words(model, path if resume else None, captions, seed, train_text=train_text, new_words=new_words)
    data = render(images, seed, tasks)
    checked = render(held_out, seed + HELD_OUT_SEED, None if data.groups is None else data.groups.tasks)
    before = task_scores(predict(model, checked), checked)
    lines: list[Progress] = []
    settings = BackboneTraining(max_seconds=60 * minutes, seed=seed, train_text=train_text, bfloat16=bfloat16)

    def report(line: Progress) -> None:
        save_backbone(model, path, architecture_of(model), opened)
        lines.append(line)
        tqdm.write(_line(line, minutes, settings.batch))

    train(model, data, checked, settings, report, opened)
    tqdm.write("Balanced accuracy on new scenes:")
    tqdm.write(score_table({"before": before, "after": dict(lines[-1].tasks)}))
    return lines


def run(config: DictConfig) -> None:
    """Train with the settings of `train_backbone` in the configuration."""
    settings = config.train_backbone
    path = Path(settings.path)
    train_backbone(
        path,
        minutes=float(settings.minutes),
        images=int(settings.images),
        held_out=int(settings.held_out),
        seed=int(config.seed),
        resume=bool(settings.resume),
        tasks=None if settings.tasks is None else list(settings.tasks),
        train_text=bool(settings.train_text),
        new_words=bool(settings.new_words),
        image_size=None if settings.image_size is None else int(settings.image_size),
        bfloat16=bool(settings.bfloat16),
    )
    print(f"The backbone is in {path}; use it with reward.pretrained={path}.")


def _captions(tasks: Sequence[str] | None) -> tuple[str, ...]:
    from sim.captions.frames import captions_of
    from sim.tasks import TASKS, find_task

    texts = [caption.text for name in tasks or TASKS.own for caption in captions_of(find_task(name))]
    return tuple(dict.fromkeys(texts))


def _learn_words(
    model: Any, file: Path | None, captions: tuple[str, ...], seed: int, *, train_text: bool, new_words: bool
) -> list[int]:
    """Draw the rows of words that were never learned; which rows learn, as far as they alone do.

    Raises:
        ConfigError: There are such words, and the text tower may not learn them.
    """
    tokens = tokenise(captions, model.context_length)
    if file is None:
        forget_unused(model, tokens)
    known, unknown = int(known_rows(model).sum()), unknown_rows(model, tokens)
    if unknown and not (train_text or new_words):
        raise ConfigError(
            f"The text tower of {file} never learned {', '.join(words_of(unknown))}: set "
            "train_backbone.new_words=true, which leaves what it says of other texts as it is, or leave out the tasks "
            "that say them (train_backbone.tasks)."
        )
    open_new_words(model, tokens, seed)
    if train_text or not new_words:
        return []
    opened = unknown or ([] if file is None else learned_last(file))
    tqdm.write(f"words that learn: {', '.join(words_of(opened)) or 'none'}; {known} rows were known")
    return opened


def _line(line: Progress, minutes: float, batch: int) -> str:
    scores = {name: score.instructions for name, score in line.tasks.items() if not math.isnan(score.instructions)}
    worst = min(scores, key=scores.__getitem__, default="")
    named = f"  instructions {np.mean(list(scores.values())):.3f}, worst {worst} {scores[worst]:.3f}" if worst else ""
    rate = line.step / max(line.seconds, 1e-9)
    return (
        f"step {line.step}  {line.seconds / 60:.1f} of {minutes:g} min  "
        f"{rate:.2f} steps/s, {rate * batch:.0f} images/s  "
        f"loss {line.loss:.2f}  balanced accuracy on new scenes {line.balanced_accuracy:.3f}{named}"
    )
