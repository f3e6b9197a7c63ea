"""A RealSense camera through librealsense's pipeline: found by serial, checked, started, reset if need be.

Not yet tried on hardware; the calls are librealsense's documented ones and the decisions are tested with fakes.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

from drivers.cameras.realsense_config import RealSenseConfig
from drivers.cameras.realsense_library import load_realsense
from drivers.errors import CameraError

ATTEMPTS = 3
_FIRST_FRAME_MS = 3000
_RETURN_S = 10.0
_POLL_S = 0.25


class _SilentError(RuntimeError):
    """The camera started for this process and sends nothing."""


class Pipeline:
    """`FrameSets` of a camera.

    Args:
        config: Which camera and how.
        rs: The pyrealsense2 module; tests pass a fake.
    """

    def __init__(self, config: RealSenseConfig, rs: Any = None) -> None:
        self._config = config
        self._rs = load_realsense() if rs is None else rs
        self._pipeline: Any = None

    def open(self) -> None:
        """Start and wait for a first frame; a hardware reset comes before the last attempt (D405s often need it).

        Only a camera that this process had started, and that sent nothing, is reset: one that doesn't start may be in
        use, and a reset would take it away from whoever uses it.

        Raises:
            CameraError: When the camera is missing, on USB 2, or never delivers.
        """
        context = self._rs.context()
        last: Exception | None = None
        ours = reset = False
        for attempt in range(1, ATTEMPTS + 1):
            device = find_device(self._rs, context, self._config.serial)
            if attempt == ATTEMPTS and ours and self._config.reset:
                reset = True
                device = self._reset(context, device)
            refuse_usb2(self._rs, device, self._config.serial)
            try:
                self._start(context)
                return
            except RuntimeError as error:
                last = error
                ours = isinstance(error, _SilentError)
                self.close()
        after = "the last after a hardware reset" if reset else "without a reset"
        raise CameraError(
            f"RealSense {self._config.serial} did not deliver frames in {ATTEMPTS} attempts, {after} ({last}). Unplug "
            "it for a few seconds; check that no other program uses it and that it offers "
            f"{self._config.resolution[0]} x {self._config.resolution[1]} pixels at {self._config.fps} frames/s."
        )

    def wait(self, timeout_s: float) -> Any | None:
        """The next frame set, None after `timeout_s`.

        Raises:
            CameraError: When librealsense reports an error.
        """
        try:
            ok, frames = self._pipeline.try_wait_for_frames(round(timeout_s * 1000))
        except RuntimeError as error:
            raise CameraError(f"RealSense {self._config.serial} stopped ({error}); check its cable.") from error
        return frames if ok else None

    def close(self) -> None:
        """Stop streaming."""
        if self._pipeline is not None:
            with contextlib.suppress(RuntimeError):  # not started, or the camera is gone: nothing left to stop
                self._pipeline.stop()
            self._pipeline = None

    def _start(self, context: Any) -> None:
        rs, config = self._rs, self._config
        height, width = config.resolution
        wanted = rs.config()
        wanted.enable_device(config.serial)
        wanted.enable_stream(rs.stream.color, width, height, rs.format.rgb8, config.fps)
        if config.depth:
            wanted.enable_stream(rs.stream.depth, width, height, rs.format.z16, config.fps)
        self._pipeline = rs.pipeline(context)
        profile = self._pipeline.start(wanted)
        set_exposure(rs, colour_sensor(rs, profile.get_device(), config.serial), config.exposure_us)
        ok, _ = self._pipeline.try_wait_for_frames(_FIRST_FRAME_MS)
        if not ok:
            raise _SilentError(f"no frame in {_FIRST_FRAME_MS} ms")

    def _reset(self, context: Any, device: Any) -> Any:
        """Reset the camera and wait until it is back on the bus."""
        device.hardware_reset()
        end = time.monotonic() + _RETURN_S
        gone = False
        while time.monotonic() < end:
            time.sleep(_POLL_S)
            found = {d.get_info(self._rs.camera_info.serial_number): d for d in context.query_devices()}
            if gone and self._config.serial in found:
                return found[self._config.serial]
            gone = gone or self._config.serial not in found
        return find_device(self._rs, context, self._config.serial)


def find_device(rs: Any, context: Any, serial: str) -> Any:
    """The `rs.device` with this serial number.

    Raises:
        CameraError: When it isn't attached; the message lists those that are.
    """
    found = {d.get_info(rs.camera_info.serial_number): d for d in context.query_devices()}
    if serial not in found:
        raise CameraError(
            f"There is no RealSense with serial number {serial}; attached are: {', '.join(sorted(found)) or 'none'}."
        )
    return found[serial]


def refuse_usb2(rs: Any, device: Any, serial: str) -> None:
    """Refuse a camera on USB 2: it drops frames and offers few resolutions.

    Raises:
        CameraError: When the device says that its port is slower than USB 3.
    """
    if not device.supports(rs.camera_info.usb_type_descriptor):
        return
    usb = device.get_info(rs.camera_info.usb_type_descriptor)
    if usb.startswith(("1", "2")):
        raise CameraError(
            f"RealSense {serial} is on USB {usb}; it needs USB 3. Use a USB 3 port and cable, push the plug in all the "
            "way (slowly inserted plugs end up as USB 2), without a hub."
        )


def colour_sensor(rs: Any, device: Any, serial: str) -> Any:
    """The sensor that makes the colour image: "RGB Camera", or on a D405, which has none, "Stereo Module".

    Raises:
        CameraError: When the device has neither.
    """
    sensors = {sensor.get_info(rs.camera_info.name): sensor for sensor in device.query_sensors()}
    for name in ("RGB Camera", "Stereo Module"):
        if name in sensors:
            return sensors[name]
    raise CameraError(f"RealSense {serial} has the sensors {sorted(sensors)}, none of which makes colour images.")


def set_exposure(rs: Any, sensor: Any, exposure_us: int | None) -> None:
    """Fixed exposure, or automatic for None. RGB sensors count in 100 us, stereo modules in us (librealsense#8243).

    Raises:
        CameraError: When the sensor refuses the value.
    """
    if exposure_us is None:
        sensor.set_option(rs.option.enable_auto_exposure, 1)
        return
    unit = 100 if sensor.get_info(rs.camera_info.name) == "RGB Camera" else 1
    value = max(1, round(exposure_us / unit))
    limits = sensor.get_option_range(rs.option.exposure)
    if not limits.min <= value <= limits.max:
        raise CameraError(
            f"An exposure of {exposure_us} us is out of this sensor's range, {limits.min * unit:.0f} to "
            f"{limits.max * unit:.0f} us."
        )
    sensor.set_option(rs.option.enable_auto_exposure, 0)
    sensor.set_option(rs.option.exposure, value)
