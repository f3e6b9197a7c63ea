"""A policy behind a socket: what passes, sessions that act side by side, and everything that goes wrong on the way."""

import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from helpers.link_data import SPEC

from robot.link.certificates import run_pair
from robot.link.policy_client import RemotePolicy
from robot.link.policy_server import MOST_SESSIONS, PolicyServer
from robot.link.policy_wire import PolicyIdentity, decode_action, decode_observation, encode_action, encode_observation
from trajectories.errors import CheckpointError, ConfigError, LinkError, RegraspError, SpecMismatchError
from trajectories.types import PROPRIO_NAMES, Observation

sys.path.insert(0, str(Path(__file__).parents[3] / "examples"))
import policy_server

IDENTITY = PolicyIdentity("drawn", "d1", 3, ("put it there",))


class Drawn:
    """Draws actions about the mean of what it sees; remembers how many steps its episode has."""

    version, digest, instructions = 3, "d1", None

    def seed(self, seed):
        self.rng, self.steps = np.random.default_rng(seed), 0

    def act(self, observation, deterministic=False):
        self.steps += 1
        spread = 0.0 if deterministic else 0.1
        action = (
            np.full(7, observation.images["front"].mean() / 512 + self.steps / 100) + self.rng.normal(size=7) * spread
        )
        return action.astype(np.float32)


def observation(number=0):
    rng = np.random.default_rng(number)
    return Observation(
        images={"front": rng.integers(0, 256, (8, 12, 3), np.uint8)},
        proprio=rng.normal(size=len(PROPRIO_NAMES)).astype(np.float32),
        instruction="überall ✓",
        t_ns={"joints": number, "front": 7},
        depth={"front": rng.integers(0, 2000, (8, 12)).astype(np.uint16)},
    )


def served(make=Drawn, identity=IDENTITY, address="127.0.0.1:0", **given):
    return PolicyServer(make, identity, address, **given)


def episode(policy, seed, steps=4):
    policy.seed(seed)
    return np.stack([policy.act(observation(step)) for step in range(steps)])


def test_observations_and_actions_arrive_whole():
    session, received, deterministic = decode_observation(encode_observation("s", observation(), True))
    sent = observation()
    assert (session, deterministic, received.instruction, received.t_ns) == ("s", True, sent.instruction, sent.t_ns)
    np.testing.assert_array_equal(received.images["front"], sent.images["front"], strict=True)
    np.testing.assert_array_equal(received.depth["front"], sent.depth["front"], strict=True)
    np.testing.assert_array_equal(received.proprio, sent.proprio, strict=True)
    damaged = bytearray(encode_action(np.zeros(7, np.float32)))
    damaged[-1] ^= 1
    with pytest.raises(LinkError, match="damaged on the way"):
        decode_action(bytes(damaged))


def test_a_remote_policy_acts_as_a_local_one_and_each_client_for_itself():
    local = Drawn()
    with served() as server:
        first, second = (RemotePolicy(server.address, SPEC, 5.0) for _ in range(2))
        assert (first.version, first.digest, first.instructions) == (3, "d1", ("put it there",))
        alone = episode(local, 5)
        np.testing.assert_array_equal(episode(first, 5), alone, strict=True)
        first.seed(5)
        second.seed(6)
        mixed = []
        for step in range(4):  # turn by turn: neither draws from the other's numbers, nor counts its steps
            mixed.append(first.act(observation(step)))
            second.act(observation(step))
        np.testing.assert_array_equal(np.stack(mixed), alone)
        assert not np.array_equal(second.act(observation(), True), second.act(observation(), True))  # it remembers


def test_nothing_there_is_said_at_once():
    with served() as server:
        address = server.address
    with pytest.raises(LinkError, match=rf"{address}: it can't be reached .*serve-policy.*it goes on"):
        RemotePolicy(address, SPEC, 5.0)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (np.zeros(6, np.float32), r"an action float32 of shape \(6,\), expected float32 of shape \(7,\)"),
        (np.zeros((4, 7), np.float32), r"of shape \(4, 7\).*plans several steps keeps them on its side"),
        (np.zeros(7, np.int64), "an action int64"),
        (np.array([0, 0, np.nan, 0, 0, 0, 1], np.float32), r"not finite: \[0\.0, 0\.0, nan"),
        (ValueError("no such image"), "failed while answering.*ValueError: no such image"),
        (ConfigError("unknown words"), "unknown words"),
    ],
)
def test_a_wrong_answer_ends_the_episode_with_what_was_wrong(answer, said):
    class Wrong(Drawn):
        def act(self, observation, deterministic=False):
            if isinstance(answer, Exception):
                raise answer
            return answer

    with served(Wrong) as server:
        policy = RemotePolicy(server.address, SPEC, 5.0)
        policy.seed(0)
        with pytest.raises(RegraspError, match=said) as first:
            policy.act(observation())
        with pytest.raises(LinkError) as again:  # latched: what the policy remembers of the episode is unknown
            policy.act(observation())
        assert str(again.value) == str(first.value)
        policy.seed(0)


