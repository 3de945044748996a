"""What a page says when it cannot simply show figures: empty, filtered to nothing, failing, no access, stale.

Each state has its own words, says why, and says what to do next.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

from dashboards import access, books, formats

STALE_AFTER = timedelta(minutes=15)


def alert(tone: str, title: str, *said: Any, element_id: str = "") -> dmc.Alert:
    """A notice; `tone` is info, warning or failure: the stylesheet colours it; Mantine gives it role=alert."""
    wild = {"id": element_id} if element_id else {}
    return dmc.Alert(
        html.Div(list(said)),
        title=title,
        variant="light",
        className=f"notice {tone}",
        **wild,
    )


def failing(error: Exception) -> dmc.Alert:
    """Why there are no figures, from the error that a question raised."""
    match error:
        case access.NoAccess():
            return alert("warning", "Not yours to see", str(error), element_id="state-no-access")
        case books.StoreDown():
            return alert(
                "failure",
                "The store does not answer",
                "No figures are shown, because none could be read. See whether it runs with ",
                html.Code("tollway doctor"),
                ", start it with ",
                html.Code("tollway up"),
                ", then refresh. Nothing is lost meanwhile: the gateway and "
                "the collector keep what they have on disk. It said: ",
                html.Em(str(error)),
                element_id="state-store-down",
            )
        case books.NotBegun():
            return alert(
                "info",
                "That month has not begun",
                f"{error}. ",
                dcc.Link("Show the current month", href="?"),
                ".",
                element_id="state-not-begun",
            )
        case books.BooksBroken():
            return alert(
                "failure",
                "The books contradict themselves",
                "The parts of this month do not sum to the whole, so none of it is shown. This is a fault of Tollway: "
                "please report it with this sentence: ",
                html.Em(str(error)),
                element_id="state-books-broken",
            )
        case _:
            return alert(
                "failure",
                "The store refused the question",
                "Its schema or its password may be another than this version expects: run ",
                html.Code("tollway migrate"),
                " and ",
                html.Code("tollway doctor"),
                ". It said: ",
                html.Em(str(error)),
                element_id="state-store-refused",
            )


def fault(error: Exception) -> dmc.Alert:
    """A fault of ours that nobody expected."""
    return alert(
        "failure",
        "The dashboards made a mistake",
        "What is below may be incomplete or old. The log has the details: ",
        html.Em(type(error).__name__),
        ". Read again, and report it if it stays.",
        element_id="state-fault",
    )


def no_traffic(label: str, newest: datetime | None, now: datetime) -> dmc.Alert:
    """Nothing landed in the period: because nothing ever did, or because the traffic is elsewhere in time."""
    if newest is None:
        return alert(
            "info",
            "Nothing has landed yet",
            "The books are empty. Send a request through the gateway, or run ",
            html.Code("tollway demo"),
            "; attempts show up here seconds later.",
            element_id="state-empty-store",
        )
    month = f"{newest:%Y-%m}"
    return alert(
        "info",
        f"No traffic in {label}",
        f"The newest attempt began at {formats.stamp(newest, now)}. ",
        dcc.Link(f"Show {newest:%B %Y}", href=f"/spend?month={month}"),
        ".",
        element_id="state-empty-period",
    )


def nothing_matches(reset: str) -> dmc.Alert:
    """The filters leave nothing."""
    return alert(
        "info",
        "No attempt matches these filters",
        "There was traffic in this period, but none that fits all of them. ",
        dcc.Link("Show everything", href=reset),
        ".",
        element_id="state-empty-filter",
    )


def freshness(newest: datetime | None, now: datetime) -> list[Any]:
    """The mark that says how far the data goes: `Data complete to 14:02:11 UTC, 2 min ago`; orange when it is old."""
    if newest is None:
        return [html.Span("No data yet", className="mark")]
    stale = now - newest > STALE_AFTER
    words = f"Data to {formats.stamp(newest, now)}"
    explained = "When the newest attempt that has landed began."
    if stale:
        explained += " If there is traffic now, spans are not landing: run tollway doctor."
    return [
        html.Span(
            [words, html.Span(f" · {formats.ago(newest, now)}", className="mark-age")],
            title=explained,
            className="mark stale" if stale else "mark",
        )
    ]
