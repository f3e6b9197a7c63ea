"""A learner process without learning: stores episodes until it is killed. Arguments: folder, address."""

import logging
import signal
import sys
import threading
from pathlib import Path

from helpers.link_data import POLICY, SPEC, make_policy_weights, tls_files
from policies.learner.fleet import Fleet
from policies.learner.presence_watch import PresenceWatch
from robot.interfaces import Receipt
from robot.link.server import LinkServer
from trajectories.errors import CheckpointError
from trajectories.store import TrajectoryStore


class DurableEndpoint:
    """Publishes a version of weights for every third episode that is on the disk."""

    def __init__(self, store):
        self._store, self.fleet = store, Fleet()

    def hello(self, spec, policy_digest, actor=None):
        self._store.spec.require_same(spec, "the actor")
        if policy_digest != POLICY:
            raise CheckpointError("another policy")
        self.fleet.enter(actor)
        return len(self._store) // 3

    def put_episode(self, episode):
        self._store.commit(episode)
        infos = self._store.infos()
        return Receipt(sum(info.length for info in infos), len(infos))

    def weights(self, newer_than):
        version = len(self._store) // 3
        return make_policy_weights(version) if version > newer_than else None

    def report(self, actor, report):
        self.fleet.hear(actor, report)

    def heard(self, actor):
        self.fleet.heard(actor)

    def may_act(self, timeout_s, actor=""):
        return True

    def finished(self, actor=""):
        return None


def main(folder: Path, address: str) -> None:
    logging.basicConfig(level=logging.INFO)
    with TrajectoryStore(folder / "learner", SPEC) as store:
        endpoint = DurableEndpoint(store)
        say, views = logging.getLogger("learner").warning, lambda: endpoint.fleet.views(0)
        with LinkServer(endpoint, address, tls_files(folder, "learner")), PresenceWatch(views, say, lambda: None):
            wait_for_sigterm()


def wait_for_sigterm():
    """Until a polite stop."""
    done = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: done.set())
    done.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
