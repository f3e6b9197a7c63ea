"""A policy of your own behind an address, for `regrasp evaluate checkpoint=grpc://127.0.0.1:50061 ...`.

Copy this file into the environment that your policy lives in and put the policy into `MyPolicy`; the file needs
nothing of Regrasp, only `pip install grpcio numpy safetensors`. As it is, it wanders at random.

    python policy_server.py --address 127.0.0.1:50061

What passes, each in one gRPC call of bytes (service regrasp.policy.v1.Policy):

    Hello  JSON {"spec": the robot: cameras, proprioception, action scale, control rate}
           -> JSON {"name", "digest", "version", "instructions": list of all that it understands, or null for any words}
    Start  JSON {"session", "seed"}: an episode begins    -> JSON {"digest"}
    Act    a message: header {"session", "instruction", "deterministic", "t_ns"}, arrays "proprio" float32 (13,),
           "images/<camera>" uint8 (H, W, 3) RGB, where there is one "depth/<camera>" uint16 (H, W) in mm
           -> a message: array "action" float32 (7,): x, y, z, roll, pitch, yaw in -1 ... 1 of a step's motion, and
           the gripper, above 0 open

A message is b"RGRASP01", the lengths of header and payload (big-endian uint64 each), sha256(header + payload), the
header (JSON with "kind": "observation" or "action") and the payload (safetensors). Several sessions act side by side:
each has a `MyPolicy` of its own, and the same seed and observations must give the same actions, or results depend on
the number of workers. An exception here ends the evaluation with its text; started again, it goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import struct
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from safetensors.numpy import load, save

PREFIX = struct.Struct(">8sQQ32s")
MOST_BYTES = 64 << 20


class MyPolicy:
    """Put your policy here."""

    name = "wanderer"
    digest = "wanderer-1"  # change it whenever the policy acts differently, e.g. a hash of its weights
    instructions = None  # or a list of all that it understands

    def reset(self, seed: int) -> None:
        """An episode begins: forget the one before, and draw from this seed. Keep a plan of several steps here."""
        self._rng = np.random.default_rng(seed)

    def act(
        self, images: Mapping[str, np.ndarray], proprio: np.ndarray, instruction: str, deterministic: bool
    ) -> np.ndarray:
        """One action (7,) for this step."""
        action = self._rng.uniform(-1.0, 1.0, 7).astype(np.float32)
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
        self._policies: dict[str, MyPolicy] = {}

    def hello(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        """Say who is here. `json.loads(request)["spec"]` tells the robot: raise an error if it is the wrong one."""
        known = MyPolicy.instructions
        return json.dumps(
            {"name": MyPolicy.name, "digest": MyPolicy.digest, "version": 0, "instructions": known}
        ).encode()

    def start(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        """Begin an episode of a session."""
        asked = json.loads(request)
        policy = self._policies.setdefault(asked["session"], MyPolicy())
        policy.reset(int(asked["seed"]))
        return json.dumps({"digest": MyPolicy.digest}).encode()

    def act(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        """Answer an observation."""
        header, arrays = unpack(request)
        policy = self._policies.get(header["session"])
        if policy is None:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "this server was started anew: begin the episode again")
            raise AssertionError  # abort never returns
        images = {name.removeprefix("images/"): a for name, a in arrays.items() if name.startswith("images/")}
        action = policy.act(images, arrays["proprio"], header["instruction"], bool(header["deterministic"]))
        return pack({"kind": "action"}, {"action": np.asarray(action, np.float32)})


def serve(address: str, pem: tuple[Path, Path, Path] | None = None) -> tuple[grpc.Server, int]:
    """Start to listen; the server and its port (given port 0, a free one).

    Args:
        address: "host:port".
        pem: Certificate, key and authority, from `regrasp certificates`; needed off loopback.
    """
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
    server, port = serve(given.address, given.pem and tuple(given.pem))
    print(f"{MyPolicy.name} listens at grpc://{given.address.rpartition(':')[0]}:{port}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.wait_for_termination()


if __name__ == "__main__":
    main()
