"""Depth in LeRobot's data sets: as lerobot writes it in videos and tables, and what its older readers ask of ours."""

import json
import math
from dataclasses import replace

import av
import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.lerobot_samples import flat_episode

from trajectories.formats.foreign import ArrayFrames, DamagedEpisodeError, SinkSettings
from trajectories.formats.registry import creator, open_source

KEY, SIZE = "observation.images.front_depth", (64, 80)
LOW, HIGH, SHIFT, CODES = 0.01, 10.0, 3.5, 4095
"""lerobot's defaults, m, and the largest of its 12-bit codes."""


def deep(format, path, frames):
    """An exported data set with a camera of depth."""
    episode = flat_episode("0", len(frames), np.random.default_rng(0))
    with creator(format)(path, SinkSettings(5.0, "wx250s", lossless=True)) as sink:
        sink.write(replace(episode, images={**episode.images, KEY: ArrayFrames(frames)}))
    return path


def ramp(count):
    """Depth in mm, uint16 (count, H, W), smooth as a video wants it."""
    rows, columns = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    return np.stack([300 + 20 * t + 9 * rows + 4 * columns for t in range(count)]).astype(np.uint16)


def changed_table(path, column):
    (table,) = path.rglob("data/**/*.parquet")
    rows = pq.read_table(table)
    place = rows.schema.get_field_index(KEY)
    pq.write_table(rows.remove_column(place) if column is None else rows.set_column(place, KEY, column), table)


def changed_feature(path, **values):
    info = json.loads((path / "meta/info.json").read_text())
    info["video_path"] = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
    info["features"][KEY] |= values
    (path / "meta/info.json").write_text(json.dumps(info))


@pytest.mark.parametrize("log", [True, False])
def test_depth_in_a_video_is_read_in_mm(tmp_path, log):
    """Codes of 12 bits in HEVC, logarithmic or linear, as lerobot quantises them."""
    frames = ramp(6)
    path = deep("lerobot_v2", tmp_path / "set", frames)
    metres = frames / 1000
    if log:
        least, most = math.log(LOW + SHIFT), math.log(HIGH + SHIFT)
        parts = (np.log(metres + SHIFT) - least) / (most - least)
    else:
        parts = (metres - LOW) / (HIGH - LOW)
    codes = np.rint(parts * CODES).astype(np.uint16)
    video = path / f"videos/chunk-000/{KEY}/episode_000000.mp4"
    video.parent.mkdir(parents=True)
    with av.open(str(video), "w") as container:
        stream = container.add_stream("libx265", 5)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "gray12le"
        stream.options = {"x265-params": "lossless=1:log-level=none"}
        for code in codes:
            frame = av.VideoFrame(SIZE[1], SIZE[0], "gray12le")
            padded = np.zeros((SIZE[0], frame.planes[0].line_size // 2), "<u2")
            padded[:, : SIZE[1]] = code
            frame.planes[0].update(padded.tobytes())
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    changed_table(path, None)
    said = {"depth_min": LOW, "depth_max": HIGH, "shift": SHIFT, "use_log": log}
    changed_feature(
        path, dtype="video", info={"is_depth_map": True, **{f"video.{name}": value for name, value in said.items()}}
    )
    source = open_source(path)
    assert source.describe().keys[KEY].dtype == "uint16"
    read = source.read("episode_000000").images[KEY].read()
    assert read.dtype == np.uint16
    assert np.abs(read.astype(int) - frames).max() <= 2  # 4096 codes for 10 m


def test_depth_of_floating_point_is_in_metres(tmp_path):
    frames = ramp(3)
    path = deep("lerobot_v3", tmp_path / "set", frames)
    metres = (frames / 1000).astype(np.float32)
    metres[0, 0, :3] = np.nan, np.inf, 0
    files = [cv2.imencode(".tiff", one, [cv2.IMWRITE_TIFF_COMPRESSION, 1])[1].tobytes() for one in metres]
    changed_table(path, pa.array([{"bytes": file, "path": None} for file in files]))
    changed_feature(path, info={"is_depth_map": True, "depth_unit": "m"})
    read = open_source(path).read("episode_000000").images[KEY].read()
    assert read[0, 0, :3].tolist() == [0, 0, 0]
    frames[0, 0, :3] = 0
    np.testing.assert_array_equal(read, frames)


def test_colour_in_the_place_of_depth_is_refused(tmp_path):
    path = deep("lerobot_v3", tmp_path / "set", ramp(2))
    file = cv2.imencode(".png", np.zeros((*SIZE, 3), np.uint8))[1].tobytes()
    changed_table(path, pa.array([{"bytes": file, "path": None}] * 2))
    with pytest.raises(DamagedEpisodeError, match=r"is uint8 .* expected uint16"):
        open_source(path).read("episode_000000").images[KEY].read()


def test_statistics_of_depth_are_as_each_version_wants_them(tmp_path):
    """Lerobot 0.3 refuses a data set whose cameras don't have three channels in their statistics."""
    frames = ramp(3)
    deep("lerobot_v2", tmp_path / "old", frames)
    deep("lerobot_v3", tmp_path / "new", frames)
    (line,) = (tmp_path / "old/meta/episodes_stats.jsonl").read_text().splitlines()
    assert json.loads(line)["stats"][KEY]["max"] == [[[int(frames.max())]]] * 3
    assert json.loads((tmp_path / "new/meta/stats.json").read_text())[KEY]["max"] == [[[int(frames.max())]]]
