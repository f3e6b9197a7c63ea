"""What something was made with, beside it: the same goes on, anything else is named."""

import json

import pytest

from trajectories.conditions import keep_conditions, read_conditions, require_same_identity, short_digest
from trajectories.errors import CheckpointError, ConfigError

HERE = {"utd": 4, "agent": {"gamma": 0.95, "layers": [64, 64]}}


def test_the_same_conditions_change_nothing(tmp_path):
    path = tmp_path / "run" / "conditions.json"
    keep_conditions(path, HERE, "The run")
    written = path.read_bytes()
    keep_conditions(path, {"agent": {"layers": (64, 64), "gamma": 0.95}, "utd": 4}, "The run")
    assert path.read_bytes() == written
    assert read_conditions(path) == [HERE]


def test_every_difference_is_named(tmp_path):
    path = tmp_path / "conditions.json"
    keep_conditions(path, HERE, "The run")
    with pytest.raises(ConfigError, match=r"The run was made with agent\.gamma = 0\.95, utd = 4.*ask for 0\.9, 16"):
        keep_conditions(path, {"utd": 16, "agent": {"gamma": 0.9, "layers": [64, 64]}}, "The run")
    assert read_conditions(path) == [HERE]


def test_what_has_no_value_is_named_in_words():
    with pytest.raises(
        CheckpointError, match="made with labels not set, steps = 3, the settings ask for 'true', not set"
    ):
        require_same_identity({"steps": 3}, {"labels": "true", "steps": None}, "It")


def test_an_accepted_change_keeps_what_was_before(tmp_path):
    path = tmp_path / "conditions.json"
    keep_conditions(path, HERE, "The run")
    keep_conditions(path, HERE | {"utd": 16}, "The run", accept=True)
    keep_conditions(path, HERE | {"utd": 16}, "The run")
    assert read_conditions(path) == [HERE, HERE | {"utd": 16}]


def test_what_an_earlier_version_did_not_know_is_added(tmp_path):
    path = tmp_path / "conditions.json"
    keep_conditions(path, {"utd": 4}, "The run")
    keep_conditions(path, HERE, "The run")
    assert read_conditions(path) == [HERE]


def test_what_is_known_of_an_earlier_version_holds(tmp_path):
    path = tmp_path / "conditions.json"
    keep_conditions(path, {"utd": 4}, "The run")
    with pytest.raises(ConfigError, match=r"made with share = 0, the settings ask for 3"):
        keep_conditions(path, {"utd": 4, "share": 3}, "The run", as_ever={"share": 0})
    keep_conditions(path, {"utd": 4, "share": 3}, "The run", accept=True, as_ever={"share": 0})
    assert read_conditions(path) == [{"utd": 4}, {"utd": 4, "share": 3}]


def test_a_file_that_was_edited_is_refused(tmp_path):
    path = tmp_path / "conditions.json"
    keep_conditions(path, HERE, "The run")
    content = json.loads(path.read_text())
    content["conditions"]["utd"] = 16
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="damaged"):
        keep_conditions(path, HERE | {"utd": 16}, "The run")


def test_the_digest_is_that_of_the_content():
    assert short_digest({"a": 1, "b": 2}) == short_digest({"b": 2, "a": 1}) != short_digest({"a": 1, "b": 3})
    assert short_digest({"a": 1}) == "f9d86028c6e0"  # printf '{"a": 1}' | sha256sum
