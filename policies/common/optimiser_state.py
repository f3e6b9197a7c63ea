"""The moments of an Adam optimiser as named tensors, and back."""

from __future__ import annotations

import torch
from torch import Tensor

from trajectories.errors import CheckpointError


def optimiser_tensors(optimiser: torch.optim.Optimizer, prefix: str) -> dict[str, Tensor]:
    """`<prefix><parameter's number>.<moment>` -> tensor, for every parameter that has had a gradient."""
    states = optimiser.state_dict()["state"]
    return {f"{prefix}{i}.{key}": value for i, entries in states.items() for key, value in entries.items()}


def load_optimiser(optimiser: torch.optim.Optimizer, left: dict[str, Tensor], prefix: str) -> None:
    """Put the tensors of that prefix back, and take them out of `left`.

    Raises:
        CheckpointError: There are moments of parameters that the optimiser doesn't have.
    """
    state: dict[int, dict[str, Tensor]] = {}
    for name in [name for name in left if name.startswith(prefix)]:
        index, key = name.removeprefix(prefix).split(".")
        state.setdefault(int(index), {})[key] = left.pop(name).clone()
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    unknown = sorted(set(state) - set(range(len(parameters))))  # what never had a gradient has no moments
    if unknown:
        raise CheckpointError(f"{prefix}* has moments of tensor {unknown[0]}; there are {len(parameters)}")
    moments = {
        number: {key: _laid_out_as(parameters[number], value) for key, value in entries.items()}
        for number, entries in state.items()
    }
    optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})


def _laid_out_as(parameter: Tensor, value: Tensor) -> Tensor:
    """A moment in its parameter's memory format: fused Adam goes through both as they lie in memory."""
    return torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value
