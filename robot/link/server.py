"""The learner's side of the link: a gRPC server around a `LearnerEndpoint`."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, NamedTuple, NoReturn

import grpc

from robot.fleet import ActorIdentity, ActorReport, FleetEndpoint
from robot.interfaces import Receipt
from robot.link import protocol
from robot.link.codec import decode_episode, encode_weights
from robot.link.errors import HelloNeeded, to_wire
from robot.link.serving import Serving
from robot.link.tls import TlsFiles, split_address
from trajectories.errors import LinkError, RegraspError
from trajectories.types import RobotSpec
from trajectories.verdicts import Verdict

logger = logging.getLogger(__name__)

Answer = Callable[[Any, grpc.ServicerContext], Any]
_THREADS = 256
"""At most, each begun when it is first needed. A call that waits takes one until it ends: that of an arm that waits for
its turn, and for some seconds that of one whose cable was pulled. Where arms that wait have all of them, reports come
late and their arms count as away."""


class _Session(NamedTuple):
    """Whom the endpoint accepted."""

    actor: ActorIdentity
    spec: RobotSpec


class LinkServer(Serving):
    """Offers `endpoint` at `address` from `start` until `stop`.

    The endpoint is called from several threads; `put_episode` and `put_verdict` from one at a time, so that a repeated
    upload of the same episode never runs beside the first. They begin when a message has come whole: an actor whose
    network is slow keeps nobody waiting. A message that is malformed, oversized or from a client that was not accepted
    by `hello` is refused with an error at the client and changes nothing here.
    """

    grace_s = 5.0

    def __init__(self, endpoint: FleetEndpoint, address: str, tls: TlsFiles) -> None:
        """Bind `address`, "host:port"; port 0 takes a free one (see the attribute `address`).

        Only clients with a certificate of the authority in `tls` get an answer.

        Raises:
            ConfigError: When the address is not valid, or `tls` is broken.
            LinkError: When the port is taken.
        """
        split_address(address)
        self._endpoint = endpoint
        self._sessions: dict[str, _Session] = {}  # by what hello answered; the newest of every actor
        self._entering, self._puts = threading.Lock(), threading.Lock()
        super().__init__(
            self._handlers(),
            address,
            tls,
            threads=_THREADS,
            options=protocol.SERVER_OPTIONS,
            advice="does another learner run there? Stop it or take another port.",
        )

    def start(self) -> None:
        """Begin to answer; returns at once."""
        super().start()
        logger.info("learner listens at %s", self.address)

    def _handlers(self) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            protocol.SERVICE,
            {
                protocol.HELLO: grpc.unary_unary_rpc_method_handler(guarded(self._hello)),
                protocol.PUT_EPISODE: grpc.stream_unary_rpc_method_handler(guarded(self._put_episode)),
                protocol.PUT_VERDICT: grpc.unary_unary_rpc_method_handler(guarded(self._put_verdict)),
                protocol.WEIGHTS: grpc.unary_stream_rpc_method_handler(_guarded_stream(self._weights)),
                protocol.MAY_ACT: grpc.unary_unary_rpc_method_handler(guarded(self._may_act)),
                protocol.REPORT: grpc.unary_unary_rpc_method_handler(guarded(self._report)),
                protocol.FINISHED: grpc.unary_unary_rpc_method_handler(guarded(self._finished)),
            },
        )

    def _hello(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        raw, digest, who = protocol.from_json(request, spec=dict, policy_digest=str, actor=dict)
        actor = ActorIdentity.from_dict(who)
        try:
            spec = RobotSpec.from_dict(raw)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LinkError(f"refused a hello: its robot specification is incomplete ({error!r})") from error
        session = uuid.uuid4().hex
        with self._entering:
            version = self._endpoint.hello(spec, digest, actor)
            others = {key: one for key, one in self._sessions.items() if one.actor.name != actor.name}
            self._sessions = {**others, session: _Session(actor, spec)}
        logger.info("actor %s at %s accepted", actor.name, context.peer())
        return protocol.to_json({"version": version, "session": session})

    def _report(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        name = self._require_session(context).actor.name
        (raw,) = protocol.from_json(request, report=dict)
        self._endpoint.report(name, ActorReport.from_dict(raw))
        return protocol.to_json({})

    def _put_episode(self, pieces: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        session = self._require_session(context)
        episode = decode_episode(protocol.join(self._heard(session.actor.name, pieces)), session.spec)
        with self._puts:
            receipt = self._endpoint.put_episode(episode)
        return protocol.to_json(asdict(receipt))

    def _put_verdict(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self._require_session(context)
        (raw,) = protocol.from_json(request, verdict=dict)
        verdict = Verdict.from_dict(raw)
        with self._puts:
            self._endpoint.put_verdict(verdict)
        return protocol.to_json({})

    def _weights(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        self._require_session(context)
        (newer_than,) = protocol.from_json(request, newer_than=int)
        weights = self._endpoint.weights(newer_than)
        return iter(()) if weights is None else protocol.split(encode_weights(weights))

    def _may_act(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        name = self._require_session(context).actor.name
        (timeout_s,) = protocol.from_json(request, timeout_s=(int, float))
        wait_s = min(max(float(timeout_s), 0.0), protocol.MAX_WAIT_S)
        return protocol.to_json({"may_act": bool(self._endpoint.may_act(wait_s, name))})

    def _finished(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        name = self._require_session(context).actor.name
        totals = self._endpoint.finished(name)
        return protocol.to_json({"finished": totals is not None} | asdict(totals or Receipt(0, 0)))

    def _require_session(self, context: grpc.ServicerContext) -> _Session:
        """Whom this server process and the calling client agreed on."""
        session = self._sessions.get(str(dict(context.invocation_metadata()).get(protocol.SESSION_KEY)))
        if session is None:
            raise HelloNeeded("this learner has not checked this actor's robot specification: say hello first")
        self._endpoint.heard(session.actor.name)
        return session

    def _heard(self, name: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The pieces, each of which shows that the actor lives."""
        for piece in pieces:
            self._endpoint.heard(name)
            yield piece


def guarded(answer: Answer) -> Answer:
    """`answer` whose errors reach the client with type and message."""

    def guarded(request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return answer(request, context)
        except Exception as error:
            failure = error
        _refuse(failure, context)

    return guarded


def _guarded_stream(answer: Answer) -> Answer:
    """Like `guarded` for an answer in pieces."""

    def guarded(request: Any, context: grpc.ServicerContext) -> Iterator[bytes]:
        try:
            pieces = answer(request, context)
        except Exception as error:
            failure = error
        else:
            yield from pieces
            return
        _refuse(failure, context)

    return guarded


def _refuse(error: Exception, context: grpc.ServicerContext) -> NoReturn:
    """End the call with `error` in its trailing metadata."""
    code = grpc.StatusCode.FAILED_PRECONDITION
    if not context.is_active():
        logger.info("a client went away in the middle of a call")
    elif not isinstance(error, RegraspError):
        code = grpc.StatusCode.INTERNAL
        logger.error("an answer to %s failed", context.peer(), exc_info=error)
    elif not isinstance(error, HelloNeeded):
        logger.warning("refused a call of %s: %s", context.peer(), error)
    context.set_trailing_metadata(((protocol.ERROR_KEY, to_wire(error)),))
    context.abort(code, type(error).__name__)
    raise error  # abort never returns; this tells the type checker
