"""The cameras of the robot: attached, fast enough, fresh enough, all at the same time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from omegaconf import DictConfig

from commands.doctor.report import Finding, fail, ok, warn
from drivers.cameras.camera import ANY_AGE_NS, CameraStatus, ProcessCamera
from drivers.cameras.config import CameraConfig
from drivers.cameras.find import Attached
from drivers.cameras.latency import skew_ns
from drivers.cameras.realsense_config import RealSenseConfig
from drivers.cameras.registry import KINDS
from drivers.cameras.watchdog import State
from factory.cameras import camera_settings
from trajectories.errors import ConfigError, RegraspError, StaleDataError

_SAMPLE_S = 0.02
_MUCH_SLOWER = 0.9
"""Fraction of the frame rate asked for below which it is called slow."""
_CABLE = "Plug it in, straight into the computer; `regrasp doctor` lists what is attached."


def find_attached() -> dict[str, Attached]:
    """Kind of camera -> what the computer sees of it, for every kind that can be looked for."""
    found = {}
    for kind in KINDS:
        try:
            find = KINDS[kind].find
        except ConfigError as error:
            found[kind] = Attached(note=str(error))
            continue
        if find is not None:
            found[kind] = find()
    return found


def check_attached(attached: Mapping[str, Attached]) -> Iterator[Finding]:
    """What the computer sees, whether a session uses it or not.

    Args:
        attached: Kind -> what was found of it.
    """
    for kind, found in attached.items():
        if found.note:
            yield warn("cameras", found.note, f"Needed for cameras of kind {kind} only.")
        for camera in found.cameras:
            if camera.problem:
                yield fail("cameras", camera.description, camera.advice)
            else:
                yield ok("cameras", camera.description)
    if not any(found.cameras for found in attached.values()):
        yield warn("cameras", "none is attached", "Plug the cameras in, straight into the computer.")


def configured_cameras(
    robot: DictConfig, attached: Mapping[str, Attached]
) -> tuple[dict[str, CameraConfig], list[Finding]]:
    """Settings of those cameras that can be opened, and what is wrong with the others.

    Args:
        robot: The robot's settings.
        attached: Kind -> what the computer sees of it.
    """
    found: dict[str, CameraConfig] = {}
    problems = []
    for key, settings in robot.cameras.items():
        name, kind = str(key), str(settings.get("kind"))
        seen = attached.get(kind, Attached())
        try:
            problem = _not_chosen(name, kind, settings, seen)
            if problem is None:
                config = camera_settings(name, settings, int(robot.image_size))
                problem = _absent(config, kind, seen)
        except ConfigError as error:
            problem = fail(name, str(error), "Correct it in the robot's YAML, such as configs/robot/widowx.yaml.")
        if problem is None:
            found[name] = config
        else:
            problems.append(problem)
    return found, problems


def _not_chosen(name: str, kind: str, settings: DictConfig, seen: Attached) -> Finding | None:
    """What to say when the settings don't tell which of the attached devices it is."""
    chosen_by = KINDS[kind].chosen_by if kind in KINDS else ""
    if not chosen_by or settings.get(chosen_by) is not None:
        return None
    advice = (
        f"Plug the camera in and run the doctor again: it will name the {chosen_by} for "
        f"robot.cameras.{name}.{chosen_by}."
    )
    if seen.cameras:
        choices = " or ".join(f"robot.cameras.{name}.{chosen_by}=\"'{camera.device}'\"" for camera in seen.cameras)
        advice = f"Say which of those attached it is: {choices}"
    return fail(name, f"robot.cameras.{name}.{chosen_by} is empty", advice)


def _absent(config: CameraConfig, kind: str, seen: Attached) -> Finding | None:
    """What to say when the device isn't there; opening it would only take long to find out the same."""
    source = config.source
    known = KINDS[kind]
    if known.attached is not None and not known.attached(source, seen):
        chosen_by = known.chosen_by or "device"
        return fail(config.name, f"no camera of kind {kind} with {chosen_by} {source.device} is attached", _CABLE)
    device = seen.named(source.device)
    if device is not None and device.problem:
        return fail(config.name, f"{source.device} is {device.problem}", device.advice)
    return None


@dataclass
class _Watched:
    """A camera while it is looked at."""

    camera: ProcessCamera
    first_frames: int = 0
    ages_ms: list[float] = field(default_factory=list)
    exposures_us: set[int] = field(default_factory=set)
    states: set[State] = field(default_factory=set)


