"""Write a replay's whole content to one file and read it back.

A learner that restarts then need not encode its episodes again. Columns are written from the oldest row to the newest
in pieces, straight from the rings: writing takes little memory beside the replay's own, reading none but the system's
file cache. Where rows lie in the rings is not kept, so the capacity may change between writing and reading.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from policies.common.tensor_file import read_tensors, write_tensors
from policies.replay.replay_memory import rows_of
from policies.replay.ring_buffer import Fields, rows_within
from trajectories.errors import CheckpointError

KIND = "regrasp-replay-1"
PIECE_BYTES = 64 << 20


@dataclass(frozen=True)
class ReplayContents:
    """All that a replay holds, independent of its capacity; see `Replay.contents` and `Replay.restore`.

    Attributes:
        settings: What the content and the draws depend on, as plain JSON.
        weights: Source -> how often its steps are drawn.
        lengths: Steps of every episode, oldest first.
        copies: Instructions that each of them is held under; its steps are so many transitions each.
        first: Ring ("frames", "rows") -> running number of its oldest row.
        columns: Ring -> column -> consecutive parts, oldest rows first; views wherever possible.
        mass: Sum of the weights of all steps before the oldest one held.
        generator: State of the draws.
    """

    settings: Mapping[str, Any]
    weights: Mapping[str, float]
    lengths: list[int]
    copies: list[int]
    first: Mapping[str, int]
    columns: Mapping[str, Mapping[str, list[Tensor]]]
    mass: float
    generator: Tensor


def settings_of(fields: Fields, gamma: float, n_step: int, action_size: int, device: str) -> dict[str, Any]:
    """What the content of a replay depends on, as plain JSON; the device is the kind that it is kept on."""
    named = {name: [list(shape), str(dtype).removeprefix("torch.")] for name, (shape, dtype) in fields.items()}
    return {
        "fields": named, "gamma": gamma, "n_step": n_step, "action_size": action_size, "storage_device": device,
    }  # fmt: skip


def save_contents(contents: ReplayContents, path: Path, about: Mapping[str, Any]) -> None:
    """Write content and draws; the file is there whole or not at all.

    Args:
        contents: What to save.
        path: Created or replaced.
        about: JSON of the caller, given to `load_contents`'s `accept`.

    Raises:
        CheckpointError: The disk refuses; an older file stays.
    """
    tensors = {
        f"{ring}.{name}.{number:06d}": piece
        for ring, columns in contents.columns.items()
        for name, views in columns.items()
        for number, piece in enumerate(part for view in views for part in view.split(rows_within(PIECE_BYTES, view)))
    }
    header = {
        "settings": contents.settings,
        "weights": contents.weights,
        "lengths": contents.lengths,
        "copies": contents.copies,
        "first": contents.first,
        "mass": contents.mass,
        "about": dict(about),
    }
    write_tensors(path, KIND, {**tensors, "generator": contents.generator}, header)


def load_contents(
    path: Path,
    settings: Mapping[str, Any],
    accept: Callable[[Mapping[str, Any]], None] | None = None,
    capacity: tuple[int, int] | None = None,
) -> ReplayContents:
    """Read what `save_contents` wrote.

    Args:
        path: File of `save_contents`.
        settings: Those that the saved ones must equal.
        accept: Called with the saver's `about`; raises CheckpointError to refuse.
        capacity: Frames and transitions for which there is room; None for as many as there are.

    Raises:
        CheckpointError: The file is missing, damaged, of a replay with other settings, too large, or refused.
    """
    tensors, header, _ = read_tensors(path, KIND)
    lengths = header["lengths"]
    copies = header.get("copies", [1] * len(lengths))
    _require_same(settings, header["settings"], path)
    there = rows_of(lengths, copies)
    most_frames, most_rows = capacity or (there["frames"], there["rows"])
    for count, most, what in ((there["frames"], most_frames, "frames"), (there["rows"], most_rows, "transitions")):
        if count > most:
            raise CheckpointError(
                f"{path} holds {count} {what}, this replay {most}: raise its capacity, or add the newest episodes anew."
            )
    if accept is not None:
        accept(header["about"])
    generator = tensors.pop("generator")
    columns: dict[str, dict[str, list[Tensor]]] = {ring: {} for ring in header["first"]}
    for key in sorted(tensors):
        ring, _, column = key.rpartition(".")[0].partition(".")
        columns[ring].setdefault(column, []).append(tensors[key])
    return ReplayContents(
        header["settings"], header["weights"], lengths, copies, header["first"], columns, header["mass"], generator
    )


def _require_same(here: Mapping[str, Any], saved: Mapping[str, Any], path: Path) -> None:
    for name, value in here.items():
        if saved.get(name) != value:
            raise CheckpointError(
                f"{path} was saved with {name} = {saved.get(name)}; expected {value}. Go on with the settings of then, "
                "or add the episodes anew."
            )
