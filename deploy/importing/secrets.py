"""Secrets of a LiteLLM file: `os.environ/X` becomes `${X}`; one that is written out is never copied, only named."""

import re

from deploy.importing.notes import Note

ENVIRON = "os.environ/"


class Placeholders:
    """Every environment name that the translation asks for, in order."""

    def __init__(self, notes: list[Note]) -> None:
        self._notes = notes
        self.names: list[str] = []

    def secret(self, value: object, place: str, name: str) -> str:
        """The placeholder that stands for a secret; `name` is for one that is written out in the file."""
        text = str(value)
        if text.startswith(ENVIRON):
            return self.environment(text.removeprefix(ENVIRON))
        own = re.sub(r"\W+", "_", name).upper()
        self._notes.append(Note(place, f"a secret is written out here; it was not copied: set {own} to it"))
        return self.environment(own)

    def environment(self, name: str) -> str:
        """`${NAME}`, and the name is asked for."""
        if name not in self.names:
            self.names.append(name)
        return f"${{{name}}}"

    def text(self, value: object) -> str:
        """A value that is no secret but may come from the environment."""
        text = str(value)
        return self.environment(text.removeprefix(ENVIRON)) if text.startswith(ENVIRON) else text
