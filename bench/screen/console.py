"""A reporter for people: bars and tables by rich on a terminal, plain lines in a pipe, one updated line in a notebook."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.progress import Task as BarTask
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from bench.reporting import Progress
from bench.screen.terminal import clean, line


def in_notebook() -> bool:
    """Whether this is the kernel of a Jupyter notebook."""
    shell = sys.modules.get("IPython")
    kinds = type(shell.get_ipython()).__mro__ if shell is not None else ()
    return any(kind.__name__ == "ZMQInteractiveShell" for kind in kinds)  # Colab's shell is a subclass


class CleanConsole(Console):
    """A console that shows control characters of texts in escaped form; those of rich itself are not in texts."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Renders as `Console` does, with control characters escaped."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=clean(segment.text))


class RichReporter:
    """A `bench.reporting.Reporter` for people, on stdout, on stderr where stdout is for JSON, or on a given console."""

    def __init__(self, stderr: bool = False, console: CleanConsole | None = None) -> None:
        # By default rich makes every line in a notebook a separate output, and treats the kernel as a terminal.
        terminal = False if in_notebook() else None
        self.console = console or CleanConsole(
            stderr=stderr, highlight=False, soft_wrap=True, force_terminal=terminal, force_jupyter=False
        )
        self._steps = 0

    def step(self, title: str) -> None:
        """Prints a step's title with its number, counted from 1."""
        self._steps += 1
        self.console.print(f"[dim]{self._steps:>2}[/]  [bold]{escape(title)}[/]")

    @contextmanager
    def progress(self, title: str, total: float | None = None, unit: str = "", done: int = 0) -> Iterator[Progress]:
        """A bar with rate and time left on a terminal; one updated line in a notebook; a line now and then in a pipe."""
        if not self.console.is_terminal:
            plain = (NotebookProgress if in_notebook() else PlainProgress)(self.console, title, total, unit, done)
            yield plain
            plain.close()
            return
        columns = (
            TextColumn("  "),
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            RateColumn(unit),
            TimeElapsedColumn() if total is None else TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("[dim]{task.fields[stats]}"),
        )
        with Bars(*columns, console=self.console) as bars:
            yield _Bar(bars, bars.add_task(escape(title), total=total, completed=done, stats=""))

    def warn(self, message: str) -> None:
        """Prints a warning that does not stop the run."""
        self._wrapped(f"[yellow]warning:[/] {escape(message)}", 0)

    def note(self, message: str) -> None:
        """Prints one indented line that is neither a step nor a warning."""
        self._wrapped(escape(message), 4)

    def line(self, markup: str) -> None:
        """Prints a line of rich's markup, wrapped as notes are."""
        self._wrapped(markup, 0)

    def _wrapped(self, text: str, indent: int) -> None:
        """Prints a text, on a terminal wrapped at words with every line indented; a pipe has no width."""
        if self.console.is_terminal:
            self.console.print(Padding(Text.from_markup(text), (0, 0, 0, indent)), soft_wrap=False)
        else:
            self.console.print(f"{' ' * indent}{text}")

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Prints a table; numbers are aligned to the right."""
        columns = [line(name) for name in columns]
        cells = [[line(_cell(cell)) for cell in row] for row in rows]
        right = [bool(rows) and all(row[i] == "" or _numeric(row[i]) for row in rows) for i in range(len(columns))]
        words = [
            max((len(word) for row in (columns, *cells) for word in row[i].split()), default=0) for i in range(len(columns))
        ]
        # A table in which not every word has room is printed whole, for the terminal to break, as in a pipe.
        if not self.console.is_terminal or sum(words) + 3 * len(words) >= self.console.width:
            self.console.print(f"{title}\n{_plain_table(columns, cells, right)}", markup=False)
            return
        table = Table(title=escape(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
        for name, to_the_right, least in zip(columns, right, words, strict=True):
            side: JustifyMethod = "right" if to_the_right else "left"
            table.add_column(escape(name), justify=side, header_style="dim", min_width=least)
        for row in cells:
            table.add_row(*map(Text, row))
        self.console.print(table, soft_wrap=False)

    def blank(self) -> None:
        """Prints an empty line between blocks."""
        self.console.print()


class RateColumn(TextColumn):
    """A column of a progress bar: units a second, e.g. ``1,809 tokens/s``."""

    def __init__(self, unit: str) -> None:
        super().__init__("")
        self.unit = unit

    def render(self, task: BarTask) -> Text:
        """The rate; empty where it is not known yet."""
        speed = task.finished_speed or task.speed
        return Text(_rate(speed, self.unit) if speed else "", style="cyan")


class _Bar:
    def __init__(self, bars: Bars, task: TaskID) -> None:
        self._bars = bars
        self._task = task
        self._stats: dict[str, float | str] = {}

    def advance(self, n: float = 1, **stats: float | str) -> None:
        """Advances the bar by `n`, and shows the latest figures beside it."""
        self._stats |= stats
        self._bars.update(self._task, advance=n, stats=_shown(self._stats))


class PlainProgress:
    """Lines instead of a bar: at most one every `seconds`, and one at the end. `total` is None where it is unknown.

    What was `done` before counts for no rate.
    """

    seconds = 15.0

    def __init__(self, console: CleanConsole, title: str, total: float | None, unit: str, done: int = 0) -> None:
        self._console = console
        self._title = title
        self._total = total
        self._unit = unit
        self._before, self._done = done, float(done)
        self._stats: dict[str, float | str] = {}
        self._start = self._said = time.monotonic()

    def advance(self, n: float = 1, **stats: float | str) -> None:
        """Adds `n` units; prints a line if the last one is `seconds` old. Where they complete the work, `close` prints it."""
        self._done += n
        self._stats |= stats
        complete = n > 0 and self._total is not None and self._done >= self._total
        if time.monotonic() - self._said >= self.seconds and not complete:
            self._say()

    def close(self) -> None:
        """Prints the last line, with the time for all of the work."""
        self._say(last=True)

    def _say(self, last: bool = False) -> None:
        self._said = time.monotonic()
        seconds = max(self._said - self._start, 1e-9)
        speed = (self._done - self._before) / seconds
        of = f"/{self._total:,.0f}" if self._total is not None else ""
        parts = [_units(f"{self._done:,.0f}{of}", self._unit), _rate(speed, self._unit), _shown(self._stats)]
        if last:
            parts.append(f"{_seconds(seconds)} in all")
        elif self._total is not None and speed and self._done < self._total:  # else what is shown is beside the work
            parts.append(f"{_seconds((self._total - self._done) / speed)} left")
        self._write(f"    {self._title}: {', '.join(part for part in parts if part)}")

    def _write(self, text: str) -> None:
        self._console.print(text, markup=False)


class NotebookProgress(PlainProgress):
    """One line in the output of a notebook's cell, updated until the work is done."""

    seconds = 0.5

    def __init__(self, console: CleanConsole, title: str, total: float | None, unit: str, done: int = 0) -> None:
        super().__init__(console, title, total, unit, done)
        from IPython.display import display

        self._line = display({"text/plain": f"    {title}"}, raw=True, display_id=True)

    def _write(self, text: str) -> None:
        self._line.update({"text/plain": clean(text)}, raw=True)


