"""Pages that are made from templates."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from jinja2 import Environment, select_autoescape


def page_template(name: str) -> Any:
    """The template `commands/templates/<name>.html.j2`; what is put into it is escaped."""
    source = (files("commands") / "templates" / f"{name}.html.j2").read_text(encoding="utf-8")
    return Environment(autoescape=select_autoescape(default=True, default_for_string=True)).from_string(source)
