"""README and docs against the code: commands parse, links resolve, exit codes and flags are those there are."""

from __future__ import annotations

import argparse
import ast
import json
import re
import shlex
from collections.abc import Iterator
from functools import reduce
from importlib import import_module
from itertools import pairwise
from operator import getitem
from pathlib import Path

import pytest

from bench import cli, errors
from bench.api.architecture import Adapter
from bench.cli import MODULES
from bench.cli.parser import Parser, parse
from bench.cli.run import configuration
from bench.config import INVARIANTS, OPTIONS
from bench.errors import BenchError, UsageError
from bench.options import Option
from bench.registry import KINDS, load
from bench.steps.resume import LIMITS
from bench.studies.request import STUDY_OPTIONS

ROOT = Path(__file__).parents[2]
TOP = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
PAGES = [*(ROOT / name for name in TOP), *sorted((ROOT / "docs").glob("*.md"))]
LINKING = [
    *PAGES,
    *(path for folder in ("docs/results", "tasks", "examples", "benchmarks") for path in sorted((ROOT / folder).rglob("*.md"))),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
"""Of pages and of images."""
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
FOREIGN = ("pip ", "tox", "hf ", "wandb ", "git ", "apt ", "python")
"""Other programs, whose flags are none of ours."""
PLACEHOLDERS = {"RUN", "NAME", "KIND", "PLUGIN", "FILE.toml"}
EXAMPLES = {"pair", "triage"}
"""Parts that the docs' own plugins make."""

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def fences(page: Path) -> Iterator[tuple[str, str]]:
    for match in FENCE.finditer(page.read_text(encoding="utf-8")):
        yield match[1], match[2]


def spans(page: Path) -> Iterator[str]:
    """Inline code, fenced blocks left out."""
    for match in re.finditer(r"`([^`]+)`", FENCE.sub("", page.read_text(encoding="utf-8"))):
        yield " ".join(match[1].replace("\\|", "|").split())


def commands(page: Path) -> Iterator[str]:
    """Every `bench …` that a reader could type, from blocks and from running text."""
    for language, block in fences(page):
        for line in block.splitlines() if language in ("", "bash", "console") else ():
            for part in line.removeprefix("$ ").split("  #")[0].split("&&"):
                if part.strip().startswith("bench "):
                    yield part.strip()
    yield from (span for span in spans(page) if span.startswith("bench ") and not re.search(r"[…\[]", span))


def parser_of(command: str) -> Parser:
    module = import_module(f"bench.cli.{MODULES.get(command, command)}")
    parser = Parser(prog=f"bench {command}")
    module.configure(parser)
    return parser


def options(parser: argparse.ArgumentParser) -> set[str]:
    return {option for action in parser._actions for option in action.option_strings if option.startswith("--")}


@pages
def test_every_command_on_the_page_parses(page: Path) -> None:
    registry = load()
    for command in commands(page):
        words = shlex.split(command.partition(" > ")[0])[1:]
        if words[0].startswith("-"):
            assert words[0] in {"--help", "--version"}, command
            continue
        assert words[0] in cli.COMMANDS, command
        if len(words) == 1:  # the name of a command, not a call of it
            continue
        try:
            args = parse(parser_of(words[0]), words[1:])
        except UsageError as error:  # `bench score --json` in running text names a flag and is no whole call
            if " wants " in error.message and command in set(spans(page)):
                continue
            pytest.fail(f"{command}: {error}")
        assert args is not None, command
        if words[0] != "run":
            continue
        if args.config is None:
            configuration(args)  # numbers in range, one budget, no unknown choice
        for kind, name in (
            *(("tasks", task) for task in args.task or ()),
            ("architectures", args.arch),
            ("quantizers", args.quant),
            *(("trackers", tracker) for tracker in args.tracker or () if tracker != "none"),
            *((("models", args.model),) if args.model and "/" not in args.model else ()),
        ):
            if name is not None and name not in PLACEHOLDERS | EXAMPLES and not name.endswith(".toml"):
                registry.get(kind, name)
        assert set(args.waive or ()) <= set(INVARIANTS), command


def test_the_readme_has_the_two_commands_and_room_for_their_output() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    first = next(block for language, block in fences(ROOT / "README.md") if not language)
    assert first.splitlines() == [
        "pip install -c constraints.txt '.[all]' && bench run --task 2015-T14 --arch A2 --quant gptq",
        "pip install tox && tox",
    ]
    assert text.index("<!-- output: main job -->") < text.index("<!-- end of output -->")


@pytest.mark.parametrize("page", LINKING, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_resolves(page: Path) -> None:
    for target in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{page.name} links to {target}"
        assert ROOT in linked.parents, f"{page.name} links out of the repository: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}, target


@pages
def test_every_path_in_code_style_below_a_folder_of_ours_exists(page: Path) -> None:
    parts = {f"{kind}/{entry.name}" for kind in KINDS for entry in load().entries(kind)}  # as `bench check` takes them
    for span in set(spans(page)) - parts:
        if re.fullmatch(r"(bench|plugins|tasks|tests|docs|examples|benchmarks)/[\w./-]+", span):
            assert (ROOT / span).exists(), f"{page.name} names {span}"


@pages
def test_every_flag_on_the_page_exists(page: Path) -> None:
    known = {"--help", "--version"}.union(*(options(parser_of(name)) for name in cli.COMMANDS))
    lines = [line for _, block in fences(page) for line in block.splitlines()] + list(spans(page))
    for line in lines:
        ours = re.split(r"&&|\|\|", line.removeprefix("$ ")) if "pip install" in line else [line.removeprefix("$ ")]
        for part in ours:
            if not part.strip().startswith(FOREIGN):
                # `bench list` names the command that gets a part; what launches bench has flags of its own
                others = re.compile(r"install (with )?--no-deps|^accelerate launch.* -m bench")
                assert set(FLAG.findall(others.sub("", part.strip()))) <= known, f"{page.name}: {part}"


def test_every_flag_of_run_is_explained_in_the_table() -> None:
    text = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
    explained = re.findall(r"^\| `(--[a-z-]+)[^`]*` \|", text, re.MULTILINE)
    assert len(explained) == len(set(explained))
    assert set(explained) == options(parser_of("run")) - {"--help"}


@pytest.mark.parametrize(("page", "table"), [("running.md", OPTIONS), ("studies.md", STUDY_OPTIONS)])
def test_values_and_defaults_in_the_table_are_those_of_the_code(page: str, table: dict[str, Option]) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8").replace("\\|", "¦")
    found = re.findall(r"^\| `(--[a-z-]+) ?([^`]*)` \| ([^|]+) \|", text, re.MULTILINE)
    rows = {flag: (metavar, default) for flag, metavar, default in found}
    for option in table.values():
        metavar, default = rows[option.flag]
        assert metavar.replace("¦", "|") == option.metavar, option.flag
        assert default.strip().strip("`") == (option.shown_default or "–"), option.flag


def test_what_may_be_given_anew_to_a_resumed_run_is_told() -> None:
    text = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
    (told,) = re.findall(r"cannot change the outcome: (.*?)\.\s", text, re.DOTALL)
    assert {*FLAG.findall(told)} == {OPTIONS[name].flag for name in LIMITS}


def exit_codes() -> set[int]:
    """Of the errors, of the help, and of every `return NUMBER` in the command line's main function."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, BenchError)]
    tree = ast.parse(Path(cli.__file__).read_text(encoding="utf-8"))
    main = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main")
    returned = {
        node.value.value
        for node in ast.walk(main)
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, int)
    }
    told = {int(code) for code in re.findall(r"(?:^|\s{2,})(\d{1,3})\s{2,}", cli.EXIT_CODES)}
    return {0, cli.BUG} | {kind.exit_code for kind in kinds} | returned | told


def test_the_exit_codes_are_those_of_the_code() -> None:
    text = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
    table = [int(code) for code in re.findall(r"^\| (\d+) \| ", text, re.MULTILINE)]
    assert table == sorted(exit_codes())
    assert {0, 1, 2, 3, 70, 130, 141} <= set(table)


def test_the_list_of_parts_names_every_part_of_ours() -> None:
    text = next(block for _, block in fences(ROOT / "docs" / "parts.md") if block.startswith("$ bench list\n"))
    listed = re.findall(r"^  (\S+) +(\S+) +bench-suite +(?:ready|pip install .+?') +(.+)$", text, re.MULTILINE)
    registry = load()
    parts = [
        (entry.name, entry.part.version, entry.part.summary)
        for kind in KINDS
        for entry in registry.entries(kind)
        if entry.distribution == "bench-suite"
    ]
    assert listed == parts


def test_the_scores_on_the_page_are_what_bench_score_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = [block for _, block in fences(ROOT / "docs" / "scoring.md")]
    files = re.split(r"^\$ cat (\S+)\n", next(b for b in blocks if b.startswith("$ cat gold/")), flags=re.MULTILINE)[1:]
    for name, content in zip(files[::2], files[1::2], strict=True):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(content, encoding="utf-8")
    command, _, output = next(b for b in blocks if b.startswith("$ bench score")).partition("\n")
    words = shlex.split(command)[2:]
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == 0
    assert capsys.readouterr().out.rstrip() == output.rstrip()
    assert cli.main([*words, "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    counts, rest = output.split("\n\n")
    head, *rows = [line.split() for line in counts.splitlines()]
    printed = {f"{row[0]}.{name}": value for row in rows for name, value in zip(head[1:], row[1:], strict=True)}
    printed |= dict(line.split() for line in rest.splitlines())
    assert len(printed) == 43
    for name, value in printed.items():
        assert reduce(getitem, name.split("."), scores) == pytest.approx(float(value), abs=5e-4), name


def test_the_plugin_in_the_readme_is_short_and_works() -> None:
    readme = next(block for language, block in fences(ROOT / "README.md") if language == "python")
    assert sum(bool(line.strip()) and not line.startswith("#") for line in readme.splitlines()) <= 15
    names: dict[str, object] = {"__name__": "bench_pair"}
    exec(compile(readme, "README.md", "exec"), names)
    (pair,) = names["bench_architectures"]()  # type: ignore[operator]
    assert pair.adapters(["a", "b"]) == (Adapter("left", "shared"), Adapter("right", "shared"))
    assert pair.passes("a") == (("left", "right"),)
    assert pair.name in EXAMPLES


def sources() -> str:
    """All code in one line, literals that stand side by side joined as Python joins them."""
    files = [p for folder in ("bench", "plugins", "tasks") for p in sorted((ROOT / folder).rglob("*.py"))]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    told = re.sub(r"\{some\([^{}]*, '([a-z ]+)'\)\}", r"{} \1s", text)  # a count with its noun
    return " ".join(re.sub(r"\"\s*\n\s*f?\"", "", told).split())


@pytest.mark.parametrize("name", ["invariants.md", "data.md", "models.md"])
def test_quoted_messages_are_those_of_the_code(name: str) -> None:
    """Of each quotation most of the words, values left out, stand in the code in this order."""
    code = sources()
    quotes = re.findall(r"(?:^>.*\n)+", (ROOT / "docs" / name).read_text(encoding="utf-8"), re.MULTILINE)
    assert quotes
    for quote in quotes:
        text = " ".join(re.sub(r"^> ?", "", quote, flags=re.MULTILINE).split()).split("does not hold: ")[-1]
        words = [word if re.fullmatch(r"[a-z,;:'-]+", word) else "" for word in text.split()]
        found = [False] * len(words)
        for at in range(len(words) - 2):
            if all(words[at : at + 3]) and " ".join(words[at : at + 3]).rstrip(",;:'") in code:
                found[at : at + 3] = [True] * 3
        if not any(found):  # hardly a word that is no value
            found = [" ".join(pair).rstrip(",;:'") in code for pair in pairwise(words) if all(pair)]
            words = ["pair"] * len(found)
        assert sum(found) >= min(4, 0.6 * sum(map(bool, words))) > 0, text
