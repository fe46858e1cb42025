"""What `pytest proofs_checks/` prints at its end: the ledger, as decided by this run."""

import pytest
from threadpoolctl import threadpool_limits

DECIDED: list[tuple[str, str, str]] = []


@pytest.fixture(autouse=True)
def one_thread():
    """As in the workflow's job: the last bits of a product depend on the number of threads."""
    with threadpool_limits(1):
        yield


@pytest.fixture
def decided(record_property):
    """A function that a claim, its verdict and its text are given to; they travel with the report of the test."""
    return lambda *row: record_property("decided", row)


def pytest_runtest_logreport(report):
    """Collect the verdicts, also those of processes that share the tests."""
    if report.when == "call":
        DECIDED.extend(tuple(value) for name, value in report.user_properties if name == "decided")


def pytest_terminal_summary(terminalreporter):
    """Print the verdicts."""
    if DECIDED:
        terminalreporter.section("the theory, claim by claim")
        for claim, verdict, text in DECIDED:
            terminalreporter.write_line(f"{claim:22} {verdict:13} {text}")
