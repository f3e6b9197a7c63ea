"""The actor: collects episodes with the newest policy and hands each of them to the learner exactly once.

    send what an earlier process left in the outbox
    until the learner says that the run is finished, or a person stops it:
        take newer weights if there are any and they pass the canary
        may_act?  the session runs an episode and commits it to the outbox (durable)
                  -> learner (durable) -> out of the outbox
        what people said about episodes, once these have gone: likewise
        in one process with the learner: its turn
    what people said since, however the run ended

An episode that is in the outbox is never lost: when the actor, the learner or the link dies between two of
these arrows the episode is sent again, and the learner knows its id.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from robot.interfaces import LearnerEndpoint, LoadWeights
from robot.rollout.actor_status import ActorStatus, State, continued, run_of
from robot.signals import on_signals, set_from_handler
from trajectories.errors import CorruptEpisodeError, LinkError, RegraspError, StoppedError, StoreError
from trajectories.store import TrajectoryStore
from trajectories.types import Episode
from trajectories.verdicts import VerdictBook

logger = logging.getLogger(__name__)


class SessionStats(Protocol):
    """The part of a session's statistics that episodes don't tell."""

    @property
    def helps(self) -> Mapping[str, int]:
        """Reason -> how often help was asked for since the session began."""
        ...


class Session(Protocol):
    """Where episodes come from: `robot.rollout.session.ResetFreeSession`."""

    @property
    def stats(self) -> SessionStats:
        """Statistics since the session began."""
        ...

    def run_episode(self) -> Episode:
        """One whole episode, which is in the actor's outbox when this returns.

        The session commits, so that it also keeps an episode that a fault cut short and that is never returned.
        """
        ...


@dataclass(frozen=True)
class ActorOptions:
    """Settings of an actor.

    Attributes:
        status_path: JSON file with the `ActorStatus`, kept up to date; None for none.
        between_episodes: With an endpoint in the same process: lets the learner take its turn, called after
            each episode and as long as the learner is behind.
        wait_s: Longest single wait for the learner, s; between waits the actor notices a stop.
        resume_hint: What a person does to go on after a stop.
        policy_version: Version of the weights that the policy starts with.
        notify: Gets lines for a person.
        on_status: Gets every new status.
    """

    status_path: Path | None = None
    between_episodes: Callable[[], None] | None = None
    wait_s: float = 2.0
    resume_hint: str = "run the same command again"
    policy_version: int = 0
    notify: Callable[[str], None] = logger.info
    on_status: Callable[[ActorStatus], None] | None = None


class Actor:
    """Runs a session for a learner until the run is finished or a person stops it."""

    def __init__(
        self,
        session: Session,
        endpoint: LearnerEndpoint,
        load_weights: LoadWeights,
        outbox: TrajectoryStore,
        policy_digest: str,
        options: ActorOptions | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        """Prepare; nothing is sent or moved before `run`.

        Args:
            session: Runs episodes and commits each to `outbox` (`ResetFreeSession` by `on_episode`). One that a
                fault cut short goes out after the next whole one, or at the next start.
            endpoint: The learner, in this process or behind a `LearnerClient`.
            load_weights: Tries new weights (canary pass) and swaps them in; when it raises the old ones stay.
            outbox: Durable place for episodes that the learner has not acknowledged, and for verdicts on episodes; only
                the session adds, only the actor removes.
            policy_digest: Identifies the policy that both sides start from.
            options: Settings.
            stop: Ends the run after the present episode once set. Give the same event to `LearnerClient` as
                `interrupt`, so that a stop also ends the waiting for a learner that is away.
        """
        self._session = session
        self._endpoint = endpoint
        self._load_weights = load_weights
        self._outbox, self._verdicts = outbox, VerdictBook(outbox.path)
        self._digest = policy_digest
        self._options = options or ActorOptions()
        self._stop = stop or threading.Event()
        self._signalled = False
        run = run_of(outbox.spec, policy_digest)
        self._status = continued(self._options.status_path, run, self._options.policy_version)
        self._helps_before = Counter(self._status.helps)
        self._newest_seen = self._options.policy_version
        self._unreadable: set[str] = set()

    @property
    def status(self) -> ActorStatus:
        """What has been done up to now."""
        return self._status

    def run(self) -> ActorStatus:
        """Collect until the run is finished or stopped by `stop`, SIGINT, SIGTERM or SIGHUP.

        A first signal lets the present episode end and be stored. SIGINT (Ctrl-C) after it drops that episode; others
        don't, since a terminal that is closed and a service manager send several of them.

        Raises:
            SpecMismatchError, CheckpointError: When actor and learner don't belong together.
            LinkError: When the learner is away for too long; every committed episode is in the outbox.
            StoreError: When the outbox or the learner's store can't be written.
        """
        with (
            on_signals(self._asked_to_stop, signal.SIGTERM, signal.SIGHUP),
            on_signals(self._interrupted, signal.SIGINT),
        ):
            try:
                finished = self._collect()
            except (KeyboardInterrupt, StoppedError):
                finished = False
            except LinkError as error:
                if not self._stopping:
                    self._enter("failed", str(error))
                    raise
                self._options.notify(str(error))
                finished = False
            except BaseException as error:
                self._enter("failed", f"{type(error).__name__}: {error}")
                raise
        self._enter("finished" if finished else "stopped")
        self._options.notify(self._farewell())
        return self._status

    def _collect(self) -> bool:
        """True when the learner has the steps that it was asked for, False after a stop."""
        self._enter("starting", "saying hello to the learner")
        self._endpoint.hello(self._outbox.spec, self._digest)
        away = False
        try:
            return self._run_episodes()
        except LinkError:
            away = True
            raise
        finally:
            if not away:
                self._send_last_verdicts()

    def _run_episodes(self) -> bool:
        """All that comes after hello; returns as `_collect`."""
        if findings := str(self._outbox.recovered):
            self._options.notify(f"outbox: {findings}")
        self._send_outbox("of an earlier start")
        self._send_verdicts()
        turn = self._options.between_episodes
        while (totals := self._endpoint.finished()) is None:
            if self._stopping:
                return False
            self._poll_weights()
            if self._endpoint.may_act(0.0 if turn else self._options.wait_s):
                self._run_episode()
            elif self._status.state != "waiting":
                self._enter("waiting", "the learner is catching up")
            else:
                self._tell()
            self._send_verdicts()
            if turn is not None:
                turn()
        self._status = self._status.stored(totals)
        return True

    def _run_episode(self) -> None:
        """One episode, from its first observation to the learner's acknowledgement.

        Raises:
            StoreError: When the session has not committed it.
        """
        self._enter("acting")
        episode = self._session.run_episode()
        if episode.id not in self._outbox:
            raise StoreError(
                f"Episode {episode.id} is not in the outbox {self._outbox.path}, so a kill would lose it; expected a "
                "session that commits what it records. Give it on_episode=outbox.commit."
            )
        helps = self._helps_before + Counter(self._session.stats.helps)
        self._status = replace(self._status.judged(episode), helps=dict(helps))
        self._send(episode)
        if len(self._outbox):
            self._send_outbox("that a fault cut short")

    def _send_outbox(self, whose: str) -> None:
        """Send what was committed and has no acknowledgement yet."""
        waiting = [id for id in self._outbox.ids() if id not in self._unreadable]
        if waiting:
            self._options.notify(f"sending {len(waiting)} episodes {whose} to the learner")
        for id in waiting:
            if self._stopping:
                return
            try:
                episode = self._outbox.read(id)
            except CorruptEpisodeError as error:
                self._options.notify(f"an episode {whose} can't be sent: {error}")
                self._unreadable.add(id)
                continue
            self._send(episode)

    def _send(self, episode: Episode) -> None:
        """Hand an episode of the outbox over; it leaves the outbox once the learner has it on its disk."""
        self._enter("sending")
        receipt = self._endpoint.put_episode(episode)
        self._outbox.remove(episode.id)
        self._status = self._status.stored(receipt)

    def _send_verdicts(self) -> None:
        """Hand over what people said about episodes, none of which is under way now; likewise."""
        self._verdicts.refresh()
        for verdict in self._verdicts.all():
            self._endpoint.put_verdict(verdict)
            self._status = self._status.overruled(verdict)
            self._publish()
            self._verdicts.remove(verdict)

    def _send_last_verdicts(self) -> None:
        """Hand over what people said up to the end of the run; what can't be sent waits for the next start."""
        try:
            self._send_verdicts()
        except RegraspError as error:
            self._options.notify(f"what people said last stays in the outbox: {error}")

    def _poll_weights(self) -> None:
        """Swap in newer weights unless the canary pass refuses them; a refused version is not tried again."""
        weights = self._endpoint.weights(self._newest_seen)
        if weights is None:
            return
        self._newest_seen = weights.version
        try:
            self._load_weights(weights)
        except Exception as error:
            self._status = replace(self._status, weights_refused=self._status.weights_refused + 1)
            logger.warning("canary failed", exc_info=error)
            self._options.notify(
                f"weights of version {weights.version} refused, going on with version "
                f"{self._status.policy_version}: {error}"
            )
            return
        self._status = replace(self._status, policy_version=weights.version)

    def _enter(self, state: State, detail: str = "") -> None:
        """Note and publish what the actor does now."""
        self._status = replace(self._status, state=state, detail=detail, outbox=len(self._outbox))
        self._publish()

    def _publish(self) -> None:
        """Write the status down and tell it."""
        if self._options.status_path is not None:
            self._status.write(self._options.status_path)
        self._tell()

    def _tell(self) -> None:
        """Publish where the run stands, also as a sign of life."""
        if self._options.on_status is not None:
            self._options.on_status(self._status)

    def _farewell(self) -> str:
        """The last line for a person."""
        status = self._status
        done = f"{status.episodes} episodes and {status.steps} steps are with the learner"
        with suppress(StoreError):
            self._verdicts.refresh()
        left = ((status.outbox, "episodes"), (len(self._verdicts), "verdicts of people"))
        waiting = " and ".join(f"{count} {what}" for count, what in left if count)
        rest = f", {waiting} in the outbox go out at the next start" if waiting else ""
        if status.state == "finished":
            return f"finished: {done}{rest}"
        return f"stopped: {done}{rest or ', none is waiting'}. To go on: {self._options.resume_hint}"

    @property
    def _stopping(self) -> bool:
        return self._signalled or self._stop.is_set()

    def _asked_to_stop(self) -> None:
        """A signal came: stop after this episode."""
        first, self._signalled = not self._signalled, True
        set_from_handler(self._stop)
        if first:  # not through `notify`: its lock may be held by the very code that the signal interrupted
            with suppress(OSError):
                os.write(2, b"\nstopping after this episode; Ctrl-C drops it\n")

    def _interrupted(self) -> None:
        """Ctrl-C: like another signal; after one it raises KeyboardInterrupt."""
        if self._signalled:
            raise KeyboardInterrupt
        self._asked_to_stop()
