"""The frame around every page: navigation, light and dark, the address, and the place where a page goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, dcc, html

from dashboards import theme
from dashboards.books import Books
from dashboards.components import clientside

NAVBAR_PX = 216
HEADER_PX = 52

INDEX = """<!DOCTYPE html>
<html lang="en">
  <head>
    {%metas%}
    <title>{%title%}</title>
    {%favicon%}
    <script>
      // Before the first paint, so that a dark reader is not shown a white page. Mantine keeps its choice here.
      (function () {
        var kept = localStorage.getItem('mantine-color-scheme-value') || 'auto';
        var dark = kept === 'dark' || (kept === 'auto' && matchMedia('(prefers-color-scheme: dark)').matches);
        document.documentElement.dataset.mantineColorScheme = dark ? 'dark' : 'light';
        document.documentElement.dataset.agThemeMode = dark ? 'dark' : 'light';
      })();
    </script>
    {%css%}
  </head>
  <body>
    <noscript>These pages need JavaScript. The same figures are plain CSV under /csv/.</noscript>
    {%app_entry%}
    <footer>
      {%config%}
      {%scripts%}
      {%renderer%}
    </footer>
  </body>
</html>
"""


class Page(Protocol):
    """A page module: where it is, what it is called, its layout for an address, and its callbacks."""

    PATH: str
    TITLE: str
    ICON: str

    def layout(self, search: str, now: datetime) -> html.Div:
        """The page for a query string, its figures still to come."""

    def wire(self, app: Dash, books: Books, clock: Callable[[], datetime]) -> None:
        """Register the page's callbacks."""


@dataclass(frozen=True, slots=True)
class NavGroup:
    """Pages under one heading of the navigation."""

    title: str
    pages: tuple[Page, ...]


def layout(groups: tuple[NavGroup, ...]) -> dmc.MantineProvider:
    """The frame, without a page in it."""
    return dmc.MantineProvider(
        [
            dcc.Location(id="url", refresh="callback-nav"),
            html.A("Skip to the figures", href="#page", className="skip"),
            dmc.AppShell(
                [
                    dmc.AppShellHeader(_header()),
                    dmc.AppShellNavbar(_navigation(groups), p="sm"),
                    dmc.AppShellMain([html.Div(id="fault"), html.Div(id="page", tabIndex="-1")]),
                ],
                id="shell",
                header={"height": HEADER_PX},
                navbar={"width": NAVBAR_PX, "breakpoint": "sm", "collapsed": {"mobile": True}},
                padding=0,
                transitionDuration=0,
            ),
        ],
        id="mantine",
        defaultColorScheme="auto",
        theme={
            "fontFamily": theme.FONT,
            "primaryColor": "blue",
            "defaultRadius": "sm",
            "primaryShade": {"light": 7, "dark": 8},
        },
    )


def wire(app: Dash, pages: Mapping[str, Page], clock: Callable[[], datetime]) -> None:
    """Navigation: the page for a path, links that carry the filters, the burger, the title, the theme of the grids."""

    @app.callback(Output("page", "children"), Input("url", "pathname"), State("url", "search"))
    async def show(path: str, search: str | None) -> Any:
        page = pages.get(path)
        return page.layout(search or "", clock()) if page else html.P("There is no such page.", className="body")

    links = [(f"nav-{page.PATH.strip('/')}", page) for page in pages.values()]
    clientside.wire(
        app,
        "carry",
        *[Output(link, "href") for link, _ in links],
        *[Output(link, "active") for link, _ in links],
        Input("url", "pathname"),
        Input("url", "search"),
        State("nav-pages", "data"),
    )
    clientside.wire(
        app,
        "burger",
        Output("shell", "navbar"),
        Input("burger", "opened"),
        Input("url", "pathname"),
        State("shell", "navbar"),
    )


def _header() -> html.Div:
    return html.Div(
        [
            html.Div(
                [
                    dmc.Burger(
                        id="burger",
                        opened=False,
                        size="sm",
                        hiddenFrom="sm",
                        attributes={"root": {"aria-label": "Pages"}},
                    ),
                    html.A([html.Span(className="logo"), "Tollway"], href="/", className="brand"),
                ],
                className="header-left",
            ),
            dmc.ColorSchemeToggle(
                lightIcon=html.Span(className="icon icon-sun"),
                darkIcon=html.Span(className="icon icon-moon"),
                variant="default",
                size="lg",
            ),
        ],
        className="header",
    )


def _navigation(groups: tuple[NavGroup, ...]) -> list[Any]:
    parts: list[Any] = []
    for group in groups:
        parts.append(html.Div(group.title, className="nav-group"))
        parts += [
            dmc.NavLink(
                id=f"nav-{page.PATH.strip('/')}",
                label=page.TITLE,
                href=page.PATH,
                active=False,
                refresh=False,
                leftSection=html.Span(className=f"icon icon-{page.ICON}"),
            )
            for page in group.pages
        ]
    paths = [{"path": page.PATH, "title": page.TITLE} for group in groups for page in group.pages]
    return [
        html.Div(parts),
        dcc.Store(id="nav-pages", data=paths),
        html.Div("No login: these pages answer on this machine only.", className="nav-foot"),
    ]
