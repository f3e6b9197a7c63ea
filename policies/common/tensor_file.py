"""One safetensors file with a JSON header and a digest over both: written whole or not at all, checked when read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from trajectories.durable import replacing
from trajectories.errors import CheckpointError

_KEY = "regrasp"


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Hex sha256 over names, dtypes, shapes and bytes, in order of the names."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        if tensor.numel():  # an empty one may have strides that can't be viewed as bytes
            total.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def content_digest(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> str:
    """Hex sha256 of tensors and header."""
    total = hashlib.sha256(digest(tensors).encode())
    total.update(json.dumps(header, sort_keys=True).encode())
    return total.hexdigest()


def write_tensors(path: Path, kind: str, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> str:
    """Write a file; returns its content's digest.

    Args:
        path: Created or replaced; its folder is created.
        kind: What it holds, checked when read.
        tensors: Named tensors.
        header: JSON.

    Raises:
        CheckpointError: The disk refuses.
    """
    whole = content_digest(tensors, header)
    payload = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps({"kind": kind, "digest": whole, "header": dict(header)}, sort_keys=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            save_file(payload, part, metadata={_KEY: text})
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} can't be written: {error}. Make room or check the permissions; an older file is as it was."
        ) from error
    return whole


def refused_by_disk(error: BaseException) -> bool:
    """Whether an error is that of a disk that can't be written, which may have room later."""
    return isinstance(error, OSError) or isinstance(error.__cause__, OSError | SafetensorError)


def read_kind(path: Path) -> str | None:
    """What a file says that it holds; None when `write_tensors` didn't write it. The content is not checked.

    Raises:
        CheckpointError: The file is missing or damaged.
    """
    with _opened(path) as file:
        return _outer(file).get("kind")


def read_header(path: Path) -> dict[str, Any] | None:
    """The JSON header of a file of `write_tensors`, its content not checked; None for a file that can't be read."""
    try:
        with _opened(path) as file:
            return dict(_outer(file).get("header", {}))
    except CheckpointError:
        return None


def read_tensors(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    """Read a file of `write_tensors`; returns tensors, header and digest.

    Raises:
        CheckpointError: The file is missing, damaged or holds something else.
    """
    with _opened(path) as file:
        outer = _outer(file)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if outer.get("kind") != kind:
        raise CheckpointError(f"{path} holds {outer.get('kind')!r}; expected {kind!r}.")
    if content_digest(tensors, outer["header"]) != outer["digest"]:
        raise CheckpointError(
            f"{path} is damaged: its digest doesn't match its content. Use an older one or make it again."
        )
    return tensors, outer["header"], outer["digest"]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file, for reading; what goes wrong with it meanwhile becomes a CheckpointError."""
    if not path.is_file():
        raise CheckpointError(
            f"There is no {path}. Give the path of one, or make it first (`regrasp pretrain`, `regrasp finetune`)."
        )
    try:
        with safe_open(str(path), framework="pt", device="cpu") as file:
            yield file
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(
            f"{path} is damaged or incomplete ({error}); use an older one or make it again."
        ) from error


def _outer(file: Any) -> dict[str, Any]:
    """What stands around the header; empty in foreign files."""
    outer: dict[str, Any] = json.loads((file.metadata() or {}).get(_KEY, "{}"))
    return outer
