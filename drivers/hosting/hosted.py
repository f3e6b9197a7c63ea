"""What a process can host: `Hosted`, and `HostedArm`, which makes one of any `robot.interfaces.Arm`."""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from drivers.hosting.checks import Mode
from drivers.hosting.shared_block import FaultReader, OrderReader, Published, SharedBlock
from robot.control.faults import Fault, FaultLatch
from robot.control.latched_arm import LatchedArm
from robot.interfaces import Arm, ArmState
from trajectories.errors import ConfigError, DeviceError, RegraspError, SafetyError
from trajectories.numbers import NS_PER_S
from trajectories.types import Command

_JOIN_S = 2.0
_log = logging.getLogger(__name__)


class Hosted(Protocol):
    """An arm in its process, with its session on the other side of a `SharedBlock`; used from any thread.

    Attributes:
        farewell: What `close` left behind, for a person; empty before.
    """

    farewell: str

    @property
    def crashed(self) -> bool:
        """Whether its control loop ended by itself."""
        ...

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What stands."""
        ...

    @property
    def on_close(self) -> str:
        """What closing does with the arm, in a word, for messages."""
        ...

    def hold(self) -> None:
        """Stop where the arm is."""
        ...

    def skip_orders(self, number: int) -> None:
        """Forget orders up to `number`: something else was asked for after them."""
        ...

    def perform(self, request: Mapping[str, Any]) -> None:
        """Do what the session asks for: "do" says what ("clear" with "person" and "ids"); the rest are its arguments.

        Raises:
            RegraspError: When that fails.
        """
        ...

    def publish(self) -> None:
        """Set the state that the session sees."""
        ...

    def put_figures(self) -> None:
        """Set the figures that the session sees."""
        ...

    def close(self) -> None:
        """Release the device without dropping the arm."""
        ...

    def leave(self) -> None:
        """Release the device with the arm as it is, for the next process."""
        ...


@dataclass(frozen=True)
class Hosting:
    """How a kind of arm is hosted; `ProcessArm` names one as "module:NAME".

    Attributes:
        resource: Settings -> name of what only one process may drive, such as the path of a port.
        open: Opens the arm and takes it over where it is: settings, the memory shared with the session, the priority
            of this process in words, and what stands.
    """

    resource: Callable[[Mapping[str, Any]], str]
    open: Callable[[Mapping[str, Any], SharedBlock, str, FaultLatch], Hosted]


def hosting_named(name: str) -> Hosting:
    """The `Hosting` that "module:NAME" means; of a function (settings) -> `Arm`, one that hosts what it returns.

    Raises:
        ConfigError: When there is none.
    """
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"There is no arm to host at {name!r} ({error}); 'module:function' is expected.") from error
    if isinstance(found, Hosting):
        return found
    if not callable(found):
        raise ConfigError(f"{name} is {found!r}; a function that takes settings and returns an Arm is expected.")
    return Hosting(
        resource=lambda settings: _resource(name, settings),
        open=lambda settings, block, priority, latch: HostedArm(_opened(name, found, settings), block, latch),
    )


def _resource(name: str, settings: Mapping[str, Any]) -> str:
    """What only one process may drive: the path under "device" or "port"; else the factory with all of its settings."""
    for key in ("device", "port"):
        if settings.get(key):
            return str(settings[key])
    return f"{name} {json.dumps(dict(settings), sort_keys=True)}"


def _opened(name: str, factory: Callable[[Mapping[str, Any]], Arm], settings: Mapping[str, Any]) -> Arm:
    """What the factory makes.

    Raises:
        DeviceError: When it raises, or makes something that is no arm.
    """
    try:
        arm = factory(settings)
    except RegraspError:
        raise
    except Exception as error:
        raise DeviceError(f"{name} raised {type(error).__name__}: {error}") from error
    missing = [
        method for method in ("read", "send", "hold", "clear", "close") if not callable(getattr(arm, method, None))
    ]
    if missing:
        raise DeviceError(f"{name} returned {arm!r}, which lacks {', '.join(missing)}; an Arm is expected.")
    return arm


class HostedArm:
    """Any arm with its session on the other side of `block`; one thread passes on orders, another the arm's state.

    While something stands, no command reaches the arm. An arm whose session falls silent holds after
    `command_timeout_s`, whatever the arm itself does about silence.

    Args:
        arm: The arm; from here on it belongs to this.
        block: Shared with the session.
        latch: What stands.
        rate_hz: How often orders are looked at and the state is published.
        command_timeout_s: See above.
        command_age_s: A command that was computed longer ago is dropped: a control step at 5 Hz.

    Attributes:
        farewell: What `close` left behind; empty before.
    """

    on_close = "as the arm does"

    def __init__(
        self,
        arm: Arm,
        block: SharedBlock,
        latch: FaultLatch | None = None,
        rate_hz: float = 100.0,
        command_timeout_s: float = 0.5,
        command_age_s: float = 0.2,
    ) -> None:
        self.farewell = ""
        self._latch = FaultLatch() if latch is None else latch
        self._arm, self._block = LatchedArm(arm, self._latch), block
        self._period_s, self._timeout_ns = 1.0 / rate_hz, round(command_timeout_s * NS_PER_S)
        self._state = self._first_state()
        self._orders, self._ordered_ns = OrderReader(block, command_age_s), 0
        self._told = FaultReader(block)
        self._crash: BaseException | None = None
        self._stop = threading.Event()
        self.publish()
        self.put_figures()
        self._threads = [
            threading.Thread(target=self._run, args=(work,), name=f"hosted-arm-{name}", daemon=True)
            for name, work in (("orders", self._obey), ("state", self._look))
        ]  # a read that hangs must not keep a hold from the arm
        for thread in self._threads:
            thread.start()

    @property
    def crashed(self) -> bool:
        """Whether a thread ended by itself; the arm was told to hold, and was closed."""
        return self._crash is not None

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What stands, the arm's own fault and why its thread ended included."""
        return self._latch.standing if self.crashed else self._arm.faults

    def hold(self) -> None:
        """Stop where the arm is."""
        with self._orders.lock:
            self._ordered_ns = 0
            self._arm.hold()

    def skip_orders(self, number: int) -> None:
        """Forget orders up to `number`."""
        self._orders.skip(number)

    def perform(self, request: Mapping[str, Any]) -> None:
        """Clear faults on a person's word; nothing else can be asked of any arm.

        Raises:
            SafetyError: Without a name, for what doesn't stand, or when the cause isn't gone.
            ConfigError: For something else.
            DeviceError: When the arm doesn't answer.
        """
        if request["do"] != "clear":
            raise ConfigError(f"This arm can't {request['do']!r}; it can be cleared and closed.")
        self._arm.clear(request["person"], request["ids"])
        self.publish()

    def publish(self) -> None:
        """Set the state that the session sees."""
        faults = self.faults
        stands = Mode.HOLD if all(fault.kind == "hold" for fault in faults) else Mode.FAULT
        mode = Mode.LOST if self.crashed else stands if faults else Mode.FOLLOW
        self._block.publish(Published(time.monotonic_ns(), mode, faults, self._state))

    def put_figures(self) -> None:
        """Set the figures that the session sees: none."""
        self._block.put_figures({})

    def close(self) -> None:
        """Release the arm as it does; may be called twice."""
        if self.farewell:
            return
        try:
            self._end()
            self.farewell = "The arm is closed."
        except Exception as error:
            self.farewell = f"The arm could NOT be released ({type(error).__name__}: {error}). Look at it."
            _log.exception("The arm could not be released.")

    def leave(self) -> None:
        """Hold, and release the arm for the next process."""
        with self._orders.lock:
            self._arm.hold()
        self._end()

    # -- inside -------------------------------------------------------------------------------------
    def _end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(_JOIN_S)
        self._arm.close()

    def _first_state(self) -> ArmState:
        """Read the arm once; it is closed again when that fails.

        Raises:
            DeviceError: When it fails.
        """
        try:
            return self._arm.read()
        except Exception as error:
            with contextlib.suppress(Exception):
                self._arm.close()
            raise DeviceError(f"The arm gives no joint state: {type(error).__name__}: {error}") from error

    def _run(self, work: Callable[[], None]) -> None:
        try:
            while not self._stop.wait(self._period_s):
                work()
        except BaseException as error:
            _log.exception("The arm's loop ended; the arm is told to hold, and is closed.")
            for leave in (self._arm.hold, self._end):
                with contextlib.suppress(Exception):
                    leave()
            self._latch.trip(f"The arm's loop ended: {error!r}. Connect again.", key="crash")
            self._crash = error

    def _look(self) -> None:
        """Publish the arm's newest state; without a new one the old one ages, and the session refuses it."""
        try:
            self._state = self._arm.read()
        except (RegraspError, OSError) as error:
            _log.debug("The arm gave no state: %s", error)
        self.publish()

    def _obey(self) -> None:
        """Take over what stands in the session; pass on the newest order; hold when there was none for too long."""
        self._told.take(self._trip)
        if self._orders.take(self._pass_on):
            return
        with self._orders.lock:
            if self._ordered_ns and time.monotonic_ns() - self._ordered_ns > self._timeout_ns:
                self._ordered_ns = 0
                self._arm.hold()

    def _trip(self, faults: Sequence[Fault]) -> None:
        for fault in faults:
            self._arm.trip(fault)

    def _pass_on(self, command: Command | None) -> None:
        self._ordered_ns = 0 if command is None else time.monotonic_ns()
        try:
            if command is None:
                self._arm.hold()
            else:
                self._arm.send(command)
        except (SafetyError, DeviceError, OSError) as error:  # the session is told with its next order
            _log.info("An order was dropped: %s", error)
