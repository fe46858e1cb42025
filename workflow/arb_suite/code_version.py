"""A version for the code that a result depends on, so that no result of other code is taken for it.

The version is a hash over the syntax trees, docstrings left out: an edit that changes what is computed changes it, a comment, a
docstring or a reformatting does not.
"""

import ast
import hashlib
import importlib.util
import subprocess
from functools import cache
from pathlib import Path

from .jobs import UserError

__all__ = ["code_version", "commit", "dependencies", "imports"]


@cache
def code_version(*modules: str) -> str:
    """
    Hash the source of modules and packages, without importing them.

    Parameters
    ----------
    *modules : str
        Dotted names; a package stands for all its modules.

    Returns
    -------
    str
        Twelve hexadecimal digits.

    """
    digest = hashlib.sha256()
    for name in sorted(set(modules)):
        for place, path in _sources(name).items():
            digest.update(f"{name} {place}\n{_tree(path, path.read_bytes())}\n".encode())
    return digest.hexdigest()[:12]


def commit() -> str:
    """Return what git calls the clone that one stands in, or nothing if it is none."""
    return _told_by_git("describe", "--always", "--dirty")


def commit_date() -> str:
    """Return the day of the last commit of the clone that one stands in, or nothing if it is none."""
    return _told_by_git("show", "-s", "--format=%cs", "HEAD")


def _told_by_git(*arguments: str) -> str:
    try:
        told = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""  # not a clone, or no git
    return told.stdout.strip()


def imports(module: str, package: str) -> bool:
    """Tell whether the source of a module imports from a package, without importing either."""
    return any(name.split(".")[0] == package for name in _imported(module))


def dependencies(module: str) -> list[str]:
    """
    Return what a module of a subpackage rests on there, itself first.

    Modules beside it that it imports (``from .name import``, in whatever way that is
    written), and those that they import; modules one level up (``from ..name import``),
    without what these import.

    """
    package = module.rpartition(".")[0]
    above = package.rpartition(".")[0]
    found, beyond = [module], list[str]()
    for known in found:  # it grows meanwhile
        for name in _imported(known):
            into = {package: found, above: beyond}.get(name.rpartition(".")[0])
            if into is not None and name not in into and name != package and _exists(name):
                into.append(name)
    return found + beyond


def _imported(module: str) -> list[str]:
    """Return the dotted names that a module imports; those of ``from`` both with and without what is taken from there."""
    (source,) = _sources(module).values()
    return _imported_by(module, source, source.read_bytes())


@cache
def _imported_by(module: str, source: Path, content: bytes) -> list[str]:
    names = []
    for node in ast.walk(_parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            place = ".".join(above + ([node.module] if node.module else []))
            names += [place, *(f"{place}.{alias.name}" for alias in node.names)]
    return names


def _exists(name: str) -> bool:
    return all(path.exists() for path in _sources(name).values())


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise UserError(f"{path}, line {error.lineno}: {error.msg}") from error


def _sources(name: str) -> dict[str, Path]:
    """Return the files of a module or package by their place in it."""
    # Only the top package is looked up: looking up what is inside it would import it, and torch with it.
    top, *inner = name.split(".")
    spec = importlib.util.find_spec(top)
    assert spec is not None
    assert spec.origin is not None
    place = Path(spec.origin).parent.joinpath(*inner)
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    return {file.relative_to(place if place.is_dir() else place.parent).as_posix(): file for file in files}


@cache
def _tree(path: Path, content: bytes) -> str:
    """Return the syntax tree of a file with this content: most files go into many versions, and parsing takes seconds."""
    return ast.dump(_without_docstrings(path))


def _without_docstrings(path: Path) -> ast.Module:
    tree = _parse(path)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return tree
