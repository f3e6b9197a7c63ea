"""The least arithmetic of an update, and how fast this machine multiplies matrices: the floor that updates have."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch

from benchmarks.timing import best_ms
from policies.agent.stacked_product import onednn_is_wider, stacked_product


def matmul_rate(device: torch.device, size: int = 1024, rounds: int = 20) -> float:
    """Best float32 matrix-product throughput over a few rounds, floating-point operations a second."""
    a, b = torch.randn(2, size, size, device=device)
    out = torch.empty(size, size, device=device)
    return 2e3 * size**3 / best_ms(lambda: torch.mm(a, b, out=out), device, rounds, warm=1)


def onednn_rate(device: torch.device, size: int = 1024, rounds: int = 20) -> float:
    """The same of oneDNN where it is the wider library (`policies.agent.stacked_product`); else `matmul_rate`."""
    if device.type != "cpu" or not onednn_is_wider():
        return matmul_rate(device, size, rounds)
    a, b = torch.randn(2, 1, size, size)
    return 2e3 * size**3 / best_ms(lambda: stacked_product(a, b), device, rounds, warm=1)


def layers(widths: Sequence[int]) -> list[int]:
    """Multiply-adds a row of each layer."""
    return [a * b for a, b in pairwise(widths)]


def forward(widths: Sequence[int], rows: int) -> float:
    """Operations of a forward pass."""
    return 2.0 * rows * sum(layers(widths))


def backward(widths: Sequence[int], rows: int, *, weights: bool, inputs: int) -> float:
    """Operations of a backward pass.

    Args:
        widths: Of the layers.
        rows: Rows.
        weights: Whether the parameters' gradients are needed.
        inputs: Entries of the input whose gradient is needed.
    """
    macs = layers(widths)
    through = sum(macs[1:]) + inputs * widths[1]
    return 2.0 * rows * (through + (sum(macs) if weights else 0))


def wsrl_operations(
    state: int,
    action: int,
    hidden: tuple[int, ...],
    actor_hidden: tuple[int, ...],
    critics: int,
    subset: int,
    batch: int,
    utd: int,
) -> float:
    """Operations of one WSRL step: `utd` critic updates on `batch` rows, one actor update on all of them."""
    critic, actor = (state + action, *hidden, 1), (state, *actor_hidden, 2 * action)
    of_critics = forward(actor, batch) + subset * forward(critic, batch)
    of_critics += critics * (forward(critic, batch) + backward(critic, batch, weights=True, inputs=0))
    rows = batch * utd
    of_actor = forward(actor, rows) + backward(actor, rows, weights=True, inputs=0)
    of_actor += critics * (forward(critic, rows) + backward(critic, rows, weights=False, inputs=action))
    return utd * of_critics + of_actor


def calql_operations(
    state: int,
    action: int,
    hidden: tuple[int, ...],
    actor_hidden: tuple[int, ...],
    critics: int,
    subset: int | None,
    batch: int,
    actions: int,
) -> float:
    """Operations of one Cal-QL update with `actions` from each of uniform, this and the next state's policy.

    The state's part of the first layer is counted once for all actions of a state: it need not be done again.
    """
    step = wsrl_operations(
        state, action, hidden, actor_hidden, critics, critics if subset is None else subset, batch, 1
    )
    rows = 3 * actions * batch
    tail = (action, *hidden, 1)
    regulariser = critics * (forward(tail, rows) + backward(tail, rows, weights=True, inputs=0))
    return step + forward((state, *actor_hidden, 2 * action), batch) + regulariser
