"""`FrameRing`: the frames of a replay, of which each rank keeps every N-th: frame i lies with rank i % N.

Which frames there are is the same for all ranks, and so are a replay's transitions, which take little memory. What a
rank needs of a batch comes from those that keep it, in one exchange for each field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from policies.common.ranks import Ranks
from policies.replay.replay_checks import check_observation
from policies.replay.ring_buffer import Fields, RingBuffer, as_tensor
from trajectories.errors import ConfigError

Rows = Mapping[str, NDArray[Any] | Tensor]


class FrameRing:
    """A ring whose rows have running numbers `first` ... `end - 1`; see `RingBuffer`, of which a rank has its share.

    Attributes:
        capacity: Rows held at most by all ranks together.
        fields: Column -> (shape, dtype) of one row.
        device: Where the columns live.
        first: Running number of the oldest row held.
        end: One more than that of the newest.
    """

    def __init__(self, capacity: int, fields: Fields, device: torch.device, ranks: Ranks) -> None:
        """An empty ring."""
        self.capacity, self.fields, self.device = capacity, dict(fields), device
        self._ranks = ranks
        self._own = RingBuffer(-(-capacity // ranks.count), fields, device)
        self.first = self.end = 0

    def __len__(self) -> int:
        """Rows held by all ranks together."""
        return self.end - self.first

    @property
    def columns(self) -> dict[str, Tensor]:
        """Column -> (capacity / ranks, ...): this rank's rows."""
        return self._own.columns

    @property
    def nbytes(self) -> int:
        """Bytes of this rank's columns, used or not."""
        return self._own.nbytes

    def append(self, rows: Rows, count: int) -> None:
        """Add `count` rows, of which this rank's are given (`own_rows`); there must be room."""
        self._own.append(rows)
        self.end += count

    def drop(self, count: int) -> None:
        """Give up the `count` oldest rows."""
        before = self._place(self.first)
        self.first += count
        self._own.drop(self._place(self.first) - before)

    def restart(self, first: int) -> None:
        """Give up all that is held; the next row has the running number `first`."""
        self.first = self.end = first
        self._own.restart(self._place(first))

    def append_part(self, columns: Mapping[str, Sequence[Tensor]], start: int, count: int) -> None:
        """See `RingBuffer.append_part`: rows of all ranks, of which this one keeps its own."""
        if self._ranks.count == 1:
            self._own.append_part(columns, start, count)
            self.end += count
            return
        whole = {name: torch.cat(list(parts))[start : start + count] for name, parts in columns.items()}
        self.append(own_rows(whole, self._ranks, self.end), count)

    def held(self, name: str, start: int | None = None) -> list[Tensor]:
        """A column's rows from running number `start` (None: the oldest) to the newest.

        Of one process these are views, two at most. Of several all have to ask, and the first one gets them.
        """
        start = self.first if start is None else start
        if self._ranks.count == 1:
            return self._own.held(name, start)
        numbers, nothing = torch.arange(start, self.end, device=self.device), torch.arange(0, device=self.device)
        wanted = [numbers if rank == 0 else nothing for rank in range(self._ranks.count)]
        return [self._exchanged(name, wanted, self.device)]

    def take(self, wanted: Sequence[Tensor], device: torch.device) -> dict[str, Tensor]:
        """Every column's rows of the numbers that this rank wants; all ranks have to ask at once.

        Args:
            wanted: int64 (any,) on this ring's device, for each rank.
            device: Where the rows are wanted.
        """
        if self._ranks.count == 1:
            return {name: self._own.take(name, wanted[0], device) for name in self.fields}
        return {name: self._exchanged(name, wanted, device) for name in self.fields}

    def _exchanged(self, name: str, wanted: Sequence[Tensor], device: torch.device) -> Tensor:
        me, ranks = self._ranks.rank, self._ranks.count
        mine = [numbers[numbers % ranks == me] // ranks for numbers in wanted]
        sent = [len(numbers) for numbers in mine]
        keepers = wanted[me] % ranks
        received = torch.bincount(keepers, minlength=ranks).tolist()
        rows = self._own.take(name, torch.cat(mine), device)
        found = self._ranks.exchange(rows, sent, received)
        order = torch.argsort(keepers, stable=True).to(device)
        return torch.empty_like(found).index_copy_(0, order, found)

    def _place(self, number: int) -> int:
        """How many of the rows before `number` are this rank's."""
        return (number - self._ranks.rank + self._ranks.count - 1) // self._ranks.count


def own_rows(rows: Rows, ranks: Ranks, first: int) -> Rows:
    """What this rank keeps of rows that begin with the running number `first`: of several ranks a copy.

    Args:
        rows: Column -> (N, ...).
        ranks: Who keeps the others.
        first: Running number of the first row.
    """
    if ranks.count == 1:
        return rows
    begin = (ranks.rank - first) % ranks.count
    return {name: as_tensor(values)[begin :: ranks.count].clone() for name, values in rows.items()}


def own_observation(
    observation: Rows, fields: Fields, steps: int, ranks: Ranks, first: int, begins: int | None
) -> Rows:
    """What this rank keeps of an episode's frames.

    Args:
        observation: Field -> (T + 1, ...), or what this rank keeps of them.
        fields: Of a replay.
        steps: T.
        ranks: Who keeps the others.
        first: Running number that the replay gives the first frame.
        begins: None where all frames are given; else the number that they were taken for.

    Raises:
        ConfigError: The frames don't fit, or were taken for others.
    """
    if begins is None:
        check_observation(observation, fields, steps + 1)
        return own_rows(observation, ranks, first)
    if begins != first:
        raise ConfigError(f"frames of an episode were taken for those from {begins} on; they are those from {first} on")
    return observation
