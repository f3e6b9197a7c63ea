"""`RemotePolicy`: a policy in another process or on another machine, behind a gRPC address."""

from __future__ import annotations

import uuid
import weakref
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import grpc

from robot.link.patience import typed_error
from robot.link.policy_wire import (
    ACT,
    HELLO,
    POLICY_CHANNEL_OPTIONS,
    START,
    PolicyIdentity,
    decode_action,
    encode_observation,
    method,
)
from robot.link.protocol import from_json, to_json
from robot.link.tls import TlsFiles, channel_credentials, is_loopback, split_address
from trajectories.errors import CheckpointError, ConfigError, LinkError, RegraspError, StaleDataError
from trajectories.numbers import positive
from trajectories.types import Float32, Observation, RobotSpec

_T = TypeVar("_T")
_NOT_BEGUN = "no episode was begun with `seed`"
_LATE = (
    "no action within {timeout_s:g} s, and what a real robot does may not be decided on an older picture: a person may "
    "have reached in meanwhile. Look whether the server hangs, or make it faster"
)


class RemotePolicy:
    """Acts as the policy server at an address says (`robot.interfaces.EpisodePolicy`).

    Nothing is repeated: an episode in which a call failed can't go on, since what the policy remembers of it may be
    gone. Every later call raises the same error until `seed` begins another one. The connection is closed when nobody
    holds the policy any more.

    Attributes:
        identity: What the server says of its policy.
        version: Of its weights.
        digest: Of it.
    """

    def __init__(
        self,
        address: str,
        spec: RobotSpec,
        timeout_s: float,
        tls: TlsFiles | None = None,
        act_timeout_s: float | None = None,
    ) -> None:
        """Connect and ask who is there.

        Args:
            address: "host:port".
            spec: The robot that will act.
            timeout_s: Longest that any answer may take.
            tls: PEM files; without, in clear, on loopback only.
            act_timeout_s: Longest that an action of a robot may take that doesn't wait for it, within `timeout_s`:
                a later one is a `StaleDataError`. None for `timeout_s`.

        Raises:
            ConfigError: The address is not valid, or off loopback without `tls`.
            LinkError: Nothing listens there, or something that is no policy server.
            RegraspError: The server refuses, such as a robot with other cameras.
        """
        positive("evaluate.policy_timeout", timeout_s)
        if split_address(address, "the policy server's address", "127.0.0.1:50061")[1] == 0:
            raise ConfigError(f"The policy server's address {address!r} has no port: give the one that it printed.")
        if tls is None and not is_loopback(address):
            raise ConfigError(
                f"The policy server at {address} is on another machine, so both ends need a certificate: make one for "
                "each with `regrasp certificates`, and name link.certificate, link.key and link.authority "
                "(docs/security.md)."
            )
        self._address, self._spec, self._timeout_s = address, spec.to_dict(), timeout_s
        self._act_timeout_s = act_timeout_s
        self._session, self._failed = uuid.uuid4().hex, _NOT_BEGUN
        if tls is None:
            self._channel = grpc.insecure_channel(address, POLICY_CHANNEL_OPTIONS)
        else:
            self._channel = grpc.secure_channel(address, channel_credentials(tls), POLICY_CHANNEL_OPTIONS)
        self._close = weakref.finalize(self, self._channel.close)
        self._calls = {name: self._channel.unary_unary(method(name)) for name in (HELLO, START, ACT)}
        try:
            self.identity = self._ask(HELLO, to_json({"spec": self._spec}), _identity)
        except RegraspError:
            self.close()
            raise
        self.version, self.digest = self.identity.version, self.identity.digest

    @property
    def instructions(self) -> tuple[str, ...] | None:
        """All that it understands; None where it takes any words."""
        return self.identity.instructions

    def seed(self, seed: int) -> None:
        """Begin an episode.

        Raises:
            LinkError: The server doesn't answer.
            CheckpointError: It serves another policy by now.
        """
        self._failed = _NOT_BEGUN
        question = to_json({"session": self._session, "seed": seed, "spec": self._spec})
        digest = self._ask(START, question, lambda answer: str(from_json(answer, digest=str)[0]))
        if digest != self.digest:
            raise CheckpointError(
                f"The policy server at {self._address} serves another policy by now: its digest was {self.digest!r} "
                f"and is {digest!r}. What was measured so far belongs to the first: serve that again, or start anew."
            )
        self._failed = ""

    def act(self, observation: Observation, deterministic: bool = False) -> Float32:
        """float32 (7,), finite.

        Raises:
            StaleDataError: There is no action in time for a robot that doesn't wait: it holds, and can recover.
            LinkError: The server doesn't answer, went away, or answered with something else.
            RegraspError: What the server refused with.
        """
        if self._failed:
            raise LinkError(self._failed)
        return self._ask(ACT, encode_observation(self._session, observation, deterministic), decode_action)

    def close(self) -> None:
        """Close the connection."""
        self._close()

    def _ask(self, name: str, question: bytes, read: Callable[[bytes], _T]) -> _T:
        """One answer, read; the episode is over when there is none."""
        at_most_s = self._act_timeout_s if name == ACT else None
        timeout_s = self._timeout_s if at_most_s is None else min(at_most_s, self._timeout_s)
        try:
            return read(self._calls[name](question, timeout=timeout_s))
        except grpc.RpcError as error:
            if at_most_s is not None and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                self._fail(_LATE.format(timeout_s=timeout_s), StaleDataError)
            kind = typed_error(error)
            self._fail(_said(error, self._timeout_s), LinkError if kind is None else type(kind))
        except RegraspError as error:
            self._fail(str(error), LinkError)

    def _fail(self, what: str, kind: type[RegraspError]) -> NoReturn:
        self._failed = f"The policy server at {self._address}: {what.rstrip('.')}."
        self._session = uuid.uuid4().hex  # what is left of the old one may still be thinking
        raise kind(self._failed) from None


def _identity(answer: bytes) -> PolicyIdentity:
    name, digest, version = from_json(answer, name=str, digest=str, version=int)
    (known,) = from_json(answer, instructions=(list, type(None)))
    return PolicyIdentity(name, digest, version, None if known is None else tuple(str(text) for text in known))


def _said(error: Any, timeout_s: float) -> str:
    """What a failed call means, and what to do."""
    kind = typed_error(error)
    if kind is not None:
        return str(kind)
    code, details = error.code(), str(error.details() or "").splitlines()
    cause = details[0] if details else code.name
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return (
            f"no answer within {timeout_s:g} s. Give evaluate.policy_timeout more seconds, or look whether the server "
            "hangs"
        )
    if code is grpc.StatusCode.UNAVAILABLE:
        return (
            f"it can't be reached ({cause}). Start it (`regrasp serve-policy`, or a server such as "
            "examples/policy_server.py), look whether both ends use certificates or neither does, then give the same "
            "command again: it goes on"
        )
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return f"what listens there is no policy server ({cause}). Check the address, and the versions on both sides"
    return f"it failed while answering ({code.name}: {cause}). Its own output has the details"
