"""`regrasp train-backbone`: trains the small vision-language model that ships in `rewards/assets`.

For developers. Renders states of all tasks with captions whose truth is known, trains for the minutes it is
given, and saves a checkpoint with every progress line.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from omegaconf import DictConfig
from tqdm import tqdm

from rewards.train_backbone import (
    BackboneTraining,
    CaptionedImages,
    Progress,
    architecture_of,
    build_model,
    load_trained,
    save_backbone,
    sized,
    train,
)

HELD_OUT_SEED = 1_000_003


def render(count: int, seed: int) -> CaptionedImages:
    """Images of all tasks' scenes with the truth of every caption."""
    from sim.captions import sample_captioned_frames

    with tqdm(total=count, desc="rendering", unit="img") as bar:
        frames = sample_captioned_frames(count, np.random.default_rng(seed), progress=bar.update)
    return CaptionedImages(frames.images, frames.captions, frames.truth)


def train_backbone(
    path: Path,
    *,
    minutes: float,
    images: int,
    held_out: int,
    seed: int,
    resume: bool,
    train_text: bool = True,
    image_size: int | None = None,
    bfloat16: bool = False,
) -> list[Progress]:
    """Train the embedded backbone and save it.

    Args:
        path: Safetensors file to write; open_clip's configuration goes to the JSON beside it.
        minutes: How long to train, rendering not counted.
        images: Training images.
        held_out: Images of other scenes for the progress lines.
        seed: Of the weights, the scenes and the order.
        resume: Go on from the weights in `path` with other scenes, instead of from random ones.
        train_text: Whether the text tower learns, too, see `rewards.train_backbone.BackboneTraining`.
        image_size: Side of the pictures that it sees from now on, pixels; None leaves it.
        bfloat16: Whether the image tower computes in bfloat16, see `rewards.train_backbone.BackboneTraining`.

    Returns:
        The progress lines.

    Raises:
        CheckpointError: When `resume` finds no fitting weights.
    """
    model = load_trained(path, image_size) if resume else build_model(sized(image_size), seed)
    data = render(images, seed)
    checked = render(held_out, seed + HELD_OUT_SEED)
    lines: list[Progress] = []

    def report(line: Progress) -> None:
        save_backbone(model, data.captions, path, architecture_of(model))
        lines.append(line)
        tqdm.write(
            f"step {line.step}  {line.seconds / 60:.1f} of {minutes:g} min  loss {line.loss:.2f}  "
            f"balanced accuracy on new scenes {line.balanced_accuracy:.3f}"
        )

    settings = BackboneTraining(max_seconds=60 * minutes, seed=seed, train_text=train_text, bfloat16=bfloat16)
    train(model, data, checked, settings, report)
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
        train_text=bool(settings.train_text),
        image_size=None if settings.image_size is None else int(settings.image_size),
        bfloat16=bool(settings.bfloat16),
    )
    print(f"The backbone is in {path}; use it with reward.pretrained={path}.")
