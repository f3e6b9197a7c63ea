"""Arrow tables of episodes, typed so that `datasets`, which lerobot reads them with, knows what is an image."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trajectories.formats.foreign import ForeignEpisode, FormatError
from trajectories.formats.lerobot.features import BOOKKEEPING, TIMESTAMP, Feature
from trajectories.formats.lerobot.images import encode_image

if TYPE_CHECKING:
    import pyarrow as pa

_OWN = {TIMESTAMP: "float32", **dict.fromkeys(BOOKKEEPING, "int64")}
_CHANNELS = {3: "channels"}


def declare(episode: ForeignEpisode, names: Mapping[str, tuple[str, ...]], videos: bool) -> dict[str, Feature]:
    """The features of an episode, and those that every LeRobotDataset has.

    Args:
        episode: The first one.
        names: Key -> names of its entries.
        videos: Whether colour cameras become videos; else image columns. Depth always is an image column.

    Raises:
        FormatError: A key has a "/" in it, or a column isn't of numbers, or has rows of more than one axis.
    """
    features = {}
    for key, frames in episode.images.items():
        depth = frames.dtype == np.uint16
        shape = (*frames.shape[1:3], 1 if depth else 3)
        dtype = "image" if depth or not videos else "video"
        info = {"is_depth_map": True, "depth_unit": "mm"} if depth else {}
        features[key] = Feature(dtype, shape, ("height", "width", "channels"), depth, info)
    for key, column in episode.columns.items():
        if key in _OWN:
            continue
        if column.ndim > 2 or column.dtype.kind not in "biuf":
            raise FormatError(
                f"The column {key!r} is {column.dtype} {column.shape}; LeRobot's tables are written here with numbers "
                "and vectors of numbers. Leave it out or flatten it."
            )
        features[key] = Feature(str(column.dtype), column.shape[1:] or (1,), tuple(names.get(key, ())))
    wrong = [key for key in features if "/" in key]
    if wrong:
        raise FormatError(f"LeRobot's keys can't have a '/' in them: {', '.join(wrong)}. Rename them.")
    return features | {key: Feature(dtype, (1,)) for key, dtype in _OWN.items()}


def declared_json(features: Mapping[str, Feature]) -> dict[str, Any]:
    """The features as `info.json` has them."""
    declared = {}
    for key, feature in features.items():
        entry = {"dtype": feature.dtype, "shape": list(feature.shape), "names": list(feature.names) or None}
        declared[key] = entry | ({"info": dict(feature.info)} if feature.info else {})
    return declared


def episode_table(
    episode: ForeignEpisode, features: Mapping[str, Feature], own: Mapping[str, NDArray[Any]]
) -> pa.Table:
    """The rows of an episode.

    Args:
        episode: The columns and cameras.
        features: As declared.
        own: Time and numbers of the rows, (T,) each.
    """
    import pyarrow as pa

    arrays, fields, described = [], [], {}
    for key, feature in features.items():
        if feature.dtype == "video":
            continue
        if feature.dtype == "image":
            array = _image_column(episode.images[key].read())
            described[key] = {"_type": "Image"}
        else:
            array, described[key] = _column(own[key] if key in _OWN else episode.columns[key], feature)
        arrays.append(array)
        fields.append(pa.field(key, array.type))
    metadata = {"huggingface": json.dumps({"info": {"features": described}})}
    return pa.table(arrays, schema=pa.schema(fields, metadata=metadata))


def _column(values: NDArray[Any], feature: Feature) -> tuple[pa.Array, dict[str, Any]]:
    import pyarrow as pa

    kind = {"dtype": feature.dtype, "_type": "Value"}
    flat = pa.array(np.ascontiguousarray(values.astype(feature.dtype)).reshape(-1))
    if feature.shape == (1,):
        return flat, kind
    (length,) = feature.shape
    return pa.FixedSizeListArray.from_arrays(flat, length), {"feature": kind, "length": length, "_type": "Sequence"}


def _image_column(frames: NDArray[Any]) -> pa.Array:
    import pyarrow as pa

    ending = "tiff" if frames.dtype == np.uint16 else "png"
    rows = [{"bytes": encode_image(f), "path": f"frame-{i:06d}.{ending}"} for i, f in enumerate(frames)]
    return pa.array(rows, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
