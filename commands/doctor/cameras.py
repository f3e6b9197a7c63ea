"""The cameras of the robot: attached, fast enough, fresh enough, all at the same time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from omegaconf import DictConfig

from commands.doctor.report import Finding, fail, ok, warn
from drivers.cameras.camera import CameraStatus, ProcessCamera
from drivers.cameras.config import CameraConfig
from drivers.cameras.find import Attached, RealSenseDevice
from drivers.cameras.realsense_config import RealSenseConfig
from drivers.cameras.watchdog import State
from factory.device_robot import camera_settings
from trajectories.errors import ConfigError, RegraspError

_SAMPLE_S = 0.02
_MUCH_SLOWER = 0.9
"""Fraction of the frame rate asked for below which it is called slow."""
_CABLE = "Plug it in, straight into the computer; `regrasp doctor` lists what is attached."
_USB3 = "Use a USB 3 port and cable without a hub, and push the plug in all the way."


def check_attached(attached: Attached) -> Iterator[Finding]:
    """What the computer sees, whether a session uses it or not."""
    for note in attached.notes:
        yield warn("cameras", note, "Needed for RealSense cameras only.")
    for device in attached.realsense:
        found = f"{device.name}, serial {device.serial}, firmware {device.firmware}, USB {device.usb}"
        if _is_slow(device):
            yield fail("cameras", found, _USB3)
        else:
            yield ok("cameras", found)
    for webcam in attached.v4l2:
        yield ok("cameras", f"{webcam.name}: {webcam.device}")
    if not attached.realsense and not attached.v4l2:
        yield warn("cameras", "none is attached", "Plug the cameras in, straight into the computer.")


def _is_slow(device: RealSenseDevice) -> bool:
    return device.usb.startswith(("1", "2"))


def configured_cameras(robot: DictConfig, attached: Attached) -> tuple[dict[str, CameraConfig], list[Finding]]:
    """Settings of those cameras that can be opened, and what is wrong with the others.

    Args:
        robot: The robot's settings.
        attached: What the computer sees.
    """
    found: dict[str, CameraConfig] = {}
    problems = []
    for key, settings in robot.cameras.items():
        name = str(key)
        if settings.get("kind") == "realsense" and settings.get("serial") is None:
            problems.append(_without_serial(name, attached))
            continue
        try:
            config = camera_settings(name, settings, int(robot.image_size))
        except ConfigError as error:
            problems.append(fail(name, str(error), "Correct it in configs/robot/widowx.yaml."))
            continue
        problem = _absent(config, attached)
        if problem is None:
            found[name] = config
        else:
            problems.append(problem)
    return found, problems


def _without_serial(name: str, attached: Attached) -> Finding:
    serials = [device.serial for device in attached.realsense]
    advice = (
        f"Plug the camera in and run the doctor again: it will name the serial number for robot.cameras.{name}.serial."
    )
    if serials:
        advice = " or ".join(f"robot.cameras.{name}.serial=\"'{serial}'\"" for serial in serials)
        advice = f"Say which of those attached it is: {advice}"
    return fail(name, f"robot.cameras.{name}.serial is empty", advice)


def _absent(config: CameraConfig, attached: Attached) -> Finding | None:
    """What to say when the device isn't there; opening it would only take long to find out the same."""
    source = config.source
    if source.stand_in is not None:
        return None
    if isinstance(source, RealSenseConfig):
        device = next((device for device in attached.realsense if device.serial == source.serial), None)
        if device is None:
            return fail(config.name, f"there is no RealSense with serial number {source.serial}", _CABLE)
        if _is_slow(device):
            return fail(config.name, f"RealSense {source.serial} is on USB {device.usb}", _USB3)
    elif not Path(source.device).exists():
        return fail(config.name, f"there is no device {source.device}", _CABLE)
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
        opened = {name: stack.enter_context(ProcessCamera(config)) for name, config in cameras.items()}
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
        start = time.monotonic()
        while time.monotonic() < start + seconds:
            for one in watched.values():
                _sample(one, one.camera.status())
            time.sleep(_SAMPLE_S)
        elapsed = time.monotonic() - start
        for name, one in watched.items():
            yield _judge(name, cameras[name], one, elapsed, max_age_s)


def _sample(one: _Watched, status: CameraStatus) -> None:
    one.states.add(status.state)
    if status.age_ms is not None:
        one.ages_ms.append(status.age_ms)
    if status.exposure_us is not None:
        one.exposures_us.add(status.exposure_us)


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
