"""What a running session shows through its console, and the words that it hears there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from commands.watch.data_age import DataAge
from robot.console.state import CameraView, ConsoleState, LoopView, ServoView, joint_views
from robot.rollout.actor_status import ActorStatus
from robot.rollout.recovery import Recovery
from robot.rollout.session import SessionStep
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

    Args:
        station: The robot.
        task: Task name.
        max_steps: Time limit of an episode.
        recovery: Tells what the robot waits for after a fault.
        stop: Set by the word "stop".
    """

    def __init__(self, station: Station, task: str, max_steps: int, recovery: Recovery, stop: threading.Event) -> None:
        self._station, self._task, self._max_steps = station, task, max_steps
        self._recovery, self._stop = recovery, stop
        self._step: SessionStep | None = None
        self._ages = DataAge()
        self._status: ActorStatus | None = None
        self._heard_ns = time.monotonic_ns()
        self._arm_seen: tuple[int, dict[str, Any]] = (0, {})

    # -- from the session's thread ------------------------------------------------------------------
    def on_step(self, step: SessionStep) -> None:
        """The newest instant."""
        self._step, self._heard_ns = step, time.monotonic_ns()
        self._ages.add(self._station.env.ages_ns)

    def on_observation(self, observation: Observation) -> None:
        """The newest instant of a session without policy and judge."""
        self._step = SessionStep(observation, "forward", 0, Source.PERSON, float("nan"))
        self._heard_ns = time.monotonic_ns()

    def on_status(self, status: ActorStatus) -> None:
        """Counts of the run; also while the session waits for its learner, as a sign of life."""
        self._status, self._heard_ns = status, time.monotonic_ns()

    def figures(self) -> dict[str, Any]:
        """Of the whole session, plain JSON types: station, freshness of the data, missed steps, recoveries."""
        return self._station.figures() | {
            "freshness": self._ages.figures(),
            "overruns": self._station.env.overruns,
            "recovered_from": dict(self._recovery.counts),
        }

    # -- from the console's threads -----------------------------------------------------------------
    def frames(self) -> Mapping[str, UInt8]:
        """Newest images; where only the session may look, those of its newest observation."""
        live = self._station.frames()
        return live if live or self._step is None else self._step.observation.images

    def state(self) -> dict[str, Any]:
        """`ConsoleState.to_dict`."""
        step, status, figures = self._step, self._status, self._station.figures()
        values: dict[str, Any] = {"task": self._task, "max_steps": self._max_steps}
        if step is not None:
            probability = step.probability if step.probability == step.probability else None
            values |= {
                "instruction": step.observation.instruction,
                "direction": step.direction,
                "acting": self._acting(step),
                "step": step.step,
                "success_probability": probability,
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
        values |= self._arm() | _devices(figures)
        values["fault"] = self._station.env.fault
        values["waiting_for"] = self._waiting_for()
        beat_ns = max(self._heard_ns, self._station.env.beat_ns)
        values["updated_s"] = time.time() - (time.monotonic_ns() - beat_ns) / NS_PER_S
        return ConsoleState(**values).to_dict()

    def words(self) -> dict[str, Callable[[str], str]]:
        """Hold and stop, and those of the station."""
        return {"hold": self._hold, "stop": self._end} | self._station.words()

    # -- inside -------------------------------------------------------------------------------------
    def _acting(self, step: SessionStep) -> Acting:
        if self._waiting_for() is not None or self._station.env.fault is not None:
            return "nobody"
        if self._status is not None and self._status.state != "acting":
            return "nobody"  # waits for the learner, or is at its end
        names: dict[Source, Literal["policy", "person"]] = {Source.PERSON: "person"}
        return names.get(step.source, "policy")

    def _waiting_for(self) -> str | None:
        asked: str | None = getattr(self._station.operator, "waiting_for", None)
        return asked or self._recovery.waiting_for

    def _arm(self) -> dict[str, Any]:
        """Joints and gripper; those of a moment ago where the arm's loop is a little late."""
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
        self._station.env.stop(f"{by or 'somebody at the console'} said hold")
        return "The arm holds until somebody clears the fault."

    def _end(self, by: str) -> str:
        self._stop.set()
        return "The session ends after this episode."


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
