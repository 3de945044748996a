"""Callbacks that run in the browser, from assets/tollway.js: what needs no trip to the server makes none."""

from __future__ import annotations

from typing import Any

from dash import ClientsideFunction


def wire(app: Any, function: str, *dependencies: Any, initial: bool = True) -> None:
    """Run `tollway.<function>` for these outputs, inputs and states; at the first load too, unless not `initial`."""
    app.clientside_callback(ClientsideFunction("tollway", function), *dependencies, prevent_initial_call=not initial)
