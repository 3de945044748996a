"""Quantiles from histograms: as near to the exact ones as promised, from rollups as from facts, of what ended well."""

import random
from math import ceil

import pytest

from analytics import latency
from analytics.rollups import catch_up
from analytics.windows import month_window
from tests.analytics.landed import attempt, land
from tests.analytics.recon_builders import instant

pytestmark = pytest.mark.slow

NOVEMBER = month_window("2026-11")


def test_quantiles_are_within_the_bound_that_is_told_and_the_same_from_rollups_as_from_facts(writer, reader):
    draw = random.Random(3)
    took = {"fast": [0.0011, 999.0], "smart": [draw.lognormvariate(0, 2) + 0.001 for _ in range(200)]}
    rows = [
        attempt(f"2026-11-{3 + n % 4:02}T10:00", alias=alias, duration_seconds=seconds, first_token_seconds=seconds / 2)
        for alias, durations in took.items()
        for n, seconds in enumerate(durations)
    ]
    land(writer, *rows)
    from_facts = latency.quantiles(reader, NOVEMBER, latency.By.ALIAS)
    catch_up(writer, now=instant("2026-11-20"))
    found = latency.quantiles(reader, NOVEMBER, latency.By.ALIAS)
    assert found.rows() == from_facts.rows()
    assert found.select("key", "measure", "attempts").rows() == [
        (alias, measure, len(took[alias])) for alias in ("fast", "smart") for measure in ("duration", "first_token")
    ]
    for row in found.filter(measure="duration").iter_rows(named=True):
        exact = sorted(took[row["key"]])
        for name, share in latency.QUANTILES.items():
            assert row[name] == pytest.approx(exact[ceil(share * len(exact)) - 1], rel=0.045), (row["key"], name)


def test_only_what_ended_well_has_a_latency_and_days_are_told_apart(writer, reader):
    land(
        writer,
        attempt("2026-11-03", duration_seconds=1.0, first_token_seconds=None),
        attempt("2026-11-04", duration_seconds=4.0, first_token_seconds=0.0),
        attempt(
            "2026-11-04", outcome="timeout", completeness="unknown", duration_seconds=120.0, first_token_seconds=9.0
        ),
    )
    found = latency.quantiles(reader, NOVEMBER, latency.By.DAY)
    assert found.select("key", "measure", "attempts").rows() == [
        ("2026-11-03", "duration", 1), ("2026-11-04", "duration", 1), ("2026-11-04", "first_token", 1)
    ]  # fmt: skip
    assert latency.quantiles(reader, month_window("2026-10"), latency.By.DAY).is_empty()
