"""Open lists: own entries, entry points of packages outside, and what is said when either is wrong."""

import pytest

from trajectories.errors import ConfigError
from trajectories.registry import Registry


def install(folder, name, entry_points, modules=None):
    """Write an importable distribution `name` as an installer would leave it."""
    information = folder / f"{name}-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(entry_points)
    for module, source in (modules or {}).items():
        (folder / f"{module}.py").write_text(source)


@pytest.fixture
def outside(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def registry():
    return Registry("regrasp.testing", "colour", {"red": 1, "green": 2})


def test_own_entries_are_there_without_any_package():
    assert dict(registry()) == {"red": 1, "green": 2}
    assert "blue" not in registry()


def test_own_names_keep_their_order(outside):
    names = [f"colour{number}" for number in range(20)]
    install(outside, "paint", "[regrasp.testing]\nblue = paint_blue:VALUE\n")
    found = Registry("regrasp.testing", "colour", dict.fromkeys(names))
    assert found.own == tuple(names)
    assert list(found) == [*names, "blue"]


def test_a_package_adds_an_entry(outside):
    install(outside, "paint", "[regrasp.testing]\nblue = paint_blue:VALUE\n", {"paint_blue": "VALUE = 3\n"})
    assert dict(registry()) == {"red": 1, "green": 2, "blue": 3}


def test_names_are_listed_without_importing(outside):
    install(outside, "paint", "[regrasp.testing]\nblue = paint_that_is_not_there:VALUE\n")
    assert set(registry()) == {"red", "green", "blue"}
    assert "blue" in registry()
    with pytest.raises(
        ConfigError, match=r"brought by the package paint as 'paint_that_is_not_there:VALUE'.*ModuleNotFound"
    ):
        registry()["blue"]


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(ConfigError, match=r"no colour 'bleu'; there are green, red\..*'regrasp\.testing'"):
        registry()["bleu"]


def test_a_package_cannot_take_an_own_name(outside):
    install(outside, "paint", "[regrasp.testing]\nred = paint_red:VALUE\n", {"paint_red": "VALUE = 9\n"})
    with pytest.raises(ConfigError, match="the package paint brings a colour named 'red'"):
        list(registry())
    assert registry()["red"] == 1


def test_two_packages_cannot_bring_one_name(outside):
    install(outside, "paint", "[regrasp.testing]\nblue = paint_a:VALUE\n", {"paint_a": "VALUE = 3\n"})
    install(outside, "dye", "[regrasp.testing]\nblue = dye_a:VALUE\n", {"dye_a": "VALUE = 4\n"})
    with pytest.raises(ConfigError, match="Two packages bring a colour named 'blue'"):
        list(registry())
