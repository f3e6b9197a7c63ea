"""How much memory a replay takes, how many frames a number of bytes holds, and whether the machine has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from policies.replay.ring_buffer import Fields
from policies.replay.source_weights import ALIKE, SourceWeights
from trajectories.errors import ConfigError
from trajectories.types import ACTION_SIZE

MEMINFO = Path("/proc/meminfo")


def row_fields(action_size: int, weights: SourceWeights = ALIKE) -> Fields:
    """Columns of a transition beside its frames.

    "scalars" holds reward, discount, Monte-Carlo return and whether cloning copies the step, "mass" (with weights)
    the sum of all weights up to this transition, "gain" (where that counts) what the step gained in progress.
    """
    fields: dict[str, tuple[tuple[int, ...], torch.dtype]] = {
        "frame": ((), torch.int64),
        "next_frame": ((), torch.int64),
        "instruction": ((), torch.int64),
        "action": ((action_size,), torch.float32),
        "scalars": ((4,), torch.float32),
        "source": ((), torch.uint8),
    }
    if weights.gains:
        fields["gain"] = ((), torch.float32)
    return fields if weights.uniform else fields | {"mass": ((), torch.float64)}


def row_bytes(fields: Fields) -> int:
    """Bytes of one row of these columns."""
    return sum(dtype.itemsize * torch.Size(shape).numel() for shape, dtype in fields.values())


def slot_bytes(fields: Fields, action_size: int = ACTION_SIZE, weights: SourceWeights = ALIKE) -> int:
    """Bytes that a replay sets aside for each frame of its capacity: the frame, and a transition that begins there."""
    return row_bytes(fields) + row_bytes(row_fields(action_size, weights))


def rows_of(lengths: Sequence[int], copies: Sequence[int]) -> dict[str, int]:
    """Ring -> rows that episodes of so many steps under so many instructions take in it."""
    rows = sum(steps * times for steps, times in zip(lengths, copies, strict=True))
    return {"frames": sum(lengths) + len(lengths), "rows": rows}


def frames_within(
    capacity_bytes: int, fields: Fields, action_size: int = ACTION_SIZE, *, weights: SourceWeights = ALIKE
) -> int:
    """Capacity in frames of a replay that takes at most `capacity_bytes`.

    Args:
        capacity_bytes: Bytes.
        fields: Observation field -> (shape, dtype) of one frame.
        action_size: A.
        weights: How often it draws a step.

    Raises:
        ConfigError: When not even a transition's two frames fit.
    """
    slot = slot_bytes(fields, action_size, weights)
    if capacity_bytes < 2 * slot:
        raise ConfigError(
            f"capacity_bytes={capacity_bytes} holds {max(0, capacity_bytes) // slot} frames of {slot} bytes; expected "
            f"room for an episode and more. Set capacity_bytes to frames x {slot}, e.g. {10_000 * slot} for 10,000 "
            "frames."
        )
    return capacity_bytes // slot


def available_bytes(device: torch.device) -> int | None:
    """Bytes that can be taken on a device now; None where it can't be told."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type != "cpu" or not MEMINFO.is_file():
        return None
    for line in MEMINFO.read_text(encoding="utf-8").splitlines():
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    return None


def replay_bytes(capacity: int, rows: int, fields: Fields, action_size: int, weights: SourceWeights) -> int:
    """Bytes that a replay of `capacity` frames and `rows` transitions sets aside."""
    return capacity * row_bytes(fields) + rows * row_bytes(row_fields(action_size, weights))


def require_memory(
    capacity: int, rows: int, fields: Fields, action_size: int, weights: SourceWeights, device: torch.device
) -> None:
    """Refuse a replay that the machine has no memory for, before it is half filled.

    Raises:
        ConfigError: With what is needed, what is there, and the capacity that would fit.
    """
    slot = slot_bytes(fields, action_size, weights)
    needed = replay_bytes(capacity, rows, fields, action_size, weights)
    available = available_bytes(device)
    if available is not None and needed > available:
        raise ConfigError(
            f"A replay of {capacity} frames takes {megabytes(needed)} on {device}, where "
            f"{megabytes(available)} are available. Set capacity_bytes below {available} or the capacity below "
            f"{available // slot} frames, keep it on another device (storage_device), or free memory."
        )


def megabytes(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e6:,.1f} MB"
