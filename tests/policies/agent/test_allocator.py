"""The allocator setting is taken by glibc and refused elsewhere, never an error."""

import ctypes
import platform

from policies.agent.allocator import keep_freed_memory


def test_glibc_takes_the_setting():
    assert keep_freed_memory() == (platform.libc_ver()[0] == "glibc")


def test_a_library_without_mallopt_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert not keep_freed_memory()
