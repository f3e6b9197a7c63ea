"""Serve `WidowX` inside the arm's process: read orders from shared memory and write the joint state there."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from drivers.dynamixel.bus import DynamixelBus
from drivers.dynamixel.servo_map import ServoMap
from drivers.widowx.arm import WidowX
from drivers.widowx.settings import ArmSettings
from drivers.widowx.shared_block import Published, SharedBlock
from trajectories.errors import SafetyError

_log = logging.getLogger(__name__)


class HostedArm(WidowX):
    """The arm with its session on the other side of `block`.

    Args:
        bus: Open bus; from here on it belongs to the arm.
        model: Which arm.
        settings: See `ArmSettings`.
        block: Shared with the session.
        priority: Of the loop, for the report.
    """

    def __init__(
        self, bus: DynamixelBus, model: ServoMap, settings: ArmSettings, block: SharedBlock, priority: str
    ) -> None:
        self._block = block
        self._taken = block.orders
        self._taking = threading.Lock()
        super().__init__(bus, model, settings, threaded=False)
        self._statistics.priority = priority
        self.publish()
        self.put_figures()
        self._thread = threading.Thread(target=self._run, name="widowx", daemon=True)
        self._thread.start()

    @property
    def crashed(self) -> bool:
        """Whether the control loop ended by itself."""
        return self._crash is not None

    def cycle(self) -> None:
        """Take the newest order, run a control cycle, publish the state."""
        self._obey_orders()
        super().cycle()
        self.publish()

    def skip_orders(self, number: int) -> None:
        """Forget orders up to `number`: something else was asked for after them."""
        with self._taking:
            self._taken = max(self._taken, number)

    def publish(self) -> None:
        """Set the state that the session sees."""
        self._block.publish(Published(time.monotonic_ns(), self.mode, self.fault, self._loop.state))

    def put_figures(self) -> None:
        """Set the figures that the session sees."""
        self._block.put_figures(self.report(), self.health())

    def _do(self, work: Callable[[], str | None]) -> None:
        """Have the loop's thread do something and publish what came of it, so that the session sees it when told."""

        def work_and_publish() -> str | None:
            try:
                return work()
            finally:
                self.publish()

        super()._do(work_and_publish)

    def _obey_orders(self) -> None:
        if self._block.orders == self._taken:
            return
        with self._taking:
            number, command = self._block.newest_order()
            if number <= self._taken:
                return
            self._taken = number
            if command is None:
                self.hold()
                return
            try:
                self.send(command)
            except SafetyError as error:  # latched since it was sent: the session is told with its next order
                _log.info("An order was dropped: %s", error)
