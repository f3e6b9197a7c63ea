"""An actor process over the link that notes what it starts and completes. Arguments: folder, address."""

import logging
import os
import sys
import threading
from pathlib import Path

from helpers.link_data import POLICY, SPEC, ScriptedSession, tls_files
from robot.link.client import LearnerClient
from robot.rollout.actor import Actor, ActorOptions
from trajectories.store import TrajectoryStore


def note(path: Path, line: str) -> None:
    """Append a line; it is there even when the process is killed right after."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


class NotingOutbox(TrajectoryStore):
    """Notes every id whose commit has returned."""

    def commit(self, episode):
        super().commit(episode)
        note(self.path.parent / "completed", episode.id)


def main(folder: Path, address: str) -> None:
    logging.basicConfig(level=logging.INFO)
    started = folder / "started"
    first = len(started.read_text().split()) if started.exists() else 0
    session = ScriptedSession(first, on_episode=lambda number: note(started, str(number)))
    stop = threading.Event()
    client = LearnerClient(address, tls_files(folder, "actor"), interrupt=stop)
    with NotingOutbox(folder / "outbox", SPEC) as outbox, client:
        session.keep = outbox.commit
        options = ActorOptions(status_path=folder / "actor.json")
        Actor(session, client, session.load, outbox, POLICY, options, stop).run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
