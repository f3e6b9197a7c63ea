"""Waiting for conditions, and looking after what processes leave behind."""

import os
import time
from pathlib import Path


def wait_until(condition, timeout_s=20.0):
    """Return the condition's first true value; generous, since these tests share a busy machine."""
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.01)
    return value


def runs(pid):
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def rings_of(pid):
    """Rings that a process holds: descriptors and mappings."""
    found = [line for line in Path(f"/proc/{pid}/maps").read_text().splitlines() if "regrasp-frames" in line]
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(link)
        except OSError:
            continue
        if "regrasp-frames" in target:
            found.append(target)
    return found
