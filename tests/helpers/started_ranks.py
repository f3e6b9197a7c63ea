"""Processes that share a training, started as `torchrun` starts them."""

import socket
import subprocess
import sys

from helpers import ENVIRONMENT, HELPERS


def start_ranks(program, *arguments, count=2):
    """Start a program of this folder `count` times; returns the processes, by rank."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count), "OMP_NUM_THREADS": "1"}
    started = []
    for rank in range(count):
        own = {"RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(count)}
        command = [sys.executable, str(HELPERS / f"{program}.py"), *map(str, arguments)]
        started.append(subprocess.Popen(command, env=ENVIRONMENT | common | own, stderr=subprocess.PIPE, text=True))
    return started


def ended(processes, timeout_s=240):
    """Status and words of each process, once all have ended."""
    try:
        said = [process.communicate(timeout=timeout_s)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, words) for process, words in zip(processes, said, strict=True)]
