"""`--no-skips`: a skipped test is a failure. What runs before a change lands has to have run whole."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the flag."""
    parser.addoption("--no-skips", action="store_true", help="Fail each test that would be skipped.")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    """Turn a skip into a failure when the flag is set."""
    report = yield
    if report.skipped and item.config.getoption("--no-skips"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and --no-skips is set: {call.excinfo.value if call.excinfo else ''}"
    return report
