"""What an episode has to look like before replay takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from policies.replay.ring_buffer import Fields
from trajectories.errors import ConfigError
from trajectories.types import Bool, Float32, Source, UInt8


def check_observation(observation: Mapping[str, NDArray[Any] | Tensor], fields: Fields, frames: int) -> None:
    """Fields, shapes and dtypes of so many frames.

    Raises:
        ConfigError: When they don't fit; images aren't cast, since a cast of scaled images would leave black ones.
    """
    if set(observation) != set(fields):
        raise ConfigError(f"fields {sorted(observation)} were added; expected {sorted(fields)}")
    for name, (shape, dtype) in fields.items():
        values = observation[name]
        if tuple(values.shape) != (frames, *shape):
            raise ConfigError(
                f"field {name!r} has shape {tuple(values.shape)}; "
                f"expected {(frames, *shape)}, one frame more than there are actions"
            )
        given = str(values.dtype).removeprefix("torch.")
        both_floating = dtype.is_floating_point and "float" in given
        if given != str(dtype).removeprefix("torch.") and not both_floating:
            raise ConfigError(f"field {name!r} has dtype {given}; expected {dtype}. Convert it, or change the field.")


def check_columns(
    steps: int,
    action_size: int,
    executed: Float32,
    rewards: Float32,
    terminated: Bool,
    truncated: Bool,
    mc_returns: Float32,
    source: UInt8,
) -> None:
    """Columns of T steps.

    Raises:
        ConfigError: When their lengths differ, a source is unknown, or the episode goes on after a truncation.
    """
    if executed.shape != (steps, action_size):
        raise ConfigError(f"actions have shape {executed.shape}; expected {(steps, action_size)}")
    columns = {
        "rewards": rewards, "terminated": terminated, "truncated": truncated, "mc_returns": mc_returns,
        "source": source,
    }  # fmt: skip
    require_lengths(steps, **columns)
    if truncated[:-1].any():
        raise ConfigError("truncated is set before the last step; split what follows into its own episode")
    if source.max() > max(Source):
        known = ", ".join(f"{entry.value} ({entry.name.lower()})" for entry in Source)
        raise ConfigError(f"source {source.max()} is unknown; expected {known}")


def require_lengths(steps: int, **columns: NDArray[Any]) -> None:
    """Refuse columns that don't have one entry a step.

    Raises:
        ConfigError: Naming the first such column.
    """
    for name, column in columns.items():
        if column.shape != (steps,):
            raise ConfigError(f"{name} has shape {column.shape}; expected {(steps,)}")


def required_gain(gain: Float32 | None, steps: int) -> Float32:
    """The gains of T steps where they count.

    Raises:
        ConfigError: There are none, not one a step, or some are negative or no numbers.
    """
    if gain is None:
        raise ConfigError("This replay draws by the progress that a step gained, and the episode comes without it.")
    require_lengths(steps, gain=gain)
    if not (np.isfinite(gain) & (gain >= 0)).all():
        raise ConfigError(f"gains are {gain}; expected finite numbers of at least 0")
    return gain


def require_room(steps: int, instructions: int, frames: int, transitions: int, slot: int) -> None:
    """Refuse an episode that a replay can never hold.

    Args:
        steps: Of the episode.
        instructions: That it is held under.
        frames: Held at most.
        transitions: Held at most.
        slot: Bytes of a frame and a transition.

    Raises:
        ConfigError: Says what to set.
    """
    if not 1 <= steps < frames:
        raise ConfigError(
            f"an episode of {steps} steps doesn't fit a replay of {frames} frames: expected 1 to {frames - 1} steps. "
            f"Set the capacity to at least {steps + 1} frames (capacity_bytes to at least {(steps + 1) * slot}), or "
            "record shorter episodes."
        )
    if not 1 <= steps * instructions <= transitions:
        raise ConfigError(
            f"an episode of {steps} steps under {instructions} instructions doesn't fit a replay of {transitions} "
            "transitions; give it one instruction or more, or room for them all"
        )
