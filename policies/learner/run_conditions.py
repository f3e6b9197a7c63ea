"""What a fine-tuning run learns with, held against what it was begun with: by who starts it, and by the learner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from policies.agent.config import AgentConfig
from policies.learner.learner_config import LearnerConfig
from policies.learner.run_folder import CONDITIONS
from trajectories.conditions import keep_conditions, require_conditions

_ADVICE = (
    "Go on with the settings of then, give another run_dir, or accept the change with finetune.accept_changes=true: "
    "both are kept then."
)
_AS_EVER = {"task.displace": 0.0}
"""What runs had that were begun before it was written down."""


def require_run_conditions(run: Path, config: LearnerConfig, agent: AgentConfig, task: str, seed: int) -> None:
    """Refuse settings that the learner of the run would refuse, before anything is started or loaded.

    Args:
        run: Folder of the run, which need not exist.
        config: Settings.
        agent: The losses and optimisers that it goes on with.
        task: The target task.
        seed: Of the draws from the replay.

    Raises:
        ConfigError: The run was begun with other settings and `config` doesn't accept the change.
    """
    if not config.accept_changes:
        here = _conditions(config, agent, task, seed)
        require_conditions(run / CONDITIONS, here, _named(run), _ADVICE, _AS_EVER)


def keep_run_conditions(
    run: Path, config: LearnerConfig, agent: AgentConfig, task: str | None, seed: int, policy: str
) -> None:
    """Write down what the run learns with; refuses as `require_run_conditions` does.

    Args:
        run: Folder of the run.
        config: Settings.
        agent: The losses and optimisers that it goes on with.
        task: The target task; None for none.
        seed: Of the draws from the replay.
        policy: Digest of the pre-trained policy, in which a run may not differ either.

    Raises:
        ConfigError: The run was begun with others and `config` doesn't accept the change.
        OSError: The disk refuses.
    """
    here = _conditions(config, agent, task, seed) | {"policy": policy}
    keep_conditions(run / CONDITIONS, here, _named(run), _ADVICE, accept=config.accept_changes, as_ever=_AS_EVER)


def _conditions(config: LearnerConfig, agent: AgentConfig, task: str | None, seed: int) -> dict[str, Any]:
    return {**config.conditions(agent), "task": task, "seed": seed}


def _named(run: Path) -> str:
    return f"The run in {run}"
