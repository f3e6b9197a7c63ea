"""Estimate a camera's latency from the arm's motion and the motion in its images, without extra hardware.

The arm moves to and fro while frames are recorded. How much the joints moved between two frames, shifted by the right
latency, looks like how much the image changed between them; the shift with the highest correlation is the latency.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.errors import CameraError
from trajectories.types import Float64, Int64, UInt8

_STEP_NS = 1_000_000
_EARLIEST_NS = 50_000_000  # so that a latency of 0 has a peak on both sides
_MIN_FRAMES = 30
_MIN_CORRELATION = 0.5
_LOBE = 0.8  # a second peak only counts as another one where the correlation was below this share of the best between


@dataclass(frozen=True)
class Latency:
    """A measured latency.

    Attributes:
        latency_ns: From the motion to the receipt of the image that shows it; `CameraConfig.latency_ms` in ns.
        correlation: Of joint and image motion at that shift, up to 1.
    """

    latency_ns: int
    correlation: float


def image_motion(images: Sequence[UInt8]) -> Float64:
    """Mean absolute difference of each image to the one before: M images uint8 (H, W, 3) -> float64 (M - 1,)."""
    pairs = itertools.pairwise(images)
    return np.array([np.abs(b.astype(np.int16) - a.astype(np.int16)).mean() for a, b in pairs], dtype=np.float64)


def joint_motion(joint_t_ns: Int64, joints: Float64, t_ns: Float64) -> Float64:
    """How far the joints moved between successive times, rad: the sum over the joints of absolute differences.

    Args:
        joint_t_ns: (N,) monotonic ns, increasing.
        joints: float64 (N, J) rad.
        t_ns: (M,) times; between measurements joints are interpolated.

    Returns:
        float64 (M - 1,).
    """
    at = np.stack([np.interp(t_ns, joint_t_ns, joint) for joint in joints.T], axis=1)
    return np.abs(np.diff(at, axis=0)).sum(axis=1)


def measure_latency(
    joint_t_ns: Int64, joints: Float64, frame_t_ns: Int64, motion: Float64, longest_ns: int = 400_000_000
) -> Latency:
    """The shift at which image motion follows joint motion best, between a little below 0 and `longest_ns`.

    A latency below 0 says that there is none that can be told from the clocks' and the series' own errors.

    Args:
        joint_t_ns: (N,) monotonic ns of the joint measurements, increasing.
        joints: float64 (N, J) rad.
        frame_t_ns: (M,) receipt of the frames, monotonic ns, increasing; latency setting 0.
        motion: float64 (M - 1,) from `image_motion`.
        longest_ns: Longest latency that is looked for.

    Raises:
        CameraError: When the series don't fit each other, are too short, stand still, or show no clear single peak.
    """
    _check(joint_t_ns, joints, frame_t_ns, motion, longest_ns)
    inside = (frame_t_ns - longest_ns >= joint_t_ns[0]) & (frame_t_ns + _EARLIEST_NS <= joint_t_ns[-1])
    first, last = np.flatnonzero(inside)[[0, -1]]
    times, seen = frame_t_ns[first : last + 1].astype(np.float64), _softened(motion[first:last])
    shifts = np.arange(-_EARLIEST_NS, longest_ns + _STEP_NS, _STEP_NS)
    scores = np.array(
        [_correlation(_softened(joint_motion(joint_t_ns, joints, times - shift)), seen) for shift in shifts]
    )
    best = int(scores.argmax())
    if scores[best] < _MIN_CORRELATION:
        raise CameraError(
            f"Image and joint motion hardly agree (correlation {scores[best]:.2f}, expected {_MIN_CORRELATION} or "
            "more): move the arm alone, irregularly and in full view, under steady light."
        )
    lobe = _lobe(scores, best)
    if scores[~lobe].max(initial=-1.0) > 0.9 * scores[best] or (lobe[0] and lobe[-1]) or best in (0, len(shifts) - 1):
        raise CameraError(
            "The latency is ambiguous: the motion is too regular, or the latency lies outside "
            f"-{_EARLIEST_NS / 1e6:.0f} to {longest_ns / 1e6:.0f} ms. Move irregularly, with pauses; check both "
            "series' clocks."
        )
    return Latency(int(shifts[best]), float(scores[best]))


def skew_ns(t_ns: Mapping[str, int]) -> int:
    """Time between the oldest and the newest source of an `Observation` (its `t_ns`), ns.

    Raises:
        CameraError: When there is no source.
    """
    if not t_ns:
        raise CameraError("An observation without sources has no skew; expected t_ns of the joints and each camera.")
    return max(t_ns.values()) - min(t_ns.values())


def _softened(motion: Float64) -> Float64:
    """The root of what is above the smallest value: an image that changes altogether changes no more with speed."""
    return np.sqrt(motion - motion.min())


def _lobe(scores: Float64, best: int) -> NDArray[np.bool_]:
    """Mark the shifts around the best one up to where the correlation first falls well below its value there."""
    low = np.flatnonzero(scores < _LOBE * scores[best])
    inside = np.ones(len(scores), dtype=np.bool_)
    inside[: low[low < best].max(initial=-1) + 1] = False
    inside[low[low > best].min(initial=len(scores)) :] = False
    return inside


def _correlation(a: Float64, b: Float64) -> float:
    """Pearson's, 0 where one of them is constant."""
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 0 else 0.0


def _check(joint_t_ns: Int64, joints: Float64, frame_t_ns: Int64, motion: Float64, longest_ns: int) -> None:
    if joints.ndim != 2 or joint_t_ns.shape != joints.shape[:1] or motion.shape != (len(frame_t_ns) - 1,):
        raise CameraError(
            f"Got {joint_t_ns.shape} joint times for joints {joints.shape}, {frame_t_ns.shape} frame times for image "
            f"motion {motion.shape}; expected (N,), (N, J), (M,), (M - 1,)."
        )
    if len(joint_t_ns) < 2 or (np.diff(joint_t_ns) <= 0).any() or (np.diff(frame_t_ns) <= 0).any():
        raise CameraError("Times must increase, with two or more joint measurements; leave out repeated frames.")
    inside = (frame_t_ns - longest_ns >= joint_t_ns[0]) & (frame_t_ns + _EARLIEST_NS <= joint_t_ns[-1])
    if inside.sum() < _MIN_FRAMES:
        raise CameraError(
            f"Only {inside.sum()} frames fall into the time of the joint measurements (less the longest latency), "
            f"expected {_MIN_FRAMES} or more: record some seconds of both."
        )
