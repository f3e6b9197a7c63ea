"""Summaries, contact sheets, videos and the inspection of a store."""

import av
import numpy as np
import pytest
from helpers.trajectory_samples import SPEC, sample_episode
from PIL import Image

from trajectories.errors import InvalidEpisodeError, StoreError
from trajectories.inspect import inspect_store, spread
from trajectories.manifest import EpisodeInfo, describe
from trajectories.media import BACKGROUND, OUTCOME_COLOURS, annotated_frames, contact_sheet, write_mp4
from trajectories.store import TrajectoryStore
from trajectories.summary import describe_episode, summarise, summary_table
from trajectories.types import RobotSpec


def info(number: int, task="pot", direction="forward", outcome="success", length=10, metadata=None) -> EpisodeInfo:
    return EpisodeInfo(f"{number:020d}-00000000", task, "words", direction, outcome, length, metadata or {})


def decode(path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_summaries_count_by_task_and_direction():
    infos = [
        info(1, length=10),
        info(2, outcome="failure", length=40),
        info(3, outcome="unknown", length=25),
        info(4, direction="backward", outcome="unknown"),
        info(5, task="bin"),
    ]
    first, second, third = summarise(infos)
    assert (first.task, first.direction, first.outcomes, first.success_rate) == (
        "bin",
        "forward",
        (1, 0, 0),
        1.0,
    )
    assert (second.task, second.direction, second.lengths) == ("pot", "forward", (10, 40, 25))
    assert (second.episodes, second.steps, second.outcomes, second.success_rate) == (3, 75, (1, 1, 1), 0.5)
    assert (third.direction, third.success_rate) == ("backward", None)
    rows = [line.split() for line in summary_table([first, second, third]).splitlines()]
    assert rows[2] == ["pot", "forward", "3", "75", "1", "1", "1", "50", "10/25.0/40"]
    assert rows[3] == ["pot", "backward", "1", "10", "0", "0", "1", "-", "10/10.0/10"]
    assert rows[4] == ["all", "5", "95", "2", "1", "2"]


def test_looks_back_are_counted_apart_from_attempts():
    look = {"kind": "aftermath"}
    infos = [info(1), info(2, metadata=look, length=3), info(3, direction="backward", outcome="failure")]
    summaries = summarise([*infos, info(4, metadata=look, length=3)])
    assert [(s.direction, s.looks_back, s.episodes) for s in summaries] == [
        ("forward", False, 1), ("backward", False, 1), ("forward", True, 2),
    ]  # fmt: skip
    rows = [line.split() for line in summary_table(summaries).splitlines()]
    assert rows[3] == ["all", "2", "20", "1", "1", "0"]
    assert rows[4] == ["pot", "forward,", "looks", "back", "2", "6", "2", "0", "0", "-", "3/3.0/3"]


def test_an_episode_in_words():
    text = describe_episode(sample_episode(steps=4))
    for words in (
        "terminated by success",
        "return -1",
        "2 by policy, 1 by person, 1 by expert",
        "4 changed",
        "0, 1, 2",
    ):
        assert words in text
    assert "truncated" in describe_episode(sample_episode(outcome="failure"))


def test_a_contact_sheet_shows_first_and_last_frame_and_the_outcome():
    frames = np.zeros((5, 8, 6, 3), np.uint8)
    frames[0], frames[-1] = (250, 0, 0), (0, 0, 250)
    episodes = [sample_episode(outcome=outcome, images={"front": frames}) for outcome in ("success", "failure")]
    sheet = contact_sheet(episodes, columns=3, height=80)
    width = 60 + 2
    assert (sheet.dtype, sheet.shape[1:]) == (np.uint8, (3 * width, 3))
    half = sheet.shape[0] // 2
    for row, outcome in ((sheet[:half], "success"), (sheet[half:], "failure")):
        pixels = {tuple(pixel) for pixel in row.reshape(-1, 3).tolist()}
        assert OUTCOME_COLOURS[outcome] in pixels
        picture = row[-40 - 8]
        np.testing.assert_array_equal(picture[[30, width + 30, 2 * width + 30]], [(250, 0, 0), (0, 0, 0), (0, 0, 250)])
    for wrong in (([], 8), (episodes, 1)):
        with pytest.raises(InvalidEpisodeError, match="contact sheet"):
            contact_sheet(*wrong)


def test_annotated_frames_enlarge_every_camera_and_show_the_probability_as_a_bar():
    spec = RobotSpec(cameras={"front": (8, 8), "wrist": (8, 8)})
    probability = np.array([0.0, 0.9, np.nan, 0.25, 1.0], np.float32)
    episode = sample_episode(spec=spec, success_probability=probability)
    frames = list(annotated_frames(episode, 5.0, height=160))
    assert len(frames) == len(episode) + 1
    assert len({frame.shape for frame in frames}) == 1
    height, width, _ = frames[0].shape
    assert (height % 2, width) == (0, 320)
    for t, frame in enumerate(frames):
        np.testing.assert_array_equal(frame[10::20, 10:160:20][:8], episode.images["front"][t])
        np.testing.assert_array_equal(frame[10::20, 170:320:20][:8], episode.images["wrist"][t])
        bar = frame[height - 16, 162:310]
        colours = [OUTCOME_COLOURS["success"], OUTCOME_COLOURS["failure"]]
        filled = sum(int((bar == colour).all(axis=-1).sum()) for colour in colours) / len(bar)
        expected = 0.0 if np.isnan(probability[t]) else float(probability[t])
        assert filled == pytest.approx(expected, abs=0.05)
        assert (frame[160:] != BACKGROUND).any()
    assert not np.array_equal(frames[0][160:200], frames[1][160:200])


def test_a_video_holds_the_frames_that_were_given(tmp_path):
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]
    write_mp4(tmp_path / "a.mp4", (np.full((49, 65, 3), colour, np.uint8) for colour in colours), 5.0)
    frames = decode(tmp_path / "a.mp4")
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 3
    for frame, colour in zip(frames, colours, strict=True):
        np.testing.assert_allclose(frame.mean(axis=(0, 1)), colour, atol=12)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.video[0].average_rate == 5
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_the_fallback_encoder_writes_a_video_too(tmp_path, monkeypatch):
    monkeypatch.setattr("trajectories.media.ENCODERS", ("no-such-encoder", "mpeg4"))
    write_mp4(tmp_path / "a.mp4", [np.full((48, 64, 3), 99, np.uint8)] * 2, 5.0)
    assert len(decode(tmp_path / "a.mp4")) == 2


