"""How long the nearest orthonormal basis takes here, beside what else there is, and how far each route is off.

A plain script, as the benchmark of pre-training:

    python workflow/benchmarks/basis.py --out TIMES.csv --errors ERRORS.csv --plot PLOT.svg [--small]

All that is timed at one size takes turns, round by round, so that what disturbs one disturbs all; numbers are medians over
rounds, of which there are fewer, but 3 at least, where they take long.
The floor is the two matrix products that no base of a Gram matrix can do without, in the dtype of the embeddings. "gram: ..."
and "ARB loss: ..." are the parts of that route and of the loss, each on what the part before it has left. Peak memory is what
torch holds at most, in one more call, beyond what it held before; SciPy's is not seen.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT)]

import matplotlib  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import scipy.linalg  # noqa: E402
import torch  # noqa: E402
from arb_core import ARBLoss, standard_scale  # noqa: E402
from arb_core.basis import SOLVERS, solve_basis  # noqa: E402
from arb_core.inverse_root import error_of, inverse_root  # noqa: E402
from lightly.loss import BarlowTwinsLoss, VICRegLoss  # noqa: E402
from lightly.loss.wmse_loss import Whitening2d  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.profiler import ProfilerActivity, profile  # noqa: E402

from arb_suite.files import write_csv  # noqa: E402

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402

RIDGE = 1e-4
SHAPES = [(256, 256), (256, 2048), (512, 8192), (128, 256), (4096, 256)]
GROUPS = (1, 8, 64)
MANY = [(256, 1024, 64), (256, 1024, 32), (256, 2048, 32)]  # groups of 16, 32 and 64 columns
SIDES = (64, 128, 256, 512, 1024, 2048, 4096)
SWEEPS = {"d": [(256, d) for d in SIDES], "N": [(n, 256) for n in SIDES]}
DRAWN = ("floor", "gram", "products", "svd", "released formula", "ARB loss", "Barlow Twins loss", "VICReg loss")
SECONDS = 10.0  # at one size, after which no further round is begun, once there are 3
PATIENCE = 20.0  # what takes longer is timed once, or, if that can be told beforehand, not at all
SETTLE = 0.3  # seconds for which the threads of SciPy's library go on waiting busily, in the way of torch's
TOO_WIDE = 4096  # columns of a group from which a decomposition of its d x d matrix takes minutes
SPECTRA: dict[str, Callable[[int], np.ndarray]] = {
    "as trained": lambda k: np.linspace(1.5, 0.5, k),
    "geometric to 1e-2": lambda k: np.geomspace(1, 1e-2, k),
    "geometric to 1e-5": lambda k: np.geomspace(1, 1e-5, k),
    "geometric to 1e-7": lambda k: np.geomspace(1, 1e-7, k),
    "half of the rank": lambda k: np.where(np.arange(k) < (k + 1) // 2, 1.0, 0.0),
    "nearly collapsed": lambda k: np.where(np.arange(k) == 0, 1.0, 1e-4),
}
RIDGES = (0.0, 1e-8, 1e-4, 1e-2, 1.0)
ERROR_SHAPES = [(1, 1), (1, 64), (64, 1), (3, 3), (16, 16), (1, 4096), (4096, 1), (128, 256), (256, 128), (256, 2048)]
ERROR_SHAPES += [(4096, 64), (64, 4096), (4096, 256), (256, 4096)]


def released(z: Tensor) -> Tensor:
    """Return the bases of groups (p, n, m) as the released code takes them: a decomposition of m x m for one after another."""
    bases = []
    for group in z:
        covariance = (1 - 1e-4) * group.mT @ group + (1e-4 + 1e-5) * torch.eye(group.shape[1], device=z.device)
        u, s, vh = torch.linalg.svd(covariance)
        bases.append(group @ (u * s.rsqrt()) @ vh)
    return torch.stack(bases)


def polar(z: Tensor) -> Tensor:
    """Return the polar factors of the matrices with the ridge's root below them: Eq. 9 by torch's own function."""
    tall = z if z.shape[-2] >= z.shape[-1] else z.mT
    k = tall.shape[-1]
    below = math.sqrt(RIDGE) * torch.eye(k, device=z.device).expand(*z.shape[:-2], k, k)
    factor = torch.linalg.polar(torch.cat([tall, below], dim=-2))[0][..., : tall.shape[-2], :]
    return factor if tall is z else factor.mT


def singular_values(z: Tensor, qr: bool) -> Tensor:
    """Return the bases by torch's singular value decomposition in the dtype of `z`, of it or of its triangular factor."""
    tall = z if z.shape[-2] >= z.shape[-1] else z.mT
    q, square = torch.linalg.qr(tall) if qr else (None, tall)
    u, s, vh = torch.linalg.svd(square, full_matrices=False)
    base = (u * (s * (s.square() + RIDGE).rsqrt()).unsqueeze(-2)) @ vh
    base = q @ base if qr else base
    return base if tall is z else base.mT


