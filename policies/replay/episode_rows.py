"""The columns of an episode's transitions as a replay keeps them, and a batch of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from policies.common.batch import Batch
from policies.replay.nstep import label_columns
from policies.replay.ring_buffer import RingBuffer
from trajectories.types import Bool, Float32, Source, UInt8


def episode_rows(
    first: int,
    executed: Float32,
    rewards: Float32,
    terminated: Bool,
    mc_returns: Float32,
    source: UInt8,
    instructions: Sequence[int],
    imitate: Bool | None,
    gain: Float32 | None,
    *,
    gamma: float,
    n_step: int,
) -> dict[str, NDArray[Any]]:
    """Column -> (T times instructions, ...), as `replay_memory.row_fields` has them; arguments as `add_episode`.

    Args:
        first: Running number of the episode's first frame.
        executed: float32 (T, A).
        rewards: float32 (T,).
        terminated: bool (T,).
        mc_returns: float32 (T,).
        source: uint8 (T,).
        instructions: Rows of the instruction table, each of which gets all T transitions.
        imitate: bool (T,), or None for the steps not chosen by the policy.
        gain: float32 (T,) where gains count, else None.
        gamma: Discount of one step.
        n_step: Steps of each transition.
    """
    steps = len(executed)
    copied = np.asarray(source) != Source.POLICY if imitate is None else imitate
    labels, ahead = label_columns(rewards, terminated, mc_returns, copied, gamma, n_step)
    frame = first + np.arange(steps)
    rows: dict[str, NDArray[Any]] = {
        "frame": frame,
        "next_frame": frame + ahead,
        "instruction": np.zeros(steps, np.int64),
        "action": executed,
        "scalars": labels,
        "source": source,
    }
    if gain is not None:
        rows["gain"] = gain
    rows = {name: np.concatenate([column] * len(instructions)) for name, column in rows.items()}
    rows["instruction"] = np.repeat(np.asarray(instructions, dtype=np.int64), steps)
    return rows


def batch_of(rows: RingBuffer, index: Tensor, frames: Mapping[str, Tensor], device: torch.device) -> Batch:
    """A batch of transitions.

    Args:
        rows: Columns of `episode_rows`.
        index: int64 (B,) running numbers in them.
        frames: Field -> (2 B, ...): of the transitions' observations, then of the next ones.
        device: Where the batch is wanted.
    """
    count, scalars = len(index), rows.take("scalars", index, device)
    return Batch(
        observation={name: seen[:count] for name, seen in frames.items()},
        next_observation={name: seen[count:] for name, seen in frames.items()},
        instruction=rows.take("instruction", index, device),
        action=rows.take("action", index, device),
        reward=scalars[:, 0],
        discount=scalars[:, 1],
        mc_return=scalars[:, 2],
        imitate=scalars[:, 3],
        source=rows.take("source", index, device),
    )
