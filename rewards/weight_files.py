"""Finds the safetensors file of an open_clip model without ever waiting for a network that is not there."""

from __future__ import annotations

import difflib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trajectories.errors import CheckpointError, ConfigError, MissingDependencyError

ASSETS = Path(__file__).parent / "assets"
EMBEDDED = "embedded"
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors")


@dataclass(frozen=True)
class WeightFile:
    """Where a backbone's weights lie and how its images are normalised.

    Attributes:
        model: Name of the open_clip configuration.
        path: A safetensors file.
        mean: Mean of the RGB channels, 0 ... 1.
        std: Standard deviation of the RGB channels.
        architecture: JSON of a model that open_clip doesn't know.
    """

    model: str
    path: Path
    mean: tuple[float, ...] = CLIP_MEAN
    std: tuple[float, ...] = CLIP_STD
    architecture: Path | None = None

    @property
    def digest(self) -> str:
        """Hex sha256 of the file."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def load(self) -> Any:
        """The open_clip model with these weights; never random ones.

        Raises:
            CheckpointError: When the file does not fit the model.
        """
        import open_clip
        from safetensors import SafetensorError

        if self.architecture is not None:
            open_clip.add_model_config(self.architecture)
        try:
            return open_clip.create_model(self.model, pretrained=str(self.path), require_pretrained=True)
        except (RuntimeError, KeyError, ValueError, SafetensorError) as error:
            raise CheckpointError(f"{self.path} does not hold weights of {self.model}: {error}") from error


def find_weights(name: str, pretrained: str | None, allow_download: bool) -> WeightFile:
    """The weights of a backbone.

    Args:
        name: "embedded" or the name of an open_clip model such as "ViT-B-32".
        pretrained: A tag that open_clip knows ("laion2b_s34b_b79k") or the path of a safetensors file. For
            "embedded", None is the shipped file; a path needs the model's JSON of the same name beside it.
        allow_download: Whether a file that is not in the local cache may be fetched from the Hugging Face
            hub.

    Raises:
        ConfigError: For an unknown model or tag.
        MissingDependencyError: When the file is not here; says how to get it.
    """
    if name == EMBEDDED:
        return _local_model(Path(pretrained) if pretrained else ASSETS / f"{EMBEDDED}.safetensors")
    if not pretrained:
        raise ConfigError(
            f"Backbone {name!r} needs pre-trained weights: set pretrained to a tag such as "
            f"'laion2b_s34b_b79k' or to "
            "the path of a safetensors file. Random weights would judge at random."
        )
    _require_known(name)
    if pretrained.endswith(".safetensors"):
        path = Path(pretrained)
        if not path.is_file():
            raise MissingDependencyError(f"There is no weight file {path}. Give the path of a safetensors file.")
        return WeightFile(name, path)
    return _tagged(name, pretrained, allow_download)


def _local_model(path: Path) -> WeightFile:
    config = path.with_suffix(".json")
    for needed in (path, config):
        if not needed.is_file():
            raise MissingDependencyError(
                f"The embedded backbone's file {needed} is missing. Reinstall the package, or train it "
                f"again with "
                "`python -m commands.train_backbone`."
            )
    return WeightFile(path.stem, path, architecture=config)


def _require_known(name: str) -> None:
    import open_clip

    models = open_clip.list_models()
    if name not in models:
        close = difflib.get_close_matches(name, models, n=3, cutoff=0.3)
        raise ConfigError(
            f"open_clip has no model {name!r}; close names are {', '.join(close) or 'none'}. "
            f"Use one of open_clip.list_models() or {EMBEDDED!r}."
        )


@dataclass(frozen=True)
class Origin:
    """Where open_clip says that a model's weights are, and how its images are normalised.

    Attributes:
        repository: On the Hugging Face hub; "" for weights that are elsewhere.
        files: Names that the file may have there.
        mean: Mean of the RGB channels, 0 ... 1.
        std: Standard deviation of the RGB channels.
    """

    repository: str
    files: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def kept_file(name: str, tag: str) -> Path:
    """Where `regrasp fetch-weights from=FILE` keeps weights; `find_weights` looks there first."""
    home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(home).expanduser() / "regrasp" / "weights" / name / f"{tag}.safetensors"


def origin_of(name: str, tag: str) -> Origin:
    """Where the weights `tag` of an open_clip model come from.

    Raises:
        ConfigError: For an unknown model or tag.
    """
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    _require_known(name)
    settings = get_pretrained_cfg(name, tag)
    if not settings:
        raise ConfigError(
            f"open_clip knows no weights {tag!r} of {name}. Its tags are: "
            f"{', '.join(list_pretrained_tags_by_model(name)) or 'none'}."
        )
    architecture = open_clip.get_model_config(name)
    if bool(settings.get("quick_gelu")) != bool(architecture.get("quick_gelu")):
        raise ConfigError(
            f"The weights {tag!r} were trained with another activation than {name!r} has; "
            f"use the model {name.removesuffix('-quickgelu')}"
            f"{'-quickgelu' if settings.get('quick_gelu') else ''} with them."
        )
    repository, _, file = str(settings.get("hf_hub", "")).rpartition("/")
    files = (Path(file).with_suffix(".safetensors").name,) if file else _FILES
    return Origin(repository, files, tuple(settings["mean"]), tuple(settings["std"]))


def _tagged(name: str, tag: str, allow_download: bool) -> WeightFile:
    from huggingface_hub import try_to_load_from_cache

    origin, kept = origin_of(name, tag), kept_file(name, tag)
    if kept.is_file():
        return WeightFile(name, kept, origin.mean, origin.std)
    repository = origin.repository
    cached = (try_to_load_from_cache(repository, candidate) for candidate in origin.files) if repository else iter(())
    path = next((Path(found) for found in cached if isinstance(found, str)), None)
    if path is None and repository and allow_download:
        path = _download(repository, origin.files)
    if path is None:
        raise MissingDependencyError(_how_to_get(name, tag, repository, origin.files[0]))
    return WeightFile(name, path, origin.mean, origin.std)


def _download(repository: str, files: tuple[str, ...]) -> Path | None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    for file in files:
        try:
            return Path(hf_hub_download(repository, file))
        except (LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
            if isinstance(error, HfHubHTTPError):
                continue  # this name does not exist there: try the next
            return None
    return None


def _how_to_get(name: str, tag: str, repository: str, file: str) -> str:
    if not repository:
        return (
            f"The weights {tag!r} of {name} are not on the Hugging Face hub. Fetch them yourself, convert "
            f"them to "
            "safetensors and set pretrained to that file."
        )
    return (
        f"The weights {tag!r} of {name} are not on this machine (looked for {repository}/{file} in the Hugging Face "
        f"cache). With a network, run `regrasp fetch-weights` (or `hf download {repository} {file}`) once, or set "
        "allow_download=true. Without one, run that on another machine, copy the file here and run `regrasp "
        "fetch-weights from=FILE`, or copy its Hugging Face cache (HF_HOME). In the twin, backbone "
        f"{EMBEDDED!r} needs no download."
    )
