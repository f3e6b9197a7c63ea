"""How old the data of observations were, over a session."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

JOINTS = "joints"


class DataAge:
    """Ages of frames and joint states when they were observed, and the skew between them."""

    def __init__(self) -> None:
        self._ages: defaultdict[str, list[int]] = defaultdict(list)

    def add(self, ages_ns: Mapping[str, int]) -> None:
        """Note one observation: source -> age, ns."""
        for name, age in ages_ns.items():
            self._ages[name].append(age)

    def figures(self) -> dict[str, Any]:
        """Source -> age (p50, p99, largest) in ms; of cameras also the skew: how much older than the joints."""
        found = {name: _spread(np.array(ages)) for name, ages in self._ages.items()}
        joints = np.array(self._ages.get(JOINTS, ()))
        for name, ages in self._ages.items():
            if name != JOINTS and len(ages) == len(joints):
                found[name] |= {f"skew_{key}": value for key, value in _spread(np.array(ages) - joints).items()}
        return found


def _spread(ages_ns: np.ndarray) -> dict[str, float]:
    p50, p99 = np.percentile(ages_ns, (50, 99)) / 1e6
    return {"p50_ms": float(p50), "p99_ms": float(p99), "max_ms": float(ages_ns.max() / 1e6)}
