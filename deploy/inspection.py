"""What the close asks of the installation: spans on their way or set aside, and whether the books agree.

Everything is asked of the store, which collectors tell of their ledgers, so any machine may sign. What could not be
asked blocks a signature as a fault does.
"""

from datetime import datetime, timedelta

from clickhouse_connect.driver.client import Client

import sql
from analytics.audit import checks
from analytics.audit.questions import books
from analytics.periods.blockers import Inspection
from analytics.windows import Window

ON_ITS_WAY = timedelta(minutes=1)
"""How long spans may take to land before a month waits for them; later than that, something is in the way."""
FAULTS_MAX = 20


def inspect(client: Client, window: Window, now: datetime) -> Inspection:
    """The books of a window. Spans that were received since it began may be of it, whenever they came."""
    settled = now - ON_ITS_WAY
    if settled <= window.since:
        return Inspection(unknown=(f"{window.since:%Y-%m} has only just begun: nothing of it is settled",))
    told = books(client, Window(window.since, settled))
    found = checks(client, Window(window.since, min(window.until, settled)))
    faults = [
        f"{check.equality}: {fault.where}: {fault.wanted} wanted, {fault.found} found; {fault.words}"
        for check in found
        for fault in check.faults
    ]
    more = [f"and {len(faults) - FAULTS_MAX} faults more"] if len(faults) > FAULTS_MAX else []
    silent = told.height == 0 and any(check.compared is None for check in found)
    landed = silent and sql.fetch(client, "deploy_landed")["spans"][0]
    return Inspection(
        pending=int(told["pending"].sum()),
        parked=int(told["parked"].sum()),
        faults=(*faults[:FAULTS_MAX], *more),
        unknown=("no collector has told this store of its ledger, though it has spans",) if landed else (),
    )
