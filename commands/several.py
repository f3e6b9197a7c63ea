"""Verbs that `torchrun` may start as several processes, of which one speaks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from policies.common.launch import Launch
from trajectories.errors import ConfigError

SEVERAL = ("pretrain", "learner")
"""Verbs that share their work among several processes."""


def require_one_process(verb: str) -> None:
    """Refuse to do the same work several times, into the same files.

    Raises:
        ConfigError: `torchrun` started several processes of a verb that works in one.
    """
    if Launch.of().count > 1 and verb not in SEVERAL:
        raise ConfigError(
            f"regrasp {verb} works in one process; start it without torchrun. What torchrun may start are: "
            f"{', '.join(SEVERAL)} (docs/scale.md)."
        )


@contextmanager
def one_speaks() -> Iterator[None]:
    """Show what the first process prints, and of the others errors alone."""
    if Launch.of().rank == 0:
        yield
        return
    os.environ["TQDM_DISABLE"] = "1"
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        yield