def test_an_action_needs_an_episode():
    with served() as server, pytest.raises(LinkError, match="no episode was begun"):
        RemotePolicy(server.address, SPEC, 5.0).act(observation())


def test_a_server_that_hangs_is_left_after_the_timeout():
    free = threading.Event()

    class Hanging(Drawn):
        def act(self, observation, deterministic=False):
            free.wait(20)
            return super().act(observation)

    with served(Hanging) as server:
        policy = RemotePolicy(server.address, SPEC, 0.3)
        policy.seed(0)
        with pytest.raises(LinkError, match=r"no answer within 0\.3 s\. Give evaluate\.policy_timeout"):
            policy.act(observation())
        free.set()


def test_a_server_that_goes_away_ends_the_episode_for_good():
    with served() as server:
        address = server.address
        policy = RemotePolicy(address, SPEC, 5.0)
        policy.seed(1)
        policy.act(observation())
    for _ in range(2):
        with pytest.raises(LinkError, match="it can't be reached"):
            policy.act(observation())
    with served(address=address), pytest.raises(LinkError, match="it can't be reached"):
        policy.act(observation())  # it is back, and knows nothing of this episode


def test_a_server_started_anew_between_episodes_is_asked_who_it_is():
    with served() as server:
        address = server.address
        policy = RemotePolicy(address, SPEC, 5.0)
        episode(policy, 1)
    with served(address=address):
        np.testing.assert_array_equal(episode(policy, 5), episode(Drawn(), 5))
    other = PolicyIdentity("drawn", "d2")
    with served(identity=other, address=address), pytest.raises(CheckpointError, match="another policy by now"):
        policy.seed(2)


def test_a_restarted_or_forgetful_server_refuses_an_episode_in_the_middle():
    with served() as server:
        address = server.address
        policy = RemotePolicy(address, SPEC, 5.0)
        policy.seed(1)
        for _ in range(MOST_SESSIONS):
            RemotePolicy(address, SPEC, 5.0).seed(1)
        with pytest.raises(LinkError, match="knows no episode of this client"):
            policy.act(observation())


def test_a_robot_that_the_policy_is_not_for_is_refused():
    def accept(spec):
        if spec.cameras["front"] != (96, 96):
            raise SpecMismatchError(f"front is {spec.cameras['front']}, expected (96, 96)")

    with served(accept=accept) as server, pytest.raises(SpecMismatchError, match=r"front is \(8, 12\)"):
        RemotePolicy(server.address, SPEC, 5.0)


def test_off_loopback_and_among_strangers_only_with_certificates(tmp_path):
    for make in (lambda: served(address="0.0.0.0:0"), lambda: RemotePolicy("192.0.2.1:5", SPEC, 1.0)):
        with pytest.raises(ConfigError, match="regrasp certificates"):
            make()
    pair = run_pair(tmp_path)
    with served(tls=pair) as server:
        np.testing.assert_array_equal(episode(RemotePolicy(server.address, SPEC, 5.0, pair), 5), episode(Drawn(), 5))
        with pytest.raises(LinkError, match="it can't be reached"):
            RemotePolicy(server.address, SPEC, 5.0)
    (tmp_path / "other").mkdir()
    with served() as server, pytest.raises(LinkError, match="it can't be reached"):
        RemotePolicy(server.address, SPEC, 5.0, run_pair(tmp_path / "other"))


def test_the_example_speaks_the_same_language():
    server, port = policy_server.serve("127.0.0.1:0")
    try:
        policy = RemotePolicy(f"127.0.0.1:{port}", SPEC, 5.0)
        assert (policy.identity.name, policy.instructions) == ("wanderer", None)
        mine = policy_server.MyPolicy()
        mine.reset(4)
        expected = [mine.act({}, observation().proprio, "", False) for _ in range(4)]
        np.testing.assert_array_equal(episode(policy, 4), np.stack(expected), strict=True)
        assert not policy.act(observation(), deterministic=True).any()
    finally:
        server.stop(None).wait()