def _plain_table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """Columns without rules or trailing blanks, not cut to a width, since a pipe has none."""
    widths = [max(len(line[i]) for line in (header, *rows)) for i in range(len(header))]
    return "\n".join(
        "  "
        + "  ".join(
            cell.rjust(width) if to_the_right else cell.ljust(width)
            for cell, width, to_the_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in (header, *rows)
    )


def _rate(speed: float, unit: str) -> str:
    amount = _units(f"{speed:,.0f}" if speed >= 10 else f"{speed:.2g}", unit)
    return f"{amount}/s"


def _units(amount: str, unit: str) -> str:
    """An amount with its unit, a plural, as in ``1 token``, ``1/6 runs`` and, without a unit, ``1``."""
    return f"{amount} {unit.removesuffix('s') if amount.rpartition('/')[2] == '1' else unit}".rstrip()


def _seconds(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes else f"{seconds:.1f} s"


def _shown(stats: dict[str, float | str]) -> str:
    return " ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in stats.items())


def _numeric(cell: object) -> bool:
    if isinstance(cell, bool):
        return False
    return isinstance(cell, (int, float)) or str(cell).strip("+-−.%[], ").replace(",", "").replace(".", "").isdigit()


def _cell(cell: object) -> str:
    from bench.screen.text import number

    return "yes" if cell is True else "no" if cell is False else number(cell)
