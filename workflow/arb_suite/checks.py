"""What a configuration must fulfil before anything is started: the schemas, and what no schema can say."""

import difflib
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from .digits import N_SOURCES
from .jobs import UserError
from .methods import check_known

__all__ = [
    "check_dataset",
    "check_method",
    "check_sizes",
    "check_views",
    "did_you_mean",
    "n_images",
    "read_schema",
    "validate",
]

GREY = ("digits", "glyphs")  # whose images have one channel
LARGEST = sys.float_info.max
LONGEST = 500  # characters of what is wrong
# What a schema's types are to the one who writes a YAML file
KINDS = {
    "integer": "an integer",
    "number": "a finite number",
    "string": "a string",
    "boolean": "a boolean, true or false",
    "null": "null",
    "array": "a list, [...]",
    "object": "a mapping, {key: value}",
}


def read_schema(path: Path) -> dict[str, Any]:
    """Read a schema below the current folder, or say where to stand."""
    try:
        schema: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error}); run from the root of a clone of the repository") from error
    return schema


def validate(value: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> None:
    """Refuse what a schema does not allow, with the place below `where` in the configuration."""
    # The standard takes 3.0 for an integer, and Python's yaml reads .nan and .inf as numbers.
    types = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: _is_finite(value) and isinstance(value, int),
            "number": lambda _, value: _is_finite(value),
        }
    )
    validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=types)(schema)
    error = jsonschema.exceptions.best_match(validator.iter_errors(dict(value)))
    if error is not None:
        place = f"{where}{error.json_path.removeprefix('$')}".removeprefix(".") or "top level"
        raise UserError(f"configuration: {place}: {_in_words(error)}")


