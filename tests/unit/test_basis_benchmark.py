"""The benchmark of the base, run as the script that it is, at small size."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

SCRIPT = Path(__file__).parents[2] / "workflow/benchmarks/basis.py"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmark") / "made"
    outputs = ["--out", folder / "times.csv", "--errors", folder / "errors.csv", "--plot", folder / "plot.svg"]
    command = [sys.executable, SCRIPT, *outputs, "--device", "cpu", "--threads", "1", "--small"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_everything_is_timed_in_the_same_rounds(made):
    times = pd.read_csv(made / "times.csv")
    assert times["note"].isna().all()
    for (n, d, groups), rows in times.groupby(["n", "d", "groups"]):
        base = {"floor", "gram", "products", "svd", "released formula", "torch.linalg.polar", "scipy.linalg.polar", "ARB loss"}
        base |= {"auto, ridge 0", "auto, float64", "torch SVD", "QR and SVD", "ARB loss: scaling", "ARB loss: bases"}
        base |= {f"gram: {part}" for part in ("to float64", "Gram matrix", "eigenvalues", "root", "application", "check")}
        base |= {"gram: to float32"}
        others = {"Barlow Twins loss", "VICReg loss"} | ({"Cholesky whitening"} if n > d else set())
        assert set(rows["what"]) == base | (others if groups == 1 else set())
        assert (rows["rounds"] == 2).all()
        seconds = rows.set_index("what")["seconds"]
        assert (seconds > 0).all()
        assert rows["times_the_floor"].tolist() == pytest.approx((rows["seconds"] / seconds["floor"]).tolist(), rel=1e-2)


def test_memory_is_that_of_what_is_computed(made):
    times = pd.read_csv(made / "times.csv").set_index(["n", "d", "groups", "what"])["peak_mb"]
    for n, d in ((64, 256), (256, 64)):
        k = min(n, d)
        assert times[n, d, 1, "floor"] == pytest.approx(4e-6 * (n * d + k * k), rel=1e-3)
        # three matrices of d x d in float32 at least, where ARB has none that is larger than the embeddings
        assert times[n, d, 1, "Barlow Twins loss"] > 3 * 4e-6 * d * d
        assert times[n, d, 1, "ARB loss"] < 16 * 4e-6 * n * d
        assert pd.isna(times[n, d, 1, "scipy.linalg.polar"])


def test_no_route_that_is_returned_is_off_by_more_than_is_promised(made):
    errors = pd.read_csv(made / "errors.csv", keep_default_na=False)
    assert set(errors["solver"]) == {"auto", "gram", "products", "svd"}
    assert set(errors["spectrum"]) >= {"as trained", "nearly collapsed", "half of the rank"}
    for dtype, limit in (("float32", 1e-5), ("float64", 1e-10)):
        rows = errors[errors["dtype"] == dtype]
        assert (rows["error"].astype(float) < limit).all(), rows[rows["error"].astype(float) >= limit]
        assert ((rows["route"] != "svd") & (rows["replaced"] == 0)).any()
    assert errors["replaced"].sum() > 0


def test_the_plot_is_drawn(made):
    assert (made / "plot.svg").read_text(encoding="utf-8").startswith("<?xml")
