"""How the parts are run: the `tollway` command, the supervisor, and the demo."""
