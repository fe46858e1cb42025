"""
Print what the packages of constraints.txt say of their licences.

python .ci/licences.py > workflow/envs/licences.csv
"""

import csv
import re
import sys
from importlib.metadata import distribution
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"


def licence(name: str) -> str:
    """Return what names the licence of a package: an SPDX expression, a classifier, a short text, the head of its file."""
    package = distribution(name)
    said = package.metadata
    named = [entry.split(" :: ")[-1] for entry in said.get_all("Classifier", []) if entry.startswith("License :: ")]
    texts = [said.get("License") or ""]
    texts += [path.read_text(encoding="utf-8") for path in package.files or () if path.name.upper().startswith("LICEN")]
    heads = [text.strip().splitlines()[0].strip() for text in texts if text.strip()]
    return said.get("License-Expression") or "; ".join(named) or (heads[0] if heads else "not named")


def main() -> None:
    """Print a row per package."""
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(["package", "version", "licence"])
    for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines():
        if wanted := re.match(r"([\w.-]+)==(\S+)", line):
            found = distribution(wanted[1]).version
            if found != wanted[2]:
                sys.exit(f"error: {wanted[1]} {found} is installed, constraints.txt has {wanted[2]}")
            rows.writerow([wanted[1], found, licence(wanted[1])])


if __name__ == "__main__":
    main()
