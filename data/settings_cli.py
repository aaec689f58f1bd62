"""The options of a command, made from a dataclass of settings (:mod:`celltrail.data.settings`)."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import click
import typer

from celltrail.data.settings import Option, changed, options_of, type_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Function = Callable[..., Any]


def as_typer(name: str, about: Option, *, is_flag: bool = False) -> Any:
    """The option as Typer wants it, for the ``Annotated`` type of a command's parameter."""
    flag = f"--{name.replace('_', '-')}"
    return typer.Option(
        f"{flag}/--{about.off}" if is_flag and about.off else flag,
        help=about.sentence,
        min=about.minimum,
        max=about.maximum if math.isfinite(about.maximum) else None,
        metavar=about.metavar,
        show_default=about.shown,
        click_type=click.Choice(about.choices) if about.choices else None,
    )


def option_of(kind: type[DataclassInstance], name: str) -> Any:
    """One option of a dataclass of settings, for a command that takes only some of them."""
    return as_typer(name, options_of(kind)[name], is_flag=type_of(kind, name)[0] is bool)


def takes_settings(
    kind: type[DataclassInstance], *, before: Mapping[str, str] | None = None
) -> Callable[[Function], Function]:
    """Give a command every option of a dataclass of settings in place of its parameter ``settings``.

    Parameters
    ----------
    kind : dataclass of settings
        The command is called with one of these as ``settings``.
    before : mapping
        Parameter of the command → option before which ``--help`` shows it; otherwise they stand in the order of the
        command.
    """
    placed = {option: name for name, option in (before or {}).items()}

    def decorate(function: Function) -> Function:
        own = inspect.signature(function, eval_str=True).parameters
        parameters: list[inspect.Parameter] = []
        for name, parameter in own.items():
            if name == "settings":
                for option in options_of(kind):
                    if option in placed:
                        parameters.append(own[placed[option]])
                    parameters.append(_parameter(kind, option))
            elif name not in placed.values():
                parameters.append(parameter)

        @wraps(function)
        def command(**given: Any) -> Any:
            chosen = {name: given.pop(name) for name in options_of(kind)}
            return function(**given, settings=changed(kind(), chosen))

        parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return command

    return decorate


def _parameter(kind: type[DataclassInstance], name: str) -> inspect.Parameter:
    """An option as the parameter of a command: a text where it has to be parsed."""
    type_, optional = type_of(kind, name)
    type_ = str if options_of(kind)[name].parse is not None else type_
    annotation = Annotated[type_ | None if optional else type_, option_of(kind, name)]  # type: ignore[valid-type]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=getattr(kind, name), annotation=annotation)
