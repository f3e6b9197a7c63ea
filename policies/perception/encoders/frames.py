"""What replay keeps of a frame for an encoder, and a batch of it encoded once for critics and actor.

| encoder | fields of a frame | features are computed |
|---|---|---|
| frozen | "state": float32 (F,) | once, when the episode arrives; an update sees states only |
| behind a frozen tower | "tower/<camera>": float16 map, "proprio" | the tower's part once, the rest in each update |
| trained | "image/<camera>": uint8 (H, W, 3), "proprio" | in each update, from augmented images |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from policies.common.batch import Batch
from policies.common.ranks import ALONE, Ranks
from policies.perception.encoders.encoder import Encoder

STATE, PROPRIO = "state", "proprio"
START = "start"
"""The field of an encoded batch that an anchor's own encoder makes; see `encode_batch`."""
_IMAGE, _TOWER = "image/", "tower/"
Arrays = Mapping[str, NDArray[np.uint8] | Tensor]


def frame_fields(encoder: Encoder) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Field -> (shape, dtype) of one frame, as `policies.replay.replay.Replay` takes them."""
    if encoder.frozen:
        return {STATE: ((encoder.size,), torch.float32)}
    fields: dict[str, tuple[tuple[int, ...], torch.dtype]] = {PROPRIO: ((encoder.sizes[0],), torch.float32)}
    if encoder.tower is None:
        return fields | {_IMAGE + name: ((*size, 3), torch.uint8) for name, size in encoder.cameras.items()}
    shapes = {name: encoder.branch(i).input_shape for i, name in enumerate(encoder.cameras)}
    return fields | {_TOWER + name: (shape, torch.float16) for name, shape in shapes.items()}


def episode_fields(
    encoder: Encoder, images: Arrays, proprio: NDArray[np.float32], code: Tensor | None = None
) -> dict[str, NDArray[Any] | Tensor]:
    """Field -> (T + 1, ...) of an episode's frames, for `Replay.add_episode`.

    Args:
        encoder: The encoder.
        images: Camera -> uint8 (T + 1, H, W, 3).
        proprio: float32 (T + 1, P), normalised.
        code: float32 (E,) embedding of the episode's instruction, for a frozen encoder that uses it.

    Raises:
        ConfigError: For a camera that is missing or has another size.
    """
    if encoder.frozen:
        return {STATE: encoder.encode_episode(images, proprio, code)}
    if encoder.tower is None:
        encoder.require_cameras(images)
        return {PROPRIO: proprio, **{_IMAGE + name: images[name] for name in encoder.cameras}}
    return {PROPRIO: proprio, **{_TOWER + name: seen for name, seen in encoder.see_episode(images).items()}}


def features(
    encoder: Encoder, observation: Mapping[str, Tensor], code: Tensor | None = None, offsets: Tensor | None = None
) -> Tensor:
    """Features float32 (B, F) of a batch of stored frames.

    Args:
        encoder: The encoder.
        observation: Field -> (B, ...), as `frame_fields` has them.
        code: float32 (B, E) instruction embeddings, for an encoder that uses them.
        offsets: From `Encoder.draw`.
    """
    if encoder.frozen:
        return observation[STATE]
    if encoder.tower is None:
        images = {name: observation[_IMAGE + name] for name in encoder.cameras}
        return encoder(images, observation[PROPRIO], code, offsets)
    seen = {name: observation[_TOWER + name] for name in encoder.cameras}
    return encoder.combine(seen, observation[PROPRIO], code)


def encode_now(encoder: Encoder, batch: Batch, table: Tensor, offsets: Tensor | None) -> Batch:
    """The batch with features, with a gradient, in place of its observations; the next ones stay frames.

    Args:
        encoder: The encoder.
        batch: B transitions with the fields of `frame_fields`.
        table: float32 (K, E) instruction embeddings.
        offsets: From `Encoder.draw`.
    """
    return replace(
        batch, observation={STATE: features(encoder, batch.observation, _codes(encoder, batch, table), offsets)}
    )


def _codes(encoder: Encoder, batch: Batch, table: Tensor) -> Tensor | None:
    """float32 (B, E) embeddings of the batch's instructions, for an encoder that uses them."""
    return None if encoder.config.instruction == "none" else table[batch.instruction]


@dataclass(frozen=True)
class ImageDraws:
    """Augmentation of one batch, drawn outside of what is compiled.

    Attributes:
        now: int64 (cameras, B, 2) for the observations, or None without augmentation.
        after: The same for the next observations, drawn on its own.
    """

    now: Tensor | None
    after: Tensor | None


def draw_for_images(encoder: Encoder, batch: int, generator: torch.Generator, ranks: Ranks = ALONE) -> ImageDraws:
    """Draws for `encode_batch`; see `draw_shifts`."""
    return ImageDraws(*(draw_shifts(encoder, batch, generator, ranks) for _ in ("now", "after")))


def draw_shifts(encoder: Encoder, batch: int, generator: torch.Generator, ranks: Ranks = ALONE) -> Tensor | None:
    """`Encoder.draw` for `batch` images, of several ranks for those of all of them, of which each keeps its own."""
    drawn = encoder.draw(batch * ranks.count, generator)
    return None if drawn is None else ranks.part(drawn, 1)


@dataclass(frozen=True)
class EncodedBatch:
    """One batch with features in place of frames: field "state" float32 (B, F).

    Attributes:
        critic: For the critics' loss, whose gradient goes on into the encoder; the next state has none.
        actor: The same numbers without a gradient: the actor's loss leaves the encoder as it is. With an anchor's
            encoder also that one's features, the field "start".
    """

    critic: Batch
    actor: Batch


def encode_batch(
    encoder: Encoder, batch: Batch, table: Tensor, draws: ImageDraws, start: Encoder | None = None
) -> EncodedBatch:
    """Encode the frames of a batch, each once: observations with a gradient, next observations without.

    The next observations go through the present encoder and only the critics behind it have slow copies, as in DrQ-v2
    (arXiv 2107.09645, facebookresearch/drqv2), which saves a third pass. The optimiser of the critics has to own the
    encoder's parameters. With several critic updates an actor update, `Batch.concatenate` of their `actor` batches
    saves encoding again; the first of them are then a few critic steps old.

    Args:
        encoder: The encoder; a frozen one costs nothing here.
        batch: B transitions with the fields of `frame_fields`.
        table: float32 (K, E) instruction embeddings.
        draws: From `draw_for_images`.
        start: The encoder of the policy that the actor is kept near, which looks at the same augmented observations;
            None without one.
    """
    if encoder.frozen:
        return EncodedBatch(batch, batch)
    code = _codes(encoder, batch, table)
    now = features(encoder, batch.observation, code, draws.now)
    with torch.no_grad():
        after = {STATE: features(encoder, batch.next_observation, code, draws.after)}
    critic = replace(batch, observation={STATE: now}, next_observation=after)
    seen = {STATE: now.detach()}
    if start is not None:
        with torch.no_grad():
            seen[START] = features(start, batch.observation, code, draws.now)
    return EncodedBatch(critic, replace(critic, observation=seen))
