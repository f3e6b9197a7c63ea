"""Memory that an arm's process and its session share: joint state, orders, and how the arm is doing.

Every part is a `Mailbox`: whoever reads gets the newest whole message at once, whatever the other side does.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import threading
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from drivers.hosting.checks import Mode
from drivers.shared_memory import Mailbox, create_memory
from robot.interfaces import ArmState
from trajectories.types import Command, Float64

_MODES = tuple(Mode)
_HEAD = struct.Struct("<qBB")
"""Beat, number of joints (0: there is no state yet), mode."""
_TEXT_BYTES = 3000
_CAPACITIES = (4096, 256, 16384)
"""Of the mailboxes for states, orders and figures, bytes."""


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
        fault: Why the arm takes no commands, or None.
        state: Newest joint state, None before the first.
    """

    beat_ns: int
    mode: Mode
    fault: str | None
    state: ArmState | None


class SharedBlock:
    """The memory of one life of an arm's process. `create` it in the session, `attach` in the process.

    Attributes:
        fd: Its descriptor, for the process to inherit; None after `close_fd` and in the process.
    """

    def __init__(self, fd: int) -> None:
        memory = mmap.mmap(fd, sum(Mailbox.size(capacity) for capacity in _CAPACITIES))
        offsets = [sum(Mailbox.size(capacity) for capacity in _CAPACITIES[:i]) for i in range(len(_CAPACITIES))]
        boxes = (Mailbox(memory, offset, capacity) for offset, capacity in zip(offsets, _CAPACITIES, strict=True))
        self._states, self._orders, self._figures = boxes
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
        state, text = now.state, (now.fault or "").encode()[:_TEXT_BYTES]
        count = 0 if state is None else len(state.joints)
        message = _HEAD.pack(now.beat_ns, count, _MODES.index(now.mode))
        if state is not None:
            numbers = (*state.joints.tolist(), *state.velocities.tolist(), *state.efforts.tolist())
            message += _state_of(count).pack(*numbers, state.gripper_width, state.gripper_effort, state.t_ns)
        self._states.write(message + text)

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
        text = message[at:].decode(errors="ignore")  # cut in the middle of a character
        return Published(beat_ns, _MODES[mode], text or None, state)

    def verdict(self) -> tuple[Mode, str | None]:
        """Only mode and fault of the newest state."""
        found = self._states.newest()
        if found is None:
            return Mode.LOST, "The arm isn't taken over yet."
        _, count, mode = _HEAD.unpack_from(found[1])
        text = found[1][_HEAD.size + (_state_of(count).size if count else 0) :]
        return _MODES[mode], text.decode(errors="ignore") or None

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


class OrderReader:
    """Takes every order of a session once; used from any thread.

    Attributes:
        lock: Held while an order is obeyed.
    """

    def __init__(self, block: SharedBlock) -> None:
        """Begin after the orders that there are."""
        self.lock = threading.Lock()
        self._block, self._taken = block, block.orders

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
            obey(command)
        return True
