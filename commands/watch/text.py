"""A session's state as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from robot.console.light import Light
from robot.console.state import CameraView, ConsoleState, ServoView
from robot.rollout.actor_status import Tally

_SAID = {"unknown": "that it doesn't know"}


def text_of(state: ConsoleState, light: Light) -> str:
    """Everything that the web page shows but the pictures."""
    said = f"{light.title}: {light.text}"
    if light.advice and not said.endswith((".", "!", "?", ":")):
        said += "."
    heading = " ".join(part for part in (said, light.advice) if part)
    return "\n".join([heading, *(f"{name:10} {rest}".rstrip() for name, rest in _lines(state))])


def _lines(state: ConsoleState) -> Iterator[tuple[str, str]]:
    yield "task", f"{state.task}, {state.direction}: {state.instruction}" if state.instruction else state.task
    limit = f" of {state.max_steps}" if state.max_steps else ""
    yield "acting", f"{state.acting}, step {state.step}{limit}, policy version {state.policy_version}"
    come = state.progress[-1] if state.progress else None
    told = "" if come is None else f", {100 * come:.0f} % of the way"
    doubt = "; it doesn't know: nothing is learned from an episode that ends so" if state.unsure else ""
    yield "judge", f"success probability {_number(state.success_probability, '.2f')}{told}{doubt}"
    yield "arm", f"mode {state.mode or '-'}, limits that changed the last action: {', '.join(state.clipped) or 'none'}"
    for fault in state.faults:
        yield "stands", f"{fault.id} ({fault.kind}): {fault.reason}"
    for joint in state.joints:
        span = f"({_number(joint.lower, '.2f')} ... {_number(joint.upper, '.2f')})"
        effort = f"{_number(joint.effort, '+.2f')} of {_number(joint.max_effort, '.1f')} N m"
        yield "joint", f"{joint.name:14} {_number(joint.position, '+.2f')} rad {span}, {effort}"
    if state.gripper_width is not None:
        effort = _number(state.gripper_effort, "+.2f")
        yield "gripper", f"{1e3 * state.gripper_width:.0f} mm, effort {effort}"
    for servo in state.servos:
        yield "servo", _servo(servo)
    if state.loop is not None:
        loop = state.loop
        yield (
            "loop",
            f"period p50 {_number(loop.period_p50_ms, '.1f')} ms, p99 {_number(loop.period_p99_ms, '.1f')} ms, "
            f"{loop.missed} missed, {loop.incomplete} incomplete",
        )
    for name, camera in sorted(state.cameras.items()):
        yield "camera", _camera(name, camera)
    for name, episode in (("this one", state.running), ("last one", state.last)):
        if episode is not None and (episode.judged or episode.said):
            judged = f"the judge said {_SAID.get(episode.judged, episode.judged)}" if episode.judged else "under way"
            said = f"; {episode.by} said {episode.said}" if episode.said else ""
            yield name, f"{episode.id}, {episode.direction}: {judged}{said}"
    yield "stored", f"{state.episodes} episodes, {state.steps} steps"
    for direction, tally in sorted(state.tallies.items(), reverse=True):
        yield "success", _tally(direction, tally)
    yield "helps", ", ".join(f"{reason}: {count}" for reason, count in sorted(state.helps.items())) or "none"


def _servo(servo: ServoView) -> str:
    return (
        f"{servo.name:16} {_number(servo.temperature, '.0f')} °C (limit {_number(servo.temperature_limit, '.0f')}), "
        f"{_number(servo.voltage, '.1f')} V, load {_number(servo.load, '+.0%')}"
    )


def _camera(name: str, camera: CameraView) -> str:
    error = f", last error: {camera.last_error}" if camera.last_error else ""
    age = _number(camera.age_ms, ".0f")
    return f"{name}: {camera.state}, {camera.fps:.1f} fps, age {age} ms, {camera.dropped} dropped{error}"


def _tally(direction: str, tally: Tally) -> str:
    unsure = f"; of {tally.unsure} more nobody knows" if tally.unsure else ""
    if not tally.episodes:
        return f"{direction}: no episode yet{unsure}"
    known = sum(one is not None for one in tally.recent)
    recent = "" if tally.recent_rate is None else f", {tally.recent_rate:.0%} of the last {known}"
    return f"{direction}: {tally.successes} of {tally.episodes} episodes{recent}{unsure}"


def _number(value: Any, form: str) -> str:
    """The number in the format `form`, or a dash where there is none."""
    return "-" if value is None else format(value, form)
