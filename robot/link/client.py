"""The actor's side of the link: a `LearnerEndpoint` that calls a `LinkServer` and outlives its restarts."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import TypeVar

import grpc

from robot.fleet import AWAY_S, REPORT_EVERY_S, ActorIdentity, ActorReport
from robot.interfaces import Receipt
from robot.link import protocol
from robot.link.calls import Calls
from robot.link.codec import decode_weights, encode_episode
from robot.link.errors import HelloNeeded
from robot.link.patience import Patience, Persistence, typed_error
from robot.link.presence import Presence
from robot.link.refusal import why_refused
from robot.link.renewal import Renewal
from robot.link.tls import TlsFiles, channel_credentials, split_address
from trajectories.errors import ConfigError, LinkError, NameTakenError
from trajectories.types import Episode, RobotSpec, Weights
from trajectories.verdicts import Verdict

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
_HELLOS = 3
_REPORT_S = AWAY_S - REPORT_EVERY_S
"""Deadline of a report, s: one that is sent `REPORT_EVERY_S` after the last answer ends when the learner is away."""
_SLOWEST_BYTES_S = 25e3
"""What the slowest line is expected to carry of an episode, byte/s."""
_WEIGHTS_TIMES = 10
"""How much longer than an upload's the deadline of weights is: nobody knows their size before they are there."""
_REFUSED_S = 5.0
"""After a learner refused a hello of the reporting thread it isn't asked again for so long: it says each refusal."""


