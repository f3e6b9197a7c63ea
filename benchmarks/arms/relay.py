"""`Relay`: a TCP connection on the way, which can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, Literal

Cut = Literal["refused", "silent"]
"""How a network fails: connections end and new ones are refused, or nothing passes and nobody is told."""
_READ = 1 << 16


class Relay:
    """Passes every connection to its own port on to `target`, until `close`. Use it from one thread.

    Attributes:
        port: Of the loopback interface, where it listens; the same before and after a cut.
        connections: How many were made.
    """

    def __init__(self, target: int) -> None:
        """Listen.

        Args:
            target: Port of the loopback interface to which everything goes; nobody need listen there yet.
        """
        self._target, self.connections = target, 0
        self._loop = asyncio.new_event_loop()
        self._pipes: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._thread.start()
        self.port = 0
        self._do(self._listen())

    def cut(self, how: Cut) -> None:
        """Let nothing pass from now on."""
        self._do(self._refuse() if how == "refused" else self._fall_silent())

    def mend(self) -> None:
        """Let everything pass again; what was held back on the way by a silent cut comes late."""
        self._do(self._listen())

    def close(self) -> None:
        """End all connections and listen no more."""
        self._do(self._refuse())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self) -> None:
        self._open.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
            self.port = int(self._server.sockets[0].getsockname()[1])

    async def _fall_silent(self) -> None:
        self._open.clear()

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for pipe in self._pipes:
            pipe.transport.abort()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until one of its two ends closes it."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        pipes = {writer}
        self._pipes.add(writer)
        try:
            there, to = await asyncio.open_connection("127.0.0.1", self._target)
            pipes.add(to)
            self._pipes.add(to)
            both = [asyncio.ensure_future(self._pump(reader, to)), asyncio.ensure_future(self._pump(there, writer))]
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for one in both:
                    one.cancel()
                await asyncio.gather(*both, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass  # nobody listens there, or this connection was cut
        finally:
            for pipe in pipes:
                pipe.transport.abort()
            self._pipes -= pipes
            self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_READ):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
