"""`agent.compile=auto`: decided from the number of updates, by hand."""

import pytest
from torch._inductor import cpp_builder
from torch._inductor.exc import InvalidCxxCompiler

from policies.agent.compile_choice import Workload, begun_with, choose_compile, compile_setting, saved_ms
from policies.agent.config import AgentConfig, NetworkConfig, PhaseConfig
from trajectories.errors import ConfigError

AGENT = AgentConfig(networks=NetworkConfig(critic_hidden=(128, 128), critics=10))
PLAIN, CONSERVATIVE = PhaseConfig(), PhaseConfig(cql_alpha=1.0, cql_actions=4, cql_critics=2)


def test_what_an_update_saves_by_hand():
    """4 ms a million: 10 critics x 1,024 rows x 256; (10 + 2 x 12) x 256 rows x 256."""
    assert saved_ms(AGENT, Workload(PLAIN, 1, 256, utd=4), "cpu") == pytest.approx(4.0 * 2.62144)
    assert saved_ms(AGENT, Workload(CONSERVATIVE, 1, 256), "cpu") == pytest.approx(4.0 * 2.228224)
    assert saved_ms(AGENT, Workload(PLAIN, 1, 256, utd=4), "cuda") == 16.0


def test_it_is_compiled_where_twice_the_time_of_compiling_is_saved():
    """30 s / 10.486 ms = 2,861.02 updates; two phases have to save twice as much."""
    for updates, compiles in ((2_861, False), (2_862, True)):
        choice = choose_compile("auto", AGENT, [Workload(PLAIN, 0, 256, 4), Workload(PLAIN, updates, 256, 4)])
        assert choice.compile is compiles
    assert choice.why == (
        "agent.compile=auto: compiled; 2,862 updates would save about 30 s, compiling takes about 15 s."
    )
    two = [Workload(PLAIN, 4_000, 256, 4), Workload(PLAIN, 1_000, 256, 4)]
    assert not choose_compile("auto", AGENT, two).compile  # 52 s of 60


def test_the_demo_compiles_its_fine_tuning_alone():
    for offline, online in ((1000, 5500), (1000, 9500)):  # profile=quick and full
        assert not choose_compile("auto", AGENT, [Workload(CONSERVATIVE, offline, 256)]).compile
        assert choose_compile("auto", AGENT, [Workload(PLAIN, online, 256, 4)]).compile


def test_cloning_alone_has_nothing_to_compile():
    choice = choose_compile("auto", AGENT, [Workload(PhaseConfig(extraction="bc"), 10**7, 256)])
    assert not choice.compile
    assert "0 updates" in choice.why


def test_a_persons_word_and_the_runs_beginning_come_first():
    work = [Workload(PLAIN, 10**6, 256, 4)]
    assert (choose_compile(False, AGENT, work).compile, choose_compile(True, AGENT, []).compile) == (False, True)
    assert choose_compile(True, AGENT, [], begun=False).why == ""
    assert not choose_compile("auto", AGENT, work, begun=False).compile
    assert "as the run was begun" in choose_compile("auto", AGENT, [], begun=True).why
    assert choose_compile("auto", AGENT, [], begun=True).compile


def test_without_a_compiler_it_runs_as_it_is_and_says_so(monkeypatch):
    def missing():
        raise InvalidCxxCompiler

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", missing)
    choice = choose_compile("auto", AGENT, [Workload(PLAIN, 10**6, 256, 4)])
    assert (choice.compile, choice.why) == (
        False, "agent.compile=auto: not compiled, since this machine has no C++ compiler."
    )  # fmt: skip


def test_the_setting_is_auto_or_yes_or_no(tmp_path):
    assert [compile_setting(value) for value in ("auto", True, False)] == ["auto", True, False]
    with pytest.raises(ConfigError, match="expected auto, true or false"):
        compile_setting("maybe")
    assert begun_with(None) is None
    assert begun_with(tmp_path / "none.safetensors") is None
