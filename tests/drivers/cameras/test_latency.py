"""Latency from motion: known latencies come back, and what can't be told is refused."""

import numpy as np
import pytest

from drivers.cameras.latency import image_motion, joint_motion, measure_latency, skew_ns
from drivers.errors import CameraError

MS = 1_000_000


def series(latency_ms: float, seed: int = 0, seconds: float = 8.0, noise: float = 0.02):
    """Joints at 50 Hz on an irregular path, frames at 30 Hz that show them `latency_ms` before their receipt."""
    rng = np.random.default_rng(seed)
    joint_t = np.arange(0, seconds * 1e9, 20 * MS).astype(np.int64)
    knots = np.arange(-1, seconds + 1, 0.4)
    path = rng.uniform(-0.5, 0.5, (len(knots), 3))

    def at(t_ns):
        return np.stack([np.interp(t_ns / 1e9, knots, column) for column in path.T], axis=1)

    frame_t = (np.arange(0, seconds * 1e9, 33 * MS) + rng.integers(0, 4 * MS)).astype(np.int64)
    shown = np.abs(np.diff(at(frame_t - latency_ms * MS), axis=0)).sum(axis=1)
    motion = 40 * shown + noise * rng.standard_normal(len(shown)) + 1.0
    return joint_t, at(joint_t), frame_t, motion


@pytest.mark.parametrize("latency_ms", [12, 47, 95, 180])
def test_a_known_latency_comes_back(latency_ms):
    found = measure_latency(*series(latency_ms, seed=latency_ms))
    assert abs(found.latency_ns / MS - latency_ms) <= 5
    assert found.correlation > 0.9


def test_joint_motion_adds_up_what_every_joint_did():
    times = np.array([0, 10, 20]) * MS
    joints = np.array([[0.0, 0.0], [1.0, -2.0], [1.0, 0.0]])
    assert joint_motion(times, joints, np.array([0.0, 5.0, 20.0]) * MS) == pytest.approx([1.5, 1.5])


def test_image_motion_does_not_wrap_around():
    images = [np.full((2, 2, 3), value, dtype=np.uint8) for value in (250, 5, 5)]
    assert image_motion(images).tolist() == [245.0, 0.0]


def test_unrelated_or_regular_motion_and_stillness_are_refused():
    joint_t, joints, frame_t, motion = series(50)
    with pytest.raises(CameraError, match="hardly agree"):
        measure_latency(joint_t, joints, frame_t, np.random.default_rng(1).uniform(size=len(motion)))
    with pytest.raises(CameraError, match="hardly agree"):
        measure_latency(joint_t, np.zeros_like(joints), frame_t, motion)
    swing = np.sin(joint_t / 1e9 * 2 * np.pi * 5)[:, None]
    shown = np.abs(np.diff(np.sin((frame_t / 1e9 - 0.05) * 2 * np.pi * 5)))
    with pytest.raises(CameraError, match="ambiguous"):
        measure_latency(joint_t, swing, frame_t, shown)


def test_series_that_do_not_fit_are_refused():
    joint_t, joints, frame_t, motion = series(50)
    with pytest.raises(CameraError, match="expected \\(N,\\)"):
        measure_latency(joint_t, joints, frame_t, motion[:-1])
    with pytest.raises(CameraError, match="must increase"):
        measure_latency(joint_t[::-1], joints, frame_t, motion)
    with pytest.raises(CameraError, match="Only 0 frames"):
        measure_latency(joint_t, joints, frame_t + 10**12, motion)


def test_skew_is_from_the_oldest_to_the_newest_source():
    assert skew_ns({"joints": 1_000, "front": 400, "wrist": 900}) == 600
    with pytest.raises(CameraError, match="without sources"):
        skew_ns({})
