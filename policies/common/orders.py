"""Orders of the first rank to those that follow it: what comes next is decided there, by what comes from outside."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from torch import Tensor

from policies.common.ranks import Ranks, Shared
from trajectories.errors import LinkError

_NOTHING: Mapping[str, Tensor] = MappingProxyType({})


def tell(ranks: Ranks, order: str, tensors: Mapping[str, Tensor] = _NOTHING, **words: Any) -> None:
    """Give an order, before it is done here, too; nothing where nobody follows.

    Args:
        ranks: Of which this is the first.
        order: Its name.
        tensors: What belongs to it.
        words: The same as plain JSON.
    """
    if ranks.count > 1:
        ranks.from_first(lambda: (tensors, {"order": order, "words": words}))


def heard(ranks: Ranks) -> tuple[str, Mapping[str, Tensor], Mapping[str, Any]]:
    """The next order: its name, tensors and words."""
    found = ranks.from_first(_not_here)
    if found is None:
        raise LinkError("The first rank gave no order.")
    return found[1]["order"], found[0], found[1]["words"]


def _not_here() -> Shared | None:
    raise LinkError("The first rank follows nobody.")
