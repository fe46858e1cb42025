"""The report in a real browser, without a window: no error, nothing wider than the screen, tables sorted, places found."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "results/reference"
BROWSER = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt-get install chromium")
# Looks at the page in a frame, for a window is never narrower than 500 pixels, and leaves what it found as the text of the body
LOOK = """
<script>
addEventListener("load", () => {
  const page = document.querySelector("iframe").contentDocument;
  const beyond = (element) => !element.closest(".scroll, pre, svg")
    && element.getBoundingClientRect().right > page.documentElement.clientWidth + 1;
  const ids = [...page.querySelectorAll("[id]")].map((element) => element.id);
  const found = {
    width: page.documentElement.clientWidth,
    scrolls: page.documentElement.scrollWidth,
    wide: [...page.querySelectorAll("main *")].filter(beyond).map((element) => element.outerHTML.slice(0, 80)),
    lost: [...page.querySelectorAll('a[href^="#"]')].map((link) => link.hash.slice(1)).filter((id) => !ids.includes(id)),
    claims: [...page.querySelectorAll("article.claim")].map((claim) => [claim.id, claim.querySelector(".verdict").innerText]),
    pictures: [...page.images].filter((image) => !(image.complete && image.naturalWidth > 0)).length,
    cut: [...page.querySelectorAll("table.data")]
      .filter((table) => table.getBoundingClientRect().right > page.documentElement.clientWidth + 1)
      .map((table) => `${table.caption.textContent}: ${Math.round(table.getBoundingClientRect().right)}`),
    commas: [...page.querySelectorAll("[data-label]")].map((cell) => cell.dataset.label).filter((text) => text.includes(",,")),
    sideways: [...page.querySelectorAll(".scroll")].filter((place) => place.scrollWidth > place.clientWidth + 1).length,
    unlabelled: [...page.querySelectorAll("table.data tbody td")]
      .filter((cell) => !cell.dataset.label && cell.textContent.trim()).length,
    cards: [...page.querySelectorAll("table.data tbody td")].filter((cell) => getComputedStyle(cell).display === "grid").length,
    unknown: [...page.querySelectorAll("table.data, table.data :is(thead, tbody, tr, th, td)")]
      .filter((part) => !part.hasAttribute("role") && !part.closest(".matrix")).length,
    broken: [...page.querySelectorAll(".formula")].filter((formula) => {
      const lines = [...formula.getClientRects()].map((line) => line.top);
      return Math.max(...lines) - Math.min(...lines) > 12;
    }).map((formula) => formula.textContent),
    printed: [],
    unsorted: [],
    tables: page.querySelectorAll("table.sortable").length,
  };
  const folded = () => page.querySelectorAll("details:not([open])").length;
  found.printed.push(folded());
  for (const event of ["beforeprint", "afterprint"]) {
    page.defaultView.dispatchEvent(new Event(event));
    found.printed.push(folded());
  }
  for (const table of page.querySelectorAll("table.sortable")) {
    for (const button of table.querySelectorAll("th button")) {
      const column = button.closest("th").cellIndex;
      const keys = () => [...table.tBodies[0].rows].map((row) => row.cells[column])
        .map((cell) => cell.dataset.key ?? cell.textContent.trim()).filter((key) => key !== "");
      const before = [...keys()].sort().join();
      for (const way of ["ascending", "descending"]) {
        button.click();
        const now = keys();
        const numbers = now.every((key) => !isNaN(key));
        const steps = now.slice(1).map((key, i) => numbers ? key - now[i] : key.localeCompare(now[i], "en", { numeric: true }));
        const sorted = steps.every((step) => way === "ascending" ? step >= 0 : step <= 0);
        if (!sorted || button.closest("th").getAttribute("aria-sort") !== way || [...now].sort().join() !== before)
          found.unsorted.push(`${table.caption.textContent}: ${button.textContent}, ${way}`);
      }
    }
  }
  document.body.textContent = JSON.stringify(found);
});
</script>
"""


@pytest.fixture(scope="module")
def page(rendered, write_audits, tmp_path_factory):
    """The report of the reference results, and of a printed number that cannot be."""
    results = tmp_path_factory.mktemp("report") / "results"
    shutil.copytree(REFERENCE, results)
    cell = {"place": "Table 1", "method": "BYOL", "variant": "asymmetric", "proj_dim": "4096", "dataset": "ImageNet-100"}
    cell |= {"metric": "linear_top5", "as_printed": "94.99", "attainable": "no", "source": "", "source_difference": ""}
    cell |= dict.fromkeys(("n_eval", "nearest_below", "nearest_above"), "1")
    write_audits(results, [cell], "something that is long enough to be wrapped")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return rendered(results)


def browse(page, folder, width):
    """Return what is found on the page in a frame of this width, and what the browser says on its console."""
    frame = f'<iframe width="{width}" height="900" style="border: 0" srcdoc="{html.escape(page)}"></iframe>'
    file = folder / f"look{width}.html"
    file.write_text(f'<!doctype html><meta charset="utf-8"><body>{frame}{LOOK}</body>', encoding="utf-8")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
        f"--user-data-dir={folder / 'profile'}",
    ]
    asked = [BROWSER, *options, "--window-size=1700,1000", "--dump-dom", file.as_uri()]
    ended = subprocess.run(asked, capture_output=True, text=True, timeout=120, check=True)
    body = re.search(r"<body>(.*)</body>", ended.stdout, re.DOTALL)
    said = [line for line in ended.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(html.unescape(body[1])), said


@pytest.mark.parametrize("width", [400, 800, 1600])
def test_it_fits_the_screen_and_works(page, tmp_path, width):
    found, said = browse(page, tmp_path, width)
    assert said == []
    assert found["scrolls"] <= found["width"] <= width
    assert found["wide"] == []
    assert found["lost"] == []
    assert found["pictures"] == 0  # that do not show
    assert found["tables"] >= 5
    assert found["unsorted"] == []
    assert found["unlabelled"] == 0
    assert found["unknown"] == 0  # parts of tables whose role is not said
    assert found["broken"] == []  # formulas in two lines
    assert found["commas"] == []
    before, while_printing, after = found["printed"]
    assert before == after > 10
    assert while_printing == 0
    if width == 400:
        assert found["cards"] > 100
        assert found["sideways"] == 0  # nothing has to be scrolled
    else:
        assert found["cards"] == 0
    claims = pd.read_csv(REFERENCE / "claims.csv", dtype=str, keep_default_na=False)
    assert sorted(map(tuple, found["claims"])) == sorted(zip(claims["id"], claims["verdict"], strict=True))


def test_an_error_would_be_seen(page, tmp_path):
    broken = page.replace(
        "</body>", "<script>missing.thing()</script><div style='width: 3000px'>wide</div><a href='#nowhere'>x</a></body>"
    )
    broken = broken.replace("</head>", "<style>.formula { white-space: normal !important }</style></head>")
    broken = broken.replace('<main id="main">', "<main id='main'><div style='width: 3000px'>wide</div>")
    found, said = browse(broken, tmp_path, 800)
    assert any("missing is not defined" in line for line in said)
    assert found["scrolls"] > 800
    assert found["wide"]
    assert found["lost"] == ["nowhere"]
    assert found["broken"]


def test_it_prints_whole_and_in_few_pages(page, tmp_path):
    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    pdf = tmp_path / "report.pdf"
    asked = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    asked += ["--no-pdf-header-footer", f"--print-to-pdf={pdf}", (tmp_path / "report.html").as_uri()]
    subprocess.run(asked, capture_output=True, timeout=120, check=True)
    pages = len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes()))
    assert 10 < pages <= 25


def test_no_table_is_cut_off_in_print(page, tmp_path):
    printed = page.replace("@media print", "@media all")
    assert printed != page
    found, _ = browse(printed, tmp_path, round((210 - 2 * 12) / 25.4 * 96))  # A4 without the margins, at 96 dots an inch
    assert found["cut"] == []


def test_words_are_dark_enough_on_their_ground():
    css = (ROOT / "workflow/report/report.css").read_text(encoding="utf-8")
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", css))
    assert {"ink", "soft", "link", "holds", "conditional", "refuted", "ill-posed", "inconclusive"} <= set(colours)
    for name in set(colours) - {"rule", "paper", "tint"}:
        for ground in ("paper", "tint"):
            assert _contrast(colours[name], colours[ground]) >= 4.5, (name, ground)  # WCAG 2.1, AA
    assert _contrast("#999999", "#fff") < 4.5


def _contrast(one, other):
    def luminance(colour):
        digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)
