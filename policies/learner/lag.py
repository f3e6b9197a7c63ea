"""How far a learner is behind the robot, in words: before the run, and while it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from policies.agent.agent import Agent
from policies.common.batch import Batch
from policies.learner.schedule import Schedule
from policies.replay.ring_buffer import Fields

FIRST = 200
"""Updates behind from which on it is said, and again at each doubling; at 5 Hz 40 s of the robot's motion."""
_SMOOTH = 0.9
_FASTER = (
    "Faster: compute=cuda, finetune.freeze_encoder=true, agent.compile=true, or a smaller method.utd or method.batch."
)


def seconds_an_update(agent: Agent, fields: Fields, schedule: Schedule, updates: int = 2) -> float:
    """Seconds of one update of fine-tuning on this machine, uncompiled, measured on a copy and random transitions.

    Args:
        agent: Whose networks and losses; it is left as it is.
        fields: Of replay's frames.
        schedule: Batch and critic updates of an update.
        updates: That are measured, after one that is not.
    """
    encoder = None if agent.encoder is None else agent.encoder.copied()
    config = replace(agent.config, compile=False)
    probe = Agent(config, *agent.sizes, device=agent.device, encoder=encoder)
    probe.set_instructions(agent.table)
    probe.set_phase("online")
    batch = _random_batch(fields, schedule.batch * schedule.utd, agent)
    probe.update(batch, schedule.utd)
    _wait_for(agent.device)
    started = time.perf_counter()
    for _ in range(updates):
        probe.update(batch, schedule.utd)
    _wait_for(agent.device)
    return (time.perf_counter() - started) / updates


class LagWatch:
    """Tells a person when the learner falls behind, how far, and when it has caught up."""

    def __init__(self, max_lag: int, control_hz: float, say: Callable[[str], None]) -> None:
        """Nothing is said yet.

        Args:
            max_lag: Updates behind at which the robot waits.
            control_hz: Steps of the robot in a second, each of which asks for an update.
            say: Told in words.
        """
        self._max_lag, self._control_hz, self._say = max_lag, control_hz, say
        self._seconds: float | None = None
        self._next = FIRST

    def begin(self, seconds: float, device: str) -> None:
        """Say whether the learner will keep up.

        Args:
            seconds: Of one update.
            device: Where updates are done.
        """
        self._seconds = seconds
        behind = self._control_hz - 1 / seconds
        rate = (
            f"an update takes {_duration(seconds)} on {device}, and the robot makes {self._control_hz:g} steps a "
            "second at most, each of which asks for one"
        )
        if behind <= 0:
            self._say(f"{rate}: the learner keeps up.")
            return
        self._say(
            f"{rate}: the learner falls behind, by up to {60 * behind:.0f} updates a minute. "
            f"At {self._max_lag} updates behind the robot waits for it (robot.max_lag). {_FASTER}"
        )

    def look(self, owed: int, updates: int, seconds: float) -> None:
        """Say how far behind the learner is when that has doubled, and when it has caught up again.

        Args:
            owed: Updates that are due.
            updates: Done since the last call.
            seconds: That these took.
        """
        if updates > 0:
            each = seconds / updates
            self._seconds = each if self._seconds is None else _SMOOTH * self._seconds + (1 - _SMOOTH) * each
        if owed >= self._next:
            while self._next <= owed:
                self._next *= 2
            self._say(self._behind(owed))
        elif owed <= FIRST // 4 and self._next > FIRST:
            self._next = FIRST
            self._say("caught up with the robot again.")

    def _behind(self, owed: int) -> str:
        work = "" if self._seconds is None else f", {_duration(owed * self._seconds)} of work"
        robot = (
            f"the robot waits for it (robot.max_lag={self._max_lag})"
            if owed > self._max_lag
            else f"the robot waits from {self._max_lag} on (robot.max_lag)"
        )
        return (
            f"{owed} updates behind{work}: the policy has not learned from the robot's last {owed} steps yet; {robot}. "
            f"{_FASTER}"
        )


def _duration(seconds: float) -> str:
    """A duration for a person."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 90 else f"{seconds / 60:.1f} minutes"


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _random_batch(fields: Fields, count: int, agent: Agent) -> Batch:
    """Transitions of random frames and actions."""
    draws, device = torch.Generator().manual_seed(0), agent.device

    def frames() -> dict[str, Tensor]:
        return {
            name: torch.randint(0, 256, (count, *shape), generator=draws, dtype=dtype).to(device)
            if dtype == torch.uint8
            else torch.randn(count, *shape, generator=draws).to(device, dtype)
            for name, (shape, dtype) in fields.items()
        }

    action = torch.rand(count, agent.sizes[2], generator=draws) * 2 - 1
    rows = torch.arange(count) % max(1, len(agent.table))
    zeros = torch.zeros(count)
    columns = {"reward": zeros - 1, "discount": zeros + agent.config.gamma, "mc_return": zeros - 1, "imitate": zeros}
    return Batch(
        frames(),
        frames(),
        instruction=rows.to(device),
        action=action.to(device),
        source=torch.zeros(count, dtype=torch.uint8, device=device),
        **{name: column.to(device) for name, column in columns.items()},
    )
