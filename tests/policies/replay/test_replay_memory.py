"""Bytes of a replay, by hand, and what happens when they aren't there."""

import pytest
import torch
from helpers.replay_world import episode, make

from policies.replay import replay_memory
from policies.replay.replay import Replay
from policies.replay.replay_memory import available_bytes, frames_within, slot_bytes
from policies.replay.source_weights import SourceWeights
from trajectories.errors import ConfigError

STATE = {"state": ((61,), torch.float32)}  # 244 bytes; a transition: 3 x 8 + 7 x 4 + 4 x 4 + 1 = 69
IMAGE = {"front": ((96, 96, 3), torch.uint8)}
CPU = torch.device("cpu")


def test_bytes_by_hand():
    assert slot_bytes(STATE) == 244 + 69
    assert slot_bytes(STATE, weights=SourceWeights(person=2)) == 244 + 69 + 8
    assert slot_bytes(STATE, weights=SourceWeights(progress=2)) == 244 + 69 + 8 + 4
    assert slot_bytes(IMAGE, action_size=2) == 27_648 + 49
    both = {"front": ((96, 96, 3), torch.uint8), "feature": ((8, 4), torch.float16), "proprio": ((13,), torch.float32)}
    assert slot_bytes(both) == 27_648 + 64 + 52 + 69


@pytest.mark.parametrize(("given", "frames"), [(626, 2), (3129, 9), (3130, 10), (3139, 10)])
def test_capacity_by_bytes(given, frames):
    assert frames_within(given, STATE) == frames
    assert Replay(frames, STATE, gamma=0.9).nbytes <= given


def test_a_capacity_of_less_than_two_frames_is_refused_with_what_to_set():
    with pytest.raises(ConfigError, match=r"capacity_bytes=625 holds 1 frames of 313 bytes.*3130000 for 10,000"):
        frames_within(625, STATE)


@pytest.mark.parametrize("weights", [None, SourceWeights(person=4.0)])
def test_a_replay_takes_the_bytes_that_were_announced(weights):
    replay = Replay(50, IMAGE, gamma=0.9, weights=weights)
    assert replay.nbytes == 50 * slot_bytes(IMAGE, weights=weights or SourceWeights())


def test_a_stored_transition_takes_five_per_cent_more_than_a_frame_at_most():
    """Episodes of 40 steps: 41 frames and 40 x 69 bytes for 40 transitions."""
    replay = Replay(41 * 5, IMAGE, gamma=0.9)
    for number in range(5):
        columns = episode(number, 40)
        columns["executed"] = columns["executed"].repeat(7, axis=1)
        columns["observation"] = {"front": torch.full((41, 96, 96, 3), number, dtype=torch.uint8)}
        replay.add_episode(**columns)
    assert replay.episodes == 5
    overhead = replay.nbytes / (len(replay) * 27_648) - 1
    assert overhead == pytest.approx((27_648 + 41 * 69) / (40 * 27_648))
    assert overhead < 0.05


def test_an_episode_that_does_not_fit_says_what_to_set():
    replay = make(capacity=5)
    message = r"6 steps doesn't fit a replay of 5 frames.*at least 7 frames \(capacity_bytes to at least 574\)"
    with pytest.raises(ConfigError, match=message):  # 37 bytes a frame and 45 a transition
        replay.add_episode(**episode(0, 6))
    assert len(replay) == 0


def test_memory_that_is_not_there_is_refused_before_anything_is_taken(tmp_path, monkeypatch):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  8000000 kB\nMemFree:  10 kB\nMemAvailable:  2000 kB\n")
    monkeypatch.setattr(replay_memory, "MEMINFO", meminfo)
    assert available_bytes(CPU) == 2_048_000
    fits = 2_048_000 // 313
    assert Replay(fits, STATE, gamma=0.9).capacity == fits
    expected = f"2.0 MB are available. Set capacity_bytes below 2048000 or the capacity below {fits} frames"
    with pytest.raises(ConfigError, match=expected):
        Replay(fits + 1, STATE, gamma=0.9)


def test_a_system_that_does_not_tell_its_memory_is_trusted(tmp_path, monkeypatch):
    monkeypatch.setattr(replay_memory, "MEMINFO", tmp_path / "nothing")
    assert available_bytes(CPU) is None
    assert Replay(10, STATE, gamma=0.9).capacity == 10
