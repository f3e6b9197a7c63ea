"""A server that speaks S3, in a process of its own on loopback, which checks signatures and keeps objects as files."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

KEY, SECRET, BUCKET = "a-key-of-tests", "a-secret-of-tests", "lab"


@dataclass(frozen=True)
class S3Server:
    """A server that runs.

    Attributes:
        url: Its address.
        root: Folder with a folder for each bucket, in which an object is the file with its key for a path.
    """

    url: str
    root: Path

    def variables(self) -> dict[str, str]:
        """What a client's environment says."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }


@contextlib.contextmanager
def s3_server(root: Path) -> Iterator[S3Server]:
    """A server of the buckets in the folder `root`, where an empty one is made; ended on leaving."""
    (root / BUCKET).mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "nanio.cli", "serve", "--data-dir", str(root), "--host", "127.0.0.1"]
    environment = {**os.environ, "NANIO_ACCESS_KEY": KEY, "NANIO_SECRET_KEY": SECRET}
    process = subprocess.Popen(
        [*command, "--port", str(port), "--no-access-log", "--log-level", "error"], env=environment
    )
    try:
        _wait_for(port, process)
        yield S3Server(f"http://127.0.0.1:{port}", root)
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"the S3 server at port {port} did not start")
