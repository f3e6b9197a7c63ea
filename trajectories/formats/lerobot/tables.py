"""Rows of Parquet tables as arrays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trajectories.formats.foreign import DamagedEpisodeError

if TYPE_CHECKING:
    import pyarrow as pa


class Tables:
    """Reads rows of the tables below a folder; the row groups that were read last are kept for the next episode.

    Args:
        root: The folder.
        columns: Which columns.
    """

    def __init__(self, root: Path, columns: list[str]) -> None:
        self._root, self._columns = root, columns
        self._kept: tuple[tuple[str, int, int], pa.Table] | None = None

    def rows(self, path: str, first: int, count: int) -> pa.Table:
        """Rows `first` ... `first + count - 1` of the table at `path`.

        Raises:
            DamagedEpisodeError: The table can't be read or has fewer rows.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self._root / path, memory_map=True) as file:
                lengths = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
                ends = np.cumsum(lengths)
                if count < 1 or first < 0 or not len(ends) or first + count > ends[-1]:
                    total = int(ends[-1]) if len(ends) else 0
                    raise DamagedEpisodeError(
                        f"{self._root / path} has {total} rows; the episode is to be in rows {first} to "
                        f"{first + count - 1}."
                    )
                low = int(np.searchsorted(ends, first, side="right"))
                high = int(np.searchsorted(ends, first + count - 1, side="right"))
                wanted = (path, low, high)
                if self._kept is None or self._kept[0] != wanted:
                    groups = list(range(low, high + 1))
                    self._kept = (wanted, file.read_row_groups(groups, columns=self._columns))
                before = int(ends[low]) - lengths[low]
                return self._kept[1].slice(first - before, count)
        except (OSError, pa.ArrowException) as error:
            raise DamagedEpisodeError(f"{self._root / path} can't be read: {error}.") from error


def column_array(column: pa.ChunkedArray, shape: tuple[int, ...], where: str) -> NDArray[Any]:
    """A column as an array, (T, *shape) or (T,) where the shape is (1,).

    Raises:
        DamagedEpisodeError: It holds nothing in a row, or rows of other shapes.
    """
    import pyarrow as pa

    array, rows = column.combine_chunks(), len(column)
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0)
    while True:
        if array.null_count:
            raise DamagedEpisodeError(f"{where} has {array.null_count} rows without a value.")
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        elif (
            pa.types.is_list(array.type)
            or pa.types.is_large_list(array.type)
            or pa.types.is_fixed_size_list(array.type)
        ):
            array = array.flatten()
        else:
            break
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        values = np.array(array.to_pylist(), np.str_)
    else:
        values = np.array(array.to_numpy(zero_copy_only=False))
    expected = () if shape == (1,) else shape
    if values.size != rows * int(np.prod(expected, dtype=np.int64)):
        raise DamagedEpisodeError(f"{where} has {values.size} numbers in {rows} rows; expected {shape} a row.")
    return values.reshape(rows, *expected)
