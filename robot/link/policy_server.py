"""`PolicyServer`: serves a policy to `RemotePolicy` clients over gRPC."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc

from robot.interfaces import EpisodePolicy
from robot.link.policy_wire import (
    ACT,
    HELLO,
    POLICY_SERVER_OPTIONS,
    SERVICE,
    START,
    PolicyIdentity,
    decode_observation,
    encode_action,
    require_spec,
)
from robot.link.protocol import from_json, to_json
from robot.link.server import guarded
from robot.link.serving import Serving
from robot.link.tls import TlsFiles, is_loopback, split_address
from trajectories.errors import ConfigError, LinkError
from trajectories.types import RobotSpec

MOST_SESSIONS = 256
"""Clients that are remembered; for one more, the one that was silent for longest makes room, or it is refused."""
IDLE_S = 300.0
"""A client makes room after this silence; it goes on with its next episode, which begins anew anyway."""
_THREADS = 16


@dataclass
class _Session:
    """A client's policy, its robot, and when it last asked, monotonic s."""

    policy: EpisodePolicy
    spec: RobotSpec
    asked_s: float = field(default_factory=time.monotonic)


class PolicyServer(Serving):
    """Offers a policy at `address` from `start` until `stop`; each client has one of its own.

    At most `MOST_SESSIONS` clients act side by side: one that asked within `IDLE_S` is never forgotten for another.

    Args:
        make: Makes the policy of a new client.
        identity: What is said of it.
        address: "host:port"; port 0 takes a free one (see the attribute `address`).
        tls: PEM files; only clients with a certificate of their authority get an answer. Without, in clear, on
            loopback only.
        accept: Refuses a robot that the policy isn't for, with a `RegraspError`.

    Raises:
        ConfigError: The address is not valid, or off loopback without `tls`.
        LinkError: The port is taken.
    """

    def __init__(
        self,
        make: Callable[[], EpisodePolicy],
        identity: PolicyIdentity,
        address: str,
        tls: TlsFiles | None = None,
        accept: Callable[[RobotSpec], None] = lambda spec: None,
    ) -> None:
        split_address(address, "serve.address", "127.0.0.1:50061")
        if tls is None and not is_loopback(address):
            raise ConfigError(
                f"Other machines can reach {address}, so both ends need a certificate: make one for each with `regrasp "
                "certificates` and name link.certificate, link.key and link.authority (docs/security.md), or serve on "
                "loopback."
            )
        self._make, self._identity, self._accept = make, identity, accept
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._lock = threading.Lock()
        handlers = {HELLO: self._hello, START: self._start, ACT: self._act}
        super().__init__(
            grpc.method_handlers_generic_handler(
                SERVICE,
                {name: grpc.unary_unary_rpc_method_handler(guarded(answer)) for name, answer in handlers.items()},
            ),
            address,
            tls,
            threads=_THREADS,
            options=POLICY_SERVER_OPTIONS,
            advice="is the port taken? Give another one.",
        )

    def _hello(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self._accepted(request)
        mine, known = self._identity, self._identity.instructions
        return to_json(
            {
                "name": mine.name,
                "digest": mine.digest,
                "version": mine.version,
                "instructions": None if known is None else list(known),
            }
        )

    def _start(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        session, seed = from_json(request, session=str, seed=int)
        spec = self._accepted(request)
        with self._lock:
            known = self._sessions.get(session)
        policy = self._make() if known is None else known.policy
        policy.seed(seed)
        with self._lock:
            if session not in self._sessions:
                self._make_room()
            self._sessions[session] = _Session(policy, spec)
            self._sessions.move_to_end(session)
        return to_json({"digest": self._identity.digest})

    def _act(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        session, observation, deterministic = decode_observation(request)
        with self._lock:
            known = self._sessions.get(session)
            if known is not None:
                known.asked_s = time.monotonic()
                self._sessions.move_to_end(session)
        if known is None:
            raise LinkError(
                "this server knows no episode of this client: it was started anew, or forgot it after "
                f"{IDLE_S:g} s of silence for another client"
            )
        require_spec(observation, known.spec)
        return encode_action(known.policy.act(observation, deterministic))

    def _accepted(self, request: bytes) -> RobotSpec:
        """The robot of a request, which the policy is for."""
        (raw,) = from_json(request, spec=dict)
        try:
            spec = RobotSpec.from_dict(raw)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LinkError(f"refused a client: its robot specification is incomplete ({error!r})") from error
        self._accept(spec)
        return spec

    def _make_room(self) -> None:
        """Forget those that were silent for longest until one more has room; holds the lock."""
        while len(self._sessions) >= MOST_SESSIONS:
            name, oldest = next(iter(self._sessions.items()))
            if time.monotonic() - oldest.asked_s < IDLE_S:
                raise LinkError(
                    f"this server is busy with {MOST_SESSIONS} clients, none of them silent for {IDLE_S:g} s. End "
                    "some, or start another server for this one"
                )
            del self._sessions[name]
