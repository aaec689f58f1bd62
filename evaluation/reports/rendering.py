"""Templates: what the reports look like stands in ``templates/``, what they say is put together in Python."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from celltrail.data.words import counted
from celltrail.evaluation.errors import describe_error
from celltrail.evaluation.measures.catalogue import definition


def render(name: str, **values: Any) -> str:
    """The text of a template; every value is escaped, unless it is markup already."""
    return _templates().get_template(name).render(values)


def draw(chart: str, **values: Any) -> Markup:
    """A chart of ``charts.svg.j2`` as markup for a page."""
    return Markup(getattr(_templates().get_template("charts.svg.j2").module, chart)(**values))


@cache
def _templates() -> Environment:
    found = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "px": "{:.1f}".format,
        "number": lambda value: "–" if value is None else f"{value:.3f}",
        "file_name": lambda path: Path(path).name,
        "named_list": lambda table: ", ".join(f"{name} {value}" for name, value in table.items()),
        "definition": definition,
        "in_words": describe_error,
        "counted": counted,
    }
    found.filters |= filters
    found.tests["in_brackets"] = lambda name: "(" in name
    return found
