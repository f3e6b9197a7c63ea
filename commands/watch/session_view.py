"""What a running session shows through its console, and the words that it hears there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from commands.watch.data_age import DataAge
from robot.console.state import CameraView, ConsoleState, EpisodeView, LoopView, ServoView, joint_views
from robot.control.faults import Fault, FaultLatch, reason_of
from robot.fleet import ENDED, ActorReport
from robot.rollout.actor_status import ActorStatus
from robot.rollout.persons_word import PersonsWord, SpokenOf
from robot.rollout.recovery import Recovery
from robot.rollout.session_step import SessionStep
from trajectories.errors import RegraspError
from trajectories.numbers import NS_PER_S
from trajectories.types import Observation, Source, UInt8

if TYPE_CHECKING:
    from factory.robot import Station
    from robot.console.state import Acting

_LATE_NS = NS_PER_S
"""So old joints are still shown as they were; an arm's loop that says nothing for longer is silent."""


class SessionView:
    """Gathers what a session publishes from its own thread, for a console that asks from others.

    It is there before the robot is and after it: the hold and the stop are always heard.

    Args:
        task: Task name.
        max_steps: Time limit of an episode.
        faults: What stands; gets the word "hold".
        stop: Set by the word "stop".

    Attributes:
        words: What a person may say, see `Console`; more with the robot.
    """

    def __init__(self, task: str, max_steps: int, faults: FaultLatch, stop: threading.Event) -> None:
        self._task, self._max_steps, self._faults, self._stop = task, max_steps, faults, stop
        self._station: Station | None = None
        self._recovery: Recovery | None = None
        self._word: PersonsWord | None = None
        self.words: dict[str, Callable[..., str]] = {
            "hold": self._hold, "stop": self._end, "clear": self._clear, "ready": self._not_asked,
        }  # fmt: skip
        self._step: SessionStep | None = None
        self._ages = DataAge()
        self._status: ActorStatus | None = None
        self._heard_ns = time.monotonic_ns()
        self._arm_seen: tuple[int, dict[str, Any]] = (0, {})

    def attach(self, station: Station, recovery: Recovery) -> None:
        """The robot is open.

        Args:
            station: The robot.
            recovery: Tells what it waits for after a fault, and hears the word "clear".
        """
        self._station, self._recovery, self._heard_ns = station, recovery, time.monotonic_ns()
        self.words.update(station.words())

    def hear(self, word: PersonsWord) -> None:
        """From now on people may speak about episodes."""
        self._word = word
        self.words.update(word.words())

    # -- from the session's thread ------------------------------------------------------------------
    def on_step(self, step: SessionStep) -> None:
        """The newest instant."""
        self._step, self._heard_ns = step, time.monotonic_ns()
        if self._station is not None:
            self._ages.add(self._station.env.ages_ns)

    def on_observation(self, observation: Observation) -> None:
        """The newest instant of a session without policy and judge."""
        self._step = SessionStep(observation, "forward", 0, Source.PERSON, float("nan"))
        self._heard_ns = time.monotonic_ns()

    def on_status(self, status: ActorStatus) -> None:
        """Counts of the run; also while the session waits for its learner, as a sign of life."""
        self._status, self._heard_ns = status, time.monotonic_ns()

    def report(self) -> ActorReport:
        """What an actor tells its learner; may be called from any thread."""
        status, standing = self._status or ActorStatus(""), self._standing()
        state, detail = str(status.state), status.detail
        if asked := self._waiting_for():
            asks = self._station is not None and state in ("starting", "acting")
            state, detail = ("asks" if asks else state), asked
        if standing:
            state, detail = (state if state in ENDED else "holds"), reason_of(standing) or ""
        return ActorReport(
            state, detail, status.policy_version, status.weights_refused, status.outbox, dict(status.helps)
        )

    def figures(self) -> dict[str, Any]:
        """Of the whole session, plain JSON types: station, freshness of the data, missed steps, recoveries."""
        station, recovery = self._station, self._recovery
        return ({} if station is None else station.figures()) | {
            "freshness": self._ages.figures(),
            "overruns": 0 if station is None else station.env.overruns,
            "recovered_from": {} if recovery is None else dict(recovery.counts),
        }

    # -- from the console's threads -----------------------------------------------------------------
    def frames(self) -> Mapping[str, UInt8]:
        """Newest images; where only the session may look, those of its newest observation."""
        live = {} if self._station is None else self._station.frames()
        return live if live or self._step is None else self._step.observation.images

    def state(self) -> dict[str, Any]:
        """`ConsoleState.to_dict`."""
        step, status, station = self._step, self._status, self._station
        figures = {} if station is None else station.figures()
        values: dict[str, Any] = {"task": self._task, "max_steps": self._max_steps}
        if step is not None:
            probability = step.probability if step.probability == step.probability else None
            values |= {
                "instruction": step.observation.instruction,
                "direction": step.direction,
                "acting": self._acting(step),
                "step": step.step,
                "success_probability": probability,
                "unsure": step.unsure,
                "progress": step.progress,
                "clipped": step.clipped,
            }
        if status is not None:
            values |= {
                "episodes": status.episodes,
                "steps": status.steps,
                "tallies": dict(status.training),
                "helps": dict(status.helps),
                "policy_version": status.policy_version,
            }
        if self._word is not None:
            values |= {"running": _episode(self._word.running), "last": _episode(self._word.last)}
        values |= self._arm() | _devices(figures)
        faults = self._standing()
        values |= {"fault": reason_of(faults), "faults": faults}
        values["waiting_for"] = self._waiting_for()
        beat_ns = self._heard_ns if self._station is None else max(self._heard_ns, self._station.env.beat_ns)
        values["updated_s"] = time.time() - (time.monotonic_ns() - beat_ns) / NS_PER_S
        return ConsoleState(**values).to_dict()

    # -- inside -------------------------------------------------------------------------------------
    def _standing(self) -> tuple[Fault, ...]:
        return self._faults.standing if self._station is None else self._station.env.faults

    def _acting(self, step: SessionStep) -> Acting:
        if self._waiting_for() is not None or self._standing():
            return "nobody"
        if self._status is not None and self._status.state != "acting":
            return "nobody"  # waits for the learner, or is at its end
        names: dict[Source, Literal["policy", "person"]] = {Source.PERSON: "person"}
        return names.get(step.source, "policy")

    def _waiting_for(self) -> str | None:
        if self._station is None or self._recovery is None:
            return "the robot is being opened"
        asked: str | None = getattr(self._station.operator, "waiting_for", None)
        return asked or self._recovery.waiting_for

    def _arm(self) -> dict[str, Any]:
        """Joints and gripper; those of a moment ago where the arm's loop is a little late."""
        if self._station is None:
            return {}
        env, now_ns = self._station.env, time.monotonic_ns()
        try:
            state = env.arm_state
        except RegraspError as error:
            seen_ns, values = self._arm_seen
            return values if now_ns - seen_ns < _LATE_NS else {"stale": str(error)}
        values = {
            "joints": joint_views(state, env.limits, env.model.joints),
            "gripper_width": state.gripper_width,
            "gripper_effort": state.gripper_effort,
        }
        self._arm_seen = now_ns, values
        return values

    def _hold(self, by: str) -> str:
        fault = self._faults.trip(f"{by or 'somebody at the console'} said hold", "hold")
        return f"The arm holds until somebody clears {fault.id}."

    def _clear(self, by: str, faults: Sequence[str]) -> str:
        if self._recovery is None:
            return "The robot isn't open yet; say it again when it asks for it."
        return self._recovery.clear(by, faults)

    def _not_asked(self, by: str) -> str:
        return "Nobody waits for 'ready' now."

    def _end(self, by: str) -> str:
        self._stop.set()
        return "The session ends after this episode."


def _episode(spoken: SpokenOf | None) -> EpisodeView | None:
    if spoken is None:
        return None
    verdict = spoken.verdict
    said, by = ("", "") if verdict is None else (verdict.word, verdict.by)
    return EpisodeView(spoken.id, spoken.direction, spoken.judged or "", said, by)


def _devices(figures: Mapping[str, Any]) -> dict[str, Any]:
    """What a station of real drivers reports; one of a package outside may report less."""
    arm, loop = figures.get("arm", {}), figures.get("arm", {}).get("loop")
    names = CameraView.__dataclass_fields__
    return {
        "mode": arm.get("mode"),
        "servos": tuple(
            ServoView(
                servo["name"],
                servo["temperature_c"],
                servo.get("temperature_limit_c"),
                servo["voltage_v"],
                servo["load"],
            )
            for servo in figures.get("servos", ())
        ),
        "loop": None
        if loop is None
        else LoopView(
            1e3 * loop["period_p50_s"], 1e3 * loop["period_p99_s"], int(loop["missed"]), int(loop["incomplete"])
        ),
        "cameras": {
            name: CameraView(**{key: value for key, value in camera.items() if key in names})
            for name, camera in figures.get("cameras", {}).items()
        },
    }
