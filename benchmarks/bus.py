"""How long the state of nine servos takes to read, beside the vendor's library in the same run.

    python benchmarks/bus.py            a table for people
    python benchmarks/bus.py --json     one JSON object on standard output

The servos are virtual, on a pseudo-terminal, in a process of their own; with `wire` their replies take the time that
1 Mbps takes, without it none. Both sides read the same 12 bytes a servo (witness, hardware error, current or load,
velocity, position) through indirect registers and decode them. Rounds alternate; each figure is that of the round with
the smallest median. CPU time is the reading process' own. The floor is what the bytes alone take at 1 Mbps.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from drivers.dynamixel.bus import DynamixelBus
from drivers.dynamixel.cycle import StateCycle
from drivers.dynamixel.messages import sync_read
from drivers.dynamixel.servo_map import BUS_BAUD
from drivers.dynamixel.wire import BITS_PER_BYTE
from sim.virtual.pty import PtyProcess

SERVOS = tuple(range(1, 10))
ADDRESS, LENGTH = 224, 12
_FIELDS = ((1, 1), (2, 2), (4, 4), (8, 4))
LATENCY_S = 0.1
"""Of the deadline only: generous, since a busy machine must not cause time-outs here."""


@dataclass(frozen=True)
class Timing:
    """Milliseconds a cycle: median, 99th percentile, and CPU time; cycles without (complete) answer."""

    median_ms: float
    p99_ms: float
    cpu_ms: float
    failed: int


def measured(read: Callable[[], bool], cycles: int) -> Timing:
    """Time `cycles` calls, after a few to warm up; `read` returns whether it was answered at once."""
    for _ in range(10):
        read()
    durations = []
    failed = 0
    cpu = time.process_time()
    for _ in range(cycles):
        start = time.perf_counter()
        failed += not read()
        durations.append(time.perf_counter() - start)
    cpu = time.process_time() - cpu
    ordered = sorted(durations)
    p99 = ordered[min(int(0.99 * cycles), cycles - 1)]
    return Timing(round(1e3 * statistics.median(ordered), 3), round(1e3 * p99, 3), round(1e3 * cpu / cycles, 3), failed)


def ours(path: str, fast: bool, cycles: int) -> Timing:
    """Our state cycle."""
    bus = DynamixelBus.on(path, BUS_BAUD, LATENCY_S)
    try:
        bus.identify(SERVOS)
        cycle = StateCycle(bus, SERVOS)
        cycle.configure()
        cycle.fast = fast

        def read() -> bool:
            before = bus.statistics.timeouts
            cycle.read()
            return bus.statistics.timeouts == before

        return measured(read, cycles)
    finally:
        bus.close()


def sdk(path: str, fast: bool, cycles: int) -> Timing:
    """`dynamixel_sdk`'s group read of the same bytes."""
    from dynamixel_sdk import GroupSyncRead, PacketHandler, PortHandler

    port = PortHandler(path)
    port.openPort()
    port.setBaudRate(BUS_BAUD)
    group = GroupSyncRead(port, PacketHandler(2.0), ADDRESS, LENGTH)
    for servo in SERVOS:
        group.addParam(servo)
    ask = group.fastSyncRead if fast else group.txRxPacket

    def read() -> bool:
        answered = bool(ask() == 0)
        if answered:
            for servo in SERVOS:
                for at, size in _FIELDS:
                    group.getData(servo, ADDRESS + at, size)
        return answered

    try:
        return measured(read, cycles)
    finally:
        port.closePort()


def floor_ms(fast: bool) -> float:
    """What request and replies take on the wire."""
    replies = 8 + len(SERVOS) * (LENGTH + 4) if fast else len(SERVOS) * (LENGTH + 11)
    sent = len(sync_read(SERVOS, ADDRESS, LENGTH, fast))
    return round((sent + replies) * BITS_PER_BYTE * 1e3 / BUS_BAUD, 3)


def measure(rounds: int, cycles: int) -> dict[str, object]:
    """All figures, by wire timing, then by who reads how."""
    results: dict[str, object] = {
        "servos": len(SERVOS),
        "bytes": LENGTH,
        "floor_ms": {"sync": floor_ms(False), "fast_sync": floor_ms(True)},
    }
    for name, arguments in (("no_wire", ()), ("wire", ("--wire",))):
        timings: dict[str, list[Timing]] = {}
        with PtyProcess(*arguments) as process:
            for _ in range(rounds):
                for fast, kind in ((True, "fast_sync"), (False, "sync")):
                    timings.setdefault(f"ours_{kind}", []).append(ours(process.path, fast, cycles))
                    timings.setdefault(f"sdk_{kind}", []).append(sdk(process.path, fast, cycles))
        results[name] = {who: asdict(min(all_, key=lambda t: t.median_ms)) for who, all_ in timings.items()}
    return results


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--rounds", type=int, default=3, help="rounds that the best is taken of (default 3)")
    parser.add_argument("--cycles", type=int, default=400, help="cycles a round (default 400)")
    options = parser.parse_args()
    results = measure(options.rounds, options.cycles)
    if options.json:
        print(json.dumps(results))
        return
    print(f"{len(SERVOS)} servos, {LENGTH} bytes each; ms a cycle     median     p99     CPU  failed")
    for name, title in (("no_wire", "replies at once"), ("wire", "replies at 1 Mbps")):
        print(title)
        timings = results[name]
        if isinstance(timings, dict):
            for who, timing in timings.items():
                numbers = f"{timing['median_ms']:9.3f} {timing['p99_ms']:7.3f} {timing['cpu_ms']:7.3f}"
                print(f"  {who:36s} {numbers} {timing['failed']:7d}")
    print(f"wire arithmetic                        sync {floor_ms(False):.3f}, fast sync {floor_ms(True):.3f}")


if __name__ == "__main__":
    main()
