"""`torch.compile` where it is wanted and works."""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")


def compiled(function: Callable[..., Result], wanted: bool, device: torch.device) -> Callable[..., Result]:
    """`function` compiled at its first call, or as it is when not wanted or when compilation fails.

    On a GPU its kernels are recorded as CUDA graphs, one launch for all of them ("reduce-overhead"): whoever calls has
    to mark each call with `new_step`, and to take what shall outlive the next one through `kept`. A machine without a
    C++ compiler, or a GPU without Triton, warns once and goes on uncompiled.

    Args:
        function: Without side effects.
        wanted: Whether to compile at all.
        device: Where its tensors are.
    """
    if not wanted:
        return function
    mode = "reduce-overhead" if device.type == "cuda" else None
    fast: Callable[..., Result] = torch.compile(_own(function), mode=mode, dynamic=False)
    state = {"call": fast}

    def call(*args: Any) -> Result:
        if state["call"] is function:
            return function(*args)
        try:
            return fast(*args)
        except (torch._dynamo.exc.TorchDynamoException, RuntimeError, OSError) as error:
            warnings.warn(f"torch.compile failed and is left out: {error}", RuntimeWarning, stacklevel=2)
            state["call"] = function
            return function(*args)

    return call


def new_step(device: torch.device) -> None:
    """Tell CUDA graphs that what compiled functions returned before is not needed any more; nothing on a CPU."""
    if device.type == "cuda":
        torch.compiler.cudagraph_mark_step_begin()


def kept(results: Mapping[str, Tensor], wanted: bool, device: torch.device) -> dict[str, Tensor]:
    """Results of a compiled function that outlive its next call: a CUDA graph's next run would write over them."""
    if not wanted or device.type != "cuda":
        return dict(results)
    return {name: value.clone() for name, value in results.items()}


def _own(function: Callable[..., Result]) -> Callable[..., Result]:
    """A copy with a code object of its own: torch counts a code object's recompilations and gives up after a few.

    One process may train many agents of different settings (`regrasp bench algorithms`).
    """
    if not isinstance(function, types.FunctionType):
        return function
    copy = types.FunctionType(
        function.__code__.replace(),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy
