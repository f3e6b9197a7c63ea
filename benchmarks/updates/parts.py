"""Where the time of an update on a CPU goes: products, Adam, other kernels, and what is not in a kernel at all."""

from __future__ import annotations

import time
from collections.abc import Callable

from torch.profiler import ProfilerActivity, profile

UPDATES = 10
_PRODUCTS = ("aten::bmm", "aten::baddbmm", "aten::mm", "aten::addmm", "mkldnn::_linear_pointwise")
_ADAM = ("aten::_fused_adam_",)
_GRAPH = "CompiledFxGraph"


def shares(update: Callable[[], object]) -> dict[str, float]:
    """Shares of the wall time of updates, by kind.

    Returns:
        "products" of matrices, "adam", "graph" (compiled kernels, with the products that they call by themselves),
        "other kernels", and "python": the rest, which is Python, autograd and what the profiler costs.
    """
    for _ in range(3):
        update()
    with profile(activities=[ProfilerActivity.CPU]) as trace:
        start = time.perf_counter()
        for _ in range(UPDATES):
            update()
        wall_us = (time.perf_counter() - start) * 1e6
    found = dict.fromkeys(("products", "adam", "graph", "other kernels"), 0.0)
    for event in trace.key_averages():
        found[_kind(event.key)] += event.self_cpu_time_total / wall_us
    return {**found, "python": max(0.0, 1.0 - sum(found.values()))}


def _kind(name: str) -> str:
    if name in _PRODUCTS:
        return "products"
    if name in _ADAM:
        return "adam"
    return "graph" if _GRAPH in name else "other kernels"
