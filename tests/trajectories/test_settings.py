"""_Settings from plain values: every type is checked, and what is wrong is named by its key."""

from dataclasses import dataclass
from typing import Literal

import pytest

from trajectories.errors import ConfigError
from trajectories.settings import build, merged


@dataclass(frozen=True)
class _Inner:
    size: int = 3


@dataclass(frozen=True)
class _Settings:
    count: int = 1
    rate: float = 0.5
    on: bool = False
    name: str = "a"
    kind: Literal["left", "right"] = "left"
    widths: tuple[int, ...] = (1,)
    ends: tuple[float, float] | None = None
    inner: _Inner = _Inner()
    maybe: _Inner | None = None
    least: int | None = None


@dataclass(frozen=True)
class _Needs:
    first: int
    second: float
    third: int = 3


def made(**values):
    return build(_Settings, values, "box")


def test_what_fits_is_taken_in_its_own_type():
    values = {"count": 2e9, "rate": 2, "on": True, "name": "b", "kind": "right", "widths": [4, 5.0], "ends": [-1, 0]}
    found = made(**values, inner={"size": 7}, maybe={}, least=None)
    assert found == _Settings(
        2_000_000_000, 2.0, True, "b", "right", (4, 5), (-1.0, 0.0), _Inner(7), _Inner(), None
    )  # fmt: skip
    assert [type(value) for value in (found.count, found.rate, *found.widths, *found.ends)] == [
        int, float, int, int, float, float,
    ]  # fmt: skip
    assert made(inner=_Inner(9)).inner == _Inner(9)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"count": 2.5}, r"box\.count=2\.5 is of the wrong kind; expected a whole number"),
        ({"count": "two"}, r"box\.count='two'.*a whole number"),
        ({"count": True}, r"box\.count=True.*a whole number"),
        ({"count": None}, r"box\.count=None.*a whole number"),
        ({"count": float("inf")}, r"box\.count=inf.*a whole number"),
        ({"rate": "abc"}, r"box\.rate='abc'.*a finite number"),
        ({"rate": "0.1"}, r"box\.rate='0\.1'.*a finite number"),
        ({"rate": float("nan")}, r"box\.rate=nan.*a finite number"),
        ({"rate": [1.0]}, r"box\.rate=\[1\.0\].*a finite number"),
        ({"on": "no"}, r"box\.on='no'.*true or false"),
        ({"on": 1}, r"box\.on=1.*true or false"),
        ({"name": 3}, r"box\.name=3.*a text"),
        ({"kind": "up"}, r"box\.kind=up is unknown; expected one of left, right"),
        ({"widths": 256}, r"box\.widths=256.*a list of whole numbers"),
        ({"widths": "12"}, r"box\.widths='12'.*a list of whole numbers"),
        ({"widths": [1, 2.5]}, r"box\.widths\[1\]=2\.5.*a whole number"),
        ({"ends": [-20]}, r"box\.ends=\[-20\].*a list of 2: number, number"),
        ({"ends": [1, 2, 3]}, r"box\.ends=\[1, 2, 3\].*a list of 2"),
        ({"ends": -20}, r"box\.ends=-20.*a list of 2"),
        ({"inner": 5}, r"box\.inner=5.*settings by name, some of size"),
        ({"inner": {"size": "big"}}, r"box\.inner\.size='big'.*a whole number"),
        ({"inner": {"sise": 1}}, r"box\.inner has no setting 'sise'; there are size"),
        ({"maybe": []}, r"box\.maybe=\[\].*settings by name"),
        ({"least": "1"}, r"box\.least='1'.*a whole number"),
        ({"cuont": 1}, r"box has no setting 'cuont'; there are count, "),
    ],
)
def test_what_doesnt_is_refused_with_its_key(wrong, message):
    with pytest.raises(ConfigError, match=message):
        made(**wrong)


def test_a_key_that_a_person_types_otherwise_is_named_as_they_type_it():
    with pytest.raises(ConfigError, match=r"^robot\.count='x'"):
        build(_Settings, {"count": "x"}, "box", {"count": "robot.count"})


def test_what_is_missing_and_has_no_default_is_named():
    with pytest.raises(ConfigError, match=r"box settings lack \['first', 'second'\]; give them"):
        build(_Needs, {}, "box")
    with pytest.raises(ConfigError, match=r"box settings lack \['second'\]; give it"):
        build(_Needs, {"first": 1}, "box")
    assert build(_Needs, {"first": 1, "second": 2}, "box") == _Needs(1, 2.0)


def test_merging_keeps_what_isnt_named_and_checks_what_is():
    base = _Settings(count=4, inner=_Inner(8), ends=(0.0, 1.0))
    assert merged(base, {"rate": 1, "inner": {}, "widths": [2]}, "box") == _Settings(
        count=4, rate=1.0, inner=_Inner(8), ends=(0.0, 1.0), widths=(2,)
    )
    for wrong, message in (
        ({"cuont": 1}, "box has no setting 'cuont'; there are count, "),
        ({"inner": {"size": 2.5}}, r"box\.inner\.size=2\.5.*a whole number"),
        ({"inner": 5}, r"box\.inner=5.*settings by name"),
        ({"ends": [1]}, r"box\.ends=\[1\].*a list of 2"),
        ({"on": "no"}, r"box\.on='no'.*true or false"),
    ):
        with pytest.raises(ConfigError, match=message):
            merged(base, wrong, "box")
