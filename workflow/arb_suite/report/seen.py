"""What is to be seen in the figures, said in words: computed from their tables."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pandas as pd

from ..cells import X
from .tables import METRICS

__all__ = ["seen"]

# How the values of x are called, one and several
POINTS = {
    "fig4": ("d = {}", "output dimensions"),
    "fig5": ("batch size {}", "batch sizes"),
    "fig6": ("{}", "numbers of groups"),
}
# Where the sides of an ordering say at which x they are
AT = {"fig4": r"d = (\d+)", "fig5": r"batch size (\d+)", "fig6": r"(\d+) groups", "fig7": "(?!)"}
PANELS = {
    "embedding_distance": "the squared distance of the views' embeddings",
    "base_distance": "that of their bases",
    "loss": "the loss",
    "embedding_std": "the standard deviation of the embeddings before Eq. 7",
}
OURS = "ARB"
TENTH = 0.1
Curves = Mapping[str, pd.Series]  # by name, values over x


def seen(name: str, table: pd.DataFrame, orderings: pd.DataFrame | None = None, usual: int = 0) -> tuple[str, str]:
    """
    Say what a figure shows.

    Parameters
    ----------
    name : str
        "fig3" to "fig7", or "spectra".
    table : pandas.DataFrame
        ``results/NAME.csv``, all strings.
    orderings : pandas.DataFrame, optional
        ``results/orderings.csv``, whose differences are said where there is one: those of
        rounded means may differ from them in the last digit.
    usual : int
        How many epochs most runs on the digits have; others are said.

    Returns
    -------
    str
        Sentences for the caption, on the metric that is drawn first.
    str
        Sentences for whoever does not see the figure, on the others.

    """
    if name == "spectra":
        return _spectra(table), ""
    parts = list(_parts(table))
    if name == "fig3":
        brief, ends = (" ".join(say(where, points, column) for where, points, column in parts) for say in (_brief, _ends))
        return brief, ends
    by_metric: dict[str, list[str]] = {"first": [], "others": []}
    for where, points, column in parts:
        labelled = column == "paper" and _panels_are_one(points)
        for i, (metric, of_metric) in enumerate(points.groupby("metric", sort=False)):
            called = METRICS[str(metric)]
            if labelled:
                if i:
                    break
                called = "the panel labelled ACC@1, with which that labelled ACC@5 is identical (P5)"
            exact = {} if i or column == "paper" else _differences(name, orderings, tuned="tuned" in where)
            said = _along(name, of_metric, column) if name == "fig7" else _leads(name, of_metric, column, exact)
            if told := "; ".join(said):
                by_metric["others" if i else "first"].append(f"{where}, {called}: {told}.")
    return " ".join([*by_metric["first"], *_lengths(name, table, usual)]), " ".join(by_metric["others"])


def _panels_are_one(points: pd.DataFrame) -> bool:
    """Tell whether two panels print the same numbers under the names of two metrics."""
    panels = [panel["paper"].tolist() for _, panel in points.groupby("metric", sort=False)]
    return len(panels) > 1 and all(panel == panels[0] for panel in panels)


def _lengths(name: str, table: pd.DataFrame, usual: int) -> Iterator[str]:
    """Say how long the runs on the bundled digits were trained, where not all are or another time than is usual."""
    if name not in POINTS:
        return
    runs = table[(table["measured"] != "") & (table["dataset"] == "digits")]
    epochs = {int(str(x)): sorted(set(of_x["pretrain_epochs"].astype(int))) for x, of_x in runs.groupby(X[name])}
    lengths = {length for of_x in epochs.values() for length in of_x}
    if len(lengths) > 1:
        said = [f"{' or '.join(map(str, epochs[x]))} epochs at {POINTS[name][0].format(x)}" for x in sorted(epochs)]
        yield f"On the digits the {POINTS[name][1]} are not told apart from the length of the training: {', '.join(said)}."
    elif usual and lengths - {usual}:
        yield f"On the digits these runs have {lengths.pop()} epochs, most others {usual}."


def _parts(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame, str]]:
    """Yield what is drawn in a row of panels, where it is from, and the column of its values."""
    printed, measured = table[table["paper"] != ""], table[table["measured"] != ""]
    embedded = measured["dataset"] == "digits"
    tuned = measured["variant"] == "tuned"
    found = [
        ("In the paper", printed, "paper"),
        ("On the bundled digits", measured[embedded & ~tuned], "measured"),
        ("At tuned settings there", measured[embedded & tuned], "measured"),
    ]
    yield from (part for part in found if len(part[1]))


def _curves(points: pd.DataFrame, x: str, column: str) -> dict[str, pd.Series]:
    names = points["variant"] if points["method"].nunique() == 1 else points["method"]
    values = points[column].astype(float).set_axis(points[x].astype(int))
    return {str(name): values[(names == name).to_numpy()].sort_index() for name in dict.fromkeys(names)}


def _differences(name: str, orderings: pd.DataFrame | None, tuned: bool) -> dict[tuple[str, int], float]:
    """Return the measured differences of the curves that are drawn, by the rival and the point, as the orderings have them."""
    found = {}
    shown = () if orderings is None else orderings.query("dataset == 'digits' and measured_difference != ''").to_dict("records")
    for row in shown:
        at = [re.search(AT[name], row[side]) for side in ("left", "right")]
        if not row["claim"].startswith(f"Figure{name[3:]}.") or row["claim"].endswith(".tuned") != tuned or not at[0]:
            continue
        if at[1] and at[1][1] != at[0][1]:  # no difference of two curves at one point
            continue
        rival = "without shuffle" if name == "fig6" else row["right"].partition(" (")[0]
        found[rival, int(at[0][1])] = float(row["measured_difference"])
    return found


def _leads(name: str, points: pd.DataFrame, column: str, exact: Mapping[tuple[str, Any], float]) -> Iterator[str]:
    """Yield, by rival, at how many points a curve is above, and by how much at both ends; of groups, where it is highest."""
    curves = _curves(points, X[name], column)
    at, many = POINTS[name]
    ours = "with shuffle" if name == "fig6" else OURS
    for rival in [curve for curve in curves if curve != ours and ours in curves]:
        lead = (curves[ours] - curves[rival]).dropna()
        if lead.empty:
            continue
        lead = pd.Series({x: exact.get((rival, x), value) for x, value in lead.items()}, dtype=float)
        above, equal = int((lead > 0).sum()), int((lead == 0).sum())
        also = f" and equal at {equal}" if equal else ""
        ends = " and ".join(f"{lead.loc[x]:+.2f} at {at.format(x)}" for x in (lead.index[0], lead.index[-1]))
        yield f"{_called(ours)} is above {_called(rival)} at {above} of {len(lead)} {many}{also} ({ends})"
    if name == "fig6":
        for curve, values in curves.items():
            yield f"{_called(curve)} is highest at {values.idxmax()}, {values.max():.2f}"


def _called(curve: str) -> str:
    return f"ARB {curve}" if curve.endswith("shuffle") else curve


def _along(name: str, points: pd.DataFrame, column: str) -> Iterator[str]:
    """Yield where the curves end, and from when on one is above all that the others reach."""
    curves = _curves(points, X[name], column)
    last = {curve: f"{values.iloc[-1]:.2f}" for curve, values in curves.items()}
    epoch = max(values.index[-1] for values in curves.values())
    yield f"at epoch {epoch} {', '.join(f'{curve} is at {value}' for curve, value in last.items())}"
    if set(curves) in ({OURS}, set(curves) - {OURS}):
        return
    best = max(values.max() for curve, values in curves.items() if curve != OURS)
    beyond = curves[OURS][curves[OURS] > best]
    if len(beyond):
        yield f"{OURS} is first at epoch {beyond.index[0]} above the best of the others, {best:.2f}"
    else:
        yield f"{OURS} is never above the best of the others, {best:.2f}"


def _brief(where: str, points: pd.DataFrame, column: str) -> str:
    """Say where the standard deviation ends, and how much is left of the distance of the bases."""
    of = {
        metric: _curves(points[points["metric"] == metric], "iteration", column)
        for metric in ("embedding_std", "base_distance")
    }
    ends = " and ".join(f"{values.iloc[-1]:.3f} with {_lower(name)}" for name, values in of["embedding_std"].items())
    left = " and ".join(
        f"{100 * values.iloc[-1] / values.iloc[0]:.2g}% with {_lower(name)}" for name, values in of["base_distance"].items()
    )
    averaged = "" if column == "paper" else " (the ordering averages the last tenth of them)"
    return (
        f"{where}, {PANELS['embedding_std']} is {ends} at the last iteration{averaged}; "
        f"of the distance of the bases at the beginning, {left} is left."
    )


def _ends(where: str, points: pd.DataFrame, column: str) -> str:
    """Say, panel by panel, from where to where the curves go."""
    said = []
    for panel, of_panel in points.groupby("metric", sort=False):
        curves = _curves(of_panel, "iteration", column)
        ways = [f"from {values.iloc[0]:.4g} to {values.iloc[-1]:.4g} with {_lower(curve)}" for curve, values in curves.items()]
        said.append(f"{PANELS[str(panel)]} goes {' and '.join(ways)}")
    return f"{where}, {'; '.join(said)}."


def _lower(name: str) -> str:
    return name if name == OURS else name.lower()


def _spectra(table: pd.DataFrame) -> str:
    """Say how many singular values stay up, before and after the training."""
    said = []
    for (method, proj_dim), of_run in table.groupby(["method", "proj_dim"], sort=False):
        epochs = of_run["epoch"].astype(int)
        counts = [_large(of_run.loc[epochs == epoch, "singular_value"]) for epoch in (epochs.min(), epochs.max())]
        said.append(f"{method} (d = {proj_dim}) {counts[1]}, before {counts[0]}")
    return f"After the training so many are above a tenth of the largest: {'; '.join(said)}."


def _large(values: Iterable[str]) -> int:
    numbers = [float(value) for value in values]
    return sum(number > TENTH * max(numbers) for number in numbers)
