"""Fetches OpenAI's cost and usage reports over its API, page by page, into a file that the importers read.

Each page is one line of the file, as it came. A fetch that ends early is gone on with where it stopped; the file has
its name only when it is whole. Limits and faults of the vendor (429, 5xx, no connection) are waited out, as long as it
says. The key goes into the header of the request and nowhere else: not into a file, a message, or another host.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from analytics.invoices.formats import openai_costs_json, openai_usage_json
from analytics.invoices.importer import Importer

BASE_URL = "https://api.openai.com"
TRIES = 8
WAIT_MAX_S = 600.0
"""A longer wait than this is not waited: the fetch ends, and can be gone on with."""
BACKOFF_MAX_S = 60.0
PART_HOURS = 24
"""A part older than this is begun anew: its pages, and where the next one is, may have changed."""
FIRST = ""
"""The page before any was asked for."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class FetchFailed(RuntimeError):
    """The vendor did not give the report; the message says why, and what to do. What was fetched is kept."""


class _PageRefused(FetchFailed):
    """The vendor does not know such a page, or such a question."""


class Report(StrEnum):
    """What can be fetched."""

    COSTS = "costs"
    USAGE = "usage"


@dataclass(frozen=True, slots=True)
class _Endpoint:
    path: str
    group_by: tuple[str, ...]
    limit: int
    importer: Importer


