"""Batched float32 matrix products by oneDNN where PyTorch's own library leaves half of a processor's width unused.

`torch.bmm` asks MKL, which has no kernels of 512 bits for processors that Intel didn't make: on an AMD EPYC with
AVX-512 it reaches 104 GFLOP/s a core, and oneDNN, which PyTorch brings as well, 230. oneDNN has no batched product that
PyTorch gives out, so it is called once for each network; products that are too small for that stay where they are.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, fx

SMALLEST = 2_000_000
"""Multiply-adds of one network's product from which on oneDNN is faster, calls and copy included (128 cubed)."""

_LIBRARY = torch.library.Library("regrasp", "DEF")
_LIBRARY.define("stacked_product(Tensor x, Tensor weight) -> Tensor")


def _by_onednn(x: Tensor, weight: Tensor) -> Tensor:
    linear = torch.ops.mkldnn._linear_pointwise
    pairs = zip(x.unbind(0), weight.unbind(0), strict=True)
    return torch.stack([linear(rows, matrix.t(), None, "none", [], "") for rows, matrix in pairs])


def _shape_only(x: Tensor, weight: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], x.shape[1], weight.shape[2])


_LIBRARY.impl("stacked_product", _by_onednn, "CPU")
_LIBRARY.impl("stacked_product", _shape_only, "Meta")


def stacked_product(x: Tensor, weight: Tensor) -> Tensor:
    """Rows x times the weight of each network, by oneDNN; without a gradient.

    Args:
        x: float32 (N, B, I).
        weight: float32 (N, I, O).

    Returns:
        float32 (N, B, O).
    """
    result: Tensor = torch.ops.regrasp.stacked_product(x, weight)
    return result


@cache
def onednn_is_wider() -> bool:
    """Whether this is a processor of AMD with AVX-512, in a PyTorch that has oneDNN.

    It is told by its name and not by a measurement, so that the same machine always computes the same numbers.
    """
    if torch.backends.cpu.get_cpu_capability() != "AVX512" or not torch.backends.mkldnn.is_available():
        return False
    described = Path("/proc/cpuinfo")
    return described.exists() and "AuthenticAMD" in described.read_text(encoding="utf-8", errors="replace")


def use_onednn(graph: fx.GraphModule) -> None:
    """Replace the large float32 `bmm` of a captured graph, where oneDNN is wider here."""
    if not onednn_is_wider():
        return
    for node in graph.graph.nodes:
        if node.target is torch.ops.aten.bmm.default and _is_large(node):
            node.target = torch.ops.regrasp.stacked_product.default
    graph.recompile()


def _is_large(node: fx.Node) -> bool:
    x, weight = (argument.meta["val"] for argument in cast(tuple[fx.Node, fx.Node], node.args))
    if x.dtype != torch.float32:
        return False
    return bool(x.shape[1] * x.shape[2] * weight.shape[2] >= SMALLEST)
