"""The tables of the report: every number once, marks, and the lists of the audit."""

import re
from pathlib import Path

import pandas as pd
import pytest

from arb_suite.report.tables import blocks, run_of, side_by_side

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "results/reference"


def table_of(name):
    return pd.read_csv(REFERENCE / f"{name}.csv", dtype=str, keep_default_na=False)


def test_a_table_has_every_number_once():
    for name in ("table_main", "table2", "table3", "table4", "table5", "table_tuned", "table_glyphs"):
        table = table_of(name)
        found = blocks(table)
        cells = [cell for block in found for row in block["rows"] for cell in row["cells"] if cell]
        for column in ("paper", "measured"):
            assert sorted(cell[column] for cell in cells) == sorted(table[column])
        assert all(len(row["cells"]) == len(block["metrics"]) for block in found for row in block["rows"])
        assert all(len(row["names"]) == len(block["columns"]) for block in found for row in block["rows"])


def test_where_the_method_tells_the_variant_it_is_not_repeated(with_audits):
    cells = [("Table 1", "symmetric"), ("Table 4", "no BN in projector")]
    source = with_audits([{"place": place, "variant": variant, "attainable": "no"} for place, variant in cells])
    (rows,) = re.findall(r"<caption>cells that no count of hits gives</caption>(.*?)</table>", source, re.DOTALL)
    assert "no BN in projector" in rows
    assert "symmetric" not in rows


def test_settings_that_are_not_tuned_have_a_name_where_others_are():
    for name in ("table2", "table3"):
        printed, digits = blocks(table_of(name))
        assert "variant" not in printed["columns"]
        place = digits["columns"].index("variant")
        assert {row["names"][place] for row in digits["rows"]} == {"customary", "tuned"}


def test_epochs_are_said_where_no_column_says_them():
    assert [block["epochs"] for block in blocks(table_of("table2"))] == [{}, {}]
    printed, digits = side_by_side(blocks(table_of("table_main")))
    assert printed["epochs"] == {"1000": ["CIFAR-10", "CIFAR-100"], "400": ["ImageNet-100"]}
    assert digits["epochs"] == {}
    assert "epochs" in digits["columns"]  # 0 of the encoder that is not trained
    assert blocks(table_of("table4"))[1]["epochs"] == {"20": ["digits"]}


def test_epochs_stand_in_the_caption(page):
    assert "not run; pre-training of 1000 epochs on CIFAR-10 and CIFAR-100, 400 on ImageNet-100" in page.text
    assert "with 95% t intervals over seeds; pre-training of 20 epochs" in page.text


def test_printed_numbers_that_cannot_be_are_marked():
    table = table_of("table_main")
    cell = {"method": "BYOL", "proj_dim": "4096", "dataset": "ImageNet-100", "metric": "linear_top1", "as_printed": "80.09"}
    cells = pd.DataFrame([cell | {"attainable": "no"}, cell | {"dataset": "CIFAR-10", "attainable": "yes"}])
    found = blocks(table, cells)
    marked = [cell for block in found for row in block["rows"] for cell in row["cells"] if cell and cell["impossible"]]
    assert [(cell["method"], cell["dataset"], cell["paper"]) for cell in marked] == [("BYOL", "ImageNet-100", "80.09")]
    assert [block["dataset"] for block in found if block["impossible"]] == ["ImageNet-100"]
    assert not any(block["impossible"] for block in blocks(table))


@pytest.fixture
def with_audits(rendered, write_audits, tmp_path):
    """A function that gives the report of some cells of the audit, whose other tables have a row of ones."""

    def make(cells):
        write_audits(tmp_path, cells, "1")
        sizes = pd.read_csv(tmp_path / "audit_sizes.csv", dtype=str)
        sizes.assign(expected="2.7e-06").to_csv(tmp_path / "audit_sizes.csv", index=False)
        return rendered(tmp_path)

    return make


def test_what_a_baseline_is_set_against_is_said_where_it_is_of_another_name_or_dimension(parsed, with_audits):
    names = [("MoCo V2", "256"), ("Barlow Twins", "256"), ("Barlow Twins", "2048"), ("SimSiam", "2048")]
    cells = [{"method": method, "proj_dim": proj_dim, "source": "equals it"} for method, proj_dim in names]
    (table,) = re.findall(r"<caption>baseline cells(.*?)</table>", with_audits(cells), re.DOTALL)
    rows = [parsed(row).text for row in re.findall(r"<tr>.*?</tr>", table, re.DOTALL)[1:]]
    assert "the library's row is MoCo V2+" in rows[0]
    assert ["names no dimension" in row for row in rows] == [False, True, True, False]
    assert not any("row is" in row for row in rows[1:])


def test_lists_of_the_audit_have_row_headings_and_no_empty_columns(parsed, with_audits):
    cell = {"method": "BYOL", "dataset": "CIFAR-10", "variant": "", "attainable": "no", "place": "Table 1"}
    source = with_audits([cell | {"nearest_below": "80.1"}])
    (table,) = re.findall(r"<caption>cells that no count(.*?)</table>", source, re.DOTALL)
    assert "variant" not in table
    assert "80.10" in table
    assert parsed(re.search(r'<th scope="row".*?</th>', table)[0]).text.replace(" ", "") == "BYOL,CIFAR-10"
    (sizes,) = re.findall(r"<caption>sizes of(.*?)</table>", source, re.DOTALL)
    assert "10<sup>\N{MINUS SIGN}6</sup>" in sizes
    assert 'data-key="2.7e-06"' in sizes


def test_names_of_files_and_options_are_not_shown_as_they_are(page):
    assert not re.search(r"\blinear_top[15]\b|\bknn5_top[15]\b|\blambda_param\b", page.text)
    assert all(image["width"].isdigit() and image["height"].isdigit() for image in page.images)


def test_the_run_of_a_row_is_the_one_that_its_note_names():
    assert run_of(["run arb_d256 (groups 1): mean over seeds"], "digits") == "digits/arb_d256"
    assert run_of(["not run: needs the images", "run simclr: mean"], "CIFAR-10") == "cifar10/simclr"
    assert run_of(["not run: needs"], "CIFAR-10") is None
