"""What every kind of perception is made with, as the tensors and the header of its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from policies.perception.gaps import NO_GAPS, Gaps
from policies.perception.scaling import ProprioScaling
from policies.perception.text_table import TextTable
from trajectories.types import RobotSpec

FILE = "features.safetensors"
"""In a policy folder, whichever kind it is."""
Content = tuple[dict[str, Tensor], dict[str, Any]]


@dataclass(frozen=True)
class Common:
    """Scaling, instructions, robot, gaps in the data.

    Attributes:
        scaling: Of proprioception.
        text: Known instructions.
        spec: The robot.
        gaps: What some of the data that it was made for lack.
    """

    scaling: ProprioScaling
    text: TextTable
    spec: RobotSpec
    gaps: Gaps = NO_GAPS

    def content(self) -> Content:
        """Tensors and header."""
        tensors = {
            "proprio.mean": torch.from_numpy(self.scaling.mean),
            "proprio.deviation": torch.from_numpy(self.scaling.deviation),
            "text.rows": torch.from_numpy(self.text.rows),
            "text.mean": torch.from_numpy(self.text.mean),
        }
        header = {
            "spec": self.spec.to_dict(),
            "instructions": list(self.text.instructions),
            "text_spread": self.text.spread,
            "text_source": self.text.source,
        }
        return tensors, header | ({"gaps": self.gaps.to_dict()} if self.gaps else {})

    @classmethod
    def read(
        cls, tensors: Mapping[str, Tensor], header: Mapping[str, Any], folder: Path, spec: RobotSpec | None
    ) -> Common:
        """Inverse of `content`.

        Args:
            tensors: Of the file.
            header: Of the file.
            folder: Where it lies, for messages.
            spec: The robot at hand; None takes the saved one.

        Raises:
            SpecMismatchError: It was made for another robot.
        """
        saved = RobotSpec.from_dict(header["spec"])
        if spec is not None:
            spec.require_same(saved, f"The policy in {folder}")
        scaling = ProprioScaling(tensors["proprio.mean"].numpy(), tensors["proprio.deviation"].numpy())
        text = TextTable(
            tuple(header["instructions"]), tensors["text.rows"].numpy(), tensors["text.mean"].numpy(),
            float(header["text_spread"]), str(header["text_source"]),
        )  # fmt: skip
        gaps = Gaps.from_dict(header["gaps"]) if "gaps" in header else NO_GAPS
        return cls(scaling, text, saved, gaps)


def part_of(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose name begins with `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
