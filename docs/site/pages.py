"""What MkDocs builds the site from: pages of the repository by their own paths, and reference pages made from the code."""

from __future__ import annotations

import ast
import posixpath
import re
from argparse import SUPPRESS, Action
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from runpy import run_path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from bench.cli import COMMANDS, EXIT_CODES, MODULES
from bench.cli.parser import Parser

ROOT = Path(__file__).resolve().parents[2]
TOP = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE")
FOLDERS = ("docs/*", "docs/results/**/*", "tasks/bench_tasks/*/README.md", "examples/*/README.md", "benchmarks/README.md")
LEFT_OUT = (".py", ".pyc", ".tex")
API = (
    *("bench.library.functions", "bench.library.results", "bench.steps.trained", "bench.results.schema"),
    *("bench.errors", "bench.hooks", "bench.testing"),
    *sorted(f"bench.api.{path.stem}" for path in ROOT.glob("bench/api/[a-z]*.py")),
)
KIT = sorted(f"bench.kit.{path.stem}" for path in ROOT.glob("bench/kit/[a-z]*.py"))
LINK = re.compile(r"(\]\()([^)\s#]+\.(?:py|toml|ipynb))\)")
LANGUAGES = {"py": "python", "toml": "toml", "ipynb": "json"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Puts the pages that are counted, not listed, into the navigation."""
    tasks = [{_name(path): _uri(path)} for path in sorted(ROOT.glob("tasks/bench_tasks/*/README.md"))]
    python = [
        *({name: f"reference/{name}.md"} for name in API),
        {"bench.kit": [{name.rpartition(".")[2]: f"reference/{name}.md"} for name in KIT]},
    ]
    config.nav = _filled(config.nav, {"TASKS": tasks, "PYTHON": python})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the repository's pages and what they show, the sources that they link to, and the pages made from the code."""
    found = {ROOT / name for name in TOP}.union(*(ROOT.glob(pattern) for pattern in FOLDERS))
    pages = sorted(path for path in found if path.is_file() and path.suffix not in LEFT_OUT)
    for path in pages:
        uri = _uri(path)
        place = "LICENSE.txt" if uri == "LICENSE" else uri.removeprefix("docs/")
        if path.suffix == ".md":
            place = re.sub(r"(^|/)README$", r"\1index", place.removesuffix(".md")) + ".html"
        files.append(File(uri, str(ROOT), config.site_dir, False, dest_uri=place))
    made = {
        "reference/commands.md": _commands(),
        "reference/result.md": _result(),
        **{f"reference/{name}.md": _module(name) for name in (*API, *KIT)},
        **{f"source/{_uri(path)}.md": _source(path) for path in _linked(path for path in pages if path.suffix == ".md")},
    }
    for uri, text in made.items():
        file = File.generated(config, uri, content=text)
        file.inclusion = file.inclusion.NOT_IN_NAV if uri.startswith("source/") else file.inclusion
        files.append(file)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Sends links to sources to the pages that show them."""
    folder = posixpath.dirname(page.file.src_uri)
    # GitHub wants a pipe in a table's code escaped, Python-Markdown does not.
    markdown = re.sub(
        r"^\|.*\|$", lambda row: re.sub(r"`[^`]+`", lambda c: c[0].replace("\\|", "|"), row[0]), markdown, flags=re.M
    )

    def sent(link: re.Match[str]) -> str:
        uri = posixpath.normpath(posixpath.join(folder, link[2]))
        shown = f"source/{uri}.md"
        if files.get_file_from_path(shown) is None:
            return link[0]
        return f"{link[1]}{posixpath.relpath(shown, folder or '.')})"

    return LINK.sub(sent, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Sends a link named `FILE::FUNCTION` to the line where the function begins; a heading of a table without text is none."""

    def sent(link: re.Match[str]) -> str:
        line, name = _line(ROOT / link[2], link[3]), link[3].replace("_", "_<wbr>")
        return f'<a href="{link[1]}#__codelineno-0-{line}" title="{link[2]}">{name}</a>' if line else link[0]

    html = re.sub(r"<th[^>]*></th>", "<td></td>", html)
    return re.sub(r'<a href="([^"#]+)">([\w/.]+\.py)::(\w+)</a>', sent, html)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Names the dialog of the search, which the theme leaves without a name, for readers of the screen."""
    return output.replace('class="md-search"', 'class="md-search" aria-label="Search"', 1)


def on_post_build(config: MkDocsConfig) -> None:
    """Fails the build where a page would fetch anything from elsewhere.

    Raises:
        PluginError: a script, style sheet, image or frame that is not part of the site, with its page.
    """
    for path in sorted(Path(config.site_dir).rglob("*.html")):
        assets = Assets()
        assets.feed(path.read_text(encoding="utf-8"))
        if outside := [url for url in assets.urls if re.match(r"(https?:)?//", url)]:
            raise PluginError(f"{path.relative_to(config.site_dir)} fetches {', '.join(outside)} from elsewhere.")


class Assets(HTMLParser):
    """Collects what a browser fetches by itself to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Takes sources of any element, and targets of `link` but those that only name another page."""
        of = dict(attrs)
        if tag == "link" and of.get("rel") not in ("canonical", "prev", "next", "edit"):
            self.urls.append(of.get("href") or "")
        self.urls.append(of.get("src") or "")


def _uri(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _name(readme: Path) -> str:
    """What a task's page is about, without what the name stands for."""
    return readme.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ").partition(":")[0]


def _filled(nav: Any, lists: dict[str, list[Any]]) -> Any:
    """The navigation with each ``[NAME]`` replaced by the list of that name."""
    if isinstance(nav, list):
        return next((pages for name, pages in lists.items() if nav == [name]), [_filled(item, lists) for item in nav])
    return {title: _filled(item, lists) for title, item in nav.items()} if isinstance(nav, dict) else nav


def _linked(pages: Iterable[Path]) -> set[Path]:
    """The sources that pages link to."""
    targets = {(page.parent / link[2]).resolve() for page in pages for link in LINK.finditer(page.read_text(encoding="utf-8"))}
    return {path for path in targets if path.is_file() and ROOT in path.parents}


def _source(path: Path) -> str:
    language = LANGUAGES[path.suffix[1:]]
    head = "---\nsearch: {exclude: true}\n---\n\n"
    return f"{head}# {_uri(path)}\n\n`````{{.{language} linenums=1}}\n{path.read_text(encoding='utf-8')}\n`````\n"


def _line(path: Path, name: str) -> int | None:
    """Where a function of a Python file begins."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return next((node.lineno for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name), None)


def _module(name: str) -> str:
    return f"# {name}\n\n::: {name}\n"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(' '.join(cell.split()) for cell in line)} |" for line in lines) + "\n\n"


def _code(text: str) -> str:
    return f"`{text}`"


def _commands() -> str:
    """Every command with its flags, from the parsers themselves."""
    text = "# Commands\n\nMade from the parsers, as `bench COMMAND --help` is. [Running](../docs/running.md#flags) explains "
    text += "the flags of a run.\n\n"
    text += _table(("command", "what it does"), ((f"[`bench {name}`](#bench-{name})", line) for name, line in COMMANDS.items()))
    for name, summary in COMMANDS.items():
        parser = Parser(prog=f"bench {name}")
        import_module(f"bench.cli.{MODULES.get(name, name)}").configure(parser)
        usage = re.sub(r"^(usage:)? +", "", parser.format_usage().rstrip(), flags=re.MULTILINE)
        text += f"## bench {name}\n\n{parser.description or summary}\n\n```\n{usage}\n```\n\n"
        for group in parser._action_groups:
            rows = [_row(action) for action in group._group_actions if action.help != SUPPRESS and action.dest != "help"]
            if rows:
                text += f"**{(group.title or '').capitalize()}**\n\n{_table(('argument', 'what it is'), rows)}"
        if parser.epilog:
            text += f"```\n{parser.epilog}\n```\n\n"
    return f"{text}## Exit codes\n\n```\n{EXIT_CODES}\n```\n"


def _row(action: Action) -> tuple[str, str]:
    value = action.metavar or (f"{{{','.join(map(str, action.choices))}}}" if action.choices else action.dest.upper())
    shown = value if isinstance(value, str) else " ".join(value)
    flags = ", ".join(action.option_strings)
    word = f"{flags} {shown}".strip() if action.nargs != 0 else flags
    return _code(word), (action.help or "").replace("%%", "%").replace("|", "\\|").replace("<", "&lt;")


def _result() -> str:
    """The JSON Schema of `result.json` as tables."""
    schema = run_path(str(ROOT / "docs" / "result_schema.py"))["schema"]()
    parts = {"Result": schema, **schema["$defs"]}
    text = (
        "# Types of result.json\n\nMade from the dataclasses of `bench.results`, as its "
        "[JSON Schema](../docs/result.schema.json) is. [Files of a run](../docs/results.md) says what each name means. "
        "A name that is not *always* there may be absent.\n\n"
    )
    for name, part in parts.items():
        always = set(part["required"])
        rows = ((_code(key), _kind(kind), "yes" if key in always else "") for key, kind in part["properties"].items())
        text += f"## {name}\n\n{part.get('description', '')}\n\n{_table(('name', 'type', 'always'), rows)}"
    return text


def _kind(kind: dict[str, Any]) -> str:
    """A JSON type in words."""
    return " or ".join(_kinds(kind)) or "anything"


def _kinds(kind: dict[str, Any]) -> Iterator[str]:
    if "$ref" in kind:
        name = kind["$ref"].rpartition("/")[2]
        yield f"[{name}](#{name.lower()})"
    elif "const" in kind:
        yield str(kind["const"])
    elif "enum" in kind:
        yield from (_code(str(value)) for value in kind["enum"])
    elif "anyOf" in kind:
        for option in kind["anyOf"]:
            yield from _kinds(option)
    elif kind.get("type") == "array":
        inner = ", ".join(_kind(one) for one in kind["prefixItems"]) if "prefixItems" in kind else _kind(kind["items"])
        yield f"list of ({inner})"
    elif isinstance(kind.get("additionalProperties"), dict):
        yield f"object of ({_kind(kind['additionalProperties'])})"
    elif "type" in kind:
        yield from (kind["type"] if isinstance(kind["type"], list) else [kind["type"]])
