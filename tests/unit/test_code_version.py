import importlib.util
import sys
from pathlib import Path

import pytest

from arb_suite.code_version import code_version, dependencies, imports
from arb_suite.jobs import UserError

SOURCE = '''"""A module."""

import math


class Area:
    """Areas."""

    def circle(self, radius, scale=1.0):
        """Return the area."""
        # pi r^2
        return scale * math.pi * radius**2


def nothing():
    """Nothing."""
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of two modules on the path, forgotten afterwards."""
    folder = tmp_path / "measured"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "area.py").write_text(SOURCE)
    (folder / "volume.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    sys.modules.pop("measured", None)
    code_version.cache_clear()


def version(*modules):
    code_version.cache_clear()
    found = code_version(*modules)
    assert len(found) == 12
    assert int(found, 16) >= 0
    return found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# pi r^2", "# the circle's area, in other words"),
        ('"""A module."""', '"""Another description."""'),
        ('"""Areas."""\n', '"""Areas.\n\n    Of several lines.\n    """\n'),
        ('"""Return the area."""\n', ""),
        ('    """Nothing."""', "    pass"),
        ("scale * math.pi * radius**2", "(scale*math.pi\n            * radius ** 2)"),
        ("\n\n\nclass", "\n\nclass"),
        ("scale=1.0):", "scale=1.0,):"),
    ],
)
def test_comments_docstrings_and_formatting_leave_the_version(package, old, new):
    before = version("measured.area")
    assert old in SOURCE
    (package / "area.py").write_text(SOURCE.replace(old, new))
    assert version("measured.area") == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("scale=1.0", "scale=2.0"),
        ("radius**2", "radius**3"),
        ("scale * math.pi", "scale + math.pi"),
        ("import math", "import cmath as math"),
        ("return scale", "scale = 1\n        return scale"),
        ("def circle", "def disc"),
        ('    """Nothing."""', '    return "Nothing."'),
    ],
)
def test_a_statement_changes_the_version(package, old, new):
    before = version("measured.area"), version("measured")
    assert old in SOURCE
    (package / "area.py").write_text(SOURCE.replace(old, new))
    assert version("measured.area") != before[0]
    assert version("measured") != before[1]


def test_only_the_modules_named_count(package):
    before = version("measured.area")
    (package / "volume.py").write_text("x = 2\n")
    assert version("measured.area") == before
    assert version("measured.area", "measured.volume") == version("measured.volume", "measured.area") != before


def test_modules_of_a_package_that_come_or_go_change_its_version(package):
    before = version("measured")
    (package / "deep").mkdir()
    (package / "deep" / "more.py").write_text("y = 1\n")
    more = version("measured")
    (package / "volume.py").unlink()
    assert len({before, more, version("measured")}) == 3


def test_the_module_is_not_executed(package):
    (package / "area.py").write_text("raise RuntimeError('executed')\n")
    assert version("measured.area") != version("measured.volume")
    assert "measured.area" not in sys.modules


def test_the_files_of_this_test_are_the_ones_that_are_read(package):
    assert Path(importlib.util.find_spec("measured.area").origin) == package / "area.py"


def test_versions_of_the_suites_own_modules_differ():
    modules = ("arb_core", "arb_suite.digits", "arb_suite.views", "arb_suite.pretrain", "arb_suite.methods.arb")
    assert len({version(module) for module in modules}) == len(modules)


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("import arb_core", True),
        ("import os, arb_core.loss as loss", True),
        ("from arb_core import ARBLoss", True),
        ("from arb_core.loss import ARBLoss", True),
        ("def later():\n    from arb_core import ARBLoss", True),
        ("import arb_core_of_others", False),
        ("from somewhere import arb_core", False),
        ("# import arb_core", False),
        ("name = 'import arb_core'", False),
    ],
)
def test_imports_of_a_module_are_found(package, statement, found):
    (package / "area.py").write_text(statement + "\n")
    assert imports("measured.area", "arb_core") is found


@pytest.fixture
def subpackage(package):
    """A package inside that package."""
    folder = package / "inner"
    folder.mkdir()
    for name in ("__init__", "mass", "weight"):
        (folder / f"{name}.py").write_text("x = 1\n")
    return folder


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("from .weight import x", ["inner.weight"]),
        ("from . import weight", ["inner.weight"]),
        ("def later():\n    from .weight import x", ["inner.weight"]),
        ("from ..volume import x", ["volume"]),
        ("from .. import volume", ["volume"]),
        ("from ..volume import x\nfrom .weight import x", ["inner.weight", "volume"]),
        ("from ..inner.weight import x", ["inner.weight"]),
        ("from ..inner import weight", ["inner.weight"]),
        ("from measured.inner.weight import x", ["inner.weight"]),
        ("from measured.inner import weight", ["inner.weight"]),
        ("import measured.inner.weight as w, measured.volume", ["inner.weight", "volume"]),
        ("from measured import volume", ["volume"]),
        ("from .. import inner", []),
        ("from .weight import *", ["inner.weight"]),
        ("from .nowhere import x", []),
        ("from weight import x", []),
        ("import weight", []),
    ],
)
def test_what_a_module_rests_on_is_found(subpackage, statement, found):
    (subpackage / "mass.py").write_text(statement + "\n")
    assert dependencies("measured.inner.mass") == ["measured.inner.mass", *(f"measured.{name}" for name in found)]


def test_what_siblings_rest_on_is_found_also_in_a_circle(subpackage):
    (subpackage / "mass.py").write_text("from .weight import x\n")
    (subpackage / "weight.py").write_text("from . import force, mass\n")
    (subpackage / "force.py").write_text("from ..volume import x\n")
    names = ("inner.mass", "inner.weight", "inner.force", "volume")
    assert dependencies("measured.inner.mass") == [f"measured.{name}" for name in names]


@pytest.mark.parametrize("function", [code_version, dependencies, lambda name: imports(name, "arb_core")])
def test_a_module_that_is_no_python_is_an_error_that_names_the_line(package, function):
    (package / "area.py").write_text("x = 1\nif:\n")
    with pytest.raises(UserError, match=r"area\.py, line 2: invalid syntax"):
        function("measured.area")
