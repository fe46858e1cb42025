"""Which numbers of images the printed accuracies can and cannot be evaluations over."""

from dataclasses import dataclass

from scipy import stats

from ..printed import Printed, Rows, number, where
from .attainable import Explanation, explaining_sizes, is_attainable
from .finding import Finding, decides, holds_if, listed, title

__all__ = ["Series", "best_explanations", "series"]


@dataclass(frozen=True)
class Series:
    """Accuracies, as printed, that should be evaluations over the same images; n is their nominal number."""

    name: str
    dataset: str
    n: int
    printed: tuple[str, ...]


def series(printed: Printed) -> list[Series]:
    """Return the accuracies of every table and data set, of Figs. 4 to 7, of the release's README and of its log."""
    found = []

    def add(name: str, dataset: str, numbers: tuple[str, ...]) -> None:
        found.append(Series(name, dataset, printed.images(dataset), numbers))

    for table, dataset in dict.fromkeys((cell["table"], cell["dataset"]) for cell in printed.tables):
        cells = where(printed.tables, table=table, dataset=dataset)
        add(f"Table {table[-1]}", dataset, _numbers(cells))
    add("Fig. 4", "ImageNet-100", _numbers(printed.fig4))
    for name, points in (("Fig. 5", printed.fig5), ("Fig. 6", printed.fig6), ("Fig. 7", printed.fig7)):
        add(name, "CIFAR-100", _numbers(points))
    for dataset in dict.fromkeys(cell["dataset"] for cell in printed.release_readme):
        add("README of the release", dataset, _numbers(where(printed.release_readme, dataset=dataset)))
    add("log of the release", "ImageNet-1k", _log(printed))
    return found


def best_explanations(numbers: tuple[str, ...], largest: int, truncated: bool = False) -> list[Explanation]:
    """Return the sizes that explain the most of some numbers, the smallest first; none if that is fewer than half of them."""
    best = explaining_sizes(numbers, largest, least="most", truncated=truncated)
    return best if 2 * best[0].explained >= best[0].total else []


def _numbers(rows: Rows) -> tuple[str, ...]:
    return tuple(number(row) for row in rows)


def _log(printed: Printed) -> tuple[str, ...]:
    return tuple(row[metric] for metric in ("linear_top1", "linear_top5") for row in printed.release_eval_log)


@decides("P14")
def cells_are_attainable(printed: Printed) -> Finding:
    """Test every cell of Tables 1 to 5 over its nominal number of images."""
    cannot = [cell for cell in printed.tables if not is_attainable(number(cell), printed.images(cell["dataset"]))]
    texts = [f"Table {cell['table'][-1]} {title(cell)} {cell['dataset']} {cell['metric']} {number(cell)}" for cell in cannot]
    steps = dict.fromkeys(cell["dataset"] for cell in cannot)
    reason = "; ".join(f"{name}: {printed.images(name)} images, steps of {100 / printed.images(name):g}" for name in steps)
    evidence = f"{len(cannot)} of {len(printed.tables)} cells cannot be one evaluation"
    return Finding(
        holds_if(not cannot),
        evidence + (f" ({reason}): {listed(texts, most=len(texts))}" if cannot else ""),
        condition="n as nominal for each data set",
        correction=f"{len(printed.tables) - len(cannot)} of {len(printed.tables)} cells can be" if cannot else "",
    )


@decides("P19")
def points_are_attainable(printed: Printed) -> Finding:
    """Test the points of Fig. 4 over the nominal images, and look for the number of images that explains them."""
    numbers = _numbers(printed.fig4)
    n = printed.images("ImageNet-100")
    can = [text for text in numbers if is_attainable(text, n) or is_attainable(text, n, truncated=True)]
    true = len(can) == len(numbers)
    evidence = (
        f"{len(can)} of {len(numbers)} points are accuracies over {n} images, rounded or cut off after the last digit drawn"
    )
    correction = ""
    if not true and (found := best_explanations(numbers, n, truncated=True)):
        best = found[0]
        rounded = sum(is_attainable(text, best.n) for text in set(numbers))
        others = [text for text in numbers if not is_attainable(text, best.n, truncated=True)]
        evidence += (
            f"; {best.explained} of {best.total} are accuracies over {best.n} images, cut off ({rounded} of {best.total} if"
            f" rounded; {best.expected:.1g} sizes up to {best.n} would be expected to explain as many random decimals); not"
            f" {listed(others)}"
        )
        correction = f"they fit {best.n} images; {_every_second_line(printed, best.n)}"
    return Finding(holds_if(true), evidence, correction=correction)


def _every_second_line(printed: Printed, n: int) -> str:
    """Say how many images of ImageNet-100 the released reader of the validation list would keep."""
    whole, part = printed.images("ImageNet-1k"), printed.images("ImageNet-100")
    read = -(-whole // int(printed.said("P22", "stride")))
    kept = stats.hypergeom(whole, part, read)
    return (
        f"a reader that keeps every second of the {whole} lines of ImageNet-1k's validation list, in no order of classes, would"
        f" keep {kept.mean():.0f} of these {part} images, give or take {kept.std():.0f} ({n} is"
        f" {abs(n - kept.mean()) / kept.std():.1f} of these away)"
    )


@decides("P22")
def log_of_the_release(printed: Printed) -> Finding:
    """Compare the log's accuracies and batches with the stated number of images and with every second of them."""
    images, batches, size = (int(printed.said("P22", name)) for name in ("images", "batches", "batch_size"))
    numbers = _log(printed)
    best = best_explanations(numbers, images)[0]
    covered = batches * size
    true = covered >= images and not (best.n < images and best.expected < 0.01)
    last = printed.release_eval_log[-1]
    evidence = (
        f"the log's {batches} batches of {size} hold at most {covered} images, and {images} need {-(-images // size)};"
        f" the smallest n that gives {best.explained} of the {best.total} distinct accuracies of its {len(numbers)} is {best.n}"
        f" ({best.expected:.1g} sizes up to it would be expected to give as many random decimals), which needs"
        f" {-(-best.n // size)} batches; its last row is {last['linear_top1']} / {last['linear_top5']}"
    )
    halves = best.n * int(printed.said("P22", "stride")) == images
    correction = f"they are over {best.n} images" + (
        ", every second line of the list, as its released reader keeps" if halves else ""
    )
    return Finding(holds_if(true), evidence, correction="" if true else correction)
