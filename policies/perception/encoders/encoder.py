"""`Encoder`: images of several cameras, proprioception and the instruction to one feature vector.

It is trained while cloning, by the cloning loss, or by the critics' loss alone, as in RoboFuME:
`encoders.frames.encode_batch` then hands the same features to both, with a gradient to the critics and without to the
actor.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from policies.perception.encoders import augmentation
from policies.perception.encoders.branch import Branch, Projection
from policies.perception.encoders.config import ClipConfig, EncoderConfig
from policies.perception.encoders.tower import Tower
from trajectories.errors import CheckpointError, ConfigError

_TOWER = "tower."


class Encoder(nn.Module):
    """The network behind `EncoderConfig`.

    Attributes:
        config: Settings.
        cameras: Camera -> (height, width) of its images, in the order of the features.
        sizes: Entries of proprioception and of the instruction's embedding, (P, E).
        absent: Camera that may be missing -> the entry of the proprioception that is 1 where it is, 0 where it isn't.
        frozen: Nothing is trained (any more): see `freeze`.
        tower: The frozen pre-trained tower, one for all cameras; None for the other kinds.
    """

    def __init__(
        self,
        config: EncoderConfig,
        cameras: Mapping[str, tuple[int, int]],
        proprio_size: int,
        instruction_size: int = 0,
        absent: Mapping[str, int] | None = None,
    ) -> None:
        """Random weights from torch's global generator, and pre-trained ones where the config names them.

        Args:
            config: Settings.
            cameras: Camera -> (height, width) of the robot, e.g. `RobotSpec.cameras`; those that are not in the config
                are left out.
            proprio_size: P.
            instruction_size: E; 0 when the config leaves the instruction out.
            absent: See the attribute; None without such cameras.

        Raises:
            ConfigError: For a camera that the robot hasn't got, images too small or (for shared networks) of several
                sizes, or an instruction that is used and has no size.
            MissingDependencyError: When pre-trained weights are not here.
        """
        super().__init__()
        missing = [name for name in config.cameras if name not in cameras]
        if missing:
            raise ConfigError(f"encoder.cameras names {missing}; the robot has {', '.join(sorted(cameras)) or 'none'}.")
        if proprio_size < 0:
            raise ConfigError(f"proprioception of {proprio_size} entries; expected at least none.")
        if config.instruction != "none" and instruction_size < 1:
            raise ConfigError(
                f"encoder.instruction={config.instruction!r} needs an embedding; the task has none. Set it to 'none'."
            )
        self.config = config
        self.cameras = {name: (int(cameras[name][0]), int(cameras[name][1])) for name in config.cameras}
        self.sizes = (proprio_size, instruction_size)
        self.absent = dict(absent or {})
        network = config.network
        self.tower = Tower(network) if isinstance(network, ClipConfig) and not network.finetune else None
        code_size = instruction_size if config.instruction == "film" else None
        examples = self._examples()
        self.branches = nn.ModuleList(Branch(config, example, code_size) for example in examples)
        width = config.proprio_width if proprio_size else 0
        self.proprio = Projection(proprio_size, width) if width else nn.Identity()
        words = config.instruction_width if config.instruction == "concat" else 0
        self.words = Projection(instruction_size, words) if words else None
        of_images = sum(self.branch(i).size for i in range(len(self.cameras)))
        self.size = of_images + (width or proprio_size) + words
        """Features, F."""
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.frozen = False
        if config.frozen:
            self.freeze()

    def freeze(self) -> None:
        """Train nothing from here on: replay keeps features, and each frame is seen once, unchanged."""
        self.frozen = True
        self.requires_grad_(False)

    def settled(self) -> Encoder:
        """A copy of which nothing is trained any more, and whose settings say so wherever it is loaded."""
        fresh = self.copied()
        fresh.config = replace(self.config, frozen=True)
        fresh.freeze()
        return fresh

    def renewed(self, tensors: Mapping[str, Tensor]) -> Encoder:
        """A copy with these `trained_tensors` on the CPU; a frozen tower is shared, not copied.

        Raises:
            CheckpointError: As `load_trained`.
        """
        fresh = self.copied()
        fresh.load_trained(tensors)
        return fresh

    def copied(self) -> Encoder:
        """A copy; a frozen tower is shared, not copied."""
        return copy.deepcopy(self, {} if self.tower is None else {id(self.tower): self.tower})

    def _examples(self) -> list[Tensor]:
        """What each branch sees of a black image; with shared weights one of them."""
        lost = 2 * self.config.displacement if self.config.augmentation == "crop" else 0
        examples = []
        for name, (height, width) in self.cameras.items():
            if min(height, width) <= lost:
                raise ConfigError(
                    f"Camera {name!r} gives {height} x {width} pixels, of which a crop loses {lost}: "
                    "make encoder.displacement smaller."
                )
            example = torch.zeros(1, height - lost, width - lost, 3, dtype=torch.uint8)
            with torch.no_grad():
                examples.append(example if self.tower is None else self.tower(example).half())
        if not self.config.shared:
            return examples
        if any(example.shape != examples[0].shape for example in examples):
            raise ConfigError(
                f"encoder.shared=true needs images of one size; the cameras give {self.cameras}. Set the cameras "
                "to one size or shared to false."
            )
        return examples[:1]

    def branch(self, camera: int) -> Branch:
        """The network of the camera of this number; the same for all where weights are shared."""
        return cast(Branch, self.branches[0 if self.config.shared else camera])

    def draw(self, batch: int, generator: torch.Generator) -> Tensor | None:
        """Draws of one batch's augmentation: int64 (cameras, batch, 2) on the generator's device.

        None where there is none: switched off, or a frozen encoder or tower, which looks at each frame once.
        """
        config = self.config
        if config.augmentation == "none" or self.frozen or self.tower is not None:
            return None
        return augmentation.draw_offsets(len(self.cameras), batch, config.displacement, generator)

    def forward(
        self,
        images: Mapping[str, Tensor],
        proprio: Tensor,
        code: Tensor | None = None,
        offsets: Tensor | None = None,
    ) -> Tensor:
        """Features of B frames.

        Args:
            images: Camera -> uint8 (B, H, W, 3) RGB.
            proprio: float32 (B, P), normalised.
            code: float32 (B, E) embeddings of the instructions; None where the config leaves them out.
            offsets: From `draw` to augment; None to act (and for "crop" the middle).

        Returns:
            float32 (B, F): each camera's features in the config's order (0 where it is missing), proprioception,
            instruction.

        Raises:
            ConfigError: For a camera that is missing, or other shapes or dtypes than the encoder was made for.
        """
        return self.combine(self.see(images, offsets), proprio, code)

    def see(self, images: Mapping[str, Tensor], offsets: Tensor | None = None) -> dict[str, Tensor]:
        """What the trained part looks at: images, augmented or not, or the frozen tower's maps of them.

        Args:
            images: As in `forward`.
            offsets: As in `forward`.

        Returns:
            Camera -> uint8 (B, h, w, 3); or float16 (B, h, w, C), or (B, C) for the tower's embedding. Half precision
            is what replay keeps, so that features of stored and of fresh frames are the same.

        Raises:
            ConfigError: As `forward`.
        """
        self.require_cameras(images)
        seen = {}
        for i, (name, size) in enumerate(self.cameras.items()):
            image = images[name]
            if image.dtype != torch.uint8 or tuple(image.shape[1:]) != (*size, 3):
                raise ConfigError(
                    f"Camera {name!r} gave {image.dtype} {tuple(image.shape)}; the encoder was made for uint8 "
                    f"(B, {size[0]}, {size[1]}, 3). Use the camera size of training."
                )
            image = self._augment(image, None if offsets is None else offsets[i])
            if self.tower is not None:
                with torch.no_grad():
                    image = self.tower(image).half()
            seen[name] = image
        return seen

    def require_cameras(self, images: Mapping[str, object]) -> None:
        """Refuse images that lack one of the encoder's cameras.

        Raises:
            ConfigError: Names it and those that are there.
        """
        for name in self.cameras:
            if name not in images:
                there = ", ".join(sorted(images)) or "none"
                raise ConfigError(f"There is no image of camera {name!r}; given are {there}.")

    def combine(self, seen: Mapping[str, Tensor], proprio: Tensor, code: Tensor | None = None) -> Tensor:
        """Features float32 (B, F) of what `see` gave; the rest as in `forward`."""
        proprio_size, instruction_size = self.sizes
        if proprio.ndim != 2 or proprio.shape[1] != proprio_size:
            raise ConfigError(f"Proprioception has shape {tuple(proprio.shape)}; expected (B, {proprio_size}).")
        if self.config.instruction != "none" and (code is None or code.shape != (len(proprio), instruction_size)):
            raise ConfigError(
                f"Instruction embeddings have shape {None if code is None else tuple(code.shape)}; expected "
                f"({len(proprio)}, {instruction_size}) for encoder.instruction={self.config.instruction!r}."
            )
        parts = [self.branch(i)(seen[name], code) for i, name in enumerate(self.cameras)]
        for i, name in enumerate(self.cameras):
            if name in self.absent:
                parts[i] = parts[i] * (1.0 - proprio[:, self.absent[name], None])
        parts.append(self.proprio(proprio))
        if self.words is not None:
            parts.append(self.words(code))
        return torch.cat(parts, 1)

    def encode_episode(
        self,
        images: Mapping[str, NDArray[np.uint8] | Tensor],
        proprio: NDArray[np.float32] | Tensor,
        code: Tensor | None = None,
        batch: int = 128,
    ) -> Tensor:
        """Features of all frames of an episode, without augmentation: what replay keeps of a frozen encoder.

        The same numbers as `forward` gives for the same frames: to the bit in batches of the same size on a CPU, to
        rounding otherwise.

        Args:
            images: Camera -> uint8 (T + 1, H, W, 3), on any device.
            proprio: float32 (T + 1, P), normalised.
            code: float32 (E,) embedding of the episode's instruction; None where the config leaves it out.
            batch: Frames at a time.

        Returns:
            float32 (T + 1, F) on the encoder's device.
        """
        self.require_cameras(images)
        features = torch.empty(len(proprio), self.size, device=self._device())
        with torch.inference_mode():
            for rows in _parts(len(proprio), batch):
                fresh = {name: self._moved(images[name][rows]) for name in self.cameras}
                values = self._moved(proprio[rows])
                codes = None if code is None else code.to(self._device()).expand(len(values), -1)
                features[rows] = self(fresh, values, codes)
        return features

    def see_episode(self, images: Mapping[str, NDArray[np.uint8] | Tensor], batch: int = 128) -> dict[str, Tensor]:
        """`see` for all frames of an episode: what replay keeps of a frozen tower.

        Args:
            images: Camera -> uint8 (T + 1, H, W, 3), on any device.
            batch: Frames at a time.

        Returns:
            Camera -> float16 (T + 1, ...) on the encoder's device.
        """
        self.require_cameras(images)
        frames = len(images[self.config.cameras[0]])
        with torch.no_grad():
            parts = [
                self.see({name: self._moved(images[name][rows]) for name in self.cameras})
                for rows in _parts(frames, batch)
            ]
        return {name: torch.cat([part[name] for part in parts]) for name in self.cameras}

    def trained_tensors(self) -> dict[str, Tensor]:
        """Name -> tensor (no copy) of everything but a frozen tower: what a checkpoint keeps and the robot is sent."""
        return {name: value for name, value in self.state_dict().items() if not name.startswith(_TOWER)}

    def load_trained(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what `trained_tensors` gave.

        Raises:
            CheckpointError: When a tensor is missing, unknown or has another shape.
        """
        tower = {name: value for name, value in self.state_dict().items() if name.startswith(_TOWER)}
        try:
            self.load_state_dict({**tensors, **tower})
        except RuntimeError as error:
            raise CheckpointError(f"These weights are of another encoder: {error}") from error

    def _augment(self, image: Tensor, offsets: Tensor | None) -> Tensor:
        config = self.config
        if config.augmentation == "crop":
            if offsets is None:
                return augmentation.centre_crop(image, config.displacement)
            return augmentation.crop(image, offsets, config.displacement)
        return image if offsets is None else augmentation.shift(image, offsets, config.displacement)

    def _device(self) -> torch.device:
        return next(self.parameters()).device

    def _moved(self, values: NDArray[Any] | Tensor) -> Tensor:
        """On the encoder's device; arrays are copied, since those of a store can't be written to."""
        tensor = values if isinstance(values, Tensor) else torch.from_numpy(np.array(values))
        return tensor.to(self._device())


def _parts(count: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]
