"""`torch.compile` is asked for, used, and left out with a warning where it fails."""

import pytest
import torch

from policies.compiled import compiled


def double(x):
    return 2 * x


def test_nothing_is_compiled_unless_wanted(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda _: pytest.fail("compiled"))
    assert compiled(double, False) is double


def test_the_compiled_function_is_used(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function: lambda x: function(x) + 1)
    assert compiled(double, True)(3) == 7


def test_failing_compilation_warns_once_and_goes_on(monkeypatch):
    def broken(_):
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(torch, "compile", lambda _: broken)
    function = compiled(double, True)
    with pytest.warns(RuntimeWarning, match=r"no C\+\+ compiler"):
        assert function(3) == 6
    assert function(4) == 8
