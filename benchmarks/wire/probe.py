"""For each line of standard input: connect to a learner as an actor that just came, fetch its policy, print figures.

    python -m benchmarks.wire.probe ADDRESS PRETRAINED DATA CERTIFICATE KEY AUTHORITY

Prints JSON: seconds of connection and hello, seconds of the policy, bytes of its message, version.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from policies.policy import load_policy
from robot.fleet import ActorIdentity, ActorReport
from robot.link.client import LearnerClient
from robot.link.codec import encode_weights
from robot.link.tls import TlsFiles
from trajectories.store import TrajectoryStore


def main(address: str, pretrained: str, data: str, *files: str) -> None:
    """Answer until the input ends."""
    with TrajectoryStore(Path(data), read_only=True) as store:
        spec = store.spec
    policy, tls = load_policy(Path(pretrained), spec), TlsFiles(*map(Path, files))
    print("ready", flush=True)
    for _ in sys.stdin:
        began = time.monotonic()
        with LearnerClient(address, tls, identity=ActorIdentity("probe", parts=policy.parts), notify=_note) as client:
            client.report = lambda: ActorReport("stopped")
            client.hello(spec, policy.digest)
            there = time.monotonic()
            weights = client.weights(-1)
            seconds = time.monotonic() - there
        size = 0 if weights is None else len(encode_weights(weights))
        version = None if weights is None else weights.version
        print(
            json.dumps({"hello_s": there - began, "policy_s": seconds, "bytes": size, "version": version}), flush=True
        )


def _note(line: str) -> None:
    print(f"probe: {line}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
