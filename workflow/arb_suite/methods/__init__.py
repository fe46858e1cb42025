"""The methods that can be trained, one a file; the name of the file is the name in the configuration."""

import pkgutil

from ..jobs import UserError

__all__ = ["check_known", "known_methods"]


def known_methods() -> list[str]:
    """Return the names of the methods, which are those of the files here."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def check_known(name: str, where: str = "") -> None:
    """Refuse a name that no method has; `where` says where it was given."""
    if name not in known_methods():
        raise UserError(f"{where}unknown method {name!r}; known are {', '.join(known_methods())}")