def _is_finite(value: Any) -> bool:
    """Tell whether a value is a number that a float can hold; bounds are not looked at for any other."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


def _in_words(error: Any) -> str:  # a ValidationError, whose types allow all that it has to be unset
    """Say what is wrong as the user's file has it: keys and values, no schema."""
    if error.validator == "type":
        allowed = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
        return f"{error.instance!r:.200} is given, but it has to be {' or '.join(KINDS[kind] for kind in allowed)}"
    if error.validator == "additionalProperties" and error.validator_value is False:
        known = sorted(error.schema.get("properties", {}))
        unknown = next(key for key in error.instance if key not in known)
        return f"unexpected key {unknown!r}{did_you_mean(unknown, known)}; allowed are {', '.join(known)}"
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        return f"{', '.join(missing)} is required, but not given"
    if error.validator == "pattern" and "description" in error.schema:
        return f"{error.instance!r:.200} is given, but it has to be {error.schema['description']}"
    message: str = error.message
    return message if len(message) <= LONGEST else f"{message[:LONGEST]} ..."


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'NAME'?)`` for the known name that is most like the given one, or nothing."""
    close = difflib.get_close_matches(str(given), list(known), 1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def check_method(where: str, run: Mapping[str, Any], schemas: Mapping[str, Any]) -> None:
    """Refuse a run of an unknown method, or one that does not say what its method asks for."""
    check_known(run["method"], f"{where}: ")
    validate(run, {"$defs": schemas["$defs"], **schemas["methods"].get(run["method"], {})}, where)


def check_dataset(dataset: str, settings: Mapping[str, Any]) -> None:
    """Refuse what no schema can: settings of a data set that do not fit each other."""
    ranges: dict[str, Sequence[float]] = {}
    for view, of in settings["views"].items():
        names = ("crop_area", "crop_aspect", *(["blur_sigma"] if "blur_sigma" in of else []))
        ranges |= {f"views.{view}.{name}": of[name] for name in names}
    if dataset in GREY:
        _check_renders(dataset, settings["data"])
        ranges |= {f"data.{name}": settings["data"][name] for name in ("inverse_scale", "background", "ink")}
    for name, (low, high) in ranges.items():
        if low > high:
            raise UserError(f"{dataset}.{name}: [{low}, {high}] is not [low, high]; exchange the two")
    for split in (*settings["fit_on"], settings["score_on"]):
        if split not in settings["data"]["sources"]:
            known = " and ".join(settings["data"]["sources"])
            raise UserError(f"{dataset}: there is no {split} split in fit_on or score_on; it has {known}")
    photographs = {view.get("kind") == "photo" for view in settings["views"].values()}
    if photographs != {dataset not in GREY}:
        kind = "no view of kind photo" if dataset in GREY else "views of kind photo alone"
        raise UserError(f"{dataset}.views: there can be {kind}")
    if settings["score_on"] in settings["fit_on"]:
        raise UserError(f"{dataset}: score_on {settings['score_on']!r} is also in fit_on; score on images that were not fitted")
    encoder = settings["encoder"]
    if encoder["kind"] != "conv":
        if dataset in GREY:
            raise UserError(
                f"{dataset}.encoder.kind: {encoder['kind']} takes images of 3 channels, {dataset} have 1; choose conv"
            )
    elif len(encoder["widths"]) != len(encoder["strides"]):
        lengths = f"{len(encoder['widths'])} and {len(encoder['strides'])}"
        raise UserError(f"{dataset}.encoder: widths and strides must be equally long, but have {lengths} entries")


def _check_renders(dataset: str, data: Mapping[str, Any]) -> None:
    sources = data["sources"]
    if dataset == "digits":
        if sum(sources.values()) != N_SOURCES:
            raise UserError(f"{dataset}.data.sources add up to {sum(sources.values())}; there are {N_SOURCES} digits to split")
        return
    classes = data["classes"]
    for split, count in sources.items():
        if count % classes:
            raise UserError(f"glyphs.data.sources: {split} {count} is no multiple of the {classes} classes; choose one")
    low, high = data["strokes"]
    if low > high:
        raise UserError(f"glyphs.data.strokes: [{low}, {high}] is not [low, high]; exchange the two")


def check_views(where: str, views: Sequence[str], known: Mapping[str, Any]) -> None:
    """Refuse unknown views, and small ones in the place of the first two."""
    for view in views:
        if view not in known:
            raise UserError(f"{where}: no views are called {view!r}; known are {', '.join(known)}")
    sizes = {view: known[view].get("size") or known[view]["scale"] for view in views}
    full = min(sizes[view] for view in views[:2])
    for view in views[2:]:
        if sizes[view] > full:
            raise UserError(f"{where}: the view {view!r} is larger than the first two; put those of full size first")


def n_images(settings: Mapping[str, Any], splits: Sequence[str]) -> int:
    """Return how many images some splits of a data set have."""
    count: int = sum(settings["data"]["sources"][split] for split in splits) * settings["data"].get("renders", 1)
    return count


def check_sizes(
    where: str, settings: Mapping[str, Any], run: Mapping[str, Any], batch_size: int, options: Mapping[str, Any]
) -> None:
    """Refuse a run whose sizes do not fit each other."""
    if run.get("training", {}).get("accumulate", settings["training"].get("accumulate", 1)) > 1:
        raise UserError(
            f"{where}: accumulate: gradients cannot be accumulated over parts of a batch, which would change the method: losses"
            " and batch normalisation couple all of its images; choose a smaller batch_size, or share it with processes=N"
        )
    images = n_images(settings, settings["fit_on"])
    if batch_size > images:
        raise UserError(f"{where}: batch_size {batch_size} is larger than the {images} training images; choose less")
    if run["method"] == "arb":
        feature = options.get("level", "feature") == "feature"
        what, size = ("proj_dim", run["proj_dim"]) if feature else ("batch_size", batch_size)
        if size % options["groups"]:
            raise UserError(f"{where}: groups {options['groups']} does not divide {what} {size}; choose a divisor of {size}")
    if run["method"] == "w_mse":
        whitened, least = options["whitening_size"], 2 * run["proj_dim"]
        if batch_size % whitened or whitened < least:
            raise UserError(
                f"{where}: whitening_size {whitened} must divide batch_size {batch_size} and be {least} or more,"
                " twice proj_dim; choose others, or leave w_mse out with methods=..."
            )
