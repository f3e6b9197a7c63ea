"""Named columns of fixed capacity; rows keep their running numbers while the oldest make room for new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Fields = Mapping[str, tuple[tuple[int, ...], torch.dtype]]
"""Column -> (shape, dtype) of one row."""


class RingBuffer:
    """Rows `first` ... `end - 1`, counted over all that were ever appended; row i lies at place i % capacity.

    Attributes:
        capacity: Rows held at most.
        fields: Column -> (shape, dtype) of one row.
        device: Where the columns live.
        columns: Column -> (capacity, ...) tensor.
        first: Running number of the oldest row held.
        end: One more than that of the newest: rows ever appended.
    """

    def __init__(self, capacity: int, fields: Fields, device: torch.device) -> None:
        """An empty ring; the caller has checked that the memory is there."""
        self.capacity, self.fields, self.device = capacity, dict(fields), device
        self.columns = {
            name: torch.empty((capacity, *shape), dtype=dtype, device=device) for name, (shape, dtype) in fields.items()
        }
        self.first = self.end = 0

    def __len__(self) -> int:
        """Rows held."""
        return self.end - self.first

    @property
    def nbytes(self) -> int:
        """Bytes of all columns, used or not."""
        return sum(column.nbytes for column in self.columns.values())

    def append(self, rows: Mapping[str, NDArray[Any] | Tensor]) -> None:
        """Add (N, ...) values of every column; there must be room for N rows."""
        for name, values in rows.items():
            self.write(name, self.end, values)
        self.end += len(next(iter(rows.values())))

    def write(self, name: str, start: int, values: NDArray[Any] | Tensor) -> None:
        """Put (N, ...) values of one column where the rows from running number `start` on lie."""
        rows, done = as_tensor(values), 0
        for place in self._places(start, len(rows)):
            size = place.stop - place.start
            self.columns[name][place].copy_(rows[done : done + size])
            done += size

    def drop(self, count: int) -> None:
        """Give up the `count` oldest rows."""
        self.first += count

    def take(self, name: str, index: Tensor, device: torch.device | None = None) -> Tensor:
        """A column's rows of these running numbers.

        Rows of a host ring that go to a GPU are gathered in page-locked memory, so that the copy doesn't wait for
        the host; PyTorch's allocator keeps that memory from being used again before the copy is done.

        Args:
            name: Column.
            index: int64 (B,) on this ring's device.
            device: Where the rows are wanted; None leaves them on this ring's.

        Returns:
            (B, ...).
        """
        column, places, target = self.columns[name], index % self.capacity, device or self.device
        # index_select copies whole rows; column[places] goes through images number by number, ten times slower.
        if column.device.type != "cpu" or target.type != "cuda":
            return column.index_select(0, places).to(target)
        locked = torch.empty((len(places), *column.shape[1:]), dtype=column.dtype, pin_memory=True)
        return torch.index_select(column, 0, places, out=locked).to(target, non_blocking=True)

    def held(self, name: str, start: int | None = None) -> list[Tensor]:
        """A column's rows from running number `start` (None: the oldest) to the newest, as views: two at most."""
        start = self.first if start is None else start
        return [self.columns[name][place] for place in self._places(start, self.end - start)]

    def restart(self, first: int) -> None:
        """Give up all that is held; the next row has the running number `first`."""
        self.first = self.end = first

    def append_part(self, columns: Mapping[str, Sequence[Tensor]], start: int, count: int) -> None:
        """Add rows `start` ... `start + count - 1` of columns that come in consecutive parts; there must be room.

        Args:
            columns: Column -> its parts; columns that are not named get no values.
            start: Counted from the first row of the first parts.
            count: Rows to add.
        """
        for name, parts in columns.items():
            at, skipped = self.end, start
            for part in parts:
                piece = part[skipped : skipped + self.end + count - at]
                skipped = max(0, skipped - len(part))
                self.write(name, at, piece)
                at += len(piece)
        self.end += count

    def _places(self, start: int, count: int) -> list[slice]:
        """Where `count` rows from running number `start` on lie: one slice, or two around the end."""
        at = start % self.capacity
        before = min(count, self.capacity - at)
        places = [slice(at, at + before), slice(0, count - before)]
        return [place for place in places if place.stop > place.start]


def rows_within(size: int, column: Tensor) -> int:
    """Rows of a column that `size` bytes hold, at least 1."""
    return max(1, size // max(1, column[0].nbytes))


def as_tensor(values: NDArray[Any] | Tensor) -> Tensor:
    """A tensor of the values; arrays that can't be written to (read from a store) are copied."""
    return values if isinstance(values, Tensor) else torch.from_numpy(np.require(values, requirements=["W", "C"]))
