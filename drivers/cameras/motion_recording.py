"""Record how the joints and the images of several cameras move at the same time, to measure the cameras' latency."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType

import numpy as np

from drivers.cameras.camera import ANY_AGE_NS, ProcessCamera
from drivers.cameras.latency import Latency, image_motion, measure_latency
from robot.interfaces import Arm, LatchingArm
from trajectories.errors import StaleDataError
from trajectories.types import Float64, UInt8

_POLL_S = 0.004


class MotionRecording:
    """Polls an arm and its cameras in a thread of its own, between entering and leaving the context.

    Args:
        arm: Whose joints move; `read` is safe from another thread.
        cameras: Name -> camera that sees it.
    """

    def __init__(self, arm: Arm | LatchingArm, cameras: Mapping[str, ProcessCamera]) -> None:
        self._arm, self._cameras = arm, dict(cameras)
        self._joint_t_ns: list[int] = []
        self._joints: list[Float64] = []
        self._frame_t_ns: dict[str, list[int]] = {name: [] for name in cameras}
        self._motion: dict[str, list[float]] = {name: [] for name in cameras}
        self._before: dict[str, UInt8] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)

    def __enter__(self) -> MotionRecording:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self._ended.set()
        self._thread.join()

    def latency(self, name: str) -> Latency:
        """The latency of a camera, whatever latency its settings take off its stamps.

        Raises:
            CameraError: When the series are too short or show none clearly.
        """
        return measure_latency(
            np.array(self._joint_t_ns, dtype=np.int64),
            np.array(self._joints, dtype=np.float64),
            np.array(self._frame_t_ns[name], dtype=np.int64) + self._cameras[name].config.latency_ns,
            np.array(self._motion[name], dtype=np.float64),
        )

    def _poll(self) -> None:
        while not self._ended.is_set():
            with suppress(StaleDataError):
                state = self._arm.read()
                if not self._joint_t_ns or state.t_ns > self._joint_t_ns[-1]:
                    self._joint_t_ns.append(state.t_ns)
                    self._joints.append(state.joints)
            for name, camera in self._cameras.items():
                with suppress(StaleDataError):
                    self._look(name, camera)
            time.sleep(_POLL_S)

    def _look(self, name: str, camera: ProcessCamera) -> None:
        frame, times = camera.latest(ANY_AGE_NS), self._frame_t_ns[name]
        if times and frame.t_ns <= times[-1]:
            return
        if name in self._before:
            self._motion[name] += image_motion([self._before[name], frame.image]).tolist()
        self._before[name] = frame.image
        times.append(frame.t_ns)
