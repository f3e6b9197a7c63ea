"""`TextTable`: the instructions that a policy knows, as embeddings of the frozen text tower."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from trajectories.errors import ConfigError
from trajectories.types import Float32

EncodeText = Callable[[list[str]], torch.Tensor | NDArray[np.float32]]
"""Texts -> float32 (N, E), e.g. `rewards.backbone.Backbone.encode_text`."""
_SMALLEST_SPREAD = 1e-3


@dataclass(frozen=True)
class TextTable:
    """K instructions and their standardised embeddings.

    Sentences of one robot lie close together in the space of a text tower, so the mean is taken away and the rest
    brought to unit deviation; instructions that are added later go through the same change.

    Attributes:
        instructions: Distinct, in the order of the rows.
        rows: float32 (K, E), standardised.
        mean: float32 (E,) subtracted from an embedding.
        spread: Deviation that it is divided by.
        source: Digest of the text tower's weights.
    """

    instructions: tuple[str, ...]
    rows: Float32
    mean: Float32
    spread: float
    source: str

    @classmethod
    def build(cls, instructions: Iterable[str], encode: EncodeText, source: str) -> TextTable:
        """Encode and standardise; duplicates count once, the order is alphabetical.

        Raises:
            ConfigError: When there is no instruction.
        """
        names = tuple(sorted(set(instructions)))
        if not names:
            raise ConfigError("A text table needs at least one instruction; the data has none.")
        embeddings = _encoded(names, encode)
        mean = embeddings.mean(axis=0)
        spread = max(float((embeddings - mean).std()), _SMALLEST_SPREAD)
        return cls(names, ((embeddings - mean) / spread).astype(np.float32), mean, spread, source)

    def extended(self, instructions: Iterable[str], encode: EncodeText, source: str) -> TextTable:
        """The table with more instructions behind its own, changed as those were; known ones are left out.

        Raises:
            ConfigError: The text tower is another one.
        """
        if source != self.source:
            raise ConfigError(
                f"The policy reads instructions through a text tower with the digest {self.source[:12]}, and the "
                f"settings name one with {source[:12]}: give the `reward` that it was pre-trained with."
            )
        names = tuple(sorted(set(instructions) - set(self.instructions)))
        if not names:
            return self
        rows = ((_encoded(names, encode) - self.mean) / self.spread).astype(np.float32)
        return replace(self, instructions=self.instructions + names, rows=np.concatenate([self.rows, rows]))

    def row(self, instruction: str) -> int:
        """Row of an instruction.

        Raises:
            ConfigError: When it is not in the table; lists what is.
        """
        try:
            return self.instructions.index(instruction)
        except ValueError:
            known = "; ".join(self.instructions[:12]) + ("; ..." if len(self.instructions) > 12 else "")
            raise ConfigError(
                f"The policy does not know the instruction {instruction!r}. It knows: {known}. Use one of them, or "
                "pre-train with this wording among the task's instructions."
            ) from None


def _encoded(names: tuple[str, ...], encode: EncodeText) -> Float32:
    encoded = encode(list(names))
    values = encoded.detach().cpu().numpy() if isinstance(encoded, torch.Tensor) else encoded
    return np.asarray(values, dtype=np.float32)
