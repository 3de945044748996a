"""The vendors' processes, and what can be asked of them: their exports, and (as the witness) their books."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from deploy.demo.config import VendorFiles
from deploy.demo.polling import until
from deploy.demo.witness import VendorBooks
from deploy.errors import OperatorError
from deploy.supervisor.supervisor import is_ready, port_problem

READY_WITHIN_S = 20.0
STOP_WITHIN_S = 5.0
PAGE_DAYS = 31


class VendorFailed(OperatorError):
    """A simulated vendor did not come up; says why and where its log is."""


class Vendors:
    """The vendors of one demo, as child processes. Use it as a context manager: leaving it ends them."""

    def __init__(self, files: Sequence[VendorFiles], log_dir: Path) -> None:
        self._files = files
        self._log_dir = log_dir
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Vendors":
        """Start them; they are not ready yet. Raises VendorFailed for a port that is taken."""
        self._log_dir.mkdir(parents=True, exist_ok=True)
        for vendor in self._files:
            if (problem := port_problem(vendor.listen)) is not None:
                self.stop()
                raise VendorFailed(f"the simulated vendor {vendor.name}: {problem}")
            self._processes[vendor.name] = self._spawn(vendor)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End them."""
        self.stop()

    def wait_ready(self) -> None:
        """Block until each answers. Raises VendorFailed."""
        for vendor in self._files:
            if not until(lambda vendor=vendor: self._answers(vendor), within_s=READY_WITHIN_S):  # type: ignore[misc]
                raise VendorFailed(
                    f"the simulated vendor {vendor.name} does not answer at {vendor.url}; its log: {self._log(vendor)}"
                )

    def stop(self) -> None:
        """SIGTERM, and SIGKILL after STOP_WITHIN_S."""
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def _answers(self, vendor: VendorFiles) -> bool:
        code = self._processes[vendor.name].poll()
        if code is not None:
            words = self._log(vendor).read_text("utf-8", errors="replace").strip().splitlines()
            said = words[-1] if words else "it said nothing"
            raise VendorFailed(f"the simulated vendor {vendor.name} stopped with exit status {code}: {said}")
        return is_ready(f"{vendor.url}/healthz")

    def _log(self, vendor: VendorFiles) -> Path:
        return self._log_dir / f"vendor-{vendor.name}.log"

    def _spawn(self, vendor: VendorFiles) -> subprocess.Popen[bytes]:
        program = (sys.executable, "-m", "deploy.demo.vendor")
        command = (*program, "--config", str(vendor.config), "--listen", vendor.listen)
        with self._log(vendor).open("ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=dict(os.environ)
            )


def books_of(vendor: VendorFiles, *, since: datetime, until: datetime) -> VendorBooks:
    """The vendor's books of a period, for the witness. Raises httpx.HTTPError."""
    period = {"from": since.isoformat(), "to": until.isoformat()}
    summary = _get(vendor, "/_witness/summary", period).json()
    return VendorBooks(
        name=vendor.name,
        rows=_get(vendor, "/_witness/ledger", period).json(),
        rounding_usd=Decimal(summary["rounding_usd"]),
        surcharge_usd=Decimal(summary["surcharge_usd"]),
    )


def open_requests(books: VendorBooks) -> int:
    """How many requests the vendor still has under way."""
    return sum(row["cause"] == "received" for row in books.rows)


def fetch_export(vendor: VendorFiles, folder: Path, *, since: datetime, until: datetime) -> Path:
    """Download the vendor's invoice of a period, as a customer would, into a file; its path.

    A CSV is the dashboard's file; JSON has the Costs API's pages, one a line. Raises httpx.HTTPError or OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    first, last = f"{since:%Y-%m-%d}", f"{until:%Y-%m-%d}"
    if vendor.export_format == "csv":
        path = folder / f"cost_{vendor.name}_{first}_{last}.csv"
        path.write_bytes(_get(vendor, "/export/cost.csv", {"from": first, "to": last}).content)
        return path
    path = folder / f"costs_{vendor.name}_{first}_{last}.json"
    path.write_bytes(b"\n".join(_pages(vendor, since, until)) + b"\n")
    return path


def _pages(vendor: VendorFiles, since: datetime, until: datetime) -> list[bytes]:
    asked: dict[str, Any] = {
        "start_time": int(since.timestamp()),
        "end_time": int(until.timestamp()),
        "group_by": "line_item",
        "limit": PAGE_DAYS,
    }
    pages = []
    while True:
        pages.append(_get(vendor, "/v1/organization/costs", asked).content)
        page = json.loads(pages[-1])
        if not page["has_more"]:
            return pages
        asked["page"] = page["next_page"]


def _get(vendor: VendorFiles, path: str, query: dict[str, Any]) -> httpx.Response:
    headers = {"authorization": f"Bearer {vendor.admin_key}"}
    return httpx.get(f"{vendor.url}{path}", params=query, headers=headers, timeout=30).raise_for_status()
