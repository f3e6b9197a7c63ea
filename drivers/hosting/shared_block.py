"""Memory that an arm's process and its session share: joint state, orders, and how the arm is doing.

Every part is a `Mailbox`: whoever reads gets the newest whole message at once, whatever the other side does.
"""

from __future__ import annotations

import json
import logging
import mmap
import os
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from drivers.hosting.checks import Mode
from drivers.shared_memory import Mailbox, create_memory
from robot.control.faults import Fault
from robot.interfaces import ArmState
from trajectories.numbers import NS_PER_S
from trajectories.types import Command, Float64

_log = logging.getLogger(__name__)
_MODES = tuple(Mode)
_HEAD = struct.Struct("<qBB")
"""Beat, number of joints (0: there is no state yet), mode."""
_FAULT_BYTES = 7168
_CAPACITIES = (8192, 256, 16384, _FAULT_BYTES)
"""Of the mailboxes for states, orders, figures and the session's holds and faults, bytes."""
_REASONS = (600, 200, 60, 0)
"""Characters that a reason may have; fewer when many stand."""


@cache
def _state_of(joints: int) -> struct.Struct:
    """Positions, velocities and efforts of so many joints, then the gripper's width and effort, and the time."""
    return struct.Struct(f"<{3 * joints}dddq")


@cache
def _order_of(joints: int) -> struct.Struct:
    """Goals of so many joints, then the gripper's width and the time; a hold is empty."""
    return struct.Struct(f"<{joints}ddq")


class Published(NamedTuple):
    """What the loop says every cycle.

    Attributes:
        beat_ns: When, monotonic ns.
        mode: What the loop does.
        faults: What stands; long reasons are cut.
        state: Newest joint state, None before the first.
    """

    beat_ns: int
    mode: Mode
    faults: tuple[Fault, ...]
    state: ArmState | None