def test_videos_that_cannot_be_are_refused_and_leave_no_file(tmp_path):
    good = np.zeros((16, 16, 3), np.uint8)
    for frames in ([], [good, good[:8]], [good.astype(np.float32)], [good[..., :2]]):
        with pytest.raises(InvalidEpisodeError):
            write_mp4(tmp_path / "a.mp4", frames, 5.0)
    assert list(tmp_path.iterdir()) == []
    write_mp4(tmp_path / "a.mp4", [good] * 2, 5.0)
    whole = (tmp_path / "a.mp4").read_bytes()
    with pytest.raises(InvalidEpisodeError):
        write_mp4(tmp_path / "a.mp4", [good, good[:8]], 5.0)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.mp4", whole)]


def test_spread_prefers_variety_then_the_newest():
    infos = [info(number) for number in range(10)]
    infos += [info(20, outcome="failure"), info(21, direction="backward"), info(22, task="bin")]
    numbers = [int(id[:20]) for id in spread(infos, 6)]
    assert numbers == [22, 21, 20, 7, 8, 9]
    assert len(spread(infos, 100)) == 13


def test_inspect_reports_pictures_and_damage_and_changes_nothing(tmp_path):
    path, out = tmp_path / "store", tmp_path / "out"
    with TrajectoryStore(path, SPEC) as store:
        for number in range(4):
            store.commit(sample_episode(number, outcome="success" if number % 2 else "failure"))
        store.commit(sample_episode(9))
        (path / "episodes" / sample_episode(9).id / "zarr.json").unlink()
        store.verify()
        file = path / "episodes" / sample_episode(3).id / "numbers" / "0.0"
        file.write_bytes(file.read_bytes()[:-1] + b"?")
        (path / ".staging" / "cut-off").mkdir()
        before = sorted(path.rglob("*"))
        report = inspect_store(path, out, sample_episode(1).id)
        assert sorted(path.rglob("*")) == before
    assert "3 episodes, 12 steps" in report
    assert "every byte of 3 episodes is as written" in report
    assert f"{sample_episode(3).id}: numbers/0.0 is damaged" in report
    assert f"{sample_episode(9).id}: zarr.json is missing" in report
    assert "cut-off" in report
    assert "terminated by success" in report
    with Image.open(out / "contact_sheet.png") as sheet:
        assert sheet.height > 3 * 100
    frames = decode(out / f"{sample_episode(1).id}.mp4")
    assert len(frames) == 5
    assert min(frames[0].shape[:2]) >= 480


def test_inspect_of_an_empty_store_and_of_an_unknown_episode(tmp_path):
    TrajectoryStore(tmp_path / "store", SPEC).close()
    assert "0 episodes" in inspect_store(tmp_path / "store", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(StoreError, match="no episode 'x'"):
        inspect_store(tmp_path / "store", tmp_path / "out", "x")


def test_the_info_of_an_episode_is_what_the_store_tells(tmp_path):
    with TrajectoryStore(tmp_path, SPEC) as store:
        store.commit(sample_episode())
        assert store.info(sample_episode().id) == describe(sample_episode())
        size = sum(file.stat().st_size for file in (tmp_path / "episodes").rglob("*") if file.is_file())
        manifest = tmp_path / "episodes" / sample_episode().id / "manifest.json"
        assert store.bytes_on_disk == size - manifest.stat().st_size
