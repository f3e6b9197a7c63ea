"""`dynamixel_sdk` as an oracle: a port for it that keeps what it writes and reads what the test gives."""

from dynamixel_sdk import Protocol2PacketHandler


class OraclePort:
    """What `dynamixel_sdk` needs of a port, without a device."""

    def __init__(self, incoming: bytes = b"") -> None:
        self.is_using = False
        self.written = b""
        self._incoming = incoming
        self._patience = 50

    def clearPort(self):
        pass

    def writePort(self, packet):
        self.written += bytes(packet)
        return len(packet)

    def readPort(self, length):
        taken, self._incoming = self._incoming[:length], self._incoming[length:]
        self._patience -= not taken
        return taken

    def setPacketTimeout(self, length):
        pass

    def setPacketTimeoutMillis(self, milliseconds):
        pass

    def isPacketTimeout(self):
        return self._patience <= 0

    def getBaudRate(self):
        return 1_000_000


SDK = Protocol2PacketHandler()
