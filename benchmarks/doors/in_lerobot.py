"""What `lerobot_oracle.py` runs with lerobot's interpreter: check a data set that we wrote, record one of theirs.

python in_lerobot.py check FOLDER EXPECTED.npz               one line of JSON: version, what was compared
python in_lerobot.py record FOLDER EXPECTED.npz video|image  two episodes by LeRobotDataset's own recorder
"""

import inspect
import json
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
import torchvision
from lerobot.datasets.lerobot_dataset import LeRobotDataset

CAMERA, FPS = "observation.images.front", 10
TASKS = ("put the cube in the bin", "take the cube out")
JOINTS = ["shoulder_pan.pos", "shoulder_lift.pos", "elbow_flex.pos", "wrist_flex.pos", "wrist_roll.pos", "gripper.pos"]


class VideoReader:
    """Stands in for `torchvision.io.VideoReader`, which newer torchvisions lack and older lerobots decode with."""

    def __init__(self, path: str, stream: str) -> None:
        self.container = av.open(path)
        self._frames = self.container.decode(video=0)

    def seek(self, seconds: float, keyframes_only: bool) -> None:
        """Go to the key frame before a time."""
        self.container.seek(int(seconds * 1e6), backward=True)
        self._frames = self.container.decode(video=0)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for frame in self._frames:
            data = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)
            yield {"data": data, "pts": frame.time}


if not hasattr(torchvision.io, "VideoReader"):
    torchvision.io.VideoReader = VideoReader
    torchvision.set_video_backend = lambda backend: None


def opened(folder: str) -> LeRobotDataset:
    """A data set on this machine."""
    return LeRobotDataset("local/checked", root=folder, video_backend="pyav")


def pixels(image: object) -> np.ndarray:
    """uint8 (H, W, 3) of a frame as lerobot gives it, float (3, H, W) in 0 ... 1."""
    return np.rint(np.asarray(image).transpose(1, 2, 0) * 255).astype(np.uint8)


def check(folder: str, expected: str) -> dict[str, object]:
    """Compare every frame with the arrays that were exported.

    Args:
        folder: The exported data set.
        expected: Arrays `{episode}/{key}`, with a row a frame; `{episode}/task` in words.
    """
    dataset, arrays = opened(folder), np.load(expected)
    episodes = len({key.partition("/")[0] for key in arrays.files})
    assert dataset.num_episodes == episodes, (dataset.num_episodes, episodes)
    worst, frames, depth_frames, compared = np.inf, 0, 0, set()
    for i in range(len(dataset)):
        item = dataset[i]
        episode, row = int(item["episode_index"]), int(item["frame_index"])
        assert abs(float(item["timestamp"]) - row / dataset.fps) < 1e-4
        assert item["task"] == str(arrays[f"{episode}/task"]), item["task"]
        for key in arrays.files:
            number, _, name = key.partition("/")
            if int(number) != episode or name == "task":
                continue
            compared.add(name)
            value, wanted = np.asarray(item[name]), arrays[key][row]
            if wanted.ndim == 3:
                error = np.mean((pixels(value).astype(float) - wanted.astype(float)) ** 2)
                worst = min(worst, 10 * np.log10(255**2 / error) if error else np.inf)
                frames += 1
            elif wanted.ndim == 2:
                depth = np.asarray(value[0]).astype(np.int64) & 0xFFFF  # some torchvisions give 16 bits with a sign
                np.testing.assert_array_equal(depth, wanted, err_msg=name)
                depth_frames += 1
            else:
                np.testing.assert_array_equal(np.ravel(value), np.ravel(wanted), err_msg=name)
    stats = dataset.meta.stats
    assert all(np.isfinite(np.asarray(stats[name]["mean"])).all() for name in compared), stats.keys()
    window = LeRobotDataset(
        "local/checked", root=folder, video_backend="pyav", delta_timestamps={"action": [0.0, 1 / dataset.fps]}
    )
    assert window[0]["action"].shape[0] == 2
    return {
        "version": version("lerobot"),
        "rows": len(dataset),
        "keys": sorted(compared),
        "frames": frames,
        "depth_frames": depth_frames,
        "worst_psnr_db": None if np.isinf(worst) else round(float(worst), 1),
    }


def record(folder: str, expected: str, kind: str) -> dict[str, object]:
    """Record two episodes of six frames, and what lerobot itself reads of them again."""
    size = (64, 64) if kind == "video" else (16, 24)
    features = {
        "observation.state": {"dtype": "float32", "shape": (6,), "names": JOINTS},
        "action": {"dtype": "float32", "shape": (6,), "names": JOINTS},
        "next.reward": {"dtype": "float32", "shape": (1,), "names": None},
        CAMERA: {"dtype": kind, "shape": (*size, 3), "names": ["height", "width", "channels"]},
    }
    dataset = LeRobotDataset.create(
        "local/recorded", FPS, features, root=folder, robot_type="so101_follower", use_videos=kind == "video"
    )
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    for task in TASKS:
        for t in range(6):
            shade = np.stack([rows * 3 % 256, columns * 2 % 256, np.full(size, 20 + 30 * t)], -1)
            frame = {
                "observation.state": rng.normal(size=6).astype(np.float32),
                "action": rng.normal(size=6).astype(np.float32),
                "next.reward": np.array([t == 5], np.float32),
                CAMERA: shade.astype(np.uint8),
            }
            add_frame(dataset, frame, task)
        dataset.save_episode()
    getattr(dataset, "finalize", lambda: None)()
    again = opened(folder)
    found: dict[str, list[np.ndarray]] = {}
    for i in range(len(again)):
        item = again[i]
        for key in features:
            value = pixels(item[key]) if key == CAMERA else np.asarray(item[key])
            name = "front" if key == CAMERA else key
            found.setdefault(f"{int(item['episode_index'])}/{name}", []).append(value)
    stacked: dict[str, Any] = {key: np.squeeze(np.stack(values)) for key, values in found.items()}
    np.savez_compressed(expected, **stacked)
    return {"version": version("lerobot"), "rows": len(again)}


def add_frame(dataset: LeRobotDataset, frame: dict[str, object], task: str) -> None:
    """Add a frame in the way of this version: until 0.3 the task was an argument."""
    if "task" in inspect.signature(dataset.add_frame).parameters:
        dataset.add_frame(frame, task)
    else:
        dataset.add_frame({**frame, "task": task})


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    Path(arguments[1]).parent.mkdir(parents=True, exist_ok=True)
    print(json.dumps(check(*arguments) if what == "check" else record(*arguments)))
