"""`regrasp finetune`: a learner and an actor process on this machine, watched over until the run is complete."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from tqdm import tqdm

from commands.actor import STATUS_FILE, describe
from commands.attendance import standing_of
from commands.learner import SAID, require_same_settings
from commands.overrides import search_path_options, typed_keys
from drivers.parent_link import die_with_parent
from factory.judge_settings import require_trained_like
from factory.policy import require_online
from factory.reward import require_readable_task
from factory.run_folders import OUTBOX, actor_folder, finetune_folder, tuning_name
from factory.task import require_scene
from policies.learner.run_folder import EPISODES
from robot.control.faults import Fault, reason_of
from robot.rollout.actor_status import ActorStatus
from robot.signals import on_signals
from trajectories.errors import RegraspError
from trajectories.layout import require_unwritten
from trajectories.writer_lock import only_writer, require_no_writer

_POLL_S = 0.5
_STARTS = 5
"""How often a process that died is started in all."""
_SAVE_S = 120.0
"""How long a process may take to end its episode, lay the arm to rest, and save."""
_ERROR = ("regrasp: ", "Traceback ", "In '", "Error")
"""What errors of a verb, of Python and of Hydra begin with."""
_MOST_LINES = 40


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
        self._command = [sys.executable, "-m", "commands", verb, *search_path_options(), *overrides, "progress=false"]
        self._log, self._begun = log, self._told
        self._starts = 0
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        self._starts += 1
        self._begun = self._log.stat().st_size if self._log.exists() else 0
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,  # Ctrl-C and a closed terminal are for this process to handle
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
        with self._log.open("rb") as log:
            log.seek(self._begun)
            said = log.read().decode(errors="replace")
        raise RegraspError(
            f"The {self.verb} ended with code {code}; its log is {self._log}. It said:\n{reason_in(said)}"
        )

    def lines(self) -> list[str]:
        """Whole lines that it wrote since the last call, without empty ones."""
        with self._log.open("rb") as log:
            log.seek(self._told)
            news, newline, _ = log.read().rpartition(b"\n")
        self._told += len(news) + len(newline)
        return [line for line in news.decode(errors="replace").splitlines() if line.strip()]

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def stop(self, wait_s: float = _SAVE_S) -> None:
        """Ask it to save and end; kill it when it does not."""
        if self.process.poll() is None:
            self.send(signal.SIGTERM)
            try:
                self.process.wait(wait_s)
            except subprocess.TimeoutExpired:
                tqdm.write(
                    f"the {self.verb} did not end within {wait_s:.0f} s and is killed; what it has stored is kept"
                )
                self.process.kill()
                self.process.wait()


class Ending:
    """How people and the system end the run. Its methods are handlers of signals, which return at once.

    Attributes:
        asked: Whether the run shall end.
        actor: Who ends its episode when it is asked, and drops it when it is asked again.
    """

    def __init__(self) -> None:
        self.asked = False
        self.actor: Worker | None = None
        self._dropped = False

    def end(self) -> None:
        """SIGTERM or SIGHUP: an orderly end, in which the episode under way is finished and kept."""
        if not self.asked and self.actor is not None:
            self.actor.send(signal.SIGTERM)
        self.asked = True

    def interrupt(self) -> None:
        """SIGINT (Ctrl-C): the same, and after that the actor drops its episode, once."""
        if not self.asked:
            self.end()
            with suppress(OSError):
                os.write(2, b"\nstopping: the episode under way is finished and kept; Ctrl-C once more drops it\n")
        elif self.actor is not None and not self._dropped:
            self._dropped = True
            self.actor.send(signal.SIGINT)


def reason_in(output: str) -> str:
    """Why a process ended, from what it printed: its last error to the end, or the last lines when it names none."""
    lines = [line.rpartition("\r")[2] for line in output.splitlines()]
    starts = [number for number, line in enumerate(lines) if line.startswith(_ERROR)]
    shown = lines[starts[-1] :] if starts else lines
    if len(shown) > _MOST_LINES:
        half = _MOST_LINES // 2
        shown = [*shown[:half], "...", *shown[-half:]]
    return "\n".join(shown) or "nothing"


def run(config: DictConfig) -> None:
    """Run both processes with the same settings and show their progress."""
    overrides = [o for o in HydraConfig.get().overrides.task if not o.startswith(("link.", "progress"))]
    finetune(config, overrides)
    again = [one for one in overrides if not one.startswith("finetune.")]
    for verb, what in (("evaluate", "success with fresh starts"), ("report", "the run as a page")):
        print(f"{shlex.join(['regrasp', verb, *search_path_options(), *again])}  # {what}")


def finetune(config: DictConfig, overrides: list[str]) -> None:
    """The same for callers that know the overrides.

    Args:
        config: Settings.
        overrides: What makes the child processes compose the same settings.

    Raises:
        KeyboardInterrupt: When it was ended by a signal: first the actor ended, then the learner, both in order.
        RegraspError: When the run was begun with other settings, a command already runs there, or one of the two
            refused to run or died too often.
    """
    require_online(config)
    require_scene(config)
    require_same_settings(config)  # refused here rather than in a child that the other one waits for
    require_trained_like(config, typed_keys(), tqdm.write)
    folder = finetune_folder(config)
    require_no_writer(folder)
    require_unwritten(folder / EPISODES, actor_folder(config) / OUTBOX)  # of a learner or an actor that runs by itself
    require_readable_task(config)
    with only_writer(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _run_both(config, folder, [*overrides, f"link.address=127.0.0.1:{free_port()}"])


def _run_both(config: DictConfig, folder: Path, settings: list[str]) -> None:
    """Start learner and actor, watch them, end them in order."""
    own = actor_folder(config)
    workers: list[Worker] = []
    ending = Ending()
    with on_signals(ending.end, signal.SIGTERM, signal.SIGHUP), on_signals(ending.interrupt, signal.SIGINT):
        try:
            learner = Worker("learner", [o for o in settings if not o.startswith("device")], folder / "learner.log")
            workers.insert(0, learner)
            actor = Worker("actor", settings, folder / "actor.log", partial(standing_of, config, own))
            workers.insert(0, actor)
            ending.actor = actor
            _watch(learner, actor, config, own / STATUS_FILE, ending)
        finally:
            for worker in workers:  # the actor first: what it has recorded goes to the learner
                worker.stop()
                for line in worker.lines() if ending.asked else ():
                    tqdm.write(line)
    if ending.asked:
        raise KeyboardInterrupt


def _watch(learner: Worker, actor: Worker, config: DictConfig, status_path: Path, ending: Ending) -> None:
    """Show the progress and start again what dies, until both have ended or shall."""
    title = f"fine-tuning ({tuning_name(config)})"
    total = int(config.finetune.steps)
    with tqdm(total=total, desc=title, unit="step", dynamic_ncols=True) as bar:
        done = [False, False]
        while not all(done):
            time.sleep(_POLL_S)
            if ending.asked:
                break
            for line in (*actor.lines(), *(line for line in learner.lines() if line.startswith(SAID))):
                tqdm.write(line)
            done = [learner.finished(), actor.finished()]
            if status_path.exists():
                status = ActorStatus.read(status_path)
                bar.set_postfix_str(describe(status), refresh=False)
                bar.update(min(status.steps, total) - bar.n)
