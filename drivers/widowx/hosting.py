"""Serve `WidowX` inside the arm's process: read orders from shared memory and write the joint state there."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from drivers.dynamixel.bus import DynamixelBus
from drivers.dynamixel.port import find_port
from drivers.dynamixel.servo_map import ServoMap, servo_map
from drivers.errors import PortError
from drivers.hosting.hosted import Hosting
from drivers.hosting.shared_block import FaultReader, OrderReader, Published, SharedBlock
from drivers.widowx.arm import WidowX
from drivers.widowx.settings import ArmSettings
from robot.control.faults import FaultLatch
from trajectories.errors import SafetyError
from trajectories.types import Command

_BUSY_S = 2.5
"""For the system to take a port back from a process that was killed."""
_AGAIN_S = 0.1
_log = logging.getLogger(__name__)


class HostedWidowX(WidowX):
    """The arm with its session on the other side of `block`.

    Args:
        bus: Open bus; from here on it belongs to the arm.
        model: Which arm.
        settings: See `ArmSettings`.
        block: Shared with the session.
        priority: Of the loop, for the report.
        latch: What stands.
    """

    def __init__(
        self,
        bus: DynamixelBus,
        model: ServoMap,
        settings: ArmSettings,
        block: SharedBlock,
        priority: str,
        latch: FaultLatch,
    ) -> None:
        self._block, self._orders, self._told = block, OrderReader(block, settings.command_age_s), FaultReader(block)
        self._told.take(latch.add)
        super().__init__(bus, model, settings, threaded=False, latch=latch)
        self._statistics.priority = priority
        self.publish()
        self.put_figures()
        self._start_loop()

    def _start_loop(self) -> None:
        self._thread = threading.Thread(target=self._run, name="widowx", daemon=True)
        self._thread.start()

    @property
    def on_close(self) -> str:
        """What closing does with the arm: "sleep" or "hold"."""
        return self.settings.on_close

    def perform(self, request: Mapping[str, Any]) -> None:
        """Sleep, or go on after a fault on a person's word.

        Raises:
            RegraspError: See `sleep` and `clear`.
        """
        if request["do"] == "sleep":
            self.sleep(request["timeout_s"])
        else:
            self.clear(request["person"], request["ids"])

    @property
    def crashed(self) -> bool:
        """Whether the control loop ended by itself."""
        return self._crash is not None

    def cycle(self) -> None:
        """Take what stands in the session and the newest order, run a control cycle, publish the state."""
        self._told.take(self._loop.latch.add)
        self._orders.take(self._obey)
        super().cycle()
        self.publish()

    def skip_orders(self, number: int) -> None:
        """Forget orders up to `number`: something else was asked for after them."""
        self._orders.skip(number)

    def publish(self) -> None:
        """Set the state that the session sees."""
        self._block.publish(Published(time.monotonic_ns(), self.mode, self.faults, self._loop.state))

    def put_figures(self) -> None:
        """Set the figures that the session sees."""
        health = [asdict(one) for one in self.health().values()]
        self._block.put_figures({"report": self.report().as_dict(), "health": health})

    def _do(self, work: Callable[[], str | None]) -> None:
        """Have the loop's thread do something and publish what came of it, so that the session sees it when told."""

        def work_and_publish() -> str | None:
            try:
                return work()
            finally:
                self.publish()

        super()._do(work_and_publish)

    def _obey(self, command: Command | None) -> None:
        if command is None:
            self.hold()
            return
        try:
            self.send(command)
        except SafetyError as error:  # latched since it was sent: the session is told with its next order
            _log.info("An order was dropped: %s", error)


def _resource(settings: Mapping[str, Any]) -> str:
    """The port's path."""
    return find_port(settings["port"])


def _open(settings: Mapping[str, Any], block: SharedBlock, priority: str, latch: FaultLatch) -> HostedWidowX:
    """Open the port and take the arm over where it is.

    Raises:
        PortError: When the port can't be opened.
        DeviceError, ConfigError, SafetyError: See `ControlLoop`.
    """
    model, own = servo_map(settings["model"]), ArmSettings.from_dict(settings["arm"])
    bus = _open_bus(settings["port"], own.latency_s)
    try:
        return HostedWidowX(bus, model, own, block, priority, latch)
    except BaseException:
        bus.close()
        raise


def _open_bus(port: str, latency_s: float) -> DynamixelBus:
    give_up = time.monotonic() + _BUSY_S
    while True:
        try:
            return DynamixelBus.on(port, latency_s=latency_s)
        except PortError:
            if time.monotonic() > give_up:
                raise
        time.sleep(_AGAIN_S)


WIDOWX = Hosting(_resource, _open)
"""Hosts an arm of Interbotix' X series; settings: "port", "model" and "arm" (see `ArmSettings.to_dict`)."""