def floor(z: Tensor) -> Tensor:
    """Multiply twice as every base of a Gram matrix must; what is multiplied does not matter."""
    return z @ (z.mT @ z) if z.shape[-1] <= z.shape[-2] else (z @ z.mT) @ z


def parts_of_gram(z: Tensor) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield the steps of the route "gram", as `arb_core.basis` takes them."""
    n, d = z.shape[-2:]
    tall = d <= n

    def widened() -> Tensor:
        size = z.abs().amax(dim=(-2, -1), keepdim=True)
        return z.double() / size.double()

    z64 = widened()
    gram = z64.mT @ z64 if tall else z64 @ z64.mT
    ridge = gram.new_full(gram.shape[:-2], RIDGE) / z.abs().amax(dim=(-2, -1)).double() ** 2
    eigenvalues, v = torch.linalg.eigh(gram)

    def rooted() -> Tensor:
        return (v * inverse_root(eigenvalues.clamp(min=0).sqrt(), ridge, 0.0).unsqueeze(-2)) @ v.mT

    root = rooted()
    base = z64 @ root if tall else root @ z64
    yield "gram: to float64", widened
    yield "gram: Gram matrix", lambda: z64.mT @ z64 if tall else z64 @ z64.mT
    yield "gram: eigenvalues", lambda: torch.linalg.eigh(gram)
    yield "gram: root", rooted
    yield "gram: application", lambda: z64 @ root if tall else root @ z64
    yield "gram: check", lambda: error_of(gram, ridge, root)
    yield "gram: to float32", lambda: base.float()


def forward_and_backward(loss: nn.Module, z_a: Tensor, z_b: Tensor) -> Callable[[], None]:
    """Return a function that takes a loss and its gradient."""
    z_a, z_b = z_a.clone().requires_grad_(), z_b.clone().requires_grad_()

    def step() -> None:
        z_a.grad = z_b.grad = None
        loss(z_a, z_b).backward()

    return step


def candidates(n: int, d: int, groups: int, device: torch.device) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield what is timed at one size."""
    stream = torch.Generator().manual_seed(0)
    z_a = torch.randn(n, d, generator=stream).to(device)
    z_b = z_a + 0.5 * torch.randn(n, d, generator=stream).to(device)
    z = standard_scale(z_a).unflatten(1, (groups, d // groups)).movedim(1, 0).contiguous()
    yield "floor", lambda: floor(z)
    for solver in SOLVERS[1:]:
        yield solver, lambda solver=solver: solve_basis(z, RIDGE, solver)
    yield "auto, ridge 0", lambda: solve_basis(z)
    z64 = z.double()
    yield "auto, float64", lambda: solve_basis(z64, RIDGE)
    yield from parts_of_gram(z)
    if d // groups <= TOO_WIDE:
        yield "released formula", lambda: released(z)
    yield "torch SVD", lambda: singular_values(z, qr=False)
    yield "QR and SVD", lambda: singular_values(z, qr=True)
    yield "torch.linalg.polar", lambda: polar(z)
    yield "ARB loss", forward_and_backward(ARBLoss(groups=groups), z_a, z_b)
    ones = torch.ones_like(z_a)
    yield (
        "ARB loss: scaling",
        forward_and_backward(lambda a, b: ((standard_scale(a) + standard_scale(b)) * ones).sum(), z_a, z_b),
    )
    yield "ARB loss: bases", lambda: (solve_basis(z, RIDGE), solve_basis(z, RIDGE))
    if groups == 1:
        if n > d:
            whitening = Whitening2d(d, eps=RIDGE).to(device)
            yield "Cholesky whitening", lambda: whitening(z_a)
        yield "Barlow Twins loss", forward_and_backward(BarlowTwinsLoss(), z_a, z_b)
        yield "VICReg loss", forward_and_backward(VICRegLoss(), z_a, z_b)
    if device.type == "cpu":  # last: its threads go on waiting, in the way of what is timed next
        yield "scipy.linalg.polar", lambda: [scipy.linalg.polar(each) for each in z.numpy()]


def peak_bytes(step: Callable[[], object], device: torch.device) -> int:
    """Return the most memory that torch holds during a call, beyond what it held before."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        step()
    with tempfile.TemporaryDirectory() as folder:
        profiled.export_chrome_trace(f"{folder}/trace.json")
        events = json.loads(Path(folder, "trace.json").read_text(encoding="utf-8"))["traceEvents"]
    changes = sorted((event["ts"], event["args"]["Bytes"]) for event in events if event.get("name") == "[memory]")
    return max(accumulate(change for _, change in changes), default=0)


def times(n: int, d: int, groups: int, rounds: int, device: torch.device) -> list[dict[str, object]]:
    """Time everything at one size, in turns."""
    steps, took, failed = dict(candidates(n, d, groups, device)), {}, {}

    def once(name: str) -> float:
        started = time.perf_counter()
        steps[name]()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - started
        if name.startswith("scipy"):
            time.sleep(SETTLE)
        return seconds

    for name in steps:
        try:
            took[name] = [once(name)]
        except (AttributeError, RuntimeError, ValueError) as error:  # it does not take this size, or this torch lacks it
            failed[name] = str(error).splitlines()[0]
    begun = time.monotonic()
    for i in range(rounds):
        if i >= 3 and time.monotonic() - begun > SECONDS:
            break
        for name, seconds in took.items():
            if seconds[0] < PATIENCE:
                seconds.append(once(name))
    peaks = {
        name: f"{peak_bytes(steps[name], device) / 1e6:.4g}"
        for name in took
        if took[name][0] < PATIENCE and not name.startswith("scipy")
    }
    medians = {name: statistics.median(seconds[1:] or seconds) for name, seconds in took.items()}
    size = {"n": n, "d": d, "groups": groups}
    rows = [
        size | {"what": name, "seconds": f"{median:.4g}", "times_the_floor": f"{median / medians['floor']:.3g}",
                "rounds": max(len(took[name]) - 1, 1), "peak_mb": peaks.get(name, "")}
        for name, median in medians.items()
    ]  # fmt: skip
    if d // groups > TOO_WIDE:
        failed["released formula"] = f"left out: decompositions of {d // groups} x {d // groups} take minutes"
    return rows + [size | {"what": name, "note": why} for name, why in failed.items()]


def matrix(n: int, d: int, spectrum: str) -> np.ndarray:
    """Return a matrix with given singular values."""
    stream = np.random.default_rng([n, d])
    k = min(n, d)
    u, v = (np.linalg.qr(stream.standard_normal((side, k)))[0] for side in (n, d))
    return (u * SPECTRA[spectrum](k)) @ v.T


def errors(shapes: list[tuple[int, int]], device: torch.device) -> Iterator[dict[str, object]]:
    """Yield the error of every route over shapes, spectra, ridges and dtypes, against a decomposition by NumPy in float64."""
    for n, d in shapes:
        for spectrum in SPECTRA:
            for dtype in (torch.float32, torch.float64):
                z = torch.from_numpy(matrix(n, d, spectrum)).to(dtype)
                u, s, vh = np.linalg.svd(z.double().numpy(), full_matrices=False)
                for ridge in RIDGES:
                    nonzero = s > max(n, d) * torch.finfo(dtype).eps * s.max()
                    shrunk = s / np.sqrt(s**2 + ridge) if ridge else nonzero.astype(float)
                    exact = (u * shrunk) @ vh
                    for solver in ("auto", *SOLVERS[1:]):
                        if solver == "products" and not ridge:
                            continue
                        solution = solve_basis(z.to(device), ridge, solver)
                        error = np.linalg.norm(solution.basis.cpu().double().numpy() - exact) / np.linalg.norm(exact)
                        yield {
                            "n": n, "d": d, "spectrum": spectrum, "dtype": str(dtype).removeprefix("torch."), "ridge": ridge,
                            "solver": solver, "route": solution.route, "replaced": solution.replaced,
                            "error": f"{error:.1e}", "told": f"{solution.error:.1e}",
                        }  # fmt: skip


def draw(rows: list[dict[str, object]], path: Path, where: str) -> None:
    """Draw the times over d and over N."""
    pyplot.rcParams |= {"svg.hashsalt": "arb_suite", "svg.fonttype": "path", "font.size": 9}
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
    for axis, (name, sizes) in zip(axes, SWEEPS.items(), strict=True):
        for what in DRAWN:
            points = [
                (row[name.lower()], float(row["seconds"]) * 1e3)
                for row in rows
                if row["what"] == what and row["groups"] == 1 and (row["n"], row["d"]) in sizes and "seconds" in row
            ]
            style = {"floor": "k:", "svd": "-.", "released formula": "-."}.get(what, "--" if what.endswith("loss") else "-")
            if points:
                axis.plot(*zip(*sorted(points), strict=True), style, marker=".", label=what)
        fixed = "N = 256" if name == "d" else "d = 256"
        axis.set(xscale="log", yscale="log", xlabel=f"{name}  ({fixed})", title=f"over {name}")
        axis.set_xticks(SIDES)
        axis.xaxis.set_major_formatter("{x:.0f}")
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("milliseconds")
    axes[1].legend(fontsize=7, loc="upper left")
    figure.suptitle(f"Nearest orthonormal basis, float32, ridge {RIDGE:g}; losses forward and backward; {where}", fontsize=9)
    figure.savefig(path, format="svg", metadata={"Date": None})


def main() -> None:
    """Time everything, write both tables and draw."""
    parser = argparse.ArgumentParser(description="Benchmark the nearest orthonormal basis.")
    for name, what in (("--out", "the times, CSV"), ("--errors", "the errors, CSV"), ("--plot", "the drawing, SVG")):
        parser.add_argument(name, type=Path, required=True, help=f"written: {what}")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of a CPU")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--small", action="store_true", help="small matrices and few rounds")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: --device cuda, but torch sees no GPU here; choose cpu")
    device = torch.device(options.device)
    torch.set_num_threads(options.threads)
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {options.threads} thread(s)"
    sizes = [(*shape, groups) for shape in SHAPES for groups in GROUPS]
    sizes += MANY + [(*shape, 1) for shapes in SWEEPS.values() for shape in shapes]
    shapes, rounds = ERROR_SHAPES, options.rounds
    if options.small:
        sizes, shapes, rounds = [(64, 256, 1), (64, 256, 8), (256, 64, 1)], ERROR_SHAPES[:5], 2
    rows = []
    for n, d, groups in sorted(set(sizes)):
        for row in times(n, d, groups, rounds, device):
            rows.append({**row, "device": where, "torch": torch.__version__})
            print(f"{n:5} {d:5} {groups:3}  {row['what']:20} {row.get('seconds', row.get('note', '')):>10}", flush=True)
    columns = ["n", "d", "groups", "what", "seconds", "times_the_floor", "rounds", "peak_mb", "device", "torch", "note"]
    write_csv(options.out, pd.DataFrame(rows, columns=columns, dtype=object))
    write_csv(options.errors, pd.DataFrame(errors(shapes, device), dtype=object))
    draw(rows, options.plot, where)


if __name__ == "__main__":
    main()
