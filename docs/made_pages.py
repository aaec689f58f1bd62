"""Parts of the pages that are made from the code, between two marks, so that they are true and readable everywhere.

python docs/made_pages.py            # names the pages that are behind the code
python docs/made_pages.py --write    # writes them again
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

import click
import typer.main

import celltrail
from celltrail.cli import app
from celltrail.data.settings import options_of
from celltrail.evaluation.measures.catalogue import DEFINITIONS, LOWER_IS_BETTER, in_order
from celltrail.tracking.costs.pricing import Constants
from celltrail.tracking.settings import TrackSettings


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
    parts = [f"## celltrail {name}", *text, f"Arguments: `{usage}`" if usage else "", table]
    return "\n\n".join(part for part in parts if part)


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
    text = (declared.get("License") or "").strip()
    one_line = text if "\n" not in text else ""
    return declared.get("License-Expression") or ", ".join(classifiers) or one_line or "see its package"


PACKAGES = ("data", "segmentation", "tracking", "evaluation", "dashboard")


def tree_of_rooms() -> str:
    """Every room of every package, and the modules beside them, with the first sentence of what they say of themselves."""
    root = Path(__file__).parents[1]
    return "\n\n".join(_describe_package(root / name) for name in PACKAGES)


def _describe_package(package: Path) -> str:
    rooms = [path.parent for path in sorted(package.glob("*/__init__.py"))]
    beside = sorted(package.glob("[!_]*.py"))
    places = [*((f"{room.name}/", room / "__init__.py") for room in rooms), *((path.name, path) for path in beside)]
    rows = [f"| `{package.name}/{name}` | {_first_sentence(path)} |" for name, path in places]
    heading = f"### {package.name}\n\n{_first_sentence(package / '__init__.py')}"
    return "\n".join([heading, "", "| place | what it is for |", "|---|---|", *rows])


def _first_sentence(path: Path, name: str = "") -> str:
    """Of a module, or of what it defines under a name."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    described = next(node for node in [tree, *tree.body] if getattr(node, "name", "") == name)
    paragraph = (ast.get_docstring(described) or "").split("\n\n")[0]  # type: ignore[arg-type]
    sentence = re.split(r"(?<=\.)\s", " ".join(paragraph.split()))[0].replace("``", "`").replace("|", "/")
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", sentence)


def public_names() -> str:
    """What ``import celltrail as ct`` offers, with the first sentence of each; read without importing PyTorch."""
    rows = [f"| `ct.{name}` | {_first_sentence(*_source_of(name))} |" for name in celltrail.__all__]
    return "\n".join(["| name | what it is |", "|---|---|", *rows])


def _source_of(name: str) -> tuple[Path, str]:
    """The file that defines a public name, found as its package finds it."""
    root, package = Path(__file__).parents[1], celltrail._PLACE_OF[name]
    rooms = getattr(import_module(f"celltrail.{package}"), "_ROOM_OF", {})
    tree = ast.parse((root / package / "__init__.py").read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    places = {
        alias.name: str(node.module).removeprefix(f"celltrail.{package}.") for node in imports for alias in node.names
    }
    return root / package / f"{(places | rooms)[name].replace('.', '/')}.py", name


def settings_table() -> str:
    """Every option of ``track``, as Python takes it."""
    rows = [
        f"| `{name}` | `{TrackSettings.__annotations__[name]}` | `{getattr(TrackSettings, name)!r}` | {about.sentence} |"
        for name, about in options_of(TrackSettings).items()
    ]
    rows = [row.replace(" | None`", " or None`") for row in rows]
    return "\n".join(["| setting | type | default | meaning |", "|---|---|---|---|", *rows])


MADE: dict[str, Callable[[], str]] = {
    "measures": measure_table,
    "constants": constants_in_words,
    "commands": command_reference,
    "licences": licence_table,
    "rooms": tree_of_rooms,
    "names": public_names,
    "settings": settings_table,
}
PART = re.compile(r"^<!-- made: (\w+) -->\n.*?^<!-- end: \1 -->$", flags=re.DOTALL | re.MULTILINE)


def renewed(page: str) -> str:
    """A page with what stands between its marks made again."""
    return PART.sub(lambda part: f"<!-- made: {part[1]} -->\n\n{MADE[part[1]]()}\n\n<!-- end: {part[1]} -->", page)


def main() -> None:
    """Name the pages that are behind the code, or write them again."""
    pages = {path: path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*.md"))}
    behind = [path for path, page in pages.items() if renewed(page) != page]
    if "--write" in sys.argv[1:]:
        for path in behind:
            path.write_text(renewed(pages[path]), encoding="utf-8", newline="\n")
    elif behind:
        names = ", ".join(path.name for path in behind)
        sys.exit(f"behind the code: {names}. Write them again with: python docs/made_pages.py --write")


if __name__ == "__main__":
    main()
