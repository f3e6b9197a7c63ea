"""How far what an ensemble learned is trusted against the backbone's own zero-shot logit, by held-out episodes.

The heads learn from a few dozen episodes, the backbone saw a world. Where the few can't show that the heads are better,
the backbone is believed: of the mixtures prior + trust · (logit - prior) the one with the least trust is taken whose
loss on held-out frames is within a standard error, over episodes, of the best one's (the one-standard-error rule of
Breiman et al., Classification and Regression Trees, 1984, section 3.4.3).
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rewards.calibration import fit_calibration
from trajectories.types import Float64, Int64

TRUSTS = (0.0, 0.25, 0.5, 0.75, 1.0)


Logits = TypeVar("Logits", Float64, Tensor)


def mixed(logits: Logits, prior: Logits | None, trust: float) -> Logits:
    """Prior + trust · (logits - prior), shapes as they broadcast; the logits as they are without a prior or doubt."""
    return logits if prior is None or trust == 1.0 else prior + trust * (logits - prior)


def choose_trust(
    logits: Float64, prior: Float64, labels: NDArray[np.bool_], weights: Float64, episodes: Int64
) -> float:
    """The least of `TRUSTS` that held-out frames don't tell from the best.

    Args:
        logits: float64 (S,) of what was learned, of frames that it did not learn from.
        prior: float64 (S,) zero-shot logits of the same frames.
        labels: bool (S,), both of them there.
        weights: float64 (S,) how often each frame counts.
        episodes: int64 (S,) which episode each frame is of.

    Returns:
        0 (the prior alone) to 1 (what was learned alone).
    """
    _, index = np.unique(episodes, return_inverse=True)
    total = np.bincount(index, weights)
    losses = []
    for trust in TRUSTS:
        values = mixed(logits, prior, trust)
        probability = np.clip(fit_calibration(values, labels, weights)(values), 1e-9, 1 - 1e-9)
        loss = -np.where(labels, np.log(probability), np.log1p(-probability))
        losses.append(np.bincount(index, weights * loss) / total)
    best = losses[int(np.argmin([loss.mean() for loss in losses]))]
    for trust, loss in zip(TRUSTS, losses, strict=True):
        worse = loss - best
        error = worse.std(ddof=1) / np.sqrt(len(worse)) if len(worse) > 1 else 0.0
        if worse.mean() <= error:
            return trust
    return 1.0
