"""`RankWatch`: notices a process of a training that has died or hangs, and says which."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch.distributed import Store

LOST_S = 30.0
"""Without a beat for so long a process counts as dead: every one beats from a thread that waits for nobody."""
HANGS_S = 600.0
"""Behind the others, and without a step, for so long it counts as hanging: a stage on one rank says that it goes on."""
_BEAT_S = 1.0
_GRACE_S = 5.0
_STATUS = 2
_AGAIN = (
    "This process ends, too, and writes nothing more. The same command goes on from the last checkpoint, with as many "
    "processes or another number."
)


@dataclass(frozen=True)
class Beat:
    """What a process tells of itself.

    Attributes:
        number: Of the beat.
        work: What it has done together with the others, and steps of its own that it told of.
        host: Its machine's name.
        machine: Of the machine's start, by which processes of one machine know each other.
        process: Its number there.
        state: Whether it is over, and whether well.
        why: What ended it where that was not well.
    """

    number: int
    work: int
    host: str
    machine: str
    process: int
    state: Literal["on", "done", "failed"] = "on"
    why: str = ""

    @property
    def place(self) -> str:
        """Where it runs, for people."""
        return f"process {self.process} on {self.host}"


class RankWatch:
    """Beats, in a thread, and listens to the others' beats.

    A process is lost when it has gone without a word (at once where it ran on this machine), has not beaten for
    `lost_s`, or does not take its part for `hangs_s` while the others wait. This process is then ended: by an error
    where its main thread comes back from what it waits for, else from here.
    """

    def __init__(
        self, store: Store, rank: int, count: int, *, lost_s: float = LOST_S, hangs_s: float = HANGS_S
    ) -> None:
        """Begin to beat and to listen.

        Args:
            store: Reached by all of them.
            rank: Of this process.
            count: Of all.
            lost_s: See `LOST_S`.
            hangs_s: See `HANGS_S`.
        """
        self._store, self._rank, self._count = store, rank, count
        self._lost_s, self._hangs_s = lost_s, hangs_s
        self._me = Beat(0, 0, socket.gethostname(), _machine(), os.getpid())
        self._work, self._number = 0, 0
        self._waits_from: float | None = None
        self._verdict: str | None = None
        self._found, self._over = threading.Event(), threading.Event()
        self._heard: dict[int, tuple[Beat, float, float]] = {}  # rank -> its beat, when it came, when its work grew
        self._beat()
        self._thread = threading.Thread(target=self._run, name="rank-watch", daemon=True)
        self._thread.start()

    def work(self) -> None:
        """Count a step of work."""
        self._work += 1

    def begin(self) -> None:
        """Count a step that needs all ranks, and wait for them from now on."""
        self._work += 1
        self._waits_from = time.monotonic()

    def end(self) -> None:
        """They have come."""
        self._waits_from = None

    def explain(self, error: Exception) -> str:
        """Which rank is lost, once the exchange with the others broke; the broken exchange itself where none is."""
        self._over.set()
        self._thread.join()
        until = time.monotonic() + self._lost_s + 2 * _BEAT_S
        while self._verdict is None and time.monotonic() < until:
            self._look()
            if self._verdict is None:
                time.sleep(0.1)
        return self._verdict or f"The exchange between the {self._count} processes broke: {error} {_AGAIN}"

    def close(self, why: str | None = None) -> None:
        """Tell the others that this process is over, and end the thread.

        Args:
            why: What ended it; None where it has done its work.
        """
        self._over.set()
        self._thread.join()
        with suppress(RuntimeError):  # the store may have gone with the process that had it
            self._beat("done" if why is None else "failed", why or "")

    def _run(self) -> None:
        """Beat and listen until it is over, or a rank is lost and the main thread doesn't come back."""
        while not self._over.wait(_BEAT_S):
            self._look()
            if self._verdict is not None:
                if not self._over.wait(_GRACE_S):
                    print(f"regrasp: {self._verdict}", file=sys.stderr, flush=True)
                    os._exit(_STATUS)
                return

    def _look(self) -> None:
        """Beat, hear the others, and judge them."""
        try:
            self._beat()
            beats = self._store.multi_get([str(rank) for rank in range(self._count)])
        except RuntimeError as error:
            self._verdict = f"What holds the {self._count} processes together can't be reached: {error} {_AGAIN}"
            return
        now = time.monotonic()
        for rank, raw in enumerate(beats):
            if rank != self._rank:
                self._hear(rank, Beat(**json.loads(raw)), now)
        failed = [self._failed(rank) for rank in self._heard]  # these may only have followed who is lost
        found = [self._lost(rank, now) for rank in self._heard]
        self._verdict = next(filter(None, (*found, *failed)), None)

    def _hear(self, rank: int, beat: Beat, now: float) -> None:
        before, came, grew = self._heard.get(rank, (None, now, now))
        if before is not None:
            came = came if beat.number == before.number else now
            grew = grew if beat.work == before.work else now
        self._heard[rank] = beat, came, grew

    def _failed(self, rank: int) -> str | None:
        """What a rank said at its end; None where that was well, or hasn't come."""
        beat = self._heard[rank][0]
        return f"{self._who(rank)} ended: {beat.why} {_AGAIN}" if beat.state == "failed" else None

    def _lost(self, rank: int, now: float) -> str | None:
        """How a rank went without a word; None where it didn't."""
        beat, came, grew = self._heard[rank]
        who = self._who(rank)
        if beat.state != "on":
            return None
        if beat.machine and beat.machine == self._me.machine and not _runs(beat.process):
            return f"{who} has died. {_AGAIN}"
        if now - came > self._lost_s:
            return f"{who} hasn't been heard for {now - came:.0f} s: it is dead, stopped or cut off. {_AGAIN}"
        waits = self._waits_from
        if waits is not None and beat.work < self._work and now - max(grew, waits) > self._hangs_s:
            return f"{who} hangs: the others have waited {now - waits:.0f} s for it. {_AGAIN}"
        return None

    def _who(self, rank: int) -> str:
        return f"Rank {rank} of {self._count} ({self._heard[rank][0].place})"

    def _beat(self, state: Literal["on", "done", "failed"] = "on", why: str = "") -> None:
        self._number += 1
        mine = replace(self._me, number=self._number, work=self._work, state=state, why=why)
        self._store.set(str(self._rank), json.dumps(asdict(mine)))


def _machine() -> str:
    """What processes that see each other's numbers have in common: the machine's start, and the name space."""
    try:
        start = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return start + os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _runs(process: int) -> bool:
    """Whether a process of this machine is there, and not dead already."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] not in ("Z", "X")
