"""The transitions of a batch, from whichever replays they were drawn: of several ranks, each its own places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from policies.common.batch import Batch
from policies.common.ranks import Ranks


class Holder(Protocol):
    """A replay."""

    ranks: Ranks

    def gather(self, index: Tensor, cuts: Sequence[int] | None = None) -> Batch:
        """The transitions of these running numbers."""


Chosen = Sequence[tuple[Holder, Tensor]]
"""Replays and running numbers of transitions in them, in the order of the batch; the same on all ranks."""


def gathered(chosen: Chosen) -> Batch:
    """The transitions that were chosen: this rank's part, which are places of the whole that follow each other.

    Raises:
        ConfigError: The ranks can't have equal parts of them.
    """
    ranks = chosen[0][0].ranks
    cuts, begin, parts = ranks.cuts(sum(len(numbers) for _, numbers in chosen)), 0, list[Batch]()
    for replay, numbers in chosen:
        inside = [min(max(cut - begin, 0), len(numbers)) for cut in cuts]
        parts.append(replay.gather(numbers, inside))
        begin += len(numbers)
    some = [part for part in parts if len(part)]
    return some[0] if len(some) == 1 else Batch.concatenate(some)