class LearnerClient:
    """A learner in another process. Every call has a deadline and is repeated while the learner is away.

    All calls are safe to repeat: the learner stores an episode's id once. Typed errors of the endpoint
    (`SpecMismatchError`, `CheckpointError`, `StoreError` ...) are raised here again. A learner that was
    restarted is asked hello again before anything else, so a wrong one is refused then, too. From the first hello to
    `close` a thread of its own tells the learner every `REPORT_EVERY_S` that this actor lives, and how it is; nobody
    waits for that, and it says so when nothing has been heard of the learner for `AWAY_S`. It says hello to a
    restarted learner by itself: the next call may be hours away. `announce` starts it before the hello. Certificates
    that are replaced on the disk are used from the next connection on.

    Use it from one thread; `interrupt` may be set from any thread or signal handler.

    Attributes:
        address: Of the learner.
        report: How the actor is now; called from the thread that tells the learner. Set it before the first hello.
    """

    def __init__(
        self,
        address: str,
        tls: TlsFiles,
        patience: Patience | None = None,
        notify: Callable[[str], None] = logger.warning,
        interrupt: threading.Event | None = None,
        identity: ActorIdentity | None = None,
    ) -> None:
        """Prepare the connection; nothing is sent before `hello`.

        Args:
            address: "host:port".
            tls: PEM files; only a server with a certificate of their authority, for the host of `address`, is told
                anything.
            patience: Time-outs.
            notify: Gets a line when the learner goes away, now and then while it is, and when it is back.
            interrupt: Once set, calls are tried once and no longer repeated.
            identity: Who this is; None is called like this computer.

        Raises:
            ConfigError: When the address is not valid, or `tls` is broken.
        """
        if split_address(address)[1] == 0:
            raise ConfigError(f"the learner's address {address!r} has no port: expected the one it printed")
        self._certificates = Renewal(tls, channel_credentials, notify)
        self._calls = Calls(address, self._certificates.first)
        self._before: list[Calls] = []  # of the certificates before; a call may still be under way there
        self.address = address
        self._patience = patience or Patience()
        self._interrupt = interrupt or threading.Event()
        self._identity = identity or ActorIdentity()
        self.report: Callable[[], ActorReport] = ActorReport
        self._closing, self._reporter = threading.Event(), threading.Thread(target=self._tell, name="link", daemon=True)
        self._presence = Presence(address, notify)
        refused = partial(why_refused, address, tls)
        self._persistence = Persistence(address, self._patience, self._interrupt, self._presence, self._renew, refused)
        self._renewing = threading.Lock()
        self._saying = threading.RLock()  # around hello, and what it leaves
        self._introduction: bytes | None = None
        self._session: str | None = None
        self._refused_until, self._report_failed = 0.0, False  # the reporting thread's

    def hello(self, spec: RobotSpec, policy_digest: str) -> int:
        """See `LearnerEndpoint.hello`.

        Raises:
            SpecMismatchError, CheckpointError: When the two sides don't belong together.
            NameTakenError: When another actor has the name for longer than `Patience.name_s`.
            LinkError: When the learner stays away longer than `Patience.away_s`.
        """
        self._prepare(spec, policy_digest)
        version = self._persistence.until_answered(self._introduce, "saying hello")
        if not self._reporter.is_alive():
            self._reporter.start()
        return version

    def announce(self, spec: RobotSpec, policy_digest: str) -> None:
        """Tell the learner of this actor from now on, as soon as it listens, and wait for nothing.

        For an actor that can't begin yet. What the learner refuses is raised by `hello`, which comes before any other
        call all the same.
        """
        self._prepare(spec, policy_digest)
        self._reporter.start()

    def put_episode(self, episode: Episode) -> Receipt:
        """See `LearnerEndpoint.put_episode`; returns once the learner has the episode on its disk.

        Raises:
            LinkError: When the episode is refused or the learner stays away longer than `Patience.away_s`.
        """
        message = encode_episode(episode)
        deadline_s = self._patience.transfer_s + len(message) / _SLOWEST_BYTES_S

        def attempt() -> Receipt:
            answer = self._calls.put(protocol.split(message), deadline_s, self._metadata())
            steps, episodes = protocol.from_json(answer, steps=int, episodes=int)
            return Receipt(steps=steps, episodes=episodes)

        return self._ask(attempt, f"sending episode {episode.id}")

    def put_verdict(self, verdict: Verdict) -> None:
        """See `LearnerEndpoint.put_verdict`; returns once the learner has it on its disk.

        Raises:
            LinkError: When it is refused or the learner stays away longer than `Patience.away_s`.
        """
        message = protocol.to_json({"verdict": verdict.to_dict()})

        def attempt() -> None:
            self._calls.put_verdict(message, self._patience.call_s, self._metadata())

        self._ask(attempt, f"sending what {verdict.by} said about episode {verdict.episode}")

    def weights(self, newer_than: int) -> Weights | None:
        """See `LearnerEndpoint.weights`.

        Raises:
            LinkError: When they arrive damaged or the learner stays away longer than `Patience.away_s`.
        """
        question = protocol.to_json({"newer_than": newer_than})

        def attempt() -> Weights | None:
            deadline_s = _WEIGHTS_TIMES * self._patience.transfer_s
            pieces = self._calls.weights(question, deadline_s, self._metadata())
            message = protocol.join(self._heard(pieces))
            return decode_weights(message) if message else None

        return self._ask(attempt, "fetching weights")

    def may_act(self, timeout_s: float) -> bool:
        """See `LearnerEndpoint.may_act`; an interrupt ends the wait with False.

        Raises:
            LinkError: When the learner stays away longer than `Patience.away_s`.
        """
        end = time.monotonic() + timeout_s

        def attempt() -> bool:
            left = min(max(end - time.monotonic(), 0.0), protocol.MAX_WAIT_S)
            question = protocol.to_json({"timeout_s": left})
            answer = self._calls.may_act(question, left + self._patience.call_s, self._metadata())
            return bool(protocol.from_json(answer, may_act=bool)[0])

        while True:
            if self._ask(attempt, "waiting for the learner to catch up"):
                return True
            if time.monotonic() >= end or self._interrupt.is_set():
                return False

    def finished(self) -> Receipt | None:
        """See `LearnerEndpoint.finished`.

        Raises:
            LinkError: When the learner stays away longer than `Patience.away_s`.
        """

        def attempt() -> Receipt | None:
            answer = self._calls.finished(b"{}", self._patience.call_s, self._metadata())
            finished, steps, episodes = protocol.from_json(answer, finished=bool, steps=int, episodes=int)
            return Receipt(steps=steps, episodes=episodes) if finished else None

        return self._ask(attempt, "asking whether the run is finished")

    def close(self) -> None:
        """Tell the learner a last time how this actor is, and close the connection."""
        self._closing.set()
        if self._reporter.is_alive():
            self._reporter.join()
        for calls in (*self._before, self._calls):
            calls.close()

    def __enter__(self) -> LearnerClient:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _prepare(self, spec: RobotSpec, policy_digest: str) -> None:
        """What hello says from now on."""
        who = self._identity.to_dict()
        introduction = protocol.to_json({"spec": spec.to_dict(), "policy_digest": policy_digest, "actor": who})
        with self._saying:
            self._introduction, self._session = introduction, None

    def _introduce(self) -> int:
        """Say hello; for a while, as long as another actor has the name."""
        end = time.monotonic() + self._patience.name_s
        while True:
            try:
                return self._say_hello(self._patience.call_s)
            except grpc.RpcError as error:
                taken = isinstance(typed_error(error), NameTakenError)
                if not taken or time.monotonic() >= end or self._interrupt.wait(min(1.0, self._patience.name_s)):
                    raise

    def _say_hello(self, deadline_s: float) -> int:
        """Once; keep the session that the server answers with."""
        with self._saying:
            answer = self._calls.hello(self._introduction, deadline_s)
            version, self._session = protocol.from_json(answer, version=int, session=str)
        return int(version)

    def _tell(self) -> None:
        """Report until `close`, and once more then; what doesn't arrive is told anew a moment later."""
        last = False
        while True:
            self._tell_once(self._report_message())
            self._presence.look()
            if last:
                return
            last = self._closing.wait(REPORT_EVERY_S)

    def _report_message(self) -> bytes:
        """How the actor is; that nobody can say it where `report` fails, since the actor goes on all the same."""
        try:
            return protocol.to_json({"report": self.report().to_dict()})
        except Exception as error:
            if not self._report_failed:
                logger.exception("what this actor tells its learner can't be told")
            self._report_failed = True
            detail = f"its report failed: {type(error).__name__}: {error}"
            return protocol.to_json({"report": ActorReport("acting", detail).to_dict()})

    def _tell_once(self, message: bytes) -> None:
        """Send a report; a learner that was restarted is told hello before."""
        for _ in range(2):
            session = self._session
            try:
                self._calls.report(message, _REPORT_S, self._metadata())
            except grpc.RpcError as error:
                refusal = typed_error(error)
                if refusal is None:
                    self._renew()
                if not isinstance(refusal, HelloNeeded) or not self._hello_again(session):
                    return
            else:
                self._presence.heard()
                return

    def _hello_again(self, session: str | None) -> bool:
        """Whether there is another session than this one now. A refusal is the caller's of `hello` to raise."""
        with self._saying:
            if self._session == session and time.monotonic() >= self._refused_until:
                try:
                    self._say_hello(_REPORT_S)
                except (grpc.RpcError, LinkError) as error:
                    if isinstance(error, LinkError) or typed_error(error) is not None:
                        self._refused_until = time.monotonic() + _REFUSED_S
            return self._session != session

    def _heard(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The pieces, each of which shows that the learner lives."""
        for piece in pieces:
            self._presence.heard()
            yield piece

    def _renew(self) -> bool:
        """Connect with this machine's new certificate from now on, where there is one; whether there is."""
        with self._renewing:
            credentials = self._certificates.newer()
            if credentials is not None:
                self._before.append(self._calls)
                self._calls = Calls(self.address, credentials)
            return credentials is not None

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return ((protocol.SESSION_KEY, self._session or ""),)

    def _ask(self, attempt: Callable[[], _T], doing: str) -> _T:
        """`attempt` in a session; a restarted server asks for a new hello first."""
        if self._introduction is None:
            raise LinkError("say hello to the learner before anything else")

        def in_session() -> _T:
            for _ in range(_HELLOS):
                if self._session is None:
                    self._introduce()
                session = self._session
                try:
                    return attempt()
                except grpc.RpcError as error:
                    if not isinstance(typed_error(error), HelloNeeded):
                        raise
                with self._saying:
                    if self._session == session:  # else the reporting thread was faster
                        self._session = None
            raise LinkError(f"the learner at {self.address} keeps asking for hello: do two share this address?")

        return self._persistence.until_answered(in_session, doing)
