"""Servos whose every reading is the number of the request that it answers: a late answer shows its age."""

from collections import deque

from drivers.dynamixel.messages import Status, encode_fast, encode_status
from drivers.dynamixel.packet import BROADCAST, Instruction, Parser
from drivers.errors import PortLostError

MODEL = 1020
WITNESS = 2


class NumberedServos:
    """A port with servos that know reads only. What happens to each reply packet comes from a script.

    The script's entries are: "good", "drop", "late", "later", "short", "long", "foreign", "double", "garbage",
    "damage", "cut", "refuse". After its end everything is good. Replies keep their order, as on a wire.

    Attributes:
        number: Read requests heard so far.
    """

    name = "numbered"

    def __init__(self, script=(), servos=range(1, 10), late_ns=12_000_000) -> None:
        self.script = deque(script)
        self.servos = set(servos)
        self.number = 0
        self.knows_fast = True
        self.now = 1_000_000_000
        self.requests = []
        self._late_ns = late_ns
        self._parser = Parser()
        self._line = deque()
        self._last_due = 0
        self.lost = False

    def clock(self) -> int:
        return self.now

    # -- the port ---------------------------------------------------------------------------------------
    def write(self, data: bytes) -> None:
        if self.lost:
            raise PortLostError("gone")
        self.now += 1000
        for packet in self._parser.feed(data):
            self.requests.append(packet)
            self._hear(packet)

    def read(self, deadline_ns: int) -> bytes:
        if self._line and self._line[0][0] <= deadline_ns:
            due, data = self._line.popleft()
            self.now = max(self.now, due)
            return data
        self.now = max(self.now, deadline_ns)
        return b""

    def drain(self) -> int:
        count = 0
        while self._line and self._line[0][0] <= self.now:
            count += len(self._line.popleft()[1])
        return count

    def close(self) -> None:
        pass

    # -- the servos -------------------------------------------------------------------------------------
    def _hear(self, packet) -> None:
        if packet.instruction == Instruction.READ and packet.servo in self.servos:
            self.number += 1
            address, length = packet.params[0], packet.params[2]
            self._send(packet.servo, encode_status, self._data(address, length))
        elif packet.instruction == Instruction.PING:
            for servo in sorted(self.servos & {packet.servo}) or sorted(self.servos) * (packet.servo == BROADCAST):
                self._send(servo, encode_status, MODEL.to_bytes(2, "little") + b"\x2d")
        elif packet.servo == BROADCAST and packet.instruction in (Instruction.BULK_READ, Instruction.FAST_BULK_READ):
            self.number += 1
            rows = [packet.params[at : at + 5] for at in range(0, len(packet.params), 5)]
            data = {row[0]: self._data(row[1], row[3]) for row in rows}
            if packet.instruction == Instruction.BULK_READ:
                for servo, one in data.items():
                    if servo in self.servos:
                        self._send(servo, encode_status, one)
            elif self.knows_fast and set(data) <= self.servos:
                self._send(tuple(data), encode_jointly, list(data.values()))
        elif packet.servo == BROADCAST:
            self.number += 1
            address, length, asked = packet.params[0], packet.params[2], packet.params[4:]
            if packet.instruction == Instruction.SYNC_READ:
                for servo in asked:
                    if servo in self.servos:
                        self._send(servo, encode_status, self._data(address, length))
            elif packet.instruction == Instruction.FAST_SYNC_READ and self.knows_fast and set(asked) <= self.servos:
                self._send(asked, encode_jointly, [self._data(address, length)] * len(asked))

    def _data(self, address: int, length: int) -> bytes:
        if address == 0:
            return (MODEL.to_bytes(2, "little") + bytes(64))[:length]
        if address >= 224:
            head = bytes((WITNESS, 0, 0, 0)) + bytes(4) + self.number.to_bytes(4, "little")
            return (head + bytes(64))[:length]
        return self.number.to_bytes(length, "little")

    def _send(self, servo, encode, data) -> None:
        fate = self.script.popleft() if self.script else "good"
        packet = encode(servo, 0, data)
        delay, pieces = 50_000, [packet]
        if fate == "drop":
            return
        if fate in ("late", "later"):
            delay = self._late_ns * (1 if fate == "late" else 3)
        elif fate == "short":
            pieces = [encode(servo, 0, resized(data, lambda one: one[:1]))]
        elif fate == "long":
            pieces = [encode(servo, 0, resized(data, lambda one: one + bytes(40)))]
        elif fate == "foreign":
            pieces = [encode_status(100, 0, data if isinstance(data, bytes) else data[0]), packet]
        elif fate == "double":
            pieces = [packet, packet]
        elif fate == "garbage":
            pieces = [b"\xff\xff\xfd\x00\x01\x09\x00\x55\xff\xff", packet]
        elif fate == "damage":
            pieces = [packet[:9] + bytes((packet[9] ^ 4,)) + packet[10:]]
        elif fate == "cut":
            pieces = [packet[: len(packet) // 2]]
        elif fate == "refuse" and encode is encode_status:
            pieces = [encode_status(servo, 1)]
        self._last_due = max(self._last_due, self.now) + delay
        self._line.extend((self._last_due, piece) for piece in pieces)


def encode_jointly(servos, error: int, data: list[bytes]) -> bytes:
    return b"".join(encode_fast([Status(servo, error, one) for servo, one in zip(servos, data, strict=True)]))


def resized(data, change):
    return change(data) if isinstance(data, bytes) else [change(one) for one in data]
