"""The tables of a report as booktabs LaTeX; they compile with pdfLaTeX whatever text they hold."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from bench.pages.content import Table, shown
from bench.wording import some

LONG = 40
"""A table of more rows is a ``longtable``, which breaks over pages."""
WIDE = 24
"""A text column of a long table with more characters is broken over lines."""
SMALL = 92
"""Most characters of a line in ``\\scriptsize``; above it is ``\\tiny``."""
_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_\allowbreak{}", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    "`": r"\textasciigrave{}", '"': "''", "+": r"+\allowbreak{}", "/": r"/\allowbreak{}",
    "−": r"$-$", "×": r"$\times$", "±": r"$\pm$", "∞": r"$\infty$", "≥": r"$\geq$", "≤": r"$\leq$", "≠": r"$\neq$",
    "≈": r"$\approx$", "→": r"$\to$", "←": r"$\leftarrow$", "√": r"$\sqrt{}$", "∈": r"$\in$", "Σ": r"$\Sigma$",
    "Δ": r"$\Delta$", "α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$", "δ": r"$\delta$", "ε": r"$\epsilon$",
    "κ": r"$\kappa$", "λ": r"$\lambda$", "μ": r"$\mu$", "ρ": r"$\rho$", "σ": r"$\sigma$", "τ": r"$\tau$", "ψ": r"$\psi$",
    "–": "--", "—": "---", "‘": "`", "’": "'", "“": "``", "”": "''", "…": r"\ldots{}", "·": r"$\cdot$",
    "µ": r"$\mu$", "°": r"$^{\circ}$", "\N{NO-BREAK SPACE}": "~",
}  # fmt: skip
_KNOWN = frozenset("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿŒœŠšŽž")
"""Letters that pdfLaTeX knows without a package."""


def table_tex(table: Table) -> str:
    """A floating ``table``, shrunk if it is wider than the line, or a ``longtable`` if it is long.

    Comments at its beginning name the runs that it is made from and the packages that it needs.
    """
    table = table.compact()
    cells = [[tex(shown(cell, c.kind)) for cell, c in zip(row, table.columns, strict=True)] for row in table.rows]
    lines = [f"{_guarded(' & '.join(row))} \\\\" for row in cells]
    head = f"{' & '.join(tex(column.label) for column in table.columns)} \\\\"
    stamp = r"\textbf{Synthetic data.} " if table.synthetic else ""
    caption = f"\\caption{{{stamp}{tex(table.title)}. {tex(table.caption)}}}"
    label = f"\\label{{tab:{table.name}}}"
    named = f"% {_comment(table.title)}. Rests on {some(len(table.runs), 'run')}: {_comment(', '.join(table.runs))}"
    body = _long(table, caption, label, head, lines) if len(lines) > LONG else _floating(table, caption, label, head, lines)
    return "\n".join([named, *body]) + "\n"


def tex(text: str) -> str:
    """Escapes text for LaTeX, and replaces characters that pdfLaTeX does not know."""
    apart = re.sub("--+", lambda match: "\0".join(match[0]), text)  # two hyphens are no dash
    return "".join(_sign(sign) for sign in apart)


def _sign(sign: str) -> str:
    if sign == "\0":
        return "{}"
    if sign in _TEX:
        return _TEX[sign]
    if " " <= sign <= "~" or sign in _KNOWN:
        return sign
    if sign.isspace():
        return " "
    plain = "".join(part for part in unicodedata.normalize("NFKD", sign) if " " <= part <= "~")
    return "".join(_TEX.get(part, part) for part in plain) or f"[U+{ord(sign):04X}]"


def _floating(table: Table, caption: str, label: str, head: str, lines: Sequence[str]) -> list[str]:
    align = "".join("r" if column.numeric else "l" for column in table.columns)
    return [
        r"% \usepackage{booktabs,graphicx}",
        r"\begin{table}",
        r"  \centering",
        f"  {caption}",
        f"  {label}",
        r"  \smallskip",
        r"  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        f"  \\begin{{tabular}}{{{align}}}",
        r"    \toprule",
        f"    {head}",
        r"    \midrule",
        *(f"    {line}" for line in lines),
        r"    \bottomrule",
        r"  \end{tabular}}",
        r"\end{table}",
    ]


def _long(table: Table, caption: str, label: str, head: str, lines: Sequence[str]) -> list[str]:
    longest = [
        max(len(word) for word in (column.label, *(shown(row[i], column.kind) for row in table.rows)))
        for i, column in enumerate(table.columns)
    ]
    broken = [not c.numeric and length > WIDE for c, length in zip(table.columns, longest, strict=True)]
    kinds = ("p{.18\\linewidth}" if b else "r" if c.numeric else "l" for c, b in zip(table.columns, broken, strict=True))
    size = r"\scriptsize" if sum(min(length, WIDE) + 1 for length in longest) <= SMALL else r"\tiny"
    rules = (r"    \toprule", f"    {head}", r"    \midrule")
    return [
        r"% \usepackage{booktabs,longtable}",
        f"{{{size}\\setlength{{\\tabcolsep}}{{2.5pt}}\\sloppy",
        f"\\begin{{longtable}}{{{''.join(kinds)}}}",
        f"  {caption} {label} \\\\",
        *rules,
        r"  \endfirsthead",
        *rules,
        r"  \endhead",
        r"    \bottomrule",
        r"  \endfoot",
        *(f"    {line}" for line in lines),
        r"\end{longtable}}",
    ]


def _guarded(line: str) -> str:
    """Guards a line that LaTeX would read as an option of the line end before it."""
    return f"{{}}{line}" if line.startswith(("[", "*")) else line


def _comment(text: str) -> str:
    return " ".join(text.split())
