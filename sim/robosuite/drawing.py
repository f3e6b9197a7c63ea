"""robosuite's OpenGL contexts, one an environment."""

from __future__ import annotations

from typing import Any


def make_current(world: Any) -> None:
    """Make the OpenGL context of one of robosuite's environments the current one, if it has one.

    robosuite does so only when it makes the context: it would draw in, and free what belongs to, another one's.
    """
    context = world.sim._render_context_offscreen
    if context is not None:
        context.gl_ctx.make_current()
