"""`tollway import litellm`: another gateway's configuration as one of Tollway's, and what it could not take over."""

import re
from pathlib import Path
from typing import Annotated

import typer

from deploy.cli import exits
from deploy.cli.options import Json
from deploy.cli.output import emit_json, say

HEADER = """\
# Translated from {source} by `tollway import litellm`. Set these in the environment:
#     {environment}
# then run `tollway check --config` on this file. deploy/config/tollway.example.yaml shows what else there is.

"""

imports = typer.Typer(help="Configurations of other gateways.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.add_typer(imports, name="import")


@imports.callback()
def _root() -> None:
    """Configurations of other gateways."""


@imports.command("litellm", help="Translate a LiteLLM proxy's config.yaml, and list what could not be translated.")
def litellm(
    file: Annotated[Path, typer.Argument(help="The LiteLLM proxy's config.yaml.")],
    out: Annotated[Path | None, typer.Option("--out", help="Where to write; standard output if not given.")] = None,
    as_json: Json = False,
) -> None:
    """Write a Tollway configuration; notes go to stderr. Exit 1 when there is nothing to translate."""
    from deploy.errors import OperatorError
    from deploy.importing.litellm import NothingToImport, translate
    from deploy.settings import TollwayFile
    from gateway.config import load_text
    from gateway.config.section import SIMPLE_NAME

    try:
        done = translate(_parsed(file), re.compile(SIMPLE_NAME).fullmatch)
    except NothingToImport as error:
        raise OperatorError(f"{file}: {error}") from None
    text = HEADER.format(source=file.name, environment=" ".join(done.environment)) + _written(done.config)
    load_text(
        text, TollwayFile, source=str(file), env={name: f"https://stands-for-{name}" for name in done.environment}
    )
    if out is not None:
        out.write_text(text, "utf-8")
    if as_json:
        notes = [{"place": note.place, "words": note.words} for note in done.notes]
        emit_json({"config": done.config, "environment": list(done.environment), "not_translated": notes})
    elif out is None:
        typer.echo(text, nl=False)
    for note in done.notes:
        say(f"  {note}")
    say(f"tollway: {file}: {len(done.config['aliases'])} aliases; {len(done.notes)} notes above say what is different")
    say(f"tollway: set {', '.join(done.environment)}, then `tollway check`")


def _parsed(file: Path) -> dict[str, object]:
    import yaml

    try:
        parsed = yaml.safe_load(file.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        say(f"tollway: {file} is not YAML: {str(error).splitlines()[0]}")
        raise typer.Exit(exits.USAGE) from None
    if not isinstance(parsed, dict):
        say(f"tollway: {file} is not a mapping of sections, as a LiteLLM config.yaml is")
        raise typer.Exit(exits.USAGE)
    return parsed


def _written(config: dict[str, object]) -> str:
    import yaml

    return yaml.safe_dump(config, sort_keys=False, width=110, allow_unicode=True)
