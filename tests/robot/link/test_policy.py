"""A policy behind a socket: what passes, sessions that act side by side, and everything that goes wrong on the way."""

import gc
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.link_data import SPEC

from robot.link import policy_server as serving
from robot.link.certificates import run_pair
from robot.link.policy_client import RemotePolicy
from robot.link.policy_server import PolicyServer
from robot.link.policy_wire import PolicyIdentity, decode_action, decode_observation, encode_action, encode_observation
from trajectories.errors import CheckpointError, ConfigError, LinkError, RegraspError, SpecMismatchError, StaleDataError
from trajectories.types import PROPRIO_NAMES, Observation

sys.path.insert(0, str(Path(__file__).parents[3] / "examples"))
import policy_server as example

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
        (np.array([1e300, 0, 0, 0, 0, 0, 1]), r"not finite: \[inf, 0\.0"),
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


def test_what_a_robot_that_does_not_wait_does_is_decided_in_a_time_of_its_own():
    free = threading.Event()

    class Slow(Drawn):
        def seed(self, seed):
            super().seed(seed)
            free.wait(0.5)  # nothing moves meanwhile

        def act(self, observation, deterministic=False):
            free.wait(20)
            return super().act(observation)

    with served(Slow) as server:
        policy = RemotePolicy(server.address, SPEC, 5.0, act_timeout_s=0.2)
        policy.seed(0)
        with pytest.raises(StaleDataError, match=r"no action within 0\.2 s.*may have reached in meanwhile"):
            policy.act(observation())
        with pytest.raises(LinkError, match="no action within"):
            policy.act(observation())
        free.set()
        np.testing.assert_array_equal(episode(policy, 5), episode(Drawn(), 5))  # whatever the late one still draws


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
    with pytest.raises(LinkError, match="no episode was begun"):
        policy.act(observation())


def test_who_acts_is_not_forgotten_for_another_client_and_who_is_silent_is(monkeypatch):
    monkeypatch.setattr(serving, "MOST_SESSIONS", 2)
    with served() as server:
        first, second, third = (RemotePolicy(server.address, SPEC, 5.0) for _ in range(3))
        first.seed(1)
        second.seed(1)
        with pytest.raises(LinkError, match="busy with 2 clients"):
            third.seed(1)
        np.testing.assert_array_equal(episode(first, 5), episode(Drawn(), 5))
        second.act(observation())
        monkeypatch.setattr(serving, "IDLE_S", 0.0)
        third.seed(1)  # in the place of the first, which was silent for longest
        second.act(observation())
        with pytest.raises(LinkError, match="knows no episode of this client"):
            first.act(observation())


def test_an_observation_of_another_robot_than_the_episode_began_with_is_refused():
    seen = observation()
    wrong = {
        "images/front is missing, expected uint8 of shape .8, 12, 3.": replace(
            seen, images={"wrist": np.zeros((8, 12, 3), np.uint8)}
        ),
        "images/front is uint8 of shape .4, 12, 3.": replace(seen, images={"front": seen.images["front"][:4]}),
        "proprio is float64": replace(seen, proprio=seen.proprio.astype(np.float64)),
        "depth/front is missing, expected uint16 of shape .8, 12.": replace(seen, depth={}),
    }
    with served() as server:
        policy = RemotePolicy(server.address, replace(SPEC, depth=("front",)), 5.0)
        for said, other in wrong.items():
            policy.seed(0)
            policy.act(seen)
            with pytest.raises(LinkError, match=said):
                policy.act(other)


def test_a_policy_that_nobody_holds_has_no_connection():
    with served() as server:
        policy = RemotePolicy(server.address, SPEC, 5.0)
        call = policy._calls["Hello"]
        del policy
        gc.collect()
        with pytest.raises(ValueError, match="closed channel"):
            call(b"{}", timeout=5.0)


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
    server, port = example.serve("127.0.0.1:0")
    try:
        policy = RemotePolicy(f"127.0.0.1:{port}", SPEC, 5.0)
        assert (policy.identity.name, policy.instructions) == ("wanderer", None)
        mine = example.MyPolicy()
        state = mine.begin(4)
        expected = [mine.act(state, {}, observation().proprio, "", False) for _ in range(4)]
        np.testing.assert_array_equal(episode(policy, 4), np.stack(expected), strict=True)
        assert not policy.act(observation(), deterministic=True).any()
    finally:
        server.stop(None).wait()


def test_the_example_loads_its_weights_once_and_forgets_the_oldest_sessions(monkeypatch):
    made, began = [], example.MyPolicy.__init__
    monkeypatch.setattr(example.MyPolicy, "__init__", lambda self: made.append(1) or began(self))
    monkeypatch.setattr(example, "MOST_SESSIONS", 2)
    server, port = example.serve("127.0.0.1:0")
    try:
        first, second, third = (RemotePolicy(f"127.0.0.1:{port}", SPEC, 5.0) for _ in range(3))
        for policy in (first, second, third, third):
            policy.seed(4)
        assert len(made) == 1
        assert not np.array_equal(second.act(observation()), second.act(observation()))
        with pytest.raises(LinkError, match="2 others asked since"):
            first.act(observation())
    finally:
        server.stop(None).wait()


def test_the_example_listens_off_loopback_with_certificates_only(tmp_path):
    for address in ("0.0.0.0:0", "[::]:0", "example.org:0"):
        with pytest.raises(ValueError, match="give --pem"):
            example.serve(address)
    pair = run_pair(tmp_path)
    server, port = example.serve("127.0.0.1:0", (pair.certificate, pair.key, pair.authority))
    try:
        RemotePolicy(f"127.0.0.1:{port}", SPEC, 5.0, pair).seed(1)
        with pytest.raises(LinkError, match="it can't be reached"):
            RemotePolicy(f"127.0.0.1:{port}", SPEC, 5.0)
    finally:
        server.stop(None).wait()
