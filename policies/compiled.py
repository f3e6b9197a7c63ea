"""`torch.compile` where it is wanted and works."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import torch

Result = TypeVar("Result")


def compiled(function: Callable[..., Result], wanted: bool) -> Callable[..., Result]:
    """`function` compiled at its first call, or as it is when not wanted or when compilation fails.

    A machine without a C++ compiler, or a GPU without Triton, warns once and goes on uncompiled.
    """
    if not wanted:
        return function
    fast: Callable[..., Result] = torch.compile(function)
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
