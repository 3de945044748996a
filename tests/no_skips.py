"""`--no-skips`: a skipped test is a failure. What runs before a change lands has to have run whole.

A test that stands on something that no machine must have, such as Node, is marked `may_skip` with the reason: it may
still be skipped, and what was not shown is said at the end, where nobody overlooks it.
"""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the flag."""
    parser.addoption("--no-skips", action="store_true", help="Fail each test that would be skipped.")


def pytest_configure(config: pytest.Config) -> None:
    """Add the mark."""
    config.addinivalue_line(
        "markers", "may_skip(reason): skipping it is no failure under --no-skips, and is said aloud"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    """Turn a skip into a failure when the flag is set."""
    report = yield
    if not report.skipped:
        return report
    mark = item.get_closest_marker("may_skip")
    if mark is not None:
        report.user_properties.append(("may_skip", mark.args[0]))
    elif item.config.getoption("--no-skips"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and --no-skips is set: {call.excinfo.value if call.excinfo else ''}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was not shown, though nothing failed."""
    for report in terminalreporter.stats.get("skipped", []):
        allowed = dict(getattr(report, "user_properties", ())).get("may_skip")
        if allowed is not None:
            why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
            terminalreporter.section("NOT SHOWN ON THIS MACHINE", yellow=True, bold=True)
            terminalreporter.line(f"{report.nodeid}: {why}", yellow=True)
            terminalreporter.line(f"It may be skipped: {allowed}.", yellow=True)
