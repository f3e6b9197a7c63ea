"""Disk, processor, priority and clock of this computer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig

from commands.doctor.report import Finding, fail, ok, warn
from factory.threads import learner_threads

_GIB = 2**30
_LEAST_FREE = 2 * _GIB
_MUCH_FREE = 20 * _GIB
_WRITTEN = 32 * 2**20
_SLOW_MIB_S = 20.0
_CORES = 4
_FREQUENCIES = Path("/sys/devices/system/cpu")
_CLOCK = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
_EXACT = ("tsc", "arch_sys_counter", "kvm-clock")
_NAPS = 200
_NAP_S = 0.001
_LATE_MS = 2.0
_PRIORITY = "from robot.control.priority import raise_priority; print(raise_priority())"


def check_disk(run_dir: Path) -> Iterator[Finding]:
    """Room and speed where the run is written; the file for it is removed again."""
    folder = run_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    try:
        speed = _write_speed(folder)
    except OSError as error:
        yield fail("disk", f"{folder} can't be written: {error.strerror}", "Choose another folder: run_dir=...")
        return
    found = f"{folder}: {free / _GIB:.0f} GiB free, {speed:.0f} MiB/s written"
    if free < _LEAST_FREE:
        yield fail("disk", found, "Free at least 2 GiB, or choose another folder: run_dir=...")
    elif free < _MUCH_FREE:
        yield warn("disk", found, "A long run writes several GB: free 20 GiB, or choose another folder: run_dir=...")
    elif speed < _SLOW_MIB_S:
        yield warn("disk", found, "Episodes wait to be stored: choose a local disk for run_dir.")
    else:
        yield ok("disk", found)


def _write_speed(folder: Path) -> float:
    """MiB/s, down to the medium."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".regrasp-doctor-") as file:
        data = os.urandom(2**20)
        start = time.monotonic()
        for _ in range(_WRITTEN // len(data)):
            file.write(data)
        file.flush()
        os.fsync(file.fileno())
        return _WRITTEN / 2**20 / max(time.monotonic() - start, 1e-9)


def check_processor(frequencies: Path = _FREQUENCIES) -> Iterator[Finding]:
    """Cores that this process may use, how busy they are, and whether they sleep between control cycles."""
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    governors = sorted(
        {path.read_text(encoding="utf-8").strip() for path in frequencies.glob("cpu*/cpufreq/scaling_governor")}
    )
    found = f"{cores} cores, load {load:.1f}, governor {', '.join(governors) or 'not told'}"
    if cores < _CORES:
        yield warn(
            "processor", found, f"Arm, cameras, policy and learner want {_CORES} cores: let the learner run elsewhere."
        )
    elif load > cores:
        yield warn(
            "processor", found, "Other programs keep all cores busy: end them, or the arm misses control cycles."
        )
    elif governors and governors != ["performance"]:
        yield warn(
            "processor",
            found,
            "Late wake-ups are likelier: `sudo cpupower frequency-set -g performance` until restart.",
        )
    else:
        yield ok("processor", found)


def check_threads(config: DictConfig) -> Iterator[Finding]:
    """How many threads the learner would compute with on this computer, and whether idle ones leave it to others."""
    found = f"learner: {learner_threads(config).why}"
    waiting = os.environ.get("OMP_WAIT_POLICY", "").upper()
    if waiting == "PASSIVE" and os.environ.get("GOMP_SPINCOUNT", "0") == "0":
        yield ok("threads", f"{found} Idle ones sleep.")
    else:
        yield warn(
            "threads",
            f"{found} Idle ones spin for a while",
            "On a busy core they keep each other from working: unset OMP_WAIT_POLICY and GOMP_SPINCOUNT.",
        )


def check_priority() -> Iterator[Finding]:
    """Whether the arm's control loop may go before others; asked in a process that ends at once."""
    done = subprocess.run([sys.executable, "-c", _PRIORITY], capture_output=True, check=False, encoding="utf-8")
    got = done.stdout.strip() or "unknown"
    if got.startswith("SCHED"):
        yield ok("priority", f"the arm's loop gets {got}")
    else:
        yield warn(
            "priority",
            f"the arm's loop gets {got}",
            f"Allow it: `echo '{os.environ.get('USER', 'YOU')} - rtprio 10' | sudo tee -a /etc/security/limits.conf`, "
            "then log in again.",
        )


def check_clock(source: Path = _CLOCK) -> Iterator[Finding]:
    """Where time comes from and how late this process is woken."""
    name = source.read_text(encoding="utf-8").strip() if source.is_file() else "not told"
    late = sorted(_lateness_ms() for _ in range(_NAPS))
    half, worst = late[_NAPS // 2], late[_NAPS * 99 // 100]
    found = f"source {name}, woken {half:.2f} ms late (p99 {worst:.2f} ms)"
    if source.is_file() and name not in _EXACT:
        yield warn(
            "clock", found, f"Reading {name} is slow; see `dmesg | grep -i tsc` for why the processor's isn't used."
        )
    elif worst > _LATE_MS:
        yield warn("clock", found, "The computer is busy or saves power: the 100 Hz loop of the arm would miss cycles.")
    else:
        yield ok("clock", found)


def _lateness_ms() -> float:
    start = time.monotonic()
    time.sleep(_NAP_S)
    return 1e3 * (time.monotonic() - start - _NAP_S)
