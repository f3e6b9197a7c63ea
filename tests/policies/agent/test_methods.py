"""The methods' settings against what their papers and references say, written down once more."""

import dataclasses
from typing import get_args

import pytest

from policies.agent.config import AgentConfig
from policies.agent.methods import METHODS, Family, classified, method
from trajectories.errors import ConfigError

FAMILIES = get_args(Family)
TABLE = {  # arXiv 2412.07762: critic, actor, spread, cql_alpha, max-target backup online
    "antmaze": ((256,) * 4, (256,) * 2, "shared", 1.0, True),
    "adroit": ((512,) * 3, (512,) * 2, "state", 1.0, False),
    "kitchen": ((512,) * 3, (512,) * 3, "state", 5.0, False),
    "locomotion": ((256,) * 2, (256,) * 2, "state", 5.0, False),
}


@pytest.mark.parametrize("name", METHODS.own)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_method_survives_json(name, family):
    found = method(name, 7, family)
    assert AgentConfig.from_dict(found.agent.to_dict()) == found.agent
    assert found.agent.gamma == 0.99
    assert found.agent.tau == 0.005
    assert found.agent.target_range is None
    assert "arXiv" in found.source or name == "bc"


@pytest.mark.parametrize("family", FAMILIES)
def test_wsrl(family):
    found = method("wsrl", 7, family)
    agent = found.agent
    networks = agent.networks
    assert (
        networks.critic_hidden, networks.actor_hidden, networks.std, agent.offline.cql_alpha,
        agent.online.max_target_backup,
    ) == TABLE[family]  # fmt: skip
    assert (networks.critics, networks.critic_norm, agent.target_critics, agent.distinct_targets) == (
        10,
        True,
        2,
        False,
    )
    assert (agent.actor_lr, agent.critic_lr, agent.temperature_lr, agent.initial_temperature) == (1e-4, 3e-4, 1e-4, 1.0)
    assert (found.utd, found.batch, found.offline_ratio, found.warmup_steps) == (4, 256, 0.0, 5000)
    assert agent.online.cql_alpha == agent.online.bc_weight == agent.online.anchor_weight == 0
    assert not agent.online.entropy_backup
    assert agent.online.actor_q == "min"
    assert agent.online.actor_critics is None
    assert agent.offline.calibrated == (family != "locomotion")
    assert (agent.offline.cql_gap, agent.lagrange_lr) == (0.8 if family == "antmaze" else None, 3e-4)
    assert agent.offline.importance_sampling == (family != "kitchen")


@pytest.mark.parametrize(("family", "weight"), [("locomotion", 1), ("antmaze", 10), ("adroit", 10), ("kitchen", 1)])
def test_wsrl_kl_is_wsrl_with_an_anchor_online(family, weight):
    plain, ours = method("wsrl", 7, family), method("wsrl_kl", 7, family)
    online = ours.agent.online
    assert (online.anchor_weight, online.anchor_final, online.anchor_steps) == (weight, weight / 10, 3000)
    unanchored = dataclasses.replace(online, anchor_weight=0.0, anchor_final=0.0, anchor_steps=2000)
    back = dataclasses.replace(ours.agent, online=unanchored)
    assert dataclasses.replace(ours, agent=back, source=plain.source) == plain


@pytest.mark.parametrize("family", FAMILIES)
def test_cal_ql_goes_on_calibrated_and_cql_never_is(family):
    calql, cql = method("calql", 7, family), method("cql", 7, family)
    for found, calibrated in ((calql, True), (cql, False)):
        for phase in (found.agent.offline, found.agent.online):
            assert phase.calibrated == calibrated
            assert phase.cql_alpha > 0
            assert phase.max_target_backup
            assert phase.cql_critics is None
        assert (found.agent.networks.critics, found.agent.networks.critic_norm) == (2, False)
        assert (found.utd, found.offline_ratio) == (1, 0.5)


def test_rlpd_and_redq():
    redq, rlpd, maze = method("redq", 6), method("rlpd", 6), method("rlpd", 6, "antmaze")
    for found in (redq, rlpd, maze):
        assert (found.agent.networks.critics, found.agent.distinct_targets, found.utd) == (10, True, 20)
        assert found.agent.online.actor_q == "mean"
        assert not found.pretrains
    assert not redq.agent.networks.critic_norm
    assert rlpd.agent.networks.critic_norm
    assert not rlpd.agent.networks.actor_norm
    assert (redq.offline_ratio, rlpd.offline_ratio) == (0.0, 0.5)
    assert (rlpd.agent.target_entropy, redq.agent.target_entropy) == (-3.0, None)
    assert (rlpd.agent.target_critics, maze.agent.target_critics) == (2, 1)
    assert (rlpd.agent.online.entropy_backup, maze.agent.online.entropy_backup) == (True, False)
    assert maze.agent.networks.critic_hidden == (256, 256, 256)


@pytest.mark.parametrize(
    ("family", "expectile", "beta"),
    [("locomotion", 0.7, 3.0), ("antmaze", 0.9, 10.0), ("adroit", 0.7, 0.5), ("kitchen", 0.7, 0.5)],
)
def test_iql(family, expectile, beta):
    agent = method("iql", 7, family).agent
    assert (agent.offline.expectile, agent.offline.awr_beta, agent.offline.awr_clip) == (expectile, beta, 100.0)
    assert (agent.networks.policy, agent.networks.std, agent.networks.log_std_min) == ("gaussian", "shared", -5.0)
    assert method("iql_ddpg", 7, family).agent.offline.expectile == expectile


def test_td3_bc_averages_the_squared_error_over_the_action():
    agent = method("td3bc", 4).agent
    assert agent.offline.bc_weight == 0.25
    assert (agent.offline.q_scale, agent.offline.target_noise, agent.offline.target_noise_clip) == (2.5, 0.2, 0.5)
    assert (agent.offline.actor_delay, agent.offline.actor_q, agent.networks.critics) == (2, "first", 2)
    assert agent.networks.target_policy


def test_awac_and_sac():
    assert method("awac", 7).agent.offline.awr_beta == 1.0
    assert method("awac", 7, "adroit").agent.offline.awr_beta == pytest.approx(1 / 0.3)
    assert method("awac", 7).batch == 1024
    sac = method("sac", 7).agent
    assert (sac.networks.critics, sac.target_critics, sac.online.actor_q) == (2, None, "min")
    assert sac.online.entropy_backup


def test_warm_up_is_for_the_critics_alone_and_has_the_backup_of_what_follows():
    for name in METHODS.own:
        agent = method(name, 7, "antmaze").agent
        assert agent.warmup.critic_only
        assert agent.warmup.max_target_backup == agent.online.max_target_backup
        assert agent.warmup.expectile == agent.online.expectile


def test_any_method_may_classify():
    agent = classified(method("calql", 7).agent, -110.0, 10.0, bins=101)
    histogram = agent.networks.critic_bins
    assert (histogram.bins, histogram.low, histogram.high, histogram.sigma) == (101, -110.0, 10.0, 0.75)
    assert agent.offline == method("calql", 7).agent.offline


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="td3bc"):
        method("td3", 7)
    with pytest.raises(ConfigError, match="locomotion"):
        method("sac", 7, "hopper")
    with pytest.raises(ConfigError, match="action_size"):
        method("sac", 0)
