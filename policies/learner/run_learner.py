"""The learner as a process of its own: a server for actors and a training loop, until the run is complete."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from functools import partial

from policies.learner.lag import LagWatch
from policies.learner.learner import Learner
from policies.learner.learner_status import LearnerStatus
from policies.learner.presence_watch import PresenceWatch
from robot.link.server import LinkServer
from robot.link.tls import TlsFiles
from robot.signals import ENDINGS, on_signals, set_from_handler

logger = logging.getLogger(__name__)
_UPDATES_A_TURN = 8
_WAIT_S = 0.5
_STATUS_EVERY_S = 1.0


def run_learner(
    learner: Learner,
    address: str,
    tls: TlsFiles,
    *,
    on_status: Callable[[LearnerStatus], None] | None = None,
    say: Callable[[str], None] = logger.warning,
    on_ready: Callable[[str], None] | None = None,
    linger_s: float = 5.0,
    actor_s: float = 120.0,
    stop: threading.Event | None = None,
) -> bool:
    """Serve and train until everything is learned, or SIGINT, SIGTERM or SIGHUP come; saves and closes the learner.

    Args:
        learner: Opened for the run.
        address: "host:port" to listen at; port 0 takes a free one.
        tls: Certificates of this end and of those who may connect.
        on_status: Told now and then where the run stands.
        say: Told in words whether the learner keeps up with the robot, at the start and while it runs.
        on_ready: Told the address once actors can connect.
        linger_s: How long actors can still ask after the end.
        actor_s: How long it waits at the end until every actor that lives has asked, the first one included: one that
            is just starting, or ends a long episode, would else wait for a learner that is gone.
        stop: Ends the run once set, like a signal.

    Returns:
        True when the run is complete, False when it was stopped.

    Raises:
        ConfigError, LinkError: The address can't be used.
    """
    stop = stop or threading.Event()
    tell = on_status or _ignore
    learner.given_up = stop.is_set
    lag = LagWatch(learner.config.max_lag, learner.spec.control_hz, say)
    with on_signals(partial(set_from_handler, stop), *ENDINGS):
        try:
            lag.begin(learner.seconds_an_update(), learner.trainer.agent.device.type)
            watch = PresenceWatch(lambda: learner.fleet.views(0), say, learner.write_status)
            with LinkServer(learner, address, tls) as server, watch:
                if on_ready is not None:
                    on_ready(server.address)
                written, budget = -math.inf, _UPDATES_A_TURN
                while not stop.is_set() and not learner.complete:
                    started = time.monotonic()
                    done = learner.train(budget)
                    seconds = time.monotonic() - started
                    lag.look(learner.owed, done, seconds)
                    if done == 0:
                        learner.wait(_WAIT_S)
                    else:  # slow updates are few, so that who looks at the status sees that the learner lives
                        budget = max(1, min(_UPDATES_A_TURN, int(_STATUS_EVERY_S * done / seconds)))
                    tell(learner.status)
                    written = _write_status(learner, written)
                complete = learner.complete
                tell(learner.status)
                learner.write_status()
                if complete:
                    _linger(learner, actor_s, stop, lambda: learner.fleet.told_all)
                    _linger(learner, linger_s, stop)
        finally:
            learner.close()
    return complete


def _write_status(learner: Learner, written: float) -> float:
    """Leave the status in its file, once a second; returns when that was last, s."""
    now = time.monotonic()
    if now - written < _STATUS_EVERY_S:
        return written
    learner.write_status()
    return now


def _linger(learner: Learner, seconds: float, stop: threading.Event, over: Callable[[], bool] = lambda: False) -> None:
    """Wait; the status file goes on telling that the learner lives, and of whom it waits for."""
    until, written = time.monotonic() + seconds, -math.inf
    while time.monotonic() < until and not stop.is_set() and not over():
        written = _write_status(learner, written)
        stop.wait(0.1)


def _ignore(status: LearnerStatus) -> None:
    del status
