"""Parts of the pages that are made from the code when the documentation is built, so that they cannot be wrong."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

import click
import typer.main

from celltrail.cli import app
from celltrail.evaluation.measures.catalogue import DEFINITIONS, LOWER_IS_BETTER, in_order
from celltrail.tracking.costs.pricing import Constants


def measure_table() -> str:
    """Every measure with its definition."""
    rows = [
        f"| `{name}` | {DEFINITIONS[name]} | {'lower' if name in LOWER_IS_BETTER else 'higher'} |"
        for name in in_order(DEFINITIONS)
    ]
    return "\n".join(["| measure | definition | better |", "|---|---|---|", *rows])


def constants_in_words() -> str:
    """The constants of the costs, a sentence each."""
    return "\n".join(f"* {sentence}" for sentence in Constants().in_words())


def command_reference() -> str:
    """Every command with its options, from its own help."""
    return "\n\n".join(_describe(name, command) for name, command in _commands(_group(), ""))


def _group() -> click.Group:
    group = typer.main.get_command(app)
    assert isinstance(group, click.Group)
    return group


def _commands(group: click.Group, prefix: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def _describe(name: str, command: click.Command) -> str:
    paragraphs = (command.help or "").split("\n\n")
    text = [
        f"`{part.strip().split('  ', 1)[1]}`" if part.strip().startswith("Example:") else part.strip()
        for part in paragraphs
    ]
    context = click.Context(command, info_name=f"celltrail {name}")
    usage = " ".join(piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]")
    rows = [_option_row(parameter) for parameter in command.params if isinstance(parameter, click.Option)]
    rows = [row for row in rows if not row.startswith("| `--help`")]
    table = "\n".join(["| option | meaning |", "|---|---|", *rows]) if rows else ""
    return "\n\n".join([f"## celltrail {name}", *text, f"Arguments: `{usage}`" if usage else "", table])


def _option_row(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    shown = option.default
    default = "" if shown in (None, False, "", ()) or not option.show_default else f" Default: `{_plain(shown)}`."
    required = " **Required.**" if option.required else ""
    return f"| {names} | {(option.help or '').replace('|', '/')}{required}{default} |"


def _plain(value: Any) -> str:
    return str(getattr(value, "value", value))


def licence_table() -> str:
    """Every direct dependency of the core and of the extras for users, with the licence that its package names."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"core": project["dependencies"], **project["optional-dependencies"]}
    rows = [
        f"| {name} | {group} | {licence_of(name)} |"
        for group, requirements in groups.items()
        if group not in ("test", "all")
        for name in (re.match(r"[\w.-]+", requirement).group() for requirement in requirements)  # type: ignore[union-attr]
    ]
    return "\n".join(["| package | extra | licence |", "|---|---|---|", *rows])


def licence_of(name: str) -> str:
    """The licence that an installed package declares: an SPDX expression, a classifier, or one line of text."""
    try:
        declared = metadata(name)
    except PackageNotFoundError:
        return "not installed here"
    classifiers = [
        text.split(" :: ")[-1] for text in declared.get_all("Classifier") or [] if text.startswith("License")
    ]
    text = (declared["License"] or "").strip()
    one_line = text if "\n" not in text else ""
    return declared["License-Expression"] or ", ".join(classifiers) or one_line or "see its package"


MADE: dict[str, Callable[[], str]] = {
    "<!-- made: measures -->": measure_table,
    "<!-- made: constants -->": constants_in_words,
    "<!-- made: commands -->": command_reference,
    "<!-- made: licences -->": licence_table,
}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the parts in their places; called by MkDocs for each page."""
    for mark, make in MADE.items():
        if mark in markdown:
            markdown = markdown.replace(mark, make())
    return markdown