_ENDPOINTS = {
    Report.COSTS: _Endpoint(
        "/v1/organization/costs", ("line_item", "project_id", "api_key_id"), 180, openai_costs_json.IMPORTER
    ),
    Report.USAGE: _Endpoint(
        "/v1/organization/usage/completions",
        ("project_id", "api_key_id", "model", "batch", "service_tier"),
        31,
        openai_usage_json.IMPORTER,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Which report of which UTC days, and where it is kept. `until` is exclusive."""

    report: Report
    account: str
    since: date
    until: date
    folder: Path

    @property
    def path(self) -> Path:
        """The whole report."""
        account = re.sub(r"[^\w.-]", "_", self.account)
        return self.folder / f"openai-{account}-{self.report}-{self.since}-{self.until}.jsonl"

    @property
    def importer(self) -> Importer:
        """What reads it."""
        return _ENDPOINTS[self.report].importer

    def params(self, page: str) -> dict[str, str | int | list[str]]:
        """The query of a page."""
        endpoint = _ENDPOINTS[self.report]
        start, end = (int(datetime.combine(day, time.min, UTC).timestamp()) for day in (self.since, self.until))
        about: dict[str, str | int | list[str]] = {"start_time": start, "end_time": end, "bucket_width": "1d"}
        return {
            **about,
            "group_by": list(endpoint.group_by),
            "limit": endpoint.limit,
            **({"page": page} if page else {}),
        }


def wait_s(*, status: int | None, retry_after: str, tries: int, draw: float, now: datetime) -> float | None:
    """Seconds until the next try; None = do not try again.

    `status` None = no answer came. `draw` is from 0 to 1. The vendor's Retry-After goes before our own backoff.
    """
    if status is not None and status != HTTPStatus.TOO_MANY_REQUESTS and status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return None
    asked = _asked_s(retry_after, now)
    if tries >= TRIES or (asked is not None and asked > WAIT_MAX_S):
        return None
    return asked if asked is not None else min(BACKOFF_MAX_S, 2.0**tries) * (0.5 + draw / 2)


def _asked_s(retry_after: str, now: datetime) -> float | None:
    """What a Retry-After says: seconds, or a date."""
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - now).total_seconds())
    except (TypeError, ValueError):
        return None


class OpenAI:
    """The vendor's API for one key. Use it as a context manager."""

    def __init__(
        self,
        key: str,
        *,
        base_url: str,
        clock: Callable[[], datetime],
        draw: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        """Raises FetchFailed for a base URL over which the key would be readable by others."""
        where = urlsplit(base_url)
        if where.scheme != "https" and not (where.scheme == "http" and where.hostname in _LOOPBACK):
            raise FetchFailed(f"{base_url!r} is not https, so the key would be readable on its way")
        self._key, self._clock, self._draw, self._sleep = key, clock, draw, sleep
        self._client = httpx.Client(base_url=base_url, timeout=60, headers={"Authorization": f"Bearer {key}"})

    def __enter__(self) -> "OpenAI":
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close its connections."""
        self._client.close()

    def fetch(self, ask: Ask) -> Path:
        """The whole report as a file. Raises FetchFailed; what was fetched by then is kept for the next try."""
        ask.folder.mkdir(parents=True, exist_ok=True)
        part = ask.path.with_suffix(".part")
        page = _resumed(part, self._clock())
        try:
            self._append(ask, part, page)
        except _PageRefused:
            if not page:
                raise
            part.unlink()
            self._append(ask, part, FIRST)
        part.replace(ask.path)
        return ask.path

    def _append(self, ask: Ask, part: Path, page: str | None) -> None:
        """The pages from this one on, each a line behind those that are there."""
        seen: set[str] = set()
        with part.open("ab") as file:
            while page is not None:
                if page in seen:
                    raise FetchFailed(f"the vendor gave page {page!r} twice, so its pages never end")
                seen.add(page)
                answer, line = self._page(ask, page)
                file.write(line)
                file.flush()
                page = _next(answer)

    def _page(self, ask: Ask, page: str) -> tuple[Mapping[str, object], bytes]:
        """A page, and the line that keeps it."""
        for tries in range(1, TRIES + 1):
            answer = self._get(ask, page)
            if answer is not None and answer.status_code == HTTPStatus.OK:
                return self._checked(answer)
            status = None if answer is None else answer.status_code
            asked = "" if answer is None else answer.headers.get("retry-after", "")
            wait = wait_s(status=status, retry_after=asked, tries=tries, draw=self._draw(), now=self._clock())
            if wait is None:
                refused = _PageRefused if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND) else FetchFailed
                raise refused(self._why(answer, asked))
            self._sleep(wait)
        raise FetchFailed(self._why(None, ""))

    def _get(self, ask: Ask, page: str) -> httpx.Response | None:
        try:
            return self._client.get(_ENDPOINTS[ask.report].path, params=ask.params(page))
        except httpx.TransportError:
            return None

    def _checked(self, answer: httpx.Response) -> tuple[Mapping[str, object], bytes]:
        try:
            found = answer.json()
        except ValueError as error:
            raise FetchFailed("the vendor answered with what is not JSON; is the base URL right?") from error
        if not isinstance(found, dict) or not isinstance(found.get("data"), list):
            raise FetchFailed("the vendor answered with what is no page of a report; is the base URL right?")
        return found, answer.content.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"

    def _why(self, answer: httpx.Response | None, asked: str) -> str:
        again = "what was fetched is kept; run the same command to go on"
        if answer is None:
            return f"the vendor was not reached in {TRIES} tries; {again}"
        status = answer.status_code
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return f"the vendor refused the key ({status}): reports need an admin key of the organization"
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return f"the vendor answered {status}{f' and asks to wait {asked}' if asked else ''}; {again}"
        said = answer.text[:200].replace(self._key, "***")
        return f"the vendor answered {status}: {said}"


def _next(page: Mapping[str, object]) -> str | None:
    """Where the next page is; None = this was the last one."""
    following = page.get("next_page")
    if page.get("has_more") is not True:
        return None
    if not isinstance(following, str) or not following:
        raise FetchFailed("the vendor says that there is more, and not where")
    return following


def _resumed(part: Path, now: datetime) -> str | None:
    """Where to go on: behind the last whole page of the part; None = it has the last one. What is torn is cut off."""
    if not part.exists():
        return FIRST
    if now - datetime.fromtimestamp(part.stat().st_mtime, UTC) > timedelta(hours=PART_HOURS):
        part.unlink()
        return FIRST
    page: str | None = FIRST
    whole = 0
    for line in part.read_bytes().splitlines(keepends=True):
        try:
            page = _next(json.loads(line)) if line.endswith(b"\n") else page
        except (ValueError, AttributeError, FetchFailed):
            break
        whole += len(line) if line.endswith(b"\n") else 0
    with part.open("r+b") as file:
        file.truncate(whole)
    return page
