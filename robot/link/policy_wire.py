"""What a policy server and its client agree on: gRPC methods, and observations and actions as bytes.

    Hello  JSON {"spec"}                          -> JSON {"name", "digest", "version", "instructions"}
    Start  JSON {"session", "seed", "spec"}       -> JSON {"digest"}; an episode of this robot begins
    Act    message "observation" of a session     -> message "action": float32 (7,)

Messages are those of `robot.link.codec`: a JSON header and safetensors under one SHA-256. `examples/policy_server.py`
speaks it without this package. Each client is a session of its own, so that several may act side by side, and begins
each of its episodes with a seed: the same seed and the same observations give the same actions, whoever else asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from robot.link.codec import contiguous, field_of, group_of, pack, tensors_of, unpack
from robot.link.protocol import CHANNEL_OPTIONS, SERVER_OPTIONS
from trajectories.errors import LinkError
from trajectories.types import ACTION_SIZE, Float32, Observation, RobotSpec

SERVICE = "regrasp.policy.v1.Policy"
HELLO, START, ACT = "Hello", "Start", "Act"
MAX_MESSAGE_BYTES = 64 << 20
"""Of an observation: six cameras of 1920 x 1080 pixels take 37 MB."""
_SIZES = {"grpc.max_receive_message_length": MAX_MESSAGE_BYTES, "grpc.max_send_message_length": MAX_MESSAGE_BYTES}
POLICY_SERVER_OPTIONS = [*{**dict(SERVER_OPTIONS), **_SIZES}.items()]
POLICY_CHANNEL_OPTIONS = [*{**dict(CHANNEL_OPTIONS), **_SIZES}.items()]
_IMAGES, _DEPTH = "images/", "depth/"


@dataclass(frozen=True)
class PolicyIdentity:
    """What a policy server says of what it serves.

    Attributes:
        name: For people, and in names of folders.
        digest: Any text that changes whenever the policy would act differently, such as a hash of its weights.
        version: Of the weights.
        instructions: All that it understands; None where it reads any words.
    """

    name: str
    digest: str
    version: int = 0
    instructions: tuple[str, ...] | None = None


def method(name: str) -> str:
    """The full gRPC path of a method."""
    return f"/{SERVICE}/{name}"


def encode_observation(session: str, observation: Observation, deterministic: bool) -> bytes:
    """The question of `Act`."""
    header = {
        "session": session,
        "instruction": observation.instruction,
        "deterministic": deterministic,
        "t_ns": dict(observation.t_ns),
    }
    return pack("observation", header, save(contiguous(_arrays_of(observation))))


def decode_observation(message: bytes) -> tuple[str, Observation, bool]:
    """Session, observation, and whether the most likely action is asked for.

    Raises:
        LinkError: The message is foreign or damaged, or lacks something.
    """
    header, payload = unpack("observation", message)
    arrays = tensors_of(payload)
    if "proprio" not in arrays:
        raise LinkError("refused an observation: it has no proprio")
    observation = Observation(
        images=group_of(arrays, _IMAGES),
        proprio=arrays["proprio"],
        instruction=field_of(header, "instruction", str),
        t_ns=field_of(header, "t_ns", dict),
        depth=group_of(arrays, _DEPTH),
    )
    return field_of(header, "session", str), observation, header.get("deterministic") is True


def require_spec(observation: Observation, spec: RobotSpec) -> None:
    """Refuse an observation that lacks something of the robot; other pictures may come along.

    Raises:
        LinkError: Naming what is missing, or of another shape or type.
    """
    expected: dict[str, tuple[tuple[int, ...], str]] = {"proprio": ((len(spec.proprio),), "float32")}
    expected |= {_IMAGES + name: ((*size, 3), "uint8") for name, size in spec.cameras.items()}
    expected |= {_DEPTH + name: (spec.cameras[name], "uint16") for name in spec.depth}
    found = _arrays_of(observation)
    for name, (shape, kind) in expected.items():
        array = found.get(name)
        if array is None or array.shape != shape or array.dtype.name != kind:
            is_there = "is missing" if array is None else f"is {array.dtype} of shape {array.shape}"
            raise LinkError(
                f"refused an observation: {name} {is_there}, expected {kind} of shape {shape}, as the robot's "
                "specification said when the episode began"
            )


def _arrays_of(observation: Observation) -> dict[str, NDArray[Any]]:
    """Its arrays under the names that they travel by."""
    images = {_IMAGES + name: image for name, image in observation.images.items()}
    depth = {_DEPTH + name: depth for name, depth in observation.depth.items()}
    return {**images, **depth, "proprio": observation.proprio}


def encode_action(action: Any) -> bytes:
    """The answer of `Act`."""
    return pack("action", {}, save({"action": np.asarray(action, order="C")}))


def decode_action(message: bytes) -> Float32:
    """float32 (7,), all finite; what lies beyond -1 ... 1 the robot's limits clip.

    Raises:
        LinkError: The message is foreign or damaged, or holds another shape or type, or a number that isn't finite.
    """
    arrays = tensors_of(unpack("action", message)[1])
    action = arrays.get("action")
    if action is None or action.shape != (ACTION_SIZE,) or action.dtype.kind != "f":
        found = "none" if action is None else f"{action.dtype} of shape {action.shape}"
        raise LinkError(
            f"it answered with an action {found}, expected float32 of shape ({ACTION_SIZE},): x, y, z, roll, pitch, "
            "yaw, gripper. A policy that plans several steps keeps them on its side and gives one a step"
        )
    with np.errstate(over="ignore"):
        single = action.astype(np.float32)
    if not np.isfinite(single).all():
        raise LinkError(f"it answered with an action that is not finite: {single.tolist()}")
    return single
