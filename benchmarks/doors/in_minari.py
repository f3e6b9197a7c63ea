"""What `other_oracles.py` runs with minari's interpreter: check a data set that we wrote, record one of theirs.

python in_minari.py check FOLDER ID EXPECTED.npz TOLERANCE     one line of JSON: version, what was compared
python in_minari.py record FOLDER ID                           three episodes with pictures, as JPEG files
"""

import json
import os
import sys
from typing import Any

import numpy as np


def check(folder: str, name: str, expected: str, tolerance: str) -> dict[str, object]:
    """Load a data set by its id and compare every episode with what was exported.

    Args:
        folder: Where data sets are.
        name: The id.
        expected: Arrays `episode_{i}/{key}`.
        tolerance: Mean difference of pixels that JPEG may make; all else is compared bit by bit.
    """
    os.environ["MINARI_DATASETS_PATH"] = folder
    import minari

    arrays, data = np.load(expected), minari.load_dataset(name)
    for number, episode in enumerate(data.iterate_episodes()):
        for key in (key for key in arrays.files if key.startswith(f"episode_{number}/")):
            found: Any = episode
            for part in key.split("/")[1:]:
                found = found[part] if isinstance(found, dict) else getattr(found, part)
            wanted = arrays[key]
            if found.dtype != wanted.dtype or found.shape != wanted.shape:
                raise SystemExit(f"{key} is {found.dtype} {found.shape}, exported was {wanted.dtype} {wanted.shape}")
            picture = wanted.dtype == np.uint8 and wanted.ndim == 4
            difference = np.abs(found.astype(float) - wanted).mean()
            if difference > (float(tolerance) if picture else 0):
                raise SystemExit(f"{key} differs by {difference} on average")
    sample = next(iter(data.iterate_episodes()))
    if not data.spec.observation_space.contains({k: _first(v) for k, v in sample.observations.items()}):
        raise SystemExit("the first observation isn't in the space of observations")
    return {"reader": f"minari {minari.__version__}, load_dataset", "steps": int(data.total_steps)}


def _first(value: Any) -> Any:
    return {key: _first(inner) for key, inner in value.items()} if isinstance(value, dict) else value[0]


def record(folder: str, name: str) -> dict[str, object]:
    """Three episodes of 2, 3 and 1 steps whose numbers say where they belong."""
    os.environ["MINARI_DATASETS_PATH"] = folder
    import minari
    from gymnasium import spaces
    from minari.data_collector.episode_buffer import EpisodeBuffer

    space = spaces.Dict(
        {"image": spaces.Box(0, 255, (32, 40, 3), np.uint8), "pose": spaces.Box(-np.inf, np.inf, (2,), np.float64)}
    )
    rows, columns = np.mgrid[0:32, 0:40]
    buffers = []
    for episode, steps in enumerate((2, 3, 1)):
        pictures = [
            np.stack([rows * 3, columns * 3, 40 * episode + 9 * t + rows], -1).astype(np.uint8)
            for t in range(steps + 1)
        ]
        buffers.append(
            EpisodeBuffer(
                observations={"image": pictures, "pose": [np.array([episode, t], float) for t in range(steps + 1)]},
                actions=[np.full(3, 0.1 * t, np.float32) for t in range(steps)],
                rewards=[float(t) for t in range(steps)],
                terminations=[t == steps - 1 for t in range(steps)],
                truncations=[False] * steps,
                infos={"success": np.array([False] * steps + [True])},
            )
        )
    minari.create_dataset_from_buffers(
        name, buffers, observation_space=space, action_space=spaces.Box(-1, 1, (3,), np.float32),
        algorithm_name="none", author="none", author_email="none", code_permalink="none", description="a fixture",
    )  # fmt: skip
    return {"writer": f"minari {minari.__version__}, create_dataset_from_buffers"}


if __name__ == "__main__":
    print(json.dumps((check if sys.argv[1] == "check" else record)(*sys.argv[2:])))
