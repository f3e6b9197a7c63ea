"""An agent that trains its image encoder: which loss reaches it, how often it looks, and bit-exact resume."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.image_batches import CNN, TABLE, TOWER, changed, make_agent, make_encoder, random_batch, snapshot

from policies.agent.agent import Agent
from policies.agent.checkpoint import load_agent, save_agent
from policies.agent.config import AgentConfig, NetworkConfig, PhaseConfig
from policies.agent.draws import draw_for_critic
from policies.agent.objectives import critic_objective
from policies.common.tensor_file import digest
from policies.perception.encoders.config import CnnConfig, EncoderConfig
from policies.perception.encoders.encoder import Encoder
from policies.perception.encoders.frames import draw_for_images, encode_batch, features, frame_fields
from policies.replay.replay import Replay
from trajectories.errors import CheckpointError, ConfigError
from trajectories.types import RobotSpec, Source

SPEC = RobotSpec()


def trained_names(encoder):
    return {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("config", [CNN, TOWER])
@pytest.mark.parametrize("phase", ["offline", "warmup", "online"])
def test_the_critics_loss_trains_the_encoder_and_the_actors_does_not(config, phase, monkeypatch):
    agent = make_agent(make_encoder(config))
    batch = random_batch(agent.encoder)
    agent.set_phase(phase)
    before = snapshot(agent.encoder)
    agent.update(batch, utd=2)
    assert changed(before, agent.encoder) == trained_names(agent.encoder)

    monkeypatch.setattr(agent, "update_critic", lambda batch: {})  # what is left is the actor's part
    before, policy = snapshot(agent.encoder), snapshot(agent.actor)
    agent.critic_updates = 0
    agent.encoder.zero_grad()
    agent.update(batch, utd=2)
    assert changed(before, agent.encoder) == set()
    assert all(parameter.grad is None for parameter in agent.encoder.parameters())
    assert bool(changed(policy, agent.actor)) == (phase != "warmup")


def test_cloning_alone_trains_the_encoder():
    """There is no critic that could."""
    for update in ("update_by_cloning", "extraction"):
        bc = {"offline": PhaseConfig(extraction="bc", clone_all=True)} if update == "extraction" else {}
        agent = make_agent(make_encoder(), **bc)
        before, critics = snapshot(agent.encoder), snapshot(agent.critics)
        batch = random_batch(agent.encoder)
        agent.update_by_cloning(batch) if update == "update_by_cloning" else agent.update(batch)
        assert changed(before, agent.encoder) == trained_names(agent.encoder)
        assert changed(critics, agent.critics) == set()


def test_a_critic_update_is_one_adam_step_over_critics_and_encoder_together():
    agent = make_agent(make_encoder())
    agent.set_phase("online")
    for seed in range(2):  # moments are not zero any more
        agent.update(random_batch(agent.encoder, seed=seed), utd=1)
    other = copy.deepcopy(agent.encoder)
    critics = copy.deepcopy(agent.critics)
    together = [*critics.tensors(), *other.parameters()]
    adam = torch.optim.Adam(together, lr=agent.config.critic_lr)
    moments = [entry for name in ("critics", "encoder") for entry in agent.optimisers[name].state.values()]
    for parameter, entry in zip(together, moments, strict=True):
        adam.state[parameter] = {key: value.clone() for key, value in entry.items()}
    generator = torch.Generator()
    generator.set_state(agent.generator.get_state())

    batch = random_batch(agent.encoder, seed=2)
    encoded = encode_batch(other, batch, TABLE, draw_for_images(other, len(batch), generator))
    phase = agent.config.online
    draws = draw_for_critic(agent.config, phase, batch.action.shape, generator)
    models = replace(agent.models(), critics=critics.tensors())
    loss, _ = critic_objective(agent.config, phase, models, encoded.critic, draws, torch.tensor(0.0))
    adam.zero_grad()
    loss.backward()
    adam.step()
    agent.update_critic(agent._encoded(batch).critic)
    for ours, expected in ((agent.encoder, other), (agent.critics, critics)):
        for name, tensor in expected.state_dict().items():
            torch.testing.assert_close(ours.state_dict()[name], tensor, rtol=1e-5, atol=1e-6)


def test_each_minibatch_is_looked_at_once_for_critics_and_actor():
    agent = make_agent(make_encoder())
    agent.set_phase("online")
    looks = []
    hook = agent.encoder.branches[0].register_forward_hook(
        lambda _, inputs, output: looks.append((len(output), torch.is_grad_enabled()))
    )
    agent.update(random_batch(agent.encoder, count=12), utd=3)
    hook.remove()
    assert looks == [(4, True), (4, False)] * 3


def test_augmentation_is_drawn_from_the_agents_generator():
    same = [make_agent(make_encoder()) for _ in range(3)]
    same[2].generator.manual_seed(99)
    for number, agent in enumerate(same):
        torch.manual_seed(number)  # not from here
        agent.update_by_cloning(random_batch(agent.encoder))
    first, second, third = (digest(agent.state()[0]) for agent in same)
    assert first == second
    assert changed(snapshot(same[0].encoder), same[2].encoder)
    assert first != third


def test_without_an_encoder_nothing_of_one_is_drawn_kept_or_published():
    agent = Agent(AgentConfig(networks=NetworkConfig(actor_hidden=(8,), critic_hidden=(8,), critics=2)), 4, 5)
    assert set(agent.optimisers) == {"actor", "critics", "temperature", "cql_weight"}
    assert not any("encoder" in name for name in agent.state()[0])
    assert agent.actor_weights().keys() == agent.actor.state_dict().keys()


def test_an_encoder_that_cant_be_trained_is_refused():
    frozen = make_encoder()
    frozen.freeze()
    with pytest.raises(ConfigError, match="frozen=True"):
        make_agent(frozen)
    with pytest.raises(ConfigError, match="an agent of 5 features can't train an encoder of 11"):
        Agent(AgentConfig(), 5, 5, encoder=make_encoder())


@pytest.mark.parametrize("config", [CNN, TOWER])
@pytest.mark.parametrize("phase", ["offline", "online"])
def test_training_goes_on_bit_for_bit(config, phase, tmp_path):
    agent = make_agent(make_encoder(config))
    agent.update_by_cloning(random_batch(agent.encoder))
    agent.set_phase(phase)
    agent.update(random_batch(agent.encoder, seed=1), utd=2)
    save_agent(tmp_path / "a", agent, SPEC)
    again = load_agent(tmp_path / "a", SPEC, encoder=make_encoder(config, seed=77)).agent
    assert digest(again.state()[0]) == digest(agent.state()[0])
    for seed in (2, 3):
        for one in (agent, again):
            one.update(random_batch(one.encoder, seed=seed), utd=2)
    assert digest(again.state()[0]) == digest(agent.state()[0])
    assert again.state()[1] == agent.state()[1]


def test_a_checkpoint_doesnt_hold_the_frozen_tower(tmp_path):
    agent = make_agent(make_encoder(TOWER))
    save_agent(tmp_path / "a", agent, SPEC)
    assert (
        (tmp_path / "a").stat().st_size < 1_000_000 < sum(t.nbytes for t in agent.encoder.tower.state_dict().values())
    )


def test_an_encoder_in_training_is_neither_left_out_nor_made_up(tmp_path):
    agent = make_agent(make_encoder())
    save_agent(tmp_path / "with", agent, SPEC)
    with pytest.raises(CheckpointError, match=r"saved while training.*finetune.freeze_encoder=false"):
        load_agent(tmp_path / "with", SPEC)
    agent.freeze_encoder()
    save_agent(tmp_path / "without", agent, SPEC)
    with pytest.raises(CheckpointError, match=r"saved without training.*finetune.freeze_encoder=true"):
        load_agent(tmp_path / "without", SPEC, encoder=make_encoder())


def test_once_frozen_an_update_is_that_of_an_agent_that_never_had_an_encoder():
    agent = make_agent(make_encoder())
    agent.update(random_batch(agent.encoder), utd=1)
    encoder = agent.encoder
    agent.freeze_encoder()
    plain = Agent(agent.config, encoder.size, 5, seed=1)
    plain.load_state(*agent.state())
    before = snapshot(encoder)
    for one in (agent, plain):
        one.set_phase("online")
        one.update(random_batch(encoder, seed=1), utd=2)  # "state" alone: the fields of a frozen encoder
    assert frame_fields(encoder).keys() == {"state"}
    assert digest(agent.state()[0]) == digest(plain.state()[0])
    assert changed(before, encoder) == set()


ANCHORED = PhaseConfig(anchor_weight=1.0, anchor_steps=50)


def start_and_policy(agent):
    """The policy of now: its encoder and actor, copied."""
    return copy.deepcopy(agent.encoder), copy.deepcopy(agent.actor)


def divergence_from(start, agent, batch, offsets):
    """KL(policy || start) in nats of Gaussians with diagonal covariance, each seen through the encoder of its own."""

    def moments(encoder, actor):
        code = TABLE[batch.instruction]
        state = features(encoder, batch.observation, code, offsets)
        mean, log_std = actor(state, actor.encode(code))
        return torch.distributions.Normal(mean, log_std.exp())

    with torch.no_grad():
        ours, theirs = moments(agent.encoder, agent.actor), moments(*start)
        return torch.distributions.kl_divergence(ours, theirs).sum(-1).mean()


@pytest.mark.parametrize("config", [CNN, TOWER])
def test_the_anchor_is_the_whole_policy_of_the_start_encoder_included(config):
    """An anchor behind the encoder of now would drift along with it, and hold the policy nowhere."""
    agent = make_agent(make_encoder(config), online=ANCHORED, critic_lr=1e-2, actor_lr=1e-9)
    with torch.no_grad():
        agent.actor.head.weight.mul_(30)  # so that what it does depends on what it sees
    agent.set_phase("online")
    start = start_and_policy(agent)
    for seed in range(4):
        agent.update(random_batch(agent.encoder, seed=seed), utd=1)
    batch = random_batch(agent.encoder, seed=9)
    draws = draw_for_images(agent.encoder, len(batch), torch.Generator().manual_seed(5))
    encoded = encode_batch(agent.encoder, batch, TABLE, draws, agent.anchor_encoder)
    expected = divergence_from(start, agent, batch, draws.now)
    assert expected > 1e-3  # the actor stays; what moved it is the encoder
    torch.testing.assert_close(agent.update_actor(encoded.actor)["actor/anchor_kl"], expected, rtol=1e-4, atol=1e-6)


def test_an_update_hands_the_anchor_what_its_own_encoder_sees():
    agent = make_agent(make_encoder(), online=ANCHORED, critic_lr=1e-2, actor_lr=1e-9)
    agent.set_phase("online")
    first = agent.update(random_batch(agent.encoder), utd=1)["actor/anchor_kl"]
    later = [agent.update(random_batch(agent.encoder, seed=seed), utd=2)["actor/anchor_kl"] for seed in range(1, 5)]
    assert first.abs() < 1e-6  # features of before the first step of the encoder
    assert min(later) > 1e-5
    assert not any(parameter.requires_grad for parameter in agent.anchor_encoder.parameters())


def test_a_moving_anchor_takes_its_encoder_along():
    agent = make_agent(make_encoder(), online=replace(ANCHORED, anchor_tau=0.25), critic_lr=1e-2)
    agent.set_phase("online")
    before = snapshot(agent.anchor_encoder)
    agent.update(random_batch(agent.encoder), utd=1)
    for name, tensor in agent.encoder.state_dict().items():
        torch.testing.assert_close(agent.anchor_encoder.state_dict()[name], torch.lerp(before[name], tensor, 0.25))


@pytest.mark.parametrize("config", [CNN, TOWER])
def test_an_anchored_training_goes_on_bit_for_bit(config, tmp_path):
    agent = make_agent(make_encoder(config), online=ANCHORED)
    agent.set_phase("online")
    for seed in range(2):
        agent.update(random_batch(agent.encoder, seed=seed), utd=2)
    save_agent(tmp_path / "a", agent, SPEC)
    again = load_agent(tmp_path / "a", SPEC, encoder=make_encoder(config, seed=77)).agent
    for one in (agent, again):
        one.update(random_batch(one.encoder, seed=2), utd=2)
    assert digest(again.state()[0]) == digest(agent.state()[0])


def test_an_anchor_that_was_saved_without_its_encoder_is_refused_or_left_out(tmp_path):
    """As earlier versions saved it."""
    agent = make_agent(make_encoder(), online=ANCHORED)
    agent.set_phase("online")
    agent.anchor_encoder = None
    save_agent(tmp_path / "a", agent, SPEC)
    with pytest.raises(CheckpointError, match=r"online\.anchor_weight asks for one"):
        load_agent(tmp_path / "a", SPEC, encoder=make_encoder())
    free = replace(agent.config, online=PhaseConfig())
    assert load_agent(tmp_path / "a", SPEC, config=free, encoder=make_encoder()).agent.anchor is None


def test_what_only_the_image_shows_is_learned_from_the_critics_loss():
    """A dot says how far to go, and nothing else does: without seeing it the best one can do is to be 0.4 off."""
    rng = np.random.default_rng(0)
    config = EncoderConfig(CnnConfig((8, 8), (2, 2)), width=16, proprio_width=0, instruction="none", displacement=1)
    torch.manual_seed(0)
    encoder = Encoder(config, {"front": (16, 16)}, 1)

    def world(count):
        goal = rng.uniform(-0.8, 0.8, count)
        rows, columns = np.mgrid[0:16, 0:16]
        across = 7.5 + 7 * goal[:, None, None]
        dots = np.exp(-((columns - across) ** 2 + (rows - rng.uniform(4, 12, (count, 1, 1))) ** 2) / 4)
        return goal, np.repeat((255 * dots[..., None]).astype(np.uint8), 3, 3)

    replay = Replay(2000, frame_fields(encoder), gamma=0.9, action_size=1)
    goals, images = world(1000)
    flags, nothing = np.ones(1, bool), np.zeros((2, 1), np.float32)
    for goal, image in zip(goals, images, strict=True):
        action = rng.uniform(-1, 1, (1, 1)).astype(np.float32)
        reward = -np.abs(action[0] - goal).astype(np.float32)
        frames = {"image/front": np.stack([image, image]), "proprio": nothing}
        replay.add_episode(frames, action, reward, flags, ~flags, reward, np.zeros(1, np.uint8) + Source.POLICY, 0)
    networks = NetworkConfig(actor_hidden=(32,), critic_hidden=(32, 32), critics=2)
    settings = AgentConfig(networks=networks, actor_lr=2e-3, critic_lr=2e-3, temperature_lr=1e-2, online=PhaseConfig())
    agent = Agent(settings, encoder.size, 0, 1, encoder=encoder)
    agent.set_phase("online")
    goals, images = world(200)

    def error():
        states = encoder.encode_episode({"front": images}, np.zeros((200, 1), np.float32))
        return np.abs(agent.act(states, deterministic=True)[:, 0].numpy() - goals).mean()

    assert error() > 0.35
    for _ in range(300):
        agent.update(replay.sample(64), utd=1)
    assert error() < 0.15
