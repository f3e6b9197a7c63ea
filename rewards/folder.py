"""The folder of a reward model: `reward.safetensors` has its tensors, `reward.json` the rest and their digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from trajectories.durable import replace_file
from trajectories.errors import CheckpointError

JSON, TENSORS = "reward.json", "reward.safetensors"


def write_folder(folder: Path, tensors: Mapping[str, Tensor], description: Mapping[str, Any]) -> None:
    """Write both files, the JSON last, so that a new folder with a JSON is complete.

    Args:
        folder: Created when missing; an older reward model in it is replaced.
        tensors: By name.
        description: Plain JSON types; "sha256" of the tensors is added to it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    payload = save({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()})
    described = {**description, "sha256": hashlib.sha256(payload).hexdigest()}
    replace_file(folder / TENSORS, payload)
    replace_file(folder / JSON, (json.dumps(described, indent=1) + "\n").encode())


def read_folder(folder: Path, what: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Inverse of `write_folder`: description and tensors.

    Args:
        folder: Where it lies.
        what: Kind of reward model, for messages.

    Raises:
        CheckpointError: When the folder is incomplete or damaged.
    """
    json_path, weights = folder / JSON, folder / TENSORS
    if not json_path.is_file() or not weights.is_file():
        raise CheckpointError(f"There is no {what} in {folder}. Train one with `regrasp train-reward`.")
    try:
        description = dict(json.loads(json_path.read_text(encoding="utf-8")))
        payload = weights.read_bytes()
        if hashlib.sha256(payload).hexdigest() != description["sha256"]:
            raise CheckpointError(f"{weights} does not match the digest in {json_path.name}; train it again.")
        return description, load(payload)
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"The {what} in {folder} is damaged: {error}. Train it again.") from error
