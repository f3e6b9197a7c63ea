"""Episodes and weights survive the way over the wire exactly, and nothing else gets through."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
from helpers.link_data import SPEC, assert_same_episode, make_episode, make_policy_weights
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs import Zstd
from safetensors.numpy import save

from robot.link import codec
from robot.link.codec import decode_episode, decode_weights, encode_episode, encode_weights, make_weights
from trajectories.errors import InvalidEpisodeError, LinkError


def pack(header: dict, payload: bytes) -> bytes:
    """A message with a valid prefix around any contents."""
    raw = json.dumps(header).encode()
    digest = hashlib.sha256(raw + payload).digest()
    return codec._PREFIX.pack(codec.MAGIC, len(raw), len(payload), digest) + raw + payload


def repacked(header_changes: dict, array_changes: dict) -> bytes:
    """A valid message of an episode with some entries replaced (None: left out)."""
    message = encode_episode(make_episode(1))
    header, payload = codec.unpack("episode", message)
    arrays = codec.tensors_of(Zstd().decode(payload))
    for entries, changes in ((header, header_changes), (arrays, array_changes)):
        for name, value in changes.items():
            if value is None:
                del entries[name]
            else:
                entries[name] = value
    raw = save(arrays)
    if "raw_bytes" not in header_changes:
        header["raw_bytes"] = len(raw)
    return pack(header, Zstd().encode(raw))


@pytest.mark.parametrize("steps", [1, 40])
def test_an_episode_survives(steps):
    episode = make_episode(7, steps)
    assert_same_episode(decode_episode(encode_episode(episode), SPEC), episode)


def test_depth_survives_and_must_belong_to_the_robot():
    deep = dataclasses.replace(SPEC, depth=("front",))
    depth = np.random.default_rng(0).integers(0, 65536, (5, 8, 12), dtype=np.uint16)
    episode = dataclasses.replace(make_episode(7, 4), depth={"front": depth})
    message = encode_episode(episode)
    back = decode_episode(message, deep)
    assert back.depth["front"].dtype == np.uint16
    assert np.array_equal(back.depth["front"], depth)
    with pytest.raises(InvalidEpisodeError, match="depth is of cameras"):
        decode_episode(message, SPEC)
    with pytest.raises(InvalidEpisodeError, match="depth is of cameras"):
        decode_episode(encode_episode(make_episode(7, 4)), deep)


def test_column_views_are_sent_as_they_look():
    episode = make_episode(3, 4)
    wide = np.zeros((4, 14), np.float32)
    wide[:, ::2] = episode.executed
    flipped = episode.images["front"][:, :, ::-1]
    odd = dataclasses.replace(episode, executed=wide[:, ::2], images={"front": flipped})
    assert_same_episode(decode_episode(encode_episode(odd), SPEC), odd)


def test_weights_survive_and_digests_depend_on_values_alone():
    weights = make_policy_weights(5)
    received = decode_weights(encode_weights(weights))
    assert (received.version, received.sha256) == (5, weights.sha256)
    for name, tensor in weights.tensors.items():
        np.testing.assert_array_equal(received.tensors[name], tensor, strict=True)
    turned = dict(reversed(weights.tensors.items()))
    assert make_weights(9, turned).sha256 == weights.sha256
    changed = {**weights.tensors, "temperature": np.float32(5.5)}
    assert codec.weights_digest(changed) != weights.sha256
    assert weights.sha256 == hashlib.sha256(save(dict(weights.tensors))).hexdigest()


def test_weights_that_claim_another_digest_are_neither_sent_nor_taken():
    weights = make_policy_weights(5)
    with pytest.raises(LinkError, match=r"digest is .* they claim 'beef'"):
        encode_weights(dataclasses.replace(weights, sha256="beef"))
    message = pack({"kind": "weights", "version": 5, "sha256": "beef"}, save(dict(weights.tensors)))
    with pytest.raises(LinkError, match="they claim 'beef'"):
        decode_weights(message)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_flipped_bit_anywhere_is_noticed(data):
    message = bytearray(encode_episode(make_episode(2, 1)))
    place = data.draw(st.integers(0, len(message) * 8 - 1))
    message[place // 8] ^= 1 << place % 8
    with pytest.raises(LinkError):
        decode_episode(bytes(message), SPEC)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_foreign_bytes_are_refused(rubbish, with_magic):
    with pytest.raises(LinkError):
        decode_episode(codec.MAGIC + rubbish if with_magic else rubbish, SPEC)


def test_a_message_cut_short_is_refused():
    message = encode_episode(make_episode(2, 1))
    for length in (0, 7, 20, 60, len(message) // 2, len(message) - 1):
        with pytest.raises(LinkError):
            decode_episode(message[:length], SPEC)


def test_weights_are_not_an_episode():
    with pytest.raises(LinkError, match="expected episode data"):
        decode_episode(encode_weights(make_policy_weights(1)), SPEC)


@pytest.mark.parametrize(
    ("header", "arrays", "error", "complaint"),
    [
        ({"id": "../../etc/cron.d/x"}, {}, InvalidEpisodeError, "can't name a file"),
        ({"id": 5}, {}, LinkError, "id must be str"),
        ({"direction": "sideways"}, {}, InvalidEpisodeError, "'sideways'"),
        ({"metadata": [1]}, {}, LinkError, "metadata must be dict"),
        ({"task": None}, {}, LinkError, "task must be str"),
        ({}, {"executed": None}, LinkError, "executed is missing"),
        ({}, {"executed": np.zeros((), np.float32)}, LinkError, "'executed' has no rows"),
        ({}, {"executed": np.zeros((3, 6), np.float32)}, InvalidEpisodeError, "executed"),
        ({}, {"executed": np.zeros((0, 7), np.float32)}, InvalidEpisodeError, "no steps"),
        ({}, {"rewards": np.zeros(3, np.float64)}, InvalidEpisodeError, "rewards"),
        ({}, {"images/front": np.zeros((4, 9, 12, 3), np.uint8)}, InvalidEpisodeError, "front"),
        ({}, {"images/front": None}, InvalidEpisodeError, "cameras"),
        ({"raw_bytes": None}, {}, LinkError, "raw_bytes must be int"),
        ({"raw_bytes": 100}, {}, LinkError, "not 100 bytes in Zstandard"),
        ({"raw_bytes": 1 << 40}, {}, LinkError, "refused an episode of 1099511627776 bytes"),
        ({}, {"surprise": np.zeros(3, np.float32)}, LinkError, "unknown column 'surprise'"),
    ],
)
def test_episodes_that_are_none_are_refused(header, arrays, error, complaint):
    with pytest.raises(error, match=complaint):
        decode_episode(repacked(header, arrays), SPEC)


def test_a_payload_that_is_not_safetensors_is_refused():
    header, _ = codec.unpack("episode", encode_episode(make_episode(1)))
    with pytest.raises(LinkError, match="in Zstandard"):
        decode_episode(pack(header, b"\xff" * 100), SPEC)
    with pytest.raises(LinkError, match="not safetensors"):
        decode_episode(pack({**header, "raw_bytes": 100}, Zstd().encode(b"\xff" * 100)), SPEC)


def test_pictures_that_hardly_change_take_a_small_part_of_their_bytes_on_the_wire():
    episode = make_episode(1, 40)
    still = dataclasses.replace(episode, images={"front": np.repeat(episode.images["front"][:1], 41, axis=0)})
    assert len(encode_episode(still)) < 0.4 * len(encode_episode(episode))
    assert_same_episode(decode_episode(encode_episode(still), SPEC), still)


def test_a_flipped_byte_of_weights_is_noticed_at_their_arrival():
    message = encode_weights(make_policy_weights(1))
    for place in range(0, len(message), 7):
        damaged = bytearray(message)
        damaged[place] ^= 0x40
        with pytest.raises(LinkError):
            decode_weights(bytes(damaged))


def test_what_is_not_json_is_refused_before_it_is_sent():
    with pytest.raises(InvalidEpisodeError, match="can't be written as JSON"):
        encode_episode(dataclasses.replace(make_episode(1), metadata={"seed": np.int64(3)}))
    with pytest.raises(LinkError, match="Keep arrays in columns"):
        encode_episode(dataclasses.replace(make_episode(1), metadata={"x": "y" * (codec.MAX_HEADER_BYTES + 1)}))
