"""`regrasp watch`: a running session as a web page, or once as text."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from omegaconf import DictConfig

from commands.watch.server import WatchServer
from commands.watch.text import text_of
from factory.link import certificates_of
from robot.console.client import NoSessionError, find_session
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
        state = ConsoleState.from_dict(find_session(run_dir).state())
        print(text_of(state, light_of(state, time.time())))
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


def _announce(run_dir: Path) -> None:
    """Tell when the session comes and goes, for ever."""
    told = None
    while True:
        try:
            client = find_session(run_dir)
            client.words()
            news = f"The session in {client.path.parent} is there."
        except NoSessionError:
            news = f"Waiting for a session of {run_dir} on this computer ..."
        except LinkError as error:
            news = str(error)
        if news != told:
            print(news, flush=True)
            told = news
        time.sleep(_POLL_S)
