"""A policy of your own behind an address, for `regrasp evaluate checkpoint=grpc://127.0.0.1:50061 ...`.

Copy this file into the environment that your policy lives in and put the policy into `MyPolicy`; the file needs
nothing of Regrasp, only `pip install grpcio numpy safetensors`. As it is, it wanders at random. It is called in clear,
so it listens on loopback only; an address that other machines reach is refused without `--pem`.

    python policy_server.py --address 127.0.0.1:50061
    python policy_server.py --address 0.0.0.0:50061 --pem certificate.pem key.pem authority.pem

What passes, each in one gRPC call of bytes (service regrasp.policy.v1.Policy):

    Hello  JSON {"spec": the robot: cameras, proprioception, action scale, control rate}
           -> JSON {"name", "digest", "version", "instructions": list of all that it understands, or null for any words}
    Start  JSON {"session", "seed", "spec"}: an episode begins    -> JSON {"digest"}
    Act    a message: header {"session", "instruction", "deterministic", "t_ns"}, arrays "proprio" float32 (13,),
           "images/<camera>" uint8 (H, W, 3) RGB, where there is one "depth/<camera>" uint16 (H, W) in mm
           -> a message: array "action" float32 (7,): x, y, z, roll, pitch, yaw in -1 ... 1 of a step's motion, and
           the gripper, above 0 open

A message is b"RGRASP01", the lengths of header and payload (big-endian uint64 each), sha256(header + payload), the
header (JSON with "kind": "observation" or "action") and the payload (safetensors). Several sessions act side by side,
from several threads: all share one `MyPolicy`, its weights, and each has a state of its own; the same seed and
observations must give the same actions, or results depend on the number of workers. The states of the latest 256
sessions are kept. An exception here ends the evaluation with its text; started again, it goes on. A real robot waits
1 s for an action.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import ipaddress
import json
import struct
import threading
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from safetensors.numpy import load, save

PREFIX = struct.Struct(">8sQQ32s")
MOST_BYTES = 64 << 20
MOST_SESSIONS = 256


class MyPolicy:
    """Put your policy here: one for all sessions."""

    name = "wanderer"
    digest = "wanderer-1"  # change it whenever the policy acts differently, e.g. a hash of its weights
    instructions = None  # or a list of all that it understands

    def __init__(self) -> None:
        """Load the weights here, once. What can't run in several threads at once needs a lock in `act`."""

    def begin(self, seed: int) -> Any:
        """What a session remembers of the episode that begins: what draws from this seed, a plan of several steps."""
        return np.random.default_rng(seed)

    def act(
        self, state: Any, images: Mapping[str, np.ndarray], proprio: np.ndarray, instruction: str, deterministic: bool
    ) -> np.ndarray:
        """One action (7,) for this step; `state` is what `begin` gave."""
        action = state.uniform(-1.0, 1.0, 7).astype(np.float32)
        return np.zeros(7, np.float32) if deterministic else action


def unpack(message: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and arrays of a message."""
    magic, header_bytes, payload_bytes, digest = PREFIX.unpack_from(message)
    body = message[PREFIX.size :]
    if magic != b"RGRASP01" or len(body) != header_bytes + payload_bytes or hashlib.sha256(body).digest() != digest:
        raise ValueError("a foreign or damaged message")
    return json.loads(body[:header_bytes]), load(body[header_bytes:])


def pack(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
    """The message of a header and arrays."""
    head, payload = json.dumps(header).encode(), save({name: np.ascontiguousarray(a) for name, a in arrays.items()})
    digest = hashlib.sha256(head + payload).digest()
    return PREFIX.pack(b"RGRASP01", len(head), len(payload), digest) + head + payload


class Service:
    """The three calls; a session's calls come one after the other."""

    def __init__(self) -> None:
        self.policy = MyPolicy()
        self.states: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()

    def hello(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        """Say who is here. `json.loads(request)["spec"]` tells the robot: raise an error if it is the wrong one."""
        known = MyPolicy.instructions
        return json.dumps(
            {"name": MyPolicy.name, "digest": MyPolicy.digest, "version": 0, "instructions": known}
        ).encode()

    def start(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        """Begin an episode of a session; beyond `MOST_SESSIONS` the one that was silent for longest is dropped."""
        asked = json.loads(request)
        state = self.policy.begin(int(asked["seed"]))
        with self._lock:
            self.states[asked["session"]] = state
            self.states.move_to_end(asked["session"])
            while len(self.states) > MOST_SESSIONS:
                self.states.popitem(last=False)
        return json.dumps({"digest": MyPolicy.digest}).encode()

    def act(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        """Answer an observation."""
        header, arrays = unpack(request)
        session = header["session"]
        with self._lock:
            known = session in self.states
            state = self.states.get(session)
            if known:
                self.states.move_to_end(session)
        if not known:
            why = f"this server was started anew, or {MOST_SESSIONS} others asked since: begin the episode again"
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, why)
            raise AssertionError  # abort never returns
        images = {name.removeprefix("images/"): a for name, a in arrays.items() if name.startswith("images/")}
        words, deterministic = header["instruction"], bool(header["deterministic"])
        action = self.policy.act(state, images, arrays["proprio"], words, deterministic)
        return pack({"kind": "action"}, {"action": np.asarray(action, np.float32)})


def on_loopback(address: str) -> bool:
    """Whether only this machine can reach "host:port"."""
    host = address.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def serve(address: str, pem: tuple[Path, Path, Path] | None = None) -> tuple[grpc.Server, int]:
    """Start to listen; the server and its port (given port 0, a free one).

    Args:
        address: "host:port".
        pem: Certificate, key and authority, from `regrasp certificates`; needed off loopback.

    Raises:
        ValueError: Other machines can reach the address, and there is no `pem`.
    """
    if pem is None and not on_loopback(address):
        raise ValueError(f"Other machines can reach {address}: give --pem CERTIFICATE KEY AUTHORITY, or use 127.0.0.1.")
    service = Service()
    handlers = {"Hello": service.hello, "Start": service.start, "Act": service.act}
    options = [("grpc.max_receive_message_length", MOST_BYTES), ("grpc.so_reuseport", 0)]
    server = grpc.server(ThreadPoolExecutor(16), options=options)
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "regrasp.policy.v1.Policy",
                {name: grpc.unary_unary_rpc_method_handler(answer) for name, answer in handlers.items()},
            ),
        )
    )
    if pem is None:
        port = server.add_insecure_port(address)
    else:
        certificate, key, authority = (path.read_bytes() for path in pem)
        credentials = grpc.ssl_server_credentials([(key, certificate)], authority, require_client_auth=True)
        port = server.add_secure_port(address, credentials)
    server.start()
    return server, port


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", default="127.0.0.1:50061", help="where to listen; other machines need --pem")
    parser.add_argument("--pem", nargs=3, type=Path, metavar=("CERTIFICATE", "KEY", "AUTHORITY"), help="PEM files")
    given = parser.parse_args()
    try:
        server, port = serve(given.address, given.pem and tuple(given.pem))
    except ValueError as error:
        parser.error(str(error))
    print(f"{MyPolicy.name} listens at grpc://{given.address.rpartition(':')[0]}:{port}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.wait_for_termination()


if __name__ == "__main__":
    main()
