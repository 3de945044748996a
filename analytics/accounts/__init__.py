"""Who may do what with the books: local accounts, their roles, passwords and API tokens."""

from analytics.accounts.roles import Actor, Forbidden, NoAccess, Right

__all__ = ["Actor", "Forbidden", "NoAccess", "Right"]
