"""The benchmark of decoding: a plain script, run as on a machine that has torch and torchvision alone."""

import subprocess
import sys
from pathlib import Path

import pandas as pd

SCRIPT = Path(__file__).parents[2] / "workflow/benchmarks/decoding.py"
GUARD = """
import runpy, sys
for name in ("lightly", "yaml", "jsonschema", "snakemake", "rich", "hypothesis"):
    sys.modules[name] = None
script, *sys.argv = sys.argv[1:]
sys.argv.insert(0, script)
runpy.run_path(script, run_name="__main__")
"""


def run(*arguments):
    return subprocess.run([sys.executable, "-c", GUARD, str(SCRIPT), *arguments], capture_output=True, text=True, check=False)


def test_every_decoder_is_measured(tmp_path):
    ended = run("--out", str(tmp_path / "made/table.csv"), "--images", "2", "--threads", "2")
    assert ended.returncode == 0, ended.stderr
    table = pd.read_csv(tmp_path / "made/table.csv")
    assert list(zip(table["decoder"], table["threads"], strict=True))[:3] == [
        ("pillow", 1),
        ("pillow", 2),
        ("torchvision, libjpeg", 1),
    ]
    assert (table["images_per_second"] > 0).all()
    assert table["bytes_per_image"].between(30_000, 400_000).all()  # as the files of ImageNet


def test_no_images_are_refused(tmp_path):
    ended = run("--out", str(tmp_path / "table.csv"), "--images", "0")
    assert ended.returncode != 0
    assert "must be 1 or more" in ended.stderr
    assert not (tmp_path / "table.csv").exists()
