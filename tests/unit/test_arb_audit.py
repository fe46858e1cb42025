"""The command arb-audit, as somebody with only a table of results uses it."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arb_suite.audit import cli
from arb_suite.audit.given import match, read_given
from arb_suite.jobs import UserError

ROOT = Path(__file__).parents[2]
HEADER = "method,proj_dim,dataset,metric,value"
SIMCLR = "SimCLR,256,CIFAR-10,top1"  # 90.74
COLUMNS = (
    "rows,table,method,variant,proj_dim,dataset,pretrain_epochs,metric,paper,given,difference,ci_low,ci_high,n_eval,n_seeds,"
    "attainable,verdict,note"
)


@pytest.fixture
def audit(tmp_path, monkeypatch, capsys):
    """A function that audits a text as a file and returns exit status, rows written, and what was said."""
    monkeypatch.chdir(tmp_path)

    def run(text, *options):
        content = text if isinstance(text, bytes) else text.encode()
        Path("mine.csv").write_bytes(content)
        status = cli.main(["mine.csv", *options])
        out = Path("mine_audit.csv")
        rows = list(csv.DictReader(out.open(encoding="utf-8", newline=""))) if out.exists() else None
        left = sorted(path.name for path in tmp_path.iterdir())
        assert left == (["mine.csv", "mine_audit.csv"] if rows is not None else ["mine.csv"])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return status, rows, said

    return run


def lines(*rows, header=HEADER):
    return "\n".join([header, *rows]) + "\n"


def test_numbers_are_set_beside_the_papers(audit):
    status, rows, said = audit(
        lines(
            "SimCLR,256,CIFAR-10,linear_top1,90.74",
            "SimCLR,256,CIFAR-10,linear_top5,90.0",
            "BYOL,4096,ImageNet-100,linear_top1,80.11",
        )
    )
    assert status == 0
    assert [row["verdict"] for row in rows] == ["identical", "lower", "consistent"]
    assert [row["paper"] for row in rows] == ["90.74", "99.75", "80.09"]
    assert [row["difference"] for row in rows] == ["0.00", "-9.75", "0.02"]
    assert [row["attainable"] for row in rows] == ["yes", "yes", "no"]
    assert rows[0]["ci_low"] == "90.16"
    assert rows[0]["ci_high"] == "91.29"
    assert list(rows[0]) == COLUMNS.split(",")
    assert "Holm over 3" in rows[0]["note"]
    for word in ("90.74", "consistent", "written to mine_audit.csv"):
        assert word in said.out


@pytest.mark.parametrize(
    ("method", "dataset", "metric"),
    [
        ("Barlow Twins", "CIFAR-100", "linear_top1"),
        ("barlow_twins", "cifar100", "top1"),
        ("barlow-twins", "CIFAR 100", "acc@1"),
        ("BarlowTwins", "c100", "Linear Top-1"),
        (" bt ", " Cifar-100 ", " ACC1 "),
    ],
)
def test_names_are_tolerated(audit, method, dataset, metric):
    status, rows, _ = audit(lines(f"{method},2048,{dataset},{metric},69.18"))
    assert status == 0
    assert (rows[0]["method"], rows[0]["dataset"], rows[0]["metric"]) == ("Barlow Twins", "CIFAR-100", "linear_top1")


@pytest.mark.parametrize(
    ("row", "paper"),
    [
        ("MoCo-v2,256,imagenet100,top1,78.2", "78.2"),
        ("mocov2+,256,in100,top5,95", "95.5"),
        ("w_mse,256,CIFAR-10,top1,88", "88.18"),
        ("direct alignment,,CIFAR-100,knn,1.1", "1.10"),
        ("arb,,CIFAR-100,knn top-5,89", "89.60"),
        ("swav,256.0,CIFAR-10,top1,89.17%", "89.17"),
    ],
)
def test_other_cells_are_found(audit, row, paper):
    status, rows, said = audit(lines(row))
    assert (status, said.err) == (0, "")
    assert rows[0]["paper"] == paper


@pytest.mark.parametrize(
    ("extra", "entry", "paper"),
    [
        ("variant", "Feature", "69.57"),
        ("variant", "instance", "65.36"),
        ("table", "table1", "69.57"),
        ("table", "Table 1", "69.57"),
        ("table", "1", "69.57"),
    ],
)
def test_a_further_column_tells_cells_apart(audit, extra, entry, paper):
    status, rows, _ = audit(lines(f"ARB,2048,CIFAR-100,top1,69,{entry}", header=f"{HEADER},{extra}"))
    assert status == 0
    assert rows[0]["paper"] == paper


def test_epochs_tell_cells_apart(audit):
    row = "ARB,8192,ImageNet-1k,top1,68.21"
    status, rows, said = audit(lines(row))
    assert (status, rows) == (2, None)
    assert "row 2 matches 2 cells of the paper, add pretrain_epochs to tell them apart" in said.err
    status, rows, _ = audit(lines(f"{row},100", header=f"{HEADER},pretrain_epochs"))
    assert (status, rows[0]["paper"]) == (0, "68.21")


def test_an_ambiguous_number_is_an_error_that_lists_the_cells(audit):
    status, rows, said = audit(lines("ARB,256,CIFAR-10,top1,91.81"))
    assert (status, rows) == (2, None)
    for candidate in (
        "table1 ARB, symmetric",
        "table5 ARB, instance",
        "table5 ARB, feature",
        "91.81",
        "89.17",
        "table or variant",
    ):
        assert candidate in said.err


def test_seeds_of_one_setting_are_taken_together(audit):
    numbers = [f"SimCLR,256,CIFAR-10,top1,{value},{seed}" for seed, value in enumerate(("90.6", "90.8", "90.7"))]
    status, rows, _ = audit(lines(*numbers, header=f"{HEADER},seed"))
    assert status == 0
    (row,) = rows
    assert (row["rows"], row["given"], row["n_seeds"], row["verdict"]) == ("2 3 4", "90.70", "3", "reproduced")
    assert (row["ci_low"], row["ci_high"]) == ("90.45", "90.95")
    status, rows, _ = audit(lines(*numbers[:2], header=f"{HEADER},seed"))
    assert rows[0]["verdict"] == "inconclusive"


def test_other_evaluation_images_count(audit):
    status, rows, _ = audit(lines("BYOL,4096,ImageNet-100,top1,80.09,10000", header=f"{HEADER},n_eval"))
    assert (status, rows[0]["n_eval"], rows[0]["attainable"]) == (0, "10000", "yes")


def test_a_table_of_another_tool(audit):
    text = "model;acc\nsimclr;0.9074\nbyol;0.9261\n"
    options = [
        "--delimiter",
        ";",
        "--columns",
        "method=model",
        "value=acc",
        "--fractions",
        "--set",
        "dataset=cifar10",
        "metric=top1",
    ]
    status, rows, said = audit(text, *options, "proj_dim=")
    assert (status, said.err) == (0, "")
    assert [row["given"] for row in rows] == ["90.74", "92.61"]
    assert [row["verdict"] for row in rows] == ["identical", "identical"]


def test_accuracies_in_full_are_rounded_binary_numbers(audit):
    status, rows, _ = audit(lines("SimCLR,256,ImageNet-100,top1,77.4800033569336"))
    assert (status, rows[0]["given"], rows[0]["attainable"], rows[0]["verdict"]) == (0, "77.4800", "yes", "identical")


def test_what_the_paper_lacks_can_be_left_out(audit):
    text = lines("mine,256,CIFAR-10,top1,95", f"{SIMCLR},90")
    status, rows, said = audit(text)
    assert (status, rows) == (2, None)
    assert "row 2: column method: the paper has no 'mine'; it has BYOL, DINO" in said.err
    status, rows, said = audit(text, "--skip-unmatched")
    assert (status, [row["rows"] for row in rows]) == (0, ["3"])
    assert "left out, not in the paper: row 2" in said.out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "mine.csv is empty"),
        ("\n\n", "mine.csv is empty"),
        (HEADER + "\n", "has a header but no rows"),
        ("method,proj_dim,dataset,metric\nSimCLR,256,CIFAR-10,top1\n", "row 1: no column value; the header has method"),
        ("method;proj_dim;dataset;metric;value\nSimCLR;256;CIFAR-10;top1;90\n", "Is another delimiter than ',' used"),
        (lines("a,b", header="method,method"), "the header has method more than once"),
        (lines("SimCLR,256,CIFAR-10,top1,high"), "row 2, column value: 'high' is no accuracy"),
        (lines("SimCLR,256,CIFAR-10,top1,"), "row 2, column value: '' is no accuracy"),
        (lines("SimCLR,256,CIFAR-10,top1,nan"), "row 2, column value: 'nan' is no accuracy"),
        (lines("SimCLR,256,CIFAR-10,top1,inf"), "row 2, column value: 'inf' is no accuracy"),
        (lines("SimCLR,256,CIFAR-10,top1,9_0"), "row 2, column value: '9_0' is no accuracy"),
        (lines("SimCLR,256,CIFAR-10,top1,101%"), "row 2, column value: '101%' is outside 0 to 100"),
        (lines("SimCLR,256,CIFAR-10,top1,-3"), "row 2, column value: '-3' is outside 0 to 100"),
        (lines("SimCLR,256,CIFAR-10,top1,0.9074"), "row 2, column value: all accuracies are 1 or less. If"),
        (lines("SimCLR,256,CIFAR-10,top1,٩٠"), "row 2, column value: '٩٠' is no accuracy"),
        (lines("SimCLR,big,CIFAR-10,top1,90"), "row 2, column proj_dim: 'big' is no whole number"),
        (lines("SimCLR,٢٥٦,CIFAR-10,top1,90"), "row 2, column proj_dim: '٢٥٦' is no whole number"),
        (lines("SimCLR,256,CIFAR-10,top1,90,0", header=HEADER + ",n_eval"), "row 2, column n_eval: '0' is no whole number"),
        (lines(",256,CIFAR-10,top1,90"), "row 2, column method: '' is empty"),
        (lines("SimCLR,256,CIFAR-10,top1"), "row 2 has 4 fields, the header has 5"),
        (lines("SimCLR,256,CIFAR-10,top1,90,5"), "row 2 has 6 fields, the header has 5"),
        (lines(f"{SIMCLR},90", "", "SimCLR,256,cifar10,top1,90"), "rows 2 and 4 are both table1 SimCLR"),
        (lines(f"{SIMCLR},90", "SimCLR,256,CIFAR-10,top1,91"), "rows 2 and 3 are both table1 SimCLR, symmetric, d = 256"),
        (lines("SimCLR,512,CIFAR-10,top1,90"), "column proj_dim: the paper has no '512' for SimCLR, CIFAR-10, top1; it has"),
        (lines("SimCLR,256,CIFAR-10,knn,90"), "column metric: the paper has no 'knn' for SimCLR, CIFAR-10; it has linear_top1"),
        (lines("SimCLR,256,SVHN,top1,90"), "column dataset: the paper has no 'SVHN'"),
        (lines("SimCLR,256,CIFAR-10,f1,90"), "column metric: the paper has no 'f1'"),
        (lines('SimCLR,256,CIFAR-10,top1,"90'), "row 2: unexpected end of data"),
        (lines("Sim\0CLR,256,CIFAR-10,top1,90"), "row 2 has a zero byte"),
        (lines(f"{SIMCLR},90").encode("utf-16"), "is not UTF-8: row 1, column 1 has the byte 0xff"),
        (lines(f"{SIMCLR},90", "Bärlow,256,CIFAR-10,top1,90").encode("latin-1"), "row 3, column 1 has the byte 0xe4"),
        (lines(f"{SIMCLR},90", "x,256,é,top1,90").encode("latin-1"), "row 3, column 3 has the byte 0xe9"),
        (HEADER.encode() + b"\n" + SIMCLR.encode() * 500_000, "has 12000037 bytes; a table of results has at most"),
        (lines(*(f"SimCLR,{d},CIFAR-10,top1,x" for d in range(1, 30))), "and 19 more"),
        (lines("SimCLR," + "9" * 200_000 + ",CIFAR-10,top1,90"), "row 2: field larger than field limit"),
        (lines("SimCLR," + "9" * 5_000 + ",CIFAR-10,top1,90"), "is no whole number from 1 to 10000000"),
        (lines("SimCLR,256,CIFAR-10,top1," + "9" * 5_000), "is outside 0 to 100"),
        (lines("SimCLR,256,CIFAR-10,top1,1e-99999999"), "is no accuracy|all accuracies are 1 or less"),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_message_and_nothing_is_written(audit, text, said):
    status, rows, printed = audit(text)
    assert (status, rows, printed.out) == (2, None, "")
    assert printed.err.startswith("arb-audit: ")
    assert re.search(said, printed.err)
    assert len(printed.err) < 8000


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--columns", "method"], "--columns 'method' is not NAME=ENTRY"),
        (["--columns", "method=model"], "no column 'model' for method; the header has method"),
        (["--columns", "model=method"], "there is no column 'model'; those that are read are method"),
        (["--set", "colour=red"], "there is no column 'colour'"),
        (["--delimiter", ";;"], "is not one character"),
        (["--delimiter", ""], "is not one character"),
        (["--out", "mine.csv"], "is the file of your numbers"),
        (["--out", "nowhere/x.csv"], "there is no such folder"),
        (["--out", "."], "it is a folder"),
        (["--fractions"], "is outside 0 to 1 \\(fractions\\)"),
        (["--set", "dataset=CIFAR-100"], "row 1: the header has dataset, which --set gives for all rows; leave out --set, or"),
    ],
)
def test_bad_options_are_refused(audit, options, said):
    status, rows, printed = audit(lines(f"{SIMCLR},90"), *options)
    assert (status, rows) == (2, None)
    assert re.search(said, printed.err)


def test_a_percent_sign_says_that_it_is_percent(audit):
    status, rows, _ = audit(lines("direct alignment,,CIFAR-100,knn,0.98%"))
    assert (status, rows[0]["given"], rows[0]["paper"]) == (0, "0.98", "1.10")
    status, rows, said = audit(lines("SimCLR,256,CIFAR-10,top1,0.9074%"), "--fractions")
    assert status == 2
    assert "row 2, column value: '0.9074%' is percent, and --fractions says" in said.err


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("elsewhere"), Path.mkdir])
def test_what_is_no_file_is_neither_read_nor_replaced(audit, tmp_path, make):
    special = tmp_path.parent / f"special_{tmp_path.name}"
    make(special)
    status, rows, said = audit(lines(f"{SIMCLR},90"), "--out", str(special))
    assert (status, rows) == (2, None)
    assert "cannot be written: it is" in said.err
    assert special.is_fifo() or special.is_symlink() or special.is_dir()
    assert cli.main([str(special), "--out", "x.csv"]) == 2


def test_an_interrupt_leaves_no_traceback(audit, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "compare_with_paper", interrupted)
    status, rows, said = audit(lines(f"{SIMCLR},90"))
    assert (status, rows) == (130, None)
    assert said.err == "arb-audit: interrupted; nothing was written\n"


def test_many_rows_are_matched_once_for_each_setting(audit):
    numbers = [f"{SIMCLR},9{seed % 10}.{seed % 100:02},{seed}" for seed in range(20_000)]
    status, rows, _ = audit(lines(*numbers, header=f"{HEADER},seed"))
    assert (status, rows[0]["n_seeds"]) == (0, "20000")


def test_a_missing_file_is_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("none.csv", "."):
        assert cli.main([name, "--out", "x.csv"]) == 2
        assert "cannot be read" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def compared(paper, path):
    """The comparison, or None where the file is refused."""
    try:
        return cli.compare_with_paper(paper, match(paper, read_given(path), path))
    except UserError:
        return None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=120).map(lambda text: lines(text).encode("utf-8", "replace"))))
def test_any_bytes_are_audited_or_refused(paper, tmp_path, content):
    path = tmp_path / "any.csv"
    path.write_bytes(content)
    table = compared(paper, path)
    assert table is None or len(table)


@given(st.lists(st.text("0123456789.%eE+-_ \t", max_size=12), min_size=1, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
def test_any_number_is_audited_or_refused(paper, tmp_path, values):
    path = tmp_path / "any.csv"
    rows = [f"{SIMCLR},{value},{seed}" for seed, value in enumerate(values)]
    path.write_text(lines(*rows, header=HEADER + ",seed"), encoding="utf-8")
    table = compared(paper, path)
    if table is not None:
        (number,) = table["given"]
        assert 0 <= float(number) <= 100


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (
            ["95.51", "--n", "5000"],
            1,
            "95.51 is not attainable over 5000 images; the nearest are 95.5 (4775 correct) and 95.52",
        ),
        (["95.52", "--n", "5000"], 0, "4776 of 5000 correct"),
        (["95.5", "--n", "5000"], 0, "4773 to 4777 of 5000 correct"),
        (["95.51%", "--n", "10000"], 0, "9551 of 10000"),
        (["33.1879", "--n", "2522"], 0, "837 of 2522"),
        (["62.5693", "--n", "2522", "--truncated"], 0, "1578 of 2522"),
        (["62.5693", "--n", "2522"], 1, "not attainable"),
        (["0", "--n", "1"], 0, "0 of 1"),
    ],
)
def test_attainable_works_alone(arguments, status, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["attainable", *arguments]) == status
    assert said in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["101", "--n", "10"], ["x", "--n", "10"], ["5", "--n", "0"], ["5", "--n", "99999999"]])
def test_bad_use_of_attainable_exits_with_2(arguments, capsys):
    assert cli.main(["attainable", *arguments]) == 2
    assert "arb-audit: " in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["attainable"], ["attainable", "5"], ["attainable", "5", "--n", "many"], [], ["--nonsense", "x"]]
)
def test_a_wrong_command_line_exits_with_2(arguments):
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2


def test_a_claim_is_shown_with_its_evidence(capsys):
    assert cli.main(["claim", "P1", "P9"]) == 0
    said = capsys.readouterr().out
    for word in ("P1 (printed, sec. 4.2)", "verdict: ", "evidence: ", "12.27", "P9 (printed"):
        assert word in said
    assert cli.main(["claim", "P1", "Q7"]) == 2
    assert "no claim is called Q7; known are T1.argmin" in capsys.readouterr().err
    assert cli.main(["claim", "T2.zero", "p3"]) == 0
    said = capsys.readouterr().out
    assert "T2.zero (printed, Theorem 2, p. 4)" in said
    assert "P3.linear (printed" in said
    assert "P3.knn (printed" in said


def test_the_example_of_the_help_runs_in_any_folder(tmp_path):
    command = Path(sys.executable).with_name("arb-audit")
    text = subprocess.run([command, "--help"], capture_output=True, text=True, check=True).stdout
    example = re.search(r"^example:\n((?:  .*\n)+)", text, re.MULTILINE)
    assert example is not None
    script = f"PATH={command.parent}:$PATH\n{example[1]}"
    done = subprocess.run(["bash", "-ec", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "SimCLR" in done.stdout
    assert (tmp_path / "mine_audit.csv").exists()


def test_the_clone_one_stands_in_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli._paper()[0] == ROOT / "workflow/paper"
    for place in ("workflow/paper", "workflow/schemas"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "workflow/schemas/paper.schema.yaml").touch()
    assert cli._paper()[0] == Path("workflow/paper")
    with pytest.raises(UserError):
        cli._claim(["P1"])
