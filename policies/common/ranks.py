"""`Ranks`: the processes that train the same networks, each on its own part of every batch.

Each rank has whole networks, optimisers and generators, draws the randomness of the whole batch, and computes on its
own places of it. What is averaged over the ranks are gradients and means before a step is taken, so that N ranks take
the steps that one process takes on the same batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from trajectories.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

Shared: TypeAlias = "tuple[Mapping[str, Tensor], Mapping[str, Any]]"
"""Named tensors, and plain JSON."""


class Ranks:
    """A process by itself, for which all of this costs nothing; `process_group.ProcessGroup` is one of several.

    Attributes:
        rank: Number of this process. The first, 0, alone writes files and speaks to people.
        count: How many there are.
    """

    rank = 0
    count = 1

    @property
    def first(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    def cuts(self, size: int) -> list[int]:
        """Where each rank's places of a batch begin, and the end: (count + 1,) numbers from 0 to `size`.

        Raises:
            ConfigError: The ranks can't have equal parts.
        """
        if size % self.count:
            raise ConfigError(
                f"A batch of {size} can't be shared equally by {self.count} processes; give a batch (method.batch=) "
                "that is a multiple of them, or start another number of processes."
            )
        return [size // self.count * rank for rank in range(self.count + 1)]

    def part(self, whole: Tensor, axis: int, pieces: int = 1) -> Tensor:
        """This rank's places of what was drawn for the whole batch.

        Args:
            whole: The batch along `axis`.
            axis: Which.
            pieces: Equal minibatches that the batch consists of, one after the other; each is shared by itself.
        """
        if self.count == 1:
            return whole
        split = whole.unflatten(axis, (pieces, self.count, -1)).select(axis + 1, self.rank)
        return split.flatten(axis, axis + 1).contiguous()

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Put the mean over all ranks in place of each tensor: in one exchange, and everywhere the same to the bit."""

    def exchange(self, rows: Tensor, sent: Sequence[int], received: Sequence[int]) -> Tensor:
        """Send rows to every rank and get those that it sends here.

        Args:
            rows: (sum of `sent`, ...) in the order of the ranks that they go to.
            sent: How many go to each.
            received: How many come from each.

        Returns:
            (sum of `received`, ...) in the order of the ranks that they come from.
        """
        del sent, received
        return rows

    def from_first(self, make: Callable[[], Shared | None]) -> Shared | None:
        """What the first rank makes, on every rank, on the CPU; the others don't call `make`."""
        return make()

    def require_same(self, tensors: Mapping[str, Tensor], what: str) -> None:
        """Refuse to go on when the ranks have drifted apart.

        Args:
            tensors: That have to be the same on all of them, to the bit.
            what: What they are, for the message.

        Raises:
            CheckpointError: Another rank's differs.
        """

    def alive(self) -> None:
        """Say that this rank is at work, where others may wait long for it."""

    def json_from_first(self, make: Callable[[], Any]) -> Any:
        """Plain JSON that the first rank makes, on every rank."""
        if self.count == 1:
            return make()
        found = self.from_first(lambda: ({}, {"content": make()}))
        return None if found is None else found[1]["content"]


ALONE = Ranks()
"""The only process of a training."""


def share_state(ranks: Ranks, tensors: Mapping[str, Tensor]) -> None:
    """Put the first rank's values in place of everybody's.

    Args:
        ranks: All of them.
        tensors: The same names and shapes everywhere, on any device.
    """
    found = None if ranks.count == 1 else ranks.from_first(lambda: (tensors, {}))
    if found is not None:
        for name, tensor in tensors.items():
            tensor.copy_(found[0][name])
