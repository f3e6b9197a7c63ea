"""`regrasp finetune`: a learner and an actor process on this machine, watched over until the run is complete."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from tqdm import tqdm

from commands.actor import STATUS_FILE, describe
from commands.attendance import standing_of
from commands.learner import SAID
from drivers.parent_link import die_with_parent
from factory.policy import require_online
from factory.run_folders import finetune_folder, tuning_name
from robot.control.faults import Fault, reason_of
from robot.rollout.actor_status import ActorStatus
from robot.signals import on_signals
from trajectories.errors import RegraspError

_POLL_S = 0.5
_STARTS = 5
"""How often a process that died is started in all."""


def free_port() -> int:
    """A TCP port on the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Worker:
    """A child process of the run that is started again when it dies.

    Args:
        verb: What it runs.
        overrides: Of its settings.
        log: Gets what it prints.
        standing: What stands: with a hold or fault nothing is started again by itself.
    """

    def __init__(
        self, verb: str, overrides: list[str], log: Path, standing: Callable[[], Sequence[Fault]] = tuple
    ) -> None:
        self.verb = verb
        self._standing = standing
        self._told = log.stat().st_size if log.exists() else 0
        self._command = [sys.executable, "-m", "commands", verb, *overrides, "progress=false"]
        self._log = log
        self._starts = 0
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        self._starts += 1
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command,
                stdout=log,
                stderr=log,
                env=environment,
                preexec_fn=partial(die_with_parent, os.getpid(), signal.SIGTERM),  # no arm moves unwatched
            )

    def finished(self) -> bool:
        """Whether it ended well; one that died is started again, a few times.

        Raises:
            RegraspError: When it refused to run, died too often, or died while something stood.
        """
        code = self.process.poll()
        if code is None:
            return False
        if code == 0:
            return True
        standing = self._standing() if code < 0 else ()
        if standing:
            raise RegraspError(
                f"The {self.verb} was killed (signal {-code}) while this stood: {reason_of(standing)} It is not "
                "started again by itself. Look at the arm, then run the same command again: it asks you to clear this "
                "before anything moves."
            )
        if code < 0 and self._starts < _STARTS:
            tqdm.write(f"the {self.verb} was killed (signal {-code}); starting it again, nothing is lost")
            self.process = self._start()
            return False
        tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-5:])
        raise RegraspError(f"The {self.verb} ended with code {code}. Its last lines, from {self._log}:\n{tail}")

    def lines(self) -> list[str]:
        """Whole lines that it wrote since the last call, without empty ones."""
        with self._log.open("rb") as log:
            log.seek(self._told)
            news, newline, _ = log.read().rpartition(b"\n")
        self._told += len(news) + len(newline)
        return [line for line in news.decode(errors="replace").splitlines() if line.strip()]

    def stop(self, wait_s: float = 60.0) -> None:
        """Ask it to save and end; kill it when it does not."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(wait_s)
            except subprocess.TimeoutExpired:
                self.process.kill()


def _interrupt() -> None:
    raise KeyboardInterrupt


def run(config: DictConfig) -> None:
    """Run both processes with the same settings and show their progress."""
    overrides = [o for o in HydraConfig.get().overrides.task if not o.startswith(("link.address", "progress"))]
    finetune(config, overrides)


def finetune(config: DictConfig, overrides: list[str]) -> None:
    """The same for callers that know the overrides.

    Args:
        config: Settings.
        overrides: What makes the child processes compose the same settings.
    """
    require_online(config)
    folder = finetune_folder(config)
    folder.mkdir(parents=True, exist_ok=True)
    settings = [*overrides, f"link.address=127.0.0.1:{free_port()}"]
    status_path = folder / STATUS_FILE
    workers: list[Worker] = []
    with on_signals(_interrupt, signal.SIGTERM, signal.SIGHUP):  # a closed terminal, too, ends the run as Ctrl-C does
        try:
            learner = Worker("learner", [o for o in settings if not o.startswith("device")], folder / "learner.log")
            workers.insert(0, learner)
            actor = Worker("actor", settings, folder / "actor.log", partial(standing_of, config, folder))
            workers.insert(0, actor)
            _watch(learner, actor, config, status_path)
        finally:
            for worker in workers:
                worker.stop()


def _watch(learner: Worker, actor: Worker, config: DictConfig, status_path: Path) -> None:
    """Show the progress and start again what dies, until both have ended."""
    title = f"fine-tuning ({tuning_name(config)})"
    total = int(config.finetune.steps)
    with tqdm(total=total, desc=title, unit="step", dynamic_ncols=True) as bar:
        done = [False, False]
        while not all(done):
            time.sleep(_POLL_S)
            for line in (*actor.lines(), *(line for line in learner.lines() if line.startswith(SAID))):
                tqdm.write(line)
            done = [learner.finished(), actor.finished()]
            if status_path.exists():
                status = ActorStatus.read(status_path)
                bar.set_postfix_str(describe(status), refresh=False)
                bar.update(min(status.steps, total) - bar.n)
