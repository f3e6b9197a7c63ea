"""`agent.compile=auto`: whether `torch.compile` pays for itself in the updates that a run is to do.

Compiling the update of one phase takes 6 to 15 s of a processor, a third of that where it was compiled before, and
longer on one that is shared; what an update then saves grows with the critics' activations. docs/results/speed.md has
both as measured. The estimate depends on settings alone, so that the same settings always give the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from policies.agent.config import AgentConfig
from policies.agent.phase_config import PhaseConfig
from policies.common.tensor_file import read_header
from trajectories.errors import ConfigError

COMPILE_S = {"cpu": 15.0, "cuda": 60.0}
"""Seconds for each phase, on a processor and on a GPU (whose figures are estimates: none has been measured)."""
SAVED_PER_MILLION_MS = 4.0
"""Milliseconds that an update saves on a processor for every million activations of the critics' hidden layers."""
SAVED_PER_LAUNCH_MS = 4.0
"""Milliseconds that each critic update saves on a GPU, whose CUDA graph replaces some hundred launches."""
WORTH = 2.0
"""What is saved must be this many times what compiling takes: both are estimates."""


@dataclass(frozen=True)
class Workload:
    """Updates that a run does in one phase.

    Attributes:
        phase: Its losses.
        updates: How many, from the run's beginning to its end.
        batch: Transitions of one critic update.
        utd: Critic updates in each.
    """

    phase: PhaseConfig
    updates: int
    batch: int
    utd: int = 1


@dataclass(frozen=True)
class CompileChoice:
    """What was decided.

    Attributes:
        compile: Whether to compile.
        why: A line for people; empty where a person decided.
    """

    compile: bool
    why: str = ""


def compile_setting(value: object) -> bool | Literal["auto"]:
    """The setting `agent.compile`, checked.

    Raises:
        ConfigError: It is neither true, false nor auto.
    """
    if value == "auto":
        return "auto"
    if isinstance(value, bool):
        return value
    raise ConfigError(f"agent.compile={value} is unknown; expected auto, true or false.")


def choose_compile(
    setting: bool | Literal["auto"],
    agent: AgentConfig,
    work: Sequence[Workload],
    device: torch.device | str = "cpu",
    begun: bool | None = None,
) -> CompileChoice:
    """Decide for a run.

    Args:
        setting: Of the person; "auto" estimates.
        agent: Networks and losses.
        work: All updates of the run, those included that earlier starts have done. Cloning alone is never compiled.
        device: Where they are done.
        begun: What the run's own checkpoint was made with; a run keeps to it, so that it goes on to the bit.
    """
    if setting != "auto":
        return CompileChoice(setting)
    kind = torch.device(device).type
    if begun is not None:
        return CompileChoice(begun, f"agent.compile=auto: {_words(begun)}, as the run was begun.")
    phases = [part for part in work if part.updates > 0 and part.phase.extraction != "bc"]
    saved = sum(part.updates * saved_ms(agent, part, kind) for part in phases) / 1000
    takes = len(phases) * COMPILE_S.get(kind, COMPILE_S["cuda"])
    pays = bool(phases) and saved >= WORTH * takes
    missing = missing_compiler(kind) if pays else None
    if missing is not None:
        return CompileChoice(False, f"agent.compile=auto: not compiled, since this machine has no {missing}.")
    updates = sum(part.updates for part in phases)
    return CompileChoice(
        pays,
        f"agent.compile=auto: {_words(pays)}; {updates:,} updates would save about {saved:.0f} s, compiling takes "
        f"about {takes:.0f} s.",
    )


def begun_with(checkpoint: Path | None) -> bool | None:
    """Whether the run of a checkpoint compiles; None where there is none that can be read.

    Args:
        checkpoint: Of pre-training, of a learner or of a training on a Gymnasium environment.
    """
    header = None if checkpoint is None else read_header(checkpoint)
    if header is None:
        return None
    agent = header["config"] if "config" in header else header["identity"]["agent"]
    return bool(agent["compile"])


def saved_ms(agent: AgentConfig, work: Workload, kind: str) -> float:
    """Estimate of the milliseconds that one update saves when it is compiled.

    Args:
        agent: Networks.
        work: Phase and batch.
        kind: Type of the device, "cpu" or "cuda".
    """
    if kind != "cpu":
        return SAVED_PER_LAUNCH_MS * work.utd
    networks, phase, rows = agent.networks, work.phase, work.batch * work.utd
    activations = networks.critics * rows
    if phase.cql_alpha > 0:
        activations += (phase.cql_critics or networks.critics) * rows * 3 * phase.cql_actions
    return SAVED_PER_MILLION_MS * activations * sum(networks.critic_hidden) / 1e6


def missing_compiler(kind: str) -> str | None:
    """What `torch.compile` lacks on this machine for a type of device; None when it has all."""
    from torch._inductor import cpp_builder
    from torch._inductor.exc import InvalidCxxCompiler
    from torch.utils._triton import has_triton

    if kind == "cuda" and not has_triton():
        return "Triton"
    try:
        cpp_builder.get_cpp_compiler()
    except InvalidCxxCompiler:
        return "C++ compiler"
    return None


def _words(compile_: bool) -> str:
    return "compiled" if compile_ else "not compiled"
