"""A replay's whole content in one file, so that a restarted learner needs not encode its episodes again.

Columns are written from the oldest row to the newest in pieces, straight from the rings: writing takes little memory
beside the replay's own, reading none but the system's file cache. Where rows lie in the rings is not kept, so the
capacity may change between writing and reading.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from policies.common.tensor_file import read_tensors, write_tensors
from policies.replay.ring_buffer import RingBuffer
from trajectories.errors import CheckpointError

if TYPE_CHECKING:
    from policies.replay.replay import Replay

KIND = "regrasp-replay-1"
PIECE_BYTES = 64 << 20
_DERIVED = "mass"


def save_replay(replay: Replay, path: Path, about: Mapping[str, Any]) -> None:
    """Write content and draws; the file is there whole or not at all.

    Args:
        replay: What to save.
        path: Created or replaced.
        about: JSON of the caller, given to `load_replay`'s `accept`.

    Raises:
        CheckpointError: The disk refuses; an older file stays.
    """
    rings = {"frames": replay._frames, "rows": replay._rows}
    tensors = {
        f"{ring}.{name}.{number:06d}": piece
        for ring, held in rings.items()
        for name, number, piece in held.pieces(PIECE_BYTES)
        if name != _DERIVED
    }
    header = {
        "settings": _settings(replay),
        "weights": asdict(replay.weights),
        "lengths": list(replay._lengths),
        "first": {name: ring.first for name, ring in rings.items()},
        "mass": replay._mass[0],
        "about": dict(about),
    }
    write_tensors(path, KIND, {**tensors, "generator": replay.state_dict()["generator"]}, header)


def load_replay(replay: Replay, path: Path, accept: Callable[[Mapping[str, Any]], None] | None = None) -> None:
    """Replace a replay's content and draws by those of a file; nothing changes when that fails.

    Args:
        replay: With the fields, discount, n-step and action size of the saved one, and room for its frames. The
            weights may differ.
        path: File of `save_replay`.
        accept: Called with the saver's `about` before anything changes; raises CheckpointError to refuse.

    Raises:
        CheckpointError: The file is missing, damaged, of a replay with other settings, or refused.
    """
    tensors, header, _ = read_tensors(path, KIND)
    lengths = header["lengths"]
    _require_same(_settings(replay), header["settings"], path)
    frames = sum(lengths) + len(lengths)
    if frames > replay.capacity:
        raise CheckpointError(
            f"{path} holds {frames} frames, this replay {replay.capacity}: raise its capacity, or add the newest "
            "episodes anew."
        )
    if accept is not None:
        accept(header["about"])
    generator = torch.Generator(device=replay.storage_device)
    generator.set_state(tensors.pop("generator"))
    for name, ring in {"frames": replay._frames, "rows": replay._rows}.items():
        _fill(ring, name, tensors, header["first"][name])
    replay._generator, replay._lengths = generator, deque(lengths)
    _sum_weights(replay, header["mass"] if header["weights"] == asdict(replay.weights) else 0.0)


def _settings(replay: Replay) -> dict[str, Any]:
    """What the content depends on, and the draws (whose state differs from one kind of device to another)."""
    fields = {
        name: [list(shape), str(dtype).removeprefix("torch.")] for name, (shape, dtype) in replay._frames.fields.items()
    }
    return {
        "fields": fields,
        "gamma": replay.gamma,
        "n_step": replay.n_step,
        "action_size": replay.action_size,
        "storage_device": replay.storage_device.type,
    }


def _require_same(here: Mapping[str, Any], saved: Mapping[str, Any], path: Path) -> None:
    for name, value in here.items():
        if saved.get(name) != value:
            raise CheckpointError(
                f"{path} was saved with {name} = {saved.get(name)}; expected {value}. Go on with the settings of then, "
                "or add the episodes anew."
            )


def _fill(ring: RingBuffer, prefix: str, tensors: Mapping[str, Tensor], first: int) -> None:
    """Write the pieces of every column of a ring, from running number `first` on."""
    ring.first = ring.end = first
    for name in ring.fields:
        at = first
        for key in sorted(key for key in tensors if key.rpartition(".")[0] == f"{prefix}.{name}"):
            ring.write(name, at, tensors[key])
            at += len(tensors[key])
        ring.end = max(ring.end, at)


def _sum_weights(replay: Replay, start: float) -> None:
    """The weights' sums, episode by episode as when they were added, so that they come out the same to the bit."""
    replay._mass = deque([start])
    if replay.weights.uniform or not len(replay):
        return
    source = torch.cat([view.cpu() for view in replay._rows.held("source")])
    at = 0
    for length in replay._lengths:
        sums = replay._sum_weights(source[at : at + length].numpy())
        replay._rows.write("mass", replay._rows.first + at, sums)
        at += length
