"""Formulas as they stand in plain text (s_min^2 <= 99 lambda), set with the means of HTML."""

import re

from markupsafe import Markup, escape

__all__ = ["typeset"]

MINUS, TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
# Names stand alone: the "lambda" of lambda_param is none. A base of sub- and superscripts is one letter, a bracket or a norm.
SYMBOLS = [
    (r"&lt;=", "≤"),
    (r"&gt;=", "≥"),
    (r"(?<=\s)-&gt;(?=\s)", "→"),
    (r"(?<![\w.])lambda(?!\w)", "λ"),
    (r"(?<![\w.])Sigma(?![A-Za-z])", "Σ"),
    (r"(?<![\w.])sum_(\w)(?!\w)", r"∑<sub>\1</sub>"),
    (r"(?<![\w.])sqrt\((\w+)\)", r"√\1"),
    (r"(?<![\w.])sqrt\(", "√("),
    (r"(?<![\w.])eta(?!\w)", "η"),
    (r"&lt;(?=[a-z]_)((?:(?!&lt;|&gt;).){1,30}?)&gt;", r"⟨\1⟩"),
    (r"(?<=\w) x (?=[\dd]\b|\d)", f" {TIMES} "),
    (r"\+-", "±"),
    (r"(?<![\w.])1e-(\d+)(?!\w)", rf"10<sup>{MINUS}\1</sup>"),
    (r"(?<![\w.])(\d(?:\.\d+)?)e-(\d+)(?!\w)", rf"\1 {TIMES} 10<sup>{MINUS}\2</sup>"),
    (r"\|\|", "‖"),
    (r"(?<=[\w)\]>‖])\^\(([^()]+)\)", r"<sup>\1</sup>"),
    (r"(?<=[\w)\]>‖])\^(\w)(?!\w*\.\w)", r"<sup>\1</sup>"),
    (
        r"(?:(?<![\w.])(?P<base>d?[A-Za-z])|(?P<end>‖|</sup>|\)))_(?P<below>[A-Za-z0-9]+)",
        r"\g<base>\g<end><sub>\g<below></sub>",
    ),
    (r"(?<=</sub>)\^(\w)", r"<sup>\1</sup>"),
    (r"(?<=[\s(\[,=])-(?=[\d(])", MINUS),
    (r"(?<=\s)-(?=\s)", MINUS),
    (r"(?<=<sup>)-", MINUS),
]


def typeset(text: str) -> Markup:
    """
    Return a sentence with its formulas set in HTML.

    Examples
    --------
    >>> print(typeset("B_r^T B <= lambda, Z Sigma^(1/2), s_min^2, not lambda_param 2_000 or x.y_z"))
    B<sub>r</sub><sup>T</sup> B ≤ λ, Z Σ<sup>1/2</sup>, s<sub>min</sub><sup>2</sup>, not lambda_param 2_000 or x.y_z

    """
    html = str(escape(text))
    for pattern, by in SYMBOLS:
        html = re.sub(pattern, by, html)
    return Markup(html)
