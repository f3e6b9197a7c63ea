"""Simulate a line of servos: hear instructions, and answer when real servos would."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from drivers.dynamixel.messages import Status, encode_fast, encode_status
from drivers.dynamixel.packet import BROADCAST, Instruction, Packet, Parser
from drivers.dynamixel.registers import RETURN_DELAY_UNIT_S
from drivers.dynamixel.servo_map import WX250S, ServoMap
from sim.virtual.bus_faults import BusFaults
from sim.virtual.motors import Drive, FirstOrderMotors, Motors
from sim.virtual.servo import Habits, VirtualServo
from trajectories.numbers import NS_PER_S

_BITS_PER_BYTE = 10
_FAST_FIRMWARE = 45
_FAST_READS = (Instruction.FAST_SYNC_READ, Instruction.FAST_BULK_READ)
_BULK_READS = (Instruction.BULK_READ, Instruction.FAST_BULK_READ)
_GROUP_READS = (Instruction.SYNC_READ, *_BULK_READS, *_FAST_READS)
_FINEST_STEP_NS = 1_000_000
"""Instructions in quick succession don't each move the world on."""
NOMINAL_SUPPLY_V = 12.0


class VirtualBus:
    """Servos on a line.

    Plain sync reads go on behind a silent servo; a fast one ends there (the servos' own behaviour is unconfirmed).

    Args:
        servos: What is on the line.
        motors: What they turn; by default `FirstOrderMotors`.
        now_ns: Monotonic ns at the start.
        wire_baud: Replies take their time at this rate; None: none.
        faults: What goes wrong.

    Attributes:
        servos: Id -> servo (ids as they were at the start).
        supply_v: Supply voltage of all of them.
        sags_v: Servo -> its own supply voltage, where a cable is bad.
        faults: What goes wrong; may be changed at any time.
        heard: Valid instruction packets received.
    """

    def __init__(
        self,
        servos: Sequence[VirtualServo],
        motors: Motors | None = None,
        *,
        now_ns: int = 0,
        wire_baud: int | None = None,
        faults: BusFaults | None = None,
    ) -> None:
        self.servos = {servo.servo: servo for servo in servos}
        self.supply_v = NOMINAL_SUPPLY_V
        self.sags_v: dict[int, float] = {}
        self.faults = faults or BusFaults()
        self.heard = 0
        self.motors: Motors = motors if motors is not None else FirstOrderMotors(now_ns=now_ns)
        self._byte_ns = 0.0 if wire_baud is None else _BITS_PER_BYTE * NS_PER_S / wire_baud
        self._parser = Parser()
        self._due: deque[tuple[int, bytes]] = deque()
        self._now_ns = self._free_ns = self._arrival_ns = now_ns
        resting = {servo: Drive(one.joint, False, 0.0) for servo, one in self.servos.items()}
        for servo, motion in self.motors.advance(now_ns, resting).items():
            self.servos[servo].place(motion, now_ns)

    # -- time ---------------------------------------------------------------------------------------
    def advance(self, now_ns: int) -> None:
        """Let the servos and what they turn move on to `now_ns`."""
        if now_ns <= self._now_ns:
            return
        seconds = (now_ns - self._now_ns) / NS_PER_S
        self._now_ns = now_ns
        supplies = {servo: self.sags_v.get(servo, self.supply_v) for servo in self.servos}
        drives = {servo: one.plan(now_ns, supplies[servo]) for servo, one in self.servos.items()}
        for servo, motion in self.motors.advance(now_ns, drives).items():
            self.servos[servo].feel(now_ns, motion, supplies[servo], seconds)

    # -- the line -----------------------------------------------------------------------------------
    def receive(self, data: bytes, now_ns: int) -> None:
        """Hear bytes that the computer sent."""
        for packet in self._parser.feed(data):
            if packet.instruction == Instruction.STATUS or self.faults.happens(self.faults.deaf):
                continue
            self.heard += 1
            if now_ns - self._now_ns >= _FINEST_STEP_NS:
                self.advance(now_ns)
            for one in self.servos.values():
                one.heard(now_ns)
            self._free_ns = max(self._free_ns, now_ns + round((len(packet.params) + 10) * self._byte_ns))
            self._handle(packet, now_ns)

    def next_due_ns(self) -> int | None:
        """When the next reply leaves, or None."""
        return self._due[0][0] if self._due else None

    def send(self, now_ns: int) -> bytes:
        """Bytes that have left by `now_ns`."""
        ready = b""
        while self._due and self._due[0][0] <= now_ns:
            ready += self._due.popleft()[1]
        return ready

    # -- instructions -------------------------------------------------------------------------------
    def _handle(self, packet: Packet, now_ns: int) -> None:
        servo, instruction, params = packet
        if instruction in _GROUP_READS:
            if servo == BROADCAST:
                self._group_read(instruction, params, now_ns)
        elif instruction in (Instruction.SYNC_WRITE, Instruction.BULK_WRITE):
            if servo == BROADCAST:
                self._group_write(instruction, params, now_ns)
        elif servo == BROADCAST:
            for one in self._listening(now_ns):
                if instruction == Instruction.FACTORY_RESET and params == b"\xff":
                    continue
                reply = one.handle(instruction, params)
                if instruction == Instruction.PING and reply:
                    self._answer(one, encode_status(one.servo, *reply))
        else:
            for one in self._listening(now_ns):
                if one.servo == servo:
                    reply = one.handle(instruction, params)
                    if reply:
                        self._answer(one, encode_status(servo, *reply))
                elif one.secondary == servo:
                    one.shadow(instruction, params)

    def _listening(self, now_ns: int) -> list[VirtualServo]:
        return [one for one in self.servos.values() if one.listens(now_ns) and one.servo not in self.faults.dead]

    def _group_read(self, instruction: int, params: bytes, now_ns: int) -> None:
        listening = {one.servo: one for one in self._listening(now_ns)}
        if instruction in _BULK_READS:
            rows = [params[at : at + 5] for at in range(0, len(params) - 4, 5)]
            asked = [(row[0], _word(row, 1), _word(row, 3)) for row in rows]
        else:
            asked = [(servo, _word(params, 0), _word(params, 2)) for servo in params[4:]]
        joint: list[Status] = []
        for servo, address, length in asked:
            one = listening.get(servo)
            fast = instruction in _FAST_READS
            if one is None or (fast and one.memory.get("firmware_version") < one.memory.table.fast_firmware):
                if fast:
                    break
                continue
            reply = one.read(address, length)
            if fast:
                joint.append(Status(servo, reply.error, reply.data.ljust(length, b"\x00")))
            elif one.memory.get("status_return_level") >= 1:
                self._answer(one, encode_status(servo, *reply))
        if joint:
            self._answer_jointly(joint, asked)

    def _group_write(self, instruction: int, params: bytes, now_ns: int) -> None:
        rows: list[tuple[int, bytes]] = []
        if instruction == Instruction.SYNC_WRITE and len(params) > 4:
            size = _word(params, 2)
            for at in range(4, len(params) - size, size + 1):
                rows.append((params[at], params[:2] + params[at + 1 : at + 1 + size]))
        elif instruction == Instruction.BULK_WRITE:
            at = 0
            while at + 5 <= len(params):
                size = _word(params, at + 3)
                rows.append((params[at], params[at + 1 : at + 3] + params[at + 5 : at + 5 + size]))
                at += 5 + size
        for one in self._listening(now_ns):
            for servo, body in rows:
                if servo == one.servo:
                    one.handle(Instruction.WRITE, body)
                elif servo == one.secondary:
                    one.shadow(Instruction.WRITE, body)

    # -- replies ------------------------------------------------------------------------------------
    def _answer(self, one: VirtualServo, packet: bytes) -> None:
        delay = round(one.memory.get("return_delay_time") * RETURN_DELAY_UNIT_S * NS_PER_S) if self._byte_ns else 0
        self._put(packet, delay)

    def _answer_jointly(self, replies: list[Status], asked: list[tuple[int, int, int]]) -> None:
        """Send the joint reply; where a servo stays silent it breaks off."""
        whole = [*replies, *(Status(servo, 0, bytes(length)) for servo, _, length in asked[len(replies) :])]
        self._put(b"".join(encode_fast(whole)[: len(replies)]), 0)

    def _put(self, packet: bytes, delay_ns: int) -> None:
        pieces, late_ns = self.faults.spoil(packet)
        for piece in pieces:
            self._free_ns += delay_ns + round(len(piece) * self._byte_ns)
            self._arrival_ns = max(self._arrival_ns, self._free_ns + late_ns)
            self._due.append((self._arrival_ns, piece))
            delay_ns = 0


def _word(data: bytes, at: int) -> int:
    return data[at] | data[at + 1] << 8 if at + 1 < len(data) else 0


def arm_servos(
    servo_map: ServoMap = WX250S,
    firmware: int = _FAST_FIRMWARE + 1,
    boot_s: float = 0.2,
    habits: Habits | None = None,
) -> list[VirtualServo]:
    """The arm's servos, set up as Interbotix ships them (velocity limit 131, return delay 0, 1 Mbps)."""
    servos = []
    for place in servo_map.places:
        mount = -1 if place.drive_mode & 1 else 1
        one = VirtualServo(place.servo, place.table, place.joint, mount, firmware, boot_s, habits)
        one.memory.set("drive_mode", place.drive_mode)
        one.memory.set("secondary_id", place.secondary_id)
        one.memory.set("baud_rate", 3)
        one.memory.set("return_delay_time", 0)
        one.memory.set("velocity_limit", 131)
        one.memory.set("min_position_limit", place.min_position)
        one.memory.set("max_position_limit", place.max_position)
        servos.append(one)
    return servos
