"""How a text tower reads: which words it never learned, and where its context ends."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Tokenise = Callable[[list[str], int], Tensor]
"""Texts and a length -> int64 (N, length) token ids, cut off or padded to it."""
_WORD = re.compile(r"[^\W\d_]+|\d|[^\s\w]|_")
_ROOM = 4
"""A text is read up to this many contexts long to see whether anything is cut off."""


def token_table(model: Any) -> Tensor | None:
    """The token embeddings (V, W) of an open_clip model; None where they lie elsewhere (towers of transformers)."""
    for part in (model, getattr(model, "text", None)):
        table = getattr(part, "token_embedding", None)
        if isinstance(table, nn.Embedding):
            return table.weight
    return None


def unread_words(text: str, tokenise: Tokenise, context: int, table: Tensor | None) -> tuple[str, ...]:
    """Words of which the tower never learned a part: some of their rows of the token table are zero."""
    if table is None:
        return ()

    def unknown(words: str) -> bool:
        ids = tokenise([words], _ROOM * context)[0]
        return bool((table[ids.to(table.device)] == 0).all(dim=1).any())

    if not unknown(text):
        return ()
    return tuple(dict.fromkeys(word for word in _WORD.findall(text) if unknown(word))) or (text,)


def is_cut_off(text: str, tokenise: Tokenise, context: int) -> bool:
    """Whether the tower's context ends before the text does."""
    beyond = tokenise([text, ""], _ROOM * context)[:, context:]
    return not torch.equal(beyond[0], beyond[1])
