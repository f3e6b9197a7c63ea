"""The tensors of nested arguments (data classes, networks, sequences, mappings) as one flat list, and back."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn


def leaves(tree: object) -> list[Tensor]:
    """All tensors of a tree in a fixed order: of a network its parameters; numbers, texts and None have none."""
    found: list[Tensor] = []
    _collect(tree, found)
    return found


def _collect(tree: object, found: list[Tensor]) -> None:
    if isinstance(tree, Tensor):
        found.append(tree)
    elif isinstance(tree, nn.Module):
        found.extend(tree.parameters())
    elif isinstance(tree, Mapping):
        for value in tree.values():
            _collect(value, found)
    elif isinstance(tree, list | tuple):
        for value in tree:
            _collect(value, found)
    elif dataclasses.is_dataclass(tree):
        for entry in dataclasses.fields(tree):
            _collect(getattr(tree, entry.name), found)


def rebuilt(tree: Any, tensors: Iterator[Tensor]) -> Any:
    """The same tree of other tensors.

    Args:
        tree: As `leaves` took it.
        tensors: In the order of `leaves`, as many or more.
    """
    if isinstance(tree, Tensor):
        return next(tensors)
    if isinstance(tree, nn.Module):
        return _network_of(tree, tensors)
    if isinstance(tree, Mapping):
        return {name: rebuilt(value, tensors) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [rebuilt(value, tensors) for value in tree]
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        parts = {entry.name: rebuilt(getattr(tree, entry.name), tensors) for entry in dataclasses.fields(tree)}
        return type(tree)(**parts)
    return tree


def _network_of(network: nn.Module, tensors: Iterator[Tensor]) -> nn.Module:
    """A copy that computes with these tensors in place of its parameters."""
    copied = copy.copy(network)
    copied._parameters = {}
    copied._modules = {}
    for name, parameter in network._parameters.items():
        copied.__dict__[name] = None if parameter is None else next(tensors)
    for name, module in network._modules.items():
        copied._modules[name] = None if module is None else _network_of(module, tensors)
    return copied