def check_streams(
    cameras: Mapping[str, CameraConfig], seconds: float, max_age_s: float, open_s: float = 45.0
) -> Iterator[Finding]:
    """Open all cameras at once, as a session does, and watch them.

    Args:
        cameras: By name.
        seconds: How long they are watched.
        max_age_s: A session refuses older frames.
        open_s: How long they may take to open.
    """
    watched: dict[str, _Watched] = {}
    if not cameras:
        return
    with ExitStack() as stack:
        opened = {name: stack.enter_context(ProcessCamera(without_reset(config))) for name, config in cameras.items()}
        for name, camera in opened.items():
            try:
                camera.wait(open_s)
            except RegraspError as error:
                yield fail(
                    name, str(error), "Do what the message says; unplug the camera for some seconds and try again."
                )
            else:
                watched[name] = _Watched(camera)
        for one in watched.values():
            one.first_frames = one.camera.status().frames
        skews_ms: list[float] = []
        start = time.monotonic()
        while time.monotonic() < start + seconds:
            for one in watched.values():
                _sample(one, one.camera.status())
            skews_ms += _skew(watched)
            time.sleep(_SAMPLE_S)
        elapsed = time.monotonic() - start
        for name, one in watched.items():
            yield _judge(name, cameras[name], one, elapsed, max_age_s)
            if cameras[name].source.depth:
                yield _depth(name, one.camera)
        if skews_ms:
            yield _judge_skew(sorted(skews_ms), min(cameras[name].source.fps for name in watched))


def without_reset(config: CameraConfig) -> CameraConfig:
    """The same settings, but nothing is reset: a session may use the camera that the doctor looks at."""
    source = config.source
    return replace(config, source=replace(source, reset=False)) if isinstance(source, RealSenseConfig) else config


def _sample(one: _Watched, status: CameraStatus) -> None:
    one.states.add(status.state)
    if status.age_ms is not None:
        one.ages_ms.append(status.age_ms)
    if status.exposure_us is not None:
        one.exposures_us.add(status.exposure_us)


def _skew(watched: Mapping[str, _Watched]) -> list[float]:
    """Time between the oldest and the newest of the cameras' newest frames, ms; nothing without two that stream."""
    if len(watched) < 2:
        return []
    try:
        return [skew_ns({name: one.camera.latest(ANY_AGE_NS).t_ns for name, one in watched.items()}) / 1e6]
    except StaleDataError:  # said of the camera itself
        return []


def _judge_skew(values_ms: Sequence[float], slowest_fps: float) -> Finding:
    """Cameras run free of each other, so that up to a period of the slowest one lies between their frames."""
    half, period_ms = values_ms[len(values_ms) // 2], 1e3 / slowest_fps
    found = f"{half:.0f} ms between the cameras' newest frames (at most {values_ms[-1]:.0f})"
    if half <= period_ms:
        return ok("skew", found)
    return warn(
        "skew",
        f"{found}, expected a frame's {period_ms:.0f} or less",
        "One camera is late: raise its frame rate, give it a USB controller of its own, or measure each one's latency "
        "with `regrasp calibrate calibrate.what=latency`.",
    )


def _depth(name: str, camera: ProcessCamera) -> Finding:
    """How much of one depth image was measured, and from where to where."""
    try:
        frame = camera.depth(ANY_AGE_NS)
    except RegraspError as error:
        return fail(f"{name} depth", str(error), "Do what the message says, or leave out depth: true.")
    metres = frame.depth[frame.depth > 0] * frame.unit_m
    if not metres.size:
        return warn(f"{name} depth", "nothing was measured", "Is it covered, or nearer than 0.3 m to everything?")
    share = metres.size / frame.depth.size
    return ok(f"{name} depth", f"{share:.0%} of the pixels measured, {metres.min():.2f} ... {metres.max():.2f} m")


def _judge(name: str, config: CameraConfig, one: _Watched, elapsed: float, max_age_s: float) -> Finding:
    status = one.camera.status()
    fps, wanted = (status.frames - one.first_frames) / elapsed, config.source.fps
    ages = sorted(one.ages_ms)
    found = (
        f"{config.source.device}: {fps:.1f} of {wanted:g} frames/s, age {ages[len(ages) // 2]:.0f} ms (at most "
        f"{ages[-1]:.0f}), exposure {_exposure(one.exposures_us)}, {status.dropped} dropped"
    )
    bad = sorted(str(state) for state in one.states if state is not State.STREAMING)
    if bad:
        return fail(name, f"{found}; it was {', '.join(bad)}", f"Check its cable. {status.last_error or ''}".strip())
    if ages[-1] > 1e3 * max_age_s:
        return fail(
            name,
            found,
            f"A session refuses frames older than {1e3 * max_age_s:.0f} ms (robot.max_age): raise the frame rate.",
        )
    if fps < _MUCH_SLOWER * wanted:
        return warn(
            name, found, "Too dark for a short exposure (set exposure_us), or too many cameras on one USB controller."
        )
    return ok(name, found)


def _exposure(values: Sequence[int] | set[int]) -> str:
    if not values:
        return "not told"
    low, high = min(values), max(values)
    return f"{low} us" if low == high else f"{low} ... {high} us"
