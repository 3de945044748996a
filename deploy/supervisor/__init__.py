"""One machine: start every part as a process of its own, keep it running, stop it in order."""

from deploy.supervisor.parts import Part, parts
from deploy.supervisor.supervisor import PartFailed, Supervisor

__all__ = ["Part", "PartFailed", "Supervisor", "parts"]
