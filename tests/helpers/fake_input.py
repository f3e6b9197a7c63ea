"""Stand-ins for input devices: struct writers, a spacenavd, a device that does as it is told."""

import os
import socket
import threading
import time

from drivers.teleop.input_codes import ABSOLUTE, BUTTONS, EV_ABS, EV_KEY, EV_SYN, KEYS, SYN_DROPPED, SYN_REPORT
from drivers.teleop.input_events import INPUT_EVENT, PipeNode
from drivers.teleop.motion import Motion
from drivers.teleop.spacenavd import EVENT, REQUEST_PROTOCOL_1
from drivers.teleop.status import DeviceStatus, State

ADDED, REMOVED = 0, 1


def wait_for(condition, timeout_s=5.0):
    """Let the reader thread catch up."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "the reader thread never got there"
        time.sleep(0.002)


class ManualTime:
    """Monotonic ns that a test sets."""

    def __init__(self):
        self.ns = 1_000_000_000

    def __call__(self):
        return self.ns

    def advance(self, seconds):
        self.ns += round(seconds * 1e9)


class EventPipe:
    """Writes what the kernel would; `node` is what a driver opens, anew after every unplug."""

    def __init__(self):
        self.write_end = -1
        self.opened = 0

    def node(self):
        read_end, self.write_end = os.pipe()
        self.opened += 1
        return PipeNode(read_end)

    def send(self, *changes, end=SYN_REPORT):
        data = b""
        for name, value in changes:
            kind = EV_ABS if name in ABSOLUTE else EV_KEY
            data += INPUT_EVENT.pack(1, 2, kind, (ABSOLUTE | BUTTONS | KEYS)[name], value)
        self.raw(data + INPUT_EVENT.pack(1, 2, EV_SYN, end, 0))

    def drop(self, *changes):
        """A buffer that ran over in the midst of `changes`."""
        self.raw(INPUT_EVENT.pack(1, 2, EV_SYN, SYN_DROPPED, 0))
        self.send(*changes)

    def raw(self, data):
        os.write(self.write_end, data)

    def unplug(self):
        os.close(self.write_end)


class FakeSpacenavd:
    """Listens as the daemon does; understands protocol 1 unless it is an old one."""

    def __init__(self, path, old=False):
        self.path, self.old = str(path), old
        self.received, self.client = b"", None
        self.start()

    def start(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(self.path)
        self._server.listen()
        threading.Thread(target=self._serve, args=(self._server,), daemon=True).start()

    def _serve(self, server):
        try:
            client, _ = server.accept()
            self.received = b""
            while len(self.received) < 4:
                self.received += client.recv(4)
            if not self.old:
                assert int.from_bytes(self.received, "little") == REQUEST_PROTOCOL_1
                client.sendall(self.received)
            self.client = client
            while chunk := client.recv(4):
                self.received += chunk
        except OSError:
            pass

    def send(self, *words):
        wait_for(lambda: self.client is not None)
        self.client.sendall(EVENT.pack(*words, *[0] * (8 - len(words))))

    def motion(self, x=0, y=0, z=0, rx=0, ry=0, rz=0):
        self.send(0, x, y, z, rx, ry, rz, 16)

    def button(self, number, pressed):
        self.send(1 if pressed else 2, number)

    def device(self, operation):
        self.send(3, operation, 1)

    def stop(self):
        self._server.close()
        if self.client is not None:
            self.client.shutdown(socket.SHUT_RDWR)
            self.client.close()
        self.client = None
        os.unlink(self.path)


class ScriptedDevice:
    """A `TeleopDevice` that gives one (motion, keys) a call, and rests afterwards."""

    def __init__(self, *script):
        self.script = list(script)
        self._keys = []

    def start(self, on_key=None):
        pass

    def latest(self):
        motion, self._keys = self.script.pop(0) if self.script else (Motion(), [])
        return motion

    def pressed(self):
        keys, self._keys = self._keys, []
        return list(keys)

    @property
    def status(self):
        return DeviceStatus("scripted", "test", State.CONNECTED, 0, None, 0, None)

    def close(self):
        pass
