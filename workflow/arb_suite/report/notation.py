"""Formulas as they stand in plain text (s_min^2 <= 99 lambda), set with the means of HTML, or of Unicode alone."""

import html as entities
import re

from markupsafe import Markup, escape

from .tables import METRICS

__all__ = ["plain", "told", "typeset"]

# What configurations and files call by other names than people do
NAMED_OTHERWISE = {**METRICS, "lambda_param": "lambda", "pretrain epochs": "epochs of pre-training", "proj dim": "d ="}
NAMED_OTHERWISE |= {"shuffle True": "with shuffle", "shuffle False": "without shuffle"}

MINUS, TIMES, NBSP = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}", "\N{NO-BREAK SPACE}"
# Names stand alone: the "lambda" of lambda_param is none. A base of sub- and superscripts is one letter, a bracket or a norm.
SYMBOLS = [
    (r"&lt;=", "≤"),
    (r"&gt;=", "≥"),
    (r"(?<=\s)-&gt;(?=\s)", "→"),
    (r"(?<![\w.])lambda(?!\w)", "λ"),
    (r"(?<![\w.])Sigma(?![A-Za-z])", "Σ"),
    (r"(?<![\w.])sum_(\w)(?!\w)", r"∑<sub>\1</sub>"),
    (r"(?<![\w.])sqrt\((\w+)\)(?=/)", r"(√\1)"),  # there is no bar that says where a root ends
    (r"(?<![\w.])sqrt\((\w+)\)", r"√\1"),
    (r"(?<![\w.])sqrt\(", "√("),
    (r"(?<![\w.])eta(?!\w)", "η"),
    (r"&lt;(?=[a-z]_)((?:(?!&lt;|&gt;).){1,30}?)&gt;", r"⟨\1⟩"),
    (r"&lt;([a-z]), ([a-z])&gt;", r"⟨\1, \2⟩"),
    (r"(?<=\w) x (?=[\dd]\b|\d)|(?<=\d) x (?=[a-z])", f" {TIMES} "),
    (r"\+-", "±"),
    (r"(?<=[\s,])\.{2,3}(?=[\s,])", "…"),
    (r"(?<![\w.])1e-0*(\d+)(?!\w)", rf"10<sup>{MINUS}\1</sup>"),
    (r"(?<![\w.])(\d(?:\.\d+)?)e-0*(\d+)(?!\w)", rf"\1 {TIMES} 10<sup>{MINUS}\2</sup>"),
    (r"\|\|", "‖"),
    (r"(?<=[\w)\]>‖])\^\(([^()]+)\)", r"<sup>\1</sup>"),
    (r"(?<=[\w)\]>‖])\^(\w)(?!\w*\.\w)", r"<sup>\1</sup>"),
    (
        r"(?:(?<![\w.])(?P<base>d?[A-Za-z])|(?P<end>‖|</sup>|\)))_(?P<below>[A-Za-z0-9]+)",
        r"\g<base>\g<end><sub>\g<below></sub>",
    ),
    (r"(?<=</sub>)\^(\w)", r"<sup>\1</sup>"),
    (r"<sup>([^<]*)</sup><sub>([^<]*)</sub>", r"<sub>\2</sub><sup>\1</sup>"),
    (r"(?<=[\s(\[,=])-(?=[\d(])", MINUS),
    (r"(?<=\s)-(?=\s)", MINUS),
    (r"(?<=<sup>)-", MINUS),
]
# A letter that stands alone is a variable, but neither an article nor a page (p. 5) nor part of a name (W-MSE)
TAGS = r"<[^>]*>|&[#\w]+;"
LETTERS = re.compile(
    rf"{TAGS}|"
    r"(?<![\w.'-])(?<!&#39;)(?:d[A-Za-z](?=<su|/d)|[ij]{2}(?=</sub>)|[A-Za-zλη])"
    r"(?![\w'])(?!&#39;)(?!-[A-Za-z])(?!\.\w|\. \d)"
)
ARTICLES, NAMED = ("a", "A"), ("<sub>", "<sup>", "view ")
BEFORE, BEHIND = re.compile(r"(?:[(|⟨,]|= )$"), re.compile(r"[|,;)⟩ ]|<su")  # where an article cannot stand
# Of words these make a formula, and where a long one may be broken
FORMULA = re.compile(rf"(?:[\d.,:;%()\[\]|‖⟨⟩=≤≥<>+{MINUS}{TIMES}/±√∑∞→…Σ]|(?:tr|con|min|max|log|det|diag)(?=\())*")
RELATIONS = "=≤≥<>→"
NAMES = re.compile(r"\W*(?:[A-Za-z]+-\d+k?|[A-Z]-[A-Z]+)\W*")  # CIFAR-100, W-MSE
TELLING = re.compile(rf"<var>|[=≤≥+{TIMES}±→∑√\[]|&[lg]t;")
LONGEST = 34  # characters that fit the narrowest screen
SUBSCRIPTS = dict(zip("0123456789aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True))
SUPERSCRIPTS = dict(zip(f"0123456789ABT{MINUS}", "⁰¹²³⁴⁵⁶⁷⁸⁹ᴬᴮᵀ⁻", strict=True))


def typeset(text: str) -> Markup:
    """
    Return a sentence with its formulas set in HTML: variables in italics, scripts above each other, short formulas in one line.

    Examples
    --------
    >>> print(typeset("Z Sigma^(1/2), not lambda_param 2_000 or x.y_z"))
    <span class="formula"><var>Z</var> Σ<sup>1/2</sup>,</span> not lambda_param 2_000 or x.y_z
    >>> print(typeset("z_i^A"))
    <var>z</var><span class="scripts"><sub><var>i</var></sub><sup><var>A</var></sup></span>

    """
    html = LETTERS.sub(_variable, _symbols(text))
    html = re.sub(r"(<sub>(?:(?!</?su).)*</sub><sup>(?:(?!</?su).)*</sup>)", r'<span class="scripts">\1</span>', html)
    return Markup(_unbroken(html))


def told(note: str) -> Markup:
    """
    Return what a note of a table says, in people's names for things; names of runs as code.

    Examples
    --------
    >>> print(told("linear_top1 of arb_d32"))
    linear <span class="formula">top-1</span> of <code>arb_d32</code>

    """
    for name, called in NAMED_OTHERWISE.items():
        note = re.sub(rf"\b{name}\b", called, note)
    return Markup(re.sub(r"(?<![\w/=\"#])([a-z]+[0-9]?(?:_[a-z0-9]+)+)(?![\w/])", r"<code>\1</code>", str(typeset(note))))


def plain(text: str) -> str:
    """
    Return a sentence with its formulas set in Unicode alone, for alternative texts.

    Examples
    --------
    >>> plain("z^A_1 and s_min^2 <= lambda")
    'z₁ᴬ and sₘᵢₙ² ≤ λ'

    """

    def script(found: re.Match[str]) -> str:
        letters = SUBSCRIPTS if found[1] == "b" else SUPERSCRIPTS
        known = all(letter in letters for letter in found[2])
        return "".join(map(letters.__getitem__, found[2])) if known else f"{NBSP if found[1] == 'b' else '^'}{found[2]}"

    return entities.unescape(re.sub(r"<su([bp])>(.*?)</su\1>", script, _symbols(text)))


def _symbols(text: str) -> str:
    html = str(escape(text))
    for pattern, by in SYMBOLS:
        html = re.sub(pattern, by, html)
    return html


def _variable(found: re.Match[str]) -> str:
    letter, before, behind = found[0], found.string[: found.start()], found.string[found.end() :]
    if letter[0] in "<&":
        return letter
    if letter in ARTICLES and not before.endswith(NAMED) and not (BEFORE.search(before) and BEHIND.match(behind)):
        return letter
    return f"<var>{letter}</var>"


def _unbroken(html: str) -> str:
    """Keep together the words that make a formula; of one that is longer than a line, what stands between its relations."""
    words = re.findall(r"(?:<[^>]*>|[^\s<])+|\s+", html)
    out: list[str] = []
    run: list[str] = []
    depth = 0

    def end() -> None:
        nonlocal depth
        depth = 0
        space = [run.pop()] if run and run[-1].isspace() else []
        out.extend(_pieces(run) if len(run) > 1 and TELLING.search("".join(run)) else run)
        out.extend(space)
        run.clear()

    for word in words:
        seen = _seen(re.sub("<var>.*?</var>|<sub>.*?</sub>", "", word))
        if word.isspace():
            (run if run else out).append(word)
        elif FORMULA.fullmatch(seen):
            run.append(word)
            depth += sum(map(seen.count, "([⟨")) - sum(map(seen.count, ")]⟩"))
            if depth <= 0 and seen.endswith((",", ";", ":", ".")):
                end()
        else:
            end()
            out.append(f'<span class="formula">{word}</span>' if NAMES.fullmatch(seen) else word)
    end()
    return "".join(out)


def _pieces(run: list[str]) -> list[str]:
    """Return the pieces of a formula that are not to be broken, with the spaces between them."""
    for relations in ("", RELATIONS, f"{RELATIONS}+{MINUS},;"):
        pieces: list[list[str]] = [[]]
        for word in run:
            if word.isspace() and pieces[-1] and relations and _seen(pieces[-1][-1])[-1:] in relations:
                pieces += [[word], []]
            else:
                pieces[-1].append(word)
        if all(len(_seen("".join(piece))) <= LONGEST for piece in pieces):
            break
    whole = ("".join(piece) for piece in pieces)
    return [f'<span class="formula">{text}</span>' if re.search(r"\S\s", text) else text for text in whole]


def _seen(html: str) -> str:
    return entities.unescape(re.sub("<[^>]*>", "", html))
