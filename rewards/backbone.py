"""The vision-language backbone: images and texts to embeddings of one space, texts encoded once.

"embedded" is a small CLIP that ships with the package and knows the twin; any open_clip model with
pre-trained weights serves real cameras.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rewards.last_block import split_off_last_block, trunk_features
from rewards.preprocess import resize, standardise
from rewards.text_tower import is_cut_off, token_table, unread_words
from rewards.weight_files import EMBEDDED, WeightFile, find_weights
from trajectories.errors import MissingDependencyError
from trajectories.types import UInt8

_BATCH = 64
_ALIKE = {True: 0.9, False: 0.99}
"""Embedded? -> cosine above which a text and its opposite are the same to the tower.

Embedded: opposites of the ten tasks of the twin have at most 0.58, wordings of one direction at least 0.97, texts that
say where to and where from with the same objects ("put ... in the bowl", "take ... from the bowl") 0.95 to 0.98. Models
of open_clip learned from sentences and put all that are about the same things close together; for them only what
is all but equal is refused: texts in scripts that they hardly saw, texts that differ in a character. That bound was
chosen without their weights at hand.
"""


class Backbone:
    """A frozen CLIP. Not an `nn.Module`, so that nobody trains or checkpoints it by accident.

    Attributes:
        name: As asked for.
        digest: Hex sha256 of the weight file; travels with everything trained on the embeddings.
        image_size: Side of the square that the towers see, pixels.
        image_width: Size of an image embedding.
        text_width: Size of a text embedding.
        context: Tokens that the text tower reads, start and end included.
        alike: Cosine above which two texts are the same to the text tower, see `_ALIKE`.
        logit_scale: Factor on the cosine in the zero-shot logit.
        logit_bias: Offset in the zero-shot logit.
    """

    def __init__(self, name: str, model: Any, weights: WeightFile, device: str = "cpu") -> None:
        self.name = name
        self.digest = weights.digest
        self.device = torch.device(device)
        self._model = model.eval().requires_grad_(False).to(self.device, memory_format=torch.channels_last)
        size = model.visual.image_size
        self.image_size = int(size[0] if isinstance(size, tuple | list) else size)
        self.logit_scale = float(model.logit_scale.exp())
        self.logit_bias = 0.0 if model.logit_bias is None else float(model.logit_bias)
        self._mean, self._std = weights.mean, weights.std
        self._tokenizer = _tokenizer(weights.model)
        self.context = int(self._tokenizer.context_length)
        self.alike = _ALIKE[self.is_embedded]
        self._texts: dict[str, Tensor] = {}
        self.text_width = self.encode_text(["a robot arm"]).shape[1]
        self.image_width = self.text_width

    def preprocess(self, images: UInt8 | Tensor) -> Tensor:
        """uint8 (N, H, W, 3) RGB to what the tower expects, see `rewards.preprocess`.

        Raises:
            ConfigError: For another shape or dtype.
        """
        raw = torch.as_tensor(np.ascontiguousarray(images) if isinstance(images, np.ndarray) else images)
        return standardise(resize(raw.to(self.device), self.image_size), self._mean, self._std)

    @torch.no_grad()
    def encode_images(self, images: UInt8 | Tensor) -> Tensor:
        """Unit embeddings float32 (N, E) of uint8 (N, H, W, 3) RGB images."""
        parts = [functional.normalize(self._model.visual(self.preprocess(part)), dim=-1) for part in _batches(images)]
        return torch.cat(parts) if parts else torch.zeros(0, self.image_width, device=self.device)

    @torch.no_grad()
    def encode_trunk(self, images: UInt8 | Tensor) -> Tensor:
        """What enters the last block, float32 (N, ...): see `rewards.last_block`."""
        return torch.cat([trunk_features(self._model.visual, self.preprocess(part)) for part in _batches(images)])

    def last_block(self) -> nn.Module:
        """A trainable copy of the last block: `encode_trunk`'s output to unit embeddings (N, E)."""
        return split_off_last_block(self._model.visual).requires_grad_(True)

    @torch.no_grad()
    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Unit embeddings float32 (N, E); every distinct text goes through the tower once in this process."""
        new = [text for text in dict.fromkeys(texts) if text not in self._texts]
        for start in range(0, len(new), _BATCH):
            part = new[start : start + _BATCH]
            encoded = self._model.encode_text(self._tokenizer(part).to(self.device), normalize=True)
            self._texts.update(zip(part, encoded, strict=True))
        if not texts:
            return torch.zeros(0, self.text_width, device=self.device)
        return torch.stack([self._texts[text] for text in texts]).clone()

    @property
    def is_embedded(self) -> bool:
        """Whether it is the small model for the twin."""
        return self.name == EMBEDDED

    def unread_words(self, text: str) -> tuple[str, ...]:
        """Words that the text tower never learned, see `rewards.text_tower`."""
        return unread_words(text, self._tokenizer, self.context, token_table(self._model))

    def cuts_off(self, text: str) -> bool:
        """Whether the text is longer than the tower's context."""
        return is_cut_off(text, self._tokenizer, self.context)

    def zero_shot(self, images: Tensor, texts: Tensor) -> Tensor:
        """The model's own logit that text i is true of image i, mean over C views: (N, C * E), (N, E) -> (N,)."""
        views = images.reshape(len(images), -1, texts.shape[-1])
        return self.logit_scale * (views * texts[:, None]).sum(dim=-1).mean(dim=1) + self.logit_bias


def load_backbone(
    name: str = EMBEDDED,
    pretrained: str | None = None,
    *,
    allow_download: bool = False,
    device: str = "cpu",
) -> Backbone:
    """A frozen backbone with pre-trained weights; never a random one.

    Args:
        name: "embedded", or the name of an open_clip model such as "ViT-B-32".
        pretrained: open_clip's tag or a safetensors file, see `rewards.weight_files.find_weights`.
        allow_download: Fetch weights that are not on this machine from the Hugging Face hub.
        device: Torch device.

    Raises:
        ConfigError: For an unknown model or tag.
        MissingDependencyError: When the weights are not here; says how to get them.
        CheckpointError: When the file does not fit the model.
    """
    weights = find_weights(name, pretrained, allow_download)
    return Backbone(name, weights.load(), weights, device)


def _batches(images: UInt8 | Tensor) -> list[UInt8 | Tensor]:
    return [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]


def _tokenizer(model: str) -> Any:
    """open_clip's tokenizer of a model.

    Raises:
        MissingDependencyError: For one of the transformers package, without that or without its files.
    """
    import open_clip

    try:
        return open_clip.get_tokenizer(model)
    except (ImportError, OSError) as error:
        raise MissingDependencyError(
            f"The texts of {model} are split by a tokenizer of its own, which is not here ({error}). It takes the "
            "package transformers (`pip install transformers`), and its files, some 35 MB, come with `regrasp "
            "fetch-weights` from the Hugging Face hub; without a network copy the cache of a machine that has them "
            "(HF_HOME)."
        ) from error
