"""The words that a text tower has learned, and how it learns more without a change of what it says of other texts.

A text's embedding depends on the rows of the token table that it uses, and on weights that all texts share. Where new
rows alone learn and everything else of the tower stays, every text of words that were known keeps its embedding to the
bit, and with it what policies and judges learned from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from rewards.text_tower import token_table
from trajectories.errors import CheckpointError, ConfigError

NEW_TOKENS = "new_tokens"
"""Key of a weight file's metadata: JSON list of the rows that learned last."""


def known_rows(model: Any) -> Tensor:
    """Bool (V,): which rows of the token table were learned; the others are zero."""
    return table_of(model).detach().ne(0).any(dim=1)


def table_of(model: Any) -> Tensor:
    """The token table (V, W) of the embedded model.

    Raises:
        ConfigError: For a model that has none.
    """
    table = token_table(model)
    if table is None:
        raise ConfigError("The text tower has no token table of its own; only the embedded model learns words.")
    return table


def unknown_rows(model: Any, tokens: Tensor) -> list[int]:
    """The rows of `tokens` that were never learned, in order."""
    known = known_rows(model)
    return [int(token) for token in tokens.unique() if not known[token]]


@torch.no_grad()
def forget_unused(model: Any, tokens: Tensor) -> None:
    """Zero the rows of the token table that are not in `tokens`; a fresh table is random."""
    unused = torch.ones(len(table_of(model)), dtype=torch.bool)
    unused[tokens.unique()] = False
    table_of(model)[unused] = 0.0


@torch.no_grad()
def open_new_words(model: Any, tokens: Tensor, seed: int) -> list[int]:
    """Draw the rows of tokens that were never learned, about as large as the known ones.

    Args:
        model: Its token table is changed in place.
        tokens: int64 of any shape: of the captions to come.
        seed: Of the draw.

    Returns:
        The rows that were drawn, in order.
    """
    table, known, new = table_of(model), known_rows(model), unknown_rows(model, tokens)
    spread = table[known].std() if known.any() else torch.tensor(0.02)
    generator = torch.Generator().manual_seed(seed)
    table[new] = spread * torch.randn(len(new), table.shape[1], generator=generator)
    return new


def learn_rows(table: Tensor, rows: Sequence[int]) -> RemovableHandle:
    """Keep the gradients of all but some rows of a token table at zero, until the handle is removed.

    An optimiser without weight decay then leaves the other rows as they are, to the bit.

    Args:
        table: (V, W) parameter.
        rows: Which learn.
    """
    learns = torch.zeros(len(table), 1, dtype=table.dtype)
    learns[list(rows)] = 1.0
    return table.register_hook(lambda gradient: gradient * learns)  # type: ignore[no-untyped-call, no-any-return]


def learned_last(path: Path) -> list[int]:
    """The rows of a weight file that learned last, in order; none where it doesn't say.

    Raises:
        CheckpointError: When there is no such file, or it isn't one.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            said = (file.metadata() or {}).get(NEW_TOKENS, "[]")
        return [int(row) for row in json.loads(said)]
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise CheckpointError(f"Can't read which words {path} learned last: {error}") from error


def words_of(tokens: Iterable[int]) -> list[str]:
    """The tokens as text."""
    from open_clip.tokenizer import SimpleTokenizer

    decoder = SimpleTokenizer().decoder
    return [decoder[int(token)].removesuffix("</w>") for token in tokens]
