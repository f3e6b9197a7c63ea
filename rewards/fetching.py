"""Weights of a judge's backbone: where they come from, under which licence, how large, and how they get here."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from rewards.weight_files import EMBEDDED, WeightFile, find_weights, kept_file, origin_of
from trajectories.errors import CheckpointError, ConfigError, MissingDependencyError

MB = 1_000_000
_SHA256 = 64
_APPLE = "apple-amlr: Apple's licence for research alone; not for products"


@dataclass(frozen=True)
class Facts:
    """What is known of weights before they are here.

    Attributes:
        licence: In words.
        megabytes: Of the file, about.
    """

    licence: str
    megabytes: int


KNOWN: dict[tuple[str, str], Facts] = {
    ("ViT-B-32", "laion2b_s34b_b79k"): Facts("MIT", 605),
    ("ViT-B-16-SigLIP2-256", "webli"): Facts("Apache 2.0", 1501),
    ("MobileCLIP2-S0", "dfndr2b"): Facts(_APPLE, 300),
    ("MobileCLIP2-S2", "dfndr2b"): Facts(_APPLE, 398),
    ("MobileCLIP2-B", "dfndr2b"): Facts(_APPLE, 600),
}
"""(Model, tag) -> facts, as their pages on the hub and the sizes of the models say."""


def describe(weights: WeightFile, tag: str | None) -> tuple[str, ...]:
    """Of weights that are here, for a person: where from, licence, file with its size, sha256."""
    return (
        f"{weights.model}: {_source(weights, tag)}",
        f"licence {_licence(weights.model, tag)}",
        f"{weights.path}, {weights.path.stat().st_size / MB:.0f} MB",
        f"sha256 {weights.digest}",
    )


def expected(name: str, tag: str) -> str:
    """What will come from where, before it does.

    Raises:
        ConfigError: For an unknown model or tag.
    """
    origin, facts = origin_of(name, tag), KNOWN.get((name, tag))
    size = "of unknown size" if facts is None else f"about {facts.megabytes} MB"
    return f"{name} {tag!r}, {size}, from {origin.repository or 'elsewhere than the hub'}; {_licence(name, tag)}"


def take(name: str, tag: str, file: Path) -> WeightFile:
    """Keep weights that another machine fetched, for a machine without a network.

    Args:
        name: Of an open_clip model.
        tag: open_clip's name of the weights.
        file: A safetensors file; it stays where it is.

    Raises:
        ConfigError: For an unknown model or tag, or a file that is none.
        CheckpointError: When the file doesn't hold weights of that model; nothing is kept then.
    """
    origin = origin_of(name, tag)
    if file.suffix != ".safetensors" or not file.is_file():
        what = "a folder" if file.is_dir() else "a file of another format" if file.is_file() else "not there"
        raise ConfigError(
            f"from={file} is {what}; expected a safetensors file, such as `regrasp fetch-weights` leaves on a machine "
            "with a network and names at its end. Other formats are not read."
        )
    WeightFile(name, file).load()
    kept = kept_file(name, tag)
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(".part")
    shutil.copyfile(file, part)
    os.replace(part, kept)
    return WeightFile(name, kept, origin.mean, origin.std)


def fetch(name: str, tag: str) -> WeightFile:
    """Weights from the hub, unless they are here; held against the digest that the hub states.

    Raises:
        ConfigError: For an unknown model or tag.
        MissingDependencyError: When they can't be had; says how else to get them.
        CheckpointError: When the file is not what the hub says.
    """
    try:
        return find_weights(name, tag, allow_download=False)
    except MissingDependencyError:
        weights = find_weights(name, tag, allow_download=True)
    stated = _stated_digest(origin_of(name, tag).repository, weights.path.name)
    if stated is not None and stated != weights.digest:
        raise CheckpointError(
            f"{weights.path} has the sha256 {weights.digest}, and the hub says {stated}: it was damaged on the way. "
            "Remove it and run `regrasp fetch-weights` again."
        )
    return weights


def _stated_digest(repository: str, file: str) -> str | None:
    """The sha256 that the hub states for a file; None where it states none."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    etag = get_hf_file_metadata(hf_hub_url(repository, file)).etag
    return etag if etag is not None and len(etag) == _SHA256 else None


def _source(weights: WeightFile, tag: str | None) -> str:
    if tag is None or tag.endswith(".safetensors"):
        return "ships with Regrasp, trained on the twin's renders" if tag is None else "a file of your own"
    return f"weights {tag!r}, {origin_of(weights.model, tag).repository or 'elsewhere than the Hugging Face hub'}"


def _licence(name: str, tag: str | None) -> str:
    if name == EMBEDDED and tag is None:
        return "Regrasp's own"
    if tag is None or tag.endswith(".safetensors"):
        return "that of the file"
    facts = KNOWN.get((name, tag))
    return "see its page on the Hugging Face hub" if facts is None else facts.licence
