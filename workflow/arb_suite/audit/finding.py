"""What a check finds about a claim, and which check decides which claim."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

from ..printed import Printed, Row, number

__all__ = ["CHECKS", "Finding", "decides", "holds_if", "listed", "rounds_to", "signed", "title"]


@dataclass(frozen=True)
class Finding:
    """
    The verdict on one claim.

    Attributes
    ----------
    verdict : str
        holds | conditional | refuted | ill-posed | inconclusive.
    evidence : str
        The decisive numbers, as printed.
    condition : str
        What has to be added for it to hold, or how it was read.
    correction : str
        What holds instead, if that is known.

    """

    verdict: str
    evidence: str
    condition: str = ""
    correction: str = ""


CHECKS: dict[str, Callable[[Printed], Finding]] = {}


def decides(claim: str) -> Callable[[Callable[[Printed], Finding]], Callable[[Printed], Finding]]:
    """Make a function the check of a claim."""

    def register(check: Callable[[Printed], Finding]) -> Callable[[Printed], Finding]:
        CHECKS[claim] = check
        return check

    return register


def holds_if(true: bool) -> str:
    """Return the verdict on a claim that is either true or false."""
    return "holds" if true else "refuted"


def rounds_to(value: Decimal, printed: str) -> bool:
    """Tell whether an exact value may be printed so; halves may go either way."""
    return abs(value - Decimal(printed)) <= Decimal(5).scaleb(int(Decimal(printed).as_tuple().exponent) - 1)


def title(row: Row) -> str:
    """Name the row of a table that a cell stands in."""
    name = row["method"] + (f" (d = {row['proj_dim']})" if row.get("proj_dim") else "")
    return name + (f", {row['variant']}" if row.get("table") in ("table4", "table5") else "")


def signed(difference: Decimal) -> str:
    """Write a difference with its sign."""
    return f"{difference:+}"


def listed(items: Iterable[str | Row], most: int = 12) -> str:
    """Write items, or the numbers of rows, as a list; what is beyond `most` is counted."""
    texts = [item if isinstance(item, str) else number(item) for item in items]
    shown = ", ".join(texts[:most])
    return shown if len(texts) <= most else f"{shown} and {len(texts) - most} more"
