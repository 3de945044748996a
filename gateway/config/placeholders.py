"""`${NAME}`, `${NAME:-default}` and `${file:/run/secrets/x}` in the configuration's strings.

Filled in after the YAML is parsed, so that a value can never change the document's shape. `$${` is a literal `${`.
What was filled in is never put into a fault's text: it may be a secret.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from gateway.config.faults import Fault

_PLACEHOLDER = re.compile(r"\$\$\{|\$\{(?P<body>[^}]*)\}")
_UNBRACED = re.compile(r"\$[A-Z][A-Z0-9_]*\Z")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def fill(value: object, env: Mapping[str, str], folder: Path, path: str = "") -> tuple[object, list[Fault]]:
    """The same tree with every placeholder replaced, and a fault for each that could not be.

    `folder` is what a relative `${file:...}` is relative to: the configuration file's own folder.
    """
    faults: list[Fault] = []
    if isinstance(value, str):
        return _fill_text(value, env, folder, path, faults), faults
    if isinstance(value, dict):
        filled: dict[object, object] = {}
        for key, inner in value.items():
            filled[key], found = fill(inner, env, folder, f"{path}.{key}" if path else str(key))
            faults += found
        return filled, faults
    if isinstance(value, list):
        items: list[object] = []
        for index, inner in enumerate(value):
            item, found = fill(inner, env, folder, f"{path}[{index}]")
            items.append(item)
            faults += found
        return items, faults
    return value, faults


def _fill_text(text: str, env: Mapping[str, str], folder: Path, path: str, faults: list[Fault]) -> str:
    if _UNBRACED.match(text):
        faults.append(Fault(path, "a name of the environment is written in braces here: ${NAME}"))
        return ""

    def replace(match: re.Match[str]) -> str:
        body = match.group("body")
        if body is None:
            return "${"
        if body.startswith("file:"):
            return _read_secret(body.removeprefix("file:"), folder, path, faults)
        name, has_default, default = body.partition(":-")
        if not _NAME.match(name):
            faults.append(
                Fault(
                    path, f"'${{{name}}}' is not a placeholder; write ${{NAME}}, ${{NAME:-default}} or ${{file:PATH}}"
                )
            )
            return ""
        if env.get(name):
            return env[name]
        if has_default:
            return default
        faults.append(Fault(path, f"the environment has no {name}; set it, or write ${{{name}:-default}}"))
        return ""

    return _PLACEHOLDER.sub(replace, text)


def _read_secret(name: str, folder: Path, path: str, faults: list[Fault]) -> str:
    try:
        return (folder / name).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        faults.append(Fault(path, f"cannot read the secret file {name}: {reason}"))
        return ""
