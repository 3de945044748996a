"""What an operator can act on: the message names the thing, the place and the way out."""


class OperatorError(RuntimeError):
    """Shown as one line, without a traceback; the command ends with exit status 1."""