def _packed(faults: Sequence[Fault]) -> bytes:
    """JSON of the faults, with reasons short enough to fit; nothing when there are none."""
    if not faults:
        return b""
    for length in _REASONS:
        packed = json.dumps([replace(fault, reason=fault.reason[:length]).to_dict() for fault in faults]).encode()
        if len(packed) <= _FAULT_BYTES:
            return packed
    return _packed(faults[: len(faults) // 2])


def _unpacked(packed: bytes) -> tuple[Fault, ...]:
    """Inverse of `_packed`."""
    return tuple(Fault.from_dict(raw) for raw in json.loads(packed)) if packed else ()


class SharedBlock:
    """The memory of one life of an arm's process. `create` it in the session, `attach` in the process.

    Attributes:
        fd: Its descriptor, for the process to inherit; None after `close_fd` and in the process.
    """

    def __init__(self, fd: int) -> None:
        memory = mmap.mmap(fd, sum(Mailbox.size(capacity) for capacity in _CAPACITIES))
        offsets = [sum(Mailbox.size(capacity) for capacity in _CAPACITIES[:i]) for i in range(len(_CAPACITIES))]
        boxes = (Mailbox(memory, offset, capacity) for offset, capacity in zip(offsets, _CAPACITIES, strict=True))
        self._states, self._orders, self._figures, self._told = boxes
        self.fd: int | None = fd

    @classmethod
    def create(cls) -> SharedBlock:
        """New and empty."""
        return cls(create_memory("regrasp-arm", sum(Mailbox.size(capacity) for capacity in _CAPACITIES)))

    @classmethod
    def attach(cls, fd: int) -> SharedBlock:
        """Map the block behind an inherited descriptor, which is closed here."""
        block = cls(fd)
        block.close_fd()
        return block

    def close_fd(self) -> None:
        """Close the descriptor; the memory stays mapped."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None

    # -- joint state: the process writes ------------------------------------------------------------
    def publish(self, now: Published) -> None:
        """Set the newest state."""
        state = now.state
        count = 0 if state is None else len(state.joints)
        message = _HEAD.pack(now.beat_ns, count, _MODES.index(now.mode))
        if state is not None:
            numbers = (*state.joints.tolist(), *state.velocities.tolist(), *state.efforts.tolist())
            message += _state_of(count).pack(*numbers, state.gripper_width, state.gripper_effort, state.t_ns)
        self._states.write(message + _packed(now.faults))

    def published(self) -> Published | None:
        """The newest state, None before the first."""
        found = self._states.newest()
        if found is None:
            return None
        message = found[1]
        beat_ns, count, mode = _HEAD.unpack_from(message)
        at = _HEAD.size
        state = None
        if count:
            layout = _state_of(count)
            numbers = layout.unpack_from(message, at)
            rows: Float64 = np.array(numbers[: 3 * count], dtype=np.float64).reshape(3, count)
            state = ArmState(*rows, *numbers[3 * count :])
            at += layout.size
        return Published(beat_ns, _MODES[mode], _unpacked(message[at:]), state)

    def verdict(self) -> tuple[Mode, tuple[Fault, ...]]:
        """Only mode and faults of the newest state."""
        found = self._states.newest()
        if found is None:
            return Mode.LOST, (Fault("none", "The arm isn't taken over yet."),)
        _, count, mode = _HEAD.unpack_from(found[1])
        return _MODES[mode], _unpacked(found[1][_HEAD.size + (_state_of(count).size if count else 0) :])

    # -- holds and faults of the session: the session writes -------------------------------------------
    def tell(self, faults: Sequence[Fault]) -> None:
        """Set what stands in the session."""
        self._told.write(_packed(faults))

    @property
    def tellings(self) -> int:
        """How often `tell` was called."""
        return self._told.number

    def told(self) -> tuple[Fault, ...]:
        """What the session told last."""
        found = self._told.newest()
        return () if found is None else _unpacked(found[1])

    # -- orders: the session writes -----------------------------------------------------------------
    def order(self, command: Command | None) -> int:
        """Order a motion, or a hold with None; returns the order's number."""
        if command is None:
            return self._orders.write(b"")
        joints = np.asarray(command.joints, dtype=np.float64).tolist()
        return self._orders.write(_order_of(len(joints)).pack(*joints, command.gripper_width, command.t_ns))

    @property
    def orders(self) -> int:
        """Number of the newest order, 0 before the first."""
        return self._orders.number

    def newest_order(self) -> tuple[int, Command | None]:
        """Number and content of the newest order; a hold is None. Only when `orders` isn't 0."""
        found = self._orders.newest()
        if found is None:
            return 0, None
        if not found[1]:
            return found[0], None
        *joints, width, t_ns = _order_of(len(found[1]) // 8 - 2).unpack(found[1])
        return found[0], Command(np.array(joints), width, t_ns)

    # -- figures: the process writes ----------------------------------------------------------------
    def put_figures(self, figures: Mapping[str, Any]) -> None:
        """Set how the arm is doing, plain JSON types."""
        self._figures.write(json.dumps(figures).encode())

    def figures(self) -> dict[str, Any] | None:
        """How the arm was doing when that was last set, None before."""
        found = self._figures.newest()
        return None if found is None else json.loads(found[1])


class FaultReader:
    """Takes the session's holds and faults over, in the arm's process."""

    def __init__(self, block: SharedBlock) -> None:
        self._block, self._taken = block, 0

    def take(self, add: Callable[[Sequence[Fault]], None]) -> None:
        """Hand what the session told to `add`, if it told something new."""
        number = self._block.tellings
        if number != self._taken:
            self._taken = number
            add(self._block.told())


class OrderReader:
    """Takes every order of a session once, beginning after those that there are; used from any thread.

    A command that was computed too long ago is dropped: this process was stopped meanwhile, and what the session saw
    then isn't so any more. A hold is never too old.

    Args:
        block: Shared with the session.
        age_s: How old a command may be, s.

    Attributes:
        lock: Held while an order is obeyed.
    """

    def __init__(self, block: SharedBlock, age_s: float) -> None:
        self.lock = threading.Lock()
        self._block, self._taken, self._age_ns = block, block.orders, round(age_s * NS_PER_S)

    def skip(self, number: int) -> None:
        """Forget orders up to `number`: something else was asked for after them."""
        with self.lock:
            self._taken = max(self._taken, number)

    def take(self, obey: Callable[[Command | None], None]) -> bool:
        """Have the newest order obeyed, a command or a hold (None); returns whether there was a new one."""
        if self._block.orders == self._taken:
            return False
        with self.lock:
            number, command = self._block.newest_order()
            if number <= self._taken:
                return False
            self._taken = number
            age_ns = 0 if command is None else abs(time.monotonic_ns() - command.t_ns)
            if age_ns > self._age_ns:
                _log.warning(
                    "A command was dropped: it is %.2f s old, at most %.2f s are allowed. Was this process stopped, or "
                    "is the computer overloaded?",
                    age_ns / NS_PER_S, self._age_ns / NS_PER_S,
                )  # fmt: skip
                return False
            obey(command)
        return True
