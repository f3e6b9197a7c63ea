"""`regrasp watch`: a running session, and a learner with its actors, as a web page or once as text."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from omegaconf import DictConfig

from commands.watch.fleet import find_learner, light_of_learner, runs, text_of_learner
from commands.watch.server import WatchServer
from commands.watch.text import text_of
from factory.link import certificates_of
from robot.console.client import NoSessionError, SeveralSessionsError, find_session
from robot.console.light import light_of
from robot.console.state import ConsoleState
from robot.link.certificates import fingerprint
from trajectories.errors import LinkError
from trajectories.numbers import between

_POLL_S = 1.0


def run(config: DictConfig) -> None:
    """Serve the page until Ctrl-C; with `config.once` print the state and return."""
    run_dir = Path(config.run_dir)
    if config.once:
        print(text_once(run_dir, time.time()))
        return
    between("watch.port", config.watch.port, 0, 65535)
    files = certificates_of(config)
    with WatchServer(str(config.watch.host), int(config.watch.port), run_dir, files) as server:
        threading.Thread(target=server.serve_forever, name="watch", daemon=True).start()
        try:
            print(f"Watching {run_dir} at {server.url} (Ctrl-C ends the page, not the session)", flush=True)
            print("Who has this address may look and press the buttons: give it to nobody else.", flush=True)
            if files is not None and server.scheme == "https":
                known = (
                    "A browser that doesn't know the laboratory's authority warns and shows this fingerprint (SHA-256):"
                )
                print(f"{known} {fingerprint(files.certificate)}", flush=True)
            _announce(run_dir)
        finally:
            server.shutdown()


def text_once(run_dir: Path, now_s: float) -> str:
    """The session, the learner with its actors, or both.

    Raises:
        LinkError: Neither is there, there are several sessions and no learner, or the session doesn't answer.
    """
    learner = find_learner(run_dir)
    told = [] if learner is None else [text_of_learner(learner, now_s)]
    try:
        state = ConsoleState.from_dict(find_session(run_dir).state())
    except (NoSessionError, SeveralSessionsError) as error:
        if learner is None:
            raise
        light = light_of_learner(learner, now_s)
        others = [str(error)] if isinstance(error, SeveralSessionsError) else []
        return "\n".join([f"{light.title}: {light.text}", *told, *others])
    return "\n".join([text_of(state, light_of(state, now_s)), *told])


def _announce(run_dir: Path) -> None:
    """Tell when the session comes and goes, for ever."""
    told = None
    while True:
        try:
            client = find_session(run_dir)
            client.words()
            news = f"The session in {client.path.parent} is there."
        except NoSessionError:
            learner = find_learner(run_dir)
            news = f"Waiting for a session of {run_dir} on this computer ..."
            if learner is not None and runs(learner, time.time()):
                news = f"The learner of {run_dir} is there; no session on this computer."
        except LinkError as error:
            news = str(error)
        if news != told:
            print(news, flush=True)
            told = news
        time.sleep(_POLL_S)
