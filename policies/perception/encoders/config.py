"""Settings of the image encoders: one dataclass a kind of network, and `EncoderConfig` around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal, cast, get_args

from policies.common.config_dict import plain
from trajectories.errors import ConfigError
from trajectories.settings import build

Pooling = Literal["flatten", "spatial_softmax", "embeddings", "mean"]
Instruction = Literal["none", "film", "concat"]
Augmentation = Literal["none", "shift", "crop"]
NORM_GROUPS = 4
"""Groups of the residual network's normalisation, as in BridgeData V2's code."""


@dataclass(frozen=True)
class CnnConfig:
    """Plain convolutions of 3 x 3 without padding, each followed by LayerNorm over channels and ReLU.

    The defaults are RoboFuME's (arXiv 2310.15145) as its closest released relative has them: `RobofumeEncoder` in
    MaxSobolMark/PolicyAgnosticRL, `jaxrl_m/vision/robofume_encoders.py` (the paper itself says "4 layers" only).
    Widths (32, 64, 128, 256) with strides (2, 2, 2, 2) are those of ikostrikov/rlpd's `configs/pixel_config.py`
    (which does not normalise) at half the arithmetic; strides (2, 2, 2, 2) alone need a seventh.

    Attributes:
        widths: Output channels of each convolution.
        strides: Stride of each.
        pooling: How the last map becomes a vector; flattened in the reference.
    """

    kind: ClassVar[str] = "cnn"
    widths: tuple[int, ...] = (32, 32, 32, 32)
    strides: tuple[int, ...] = (2, 1, 1, 1)
    pooling: Pooling = "flatten"

    def __post_init__(self) -> None:
        _same_length(self.kind, widths=self.widths, strides=self.strides)
        _choice("network.pooling", self.pooling, get_args(Pooling))


@dataclass(frozen=True)
class ResNetConfig:
    """Residual network with group norm: 7 x 7 stem of stride 2, max pooling of stride 2, stages of basic blocks.

    Made as in BridgeData V2's `jaxrl_m/vision/resnet_v1.py` (arXiv 2308.12952, rail-berkeley/bridge_data_v2), which
    SERL (arXiv 2401.16013) uses, too: 4 groups, no biases, He initialisation, FiLM behind each block. SERL's ResNet-10
    is widths (64, 128, 256, 512), blocks (1, 1, 1, 1), strides (1, 2, 2, 2) with pooling "embeddings"; the default is
    about a quarter of that and keeps maps of 12 x 12 from 96 x 96 pixels, so that the spatial softmax can tell places.

    Attributes:
        widths: Channels of each stage, multiples of 4.
        blocks: Basic blocks of each stage.
        strides: Stride of each stage's first block.
        pooling: How the last map becomes a vector.
    """

    kind: ClassVar[str] = "resnet"
    widths: tuple[int, ...] = (32, 64, 64)
    blocks: tuple[int, ...] = (1, 1, 1)
    strides: tuple[int, ...] = (1, 2, 1)
    pooling: Pooling = "spatial_softmax"

    def __post_init__(self) -> None:
        _same_length(self.kind, widths=self.widths, blocks=self.blocks, strides=self.strides)
        _choice("network.pooling", self.pooling, get_args(Pooling))
        if any(width % NORM_GROUPS for width in self.widths):
            raise ConfigError(
                f"encoder.network.widths={self.widths}: expected multiples of {NORM_GROUPS}, the norm's groups."
            )


@dataclass(frozen=True)
class ClipConfig:
    """The image tower of an open_clip model with pre-trained weights.

    Frozen features of the small embedded CLIP found an object to 2.5 cm from the map that enters the last stage and to
    5.5 cm from the pooled embedding, so the map is the default. It goes through a 1 x 1 convolution.

    Attributes:
        model: "embedded", or the name of an open_clip model.
        pretrained: open_clip's tag or a safetensors file, see `rewards.weight_files.find_weights`.
        allow_download: Fetch weights that are not on this machine from the Hugging Face hub.
        stage: Which block's map to take, counted as open_clip's `forward_intermediates` does: -2 is what enters the
            last one. None takes the tower's embedding, scaled to unit length.
        width: Channels behind the 1 x 1 convolution; with `stage` only.
        pooling: How the map becomes a vector; with `stage` only.
        finetune: Train the tower, too. A tower that is not trained looks at each frame once: replay keeps its maps.
    """

    kind: ClassVar[str] = "clip"
    model: str = "embedded"
    pretrained: str | None = None
    allow_download: bool = False
    stage: int | None = -2
    width: int = 32
    pooling: Pooling = "flatten"
    finetune: bool = False

    def __post_init__(self) -> None:
        _at_least("network.width", self.width, 1)
        _choice("network.pooling", self.pooling, get_args(Pooling))


Network = CnnConfig | ResNetConfig | ClipConfig
NETWORKS: dict[str, type[CnnConfig] | type[ResNetConfig] | type[ClipConfig]] = {
    network.kind: network for network in (CnnConfig, ResNetConfig, ClipConfig)
}


@dataclass(frozen=True)
class EncoderConfig:
    """Settings of one encoder; see `policies.perception.encoders.encoder.Encoder`.

    Attributes:
        network: What turns an image into a map; its type is the encoder's kind.
        cameras: Names of the cameras that are looked through, in the order of the features.
        shared: One network for all cameras (which then have the same image size) instead of one each.
        width: Features a camera behind linear, LayerNorm and tanh, as in ikostrikov/rlpd's `PixelMultiplexer` (there 50
            features, too); 0 leaves the pooled map as it is.
        proprio_width: Features of proprioception behind linear, LayerNorm and tanh, as in SERL (there 64, too); 0
            concatenates it as it is, as BridgeData V2 does.
        instruction: "film" scales and shifts the maps by the instruction's embedding, "concat" adds it to the
            features (behind linear, LayerNorm and tanh), "none" leaves it to actor and critics.
        instruction_width: Features of the instruction; with "concat" only.
        augmentation: "shift" moves each training image at random and repeats its edge (DrQ, arXiv 2004.13649), "crop"
            cuts it at random and in the middle when acting (RAD, arXiv 2004.14990). A frozen encoder, or one behind a
            frozen tower, sees each frame once, unchanged (with "crop": its middle).
        displacement: Largest shift either way, pixels; a crop is smaller than the image by twice this.
        keypoints: In place of proprioception stands what `encoder=keypoints` makes of it: differences to the picks and
            places that a network of its own finds in one picture (`policies.perception.keypoint_perception`).
        frozen: Nothing is trained: replay keeps features instead of images.
        bf16: Convolve in bfloat16 on GPUs; pooling and what follows stay float32.
    """

    network: Network = field(default_factory=CnnConfig)
    cameras: tuple[str, ...] = ("front",)
    shared: bool = False
    width: int = 50
    proprio_width: int = 64
    instruction: Instruction = "film"
    instruction_width: int = 16
    augmentation: Augmentation = "shift"
    displacement: int = 4
    keypoints: bool = False
    frozen: bool = False
    bf16: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.network, Network):
            raise ConfigError(f"encoder.network is a {type(self.network).__name__}; expected {_names(NETWORKS)}.")
        if not self.cameras or len(set(self.cameras)) != len(self.cameras):
            raise ConfigError(f"encoder.cameras={self.cameras}: expected one name or several different ones.")
        _at_least("width", self.width, 0)
        _at_least("proprio_width", self.proprio_width, 0)
        _at_least("instruction_width", self.instruction_width, 1)
        _at_least("displacement", self.displacement, 1)
        _choice("instruction", self.instruction, get_args(Instruction))
        _choice("augmentation", self.augmentation, get_args(Augmentation))
        if self.instruction == "film" and isinstance(self.network, ClipConfig) and self.network.stage is None:
            raise ConfigError(
                "encoder.instruction='film' changes maps, and network.stage=None takes the tower's embedding, which is "
                "none. Set instruction to 'concat' or 'none', or stage to -2."
            )

    @property
    def kind(self) -> str:
        """One of `NETWORKS`: "cnn", "resnet", "clip"."""
        return self.network.kind

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; without keypoints as before there were any beside images."""
        whole = {"kind": self.kind, **plain(asdict(self))}
        if not self.keypoints:
            del whole["keypoints"]
        return whole

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> EncoderConfig:
        """Inverse of `to_dict`; missing keys keep their defaults.

        Args:
            raw: "kind", "network" with the settings of that kind, and those of this class.

        Raises:
            ConfigError: For an unknown kind or key, with the known ones.
        """
        rest = dict(raw)
        kind = rest.pop("kind", CnnConfig.kind)
        if kind not in NETWORKS:
            raise ConfigError(f"unknown encoder kind {kind!r}; expected one of {_names(NETWORKS)}.")
        given = rest.pop("network", {})
        if not isinstance(given, Mapping):
            raise ConfigError(f"encoder.network={given!r} is of the wrong kind; expected settings by name.")
        network = build(NETWORKS[kind], given, "encoder.network")
        return cast(EncoderConfig, build(cls, {**rest, "network": network}, "encoder"))


def _names(choices: Mapping[str, Any] | tuple[str, ...]) -> str:
    return ", ".join(repr(choice) for choice in choices)


def _choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"encoder.{name}={value!r} is unknown; expected one of {_names(choices)}.")


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(f"encoder.{name}={value} is out of range; expected {least} or more.")


def _same_length(kind: str, **columns: tuple[int, ...]) -> None:
    lengths = {len(column) for column in columns.values()}
    if len(lengths) != 1 or 0 in lengths or min(min(column) for column in columns.values()) < 1:
        given = ", ".join(f"{name}={column}" for name, column in columns.items())
        raise ConfigError(f"encoder.network of kind {kind!r}: {given}; expected as many positive numbers in each.")
