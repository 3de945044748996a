"""Whose request feedback is of, asked of the store: what the gateway is given to look up what it does not remember."""

from typing import TYPE_CHECKING

from deploy.settings import Settings

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from gateway.feedback.answered import Answered, LookUp


def look_up(settings: Settings) -> "LookUp":
    """Asks the store of this configuration, which may come and go: each time that it is not had is an OSError."""
    held: list[Client] = []

    def found(tenant: str, request_id: str, response_id: str) -> "Answered | None":
        from clickhouse_connect.driver.exceptions import Error

        from deploy.errors import OperatorError
        from deploy.store_access import reader
        from gateway.feedback.answered import Answered
        from sql import fetch

        try:
            if not held:
                held.append(reader(settings))
            rows = fetch(held[0], "feedback_target", tenant=tenant, request_id=request_id, response_id=response_id)
        except (Error, OperatorError) as error:
            held.clear()
            raise OSError(f"the store was not asked: {error}") from error
        return Answered(*rows.row(0)) if len(rows) else None

    return found
