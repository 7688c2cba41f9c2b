"""Names that users chose become names of files that every file system takes, and differ where they differed."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from bench_plugins.studies.ablation import Ablation
from hypothesis import given
from hypothesis import strategies as st

from bench.api.study import Request
from bench.config import RunConfig, run_id
from bench.naming import LONGEST_ID, LONGEST_NAME, bounded, joined
from bench.results.layout import predictions_name
from bench.results.store import write_bytes

NAMES = st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True), min_size=1, max_size=8, unique=True)


@given(NAMES, st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True))
def test_a_run_id_is_a_file_name_and_stays_what_it_was_where_it_fits(tasks: list[str], arm: str) -> None:
    config = RunConfig(task=tuple(tasks), arch=arm)
    ident = run_id(config)
    whole = f"{'+'.join(tasks)}_{arm}_none_{ident[-12:]}".lower()
    assert ident == whole or len(whole) > LONGEST_ID >= len(ident.encode())
    assert ident.startswith(tasks[0].lower())
    assert ident.endswith(f"_{arm}_none_{ident[-12:]}".lower())
    assert run_id(replace(config, seed=1)) != ident
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / f"offline-run-20250101_000000-{ident}").mkdir()
        write_bytes(Path(folder) / ident / predictions_name(tasks[0], "test", "unquantized"), b"")


def test_tasks_that_find_no_room_are_counted() -> None:
    tasks = tuple(f"{letter * 60}" for letter in "abcde")
    assert run_id(RunConfig(task=tasks)).startswith(f"{'a' * 60}+{'b' * 60}+{'c' * 60}+2-more_a1_none_")
    assert joined(["ab", "cd", "ef"], 8) == "ab+cd+ef"
    assert joined(["abcdefghij", "klmno", "pqrst"], 17) == "abcdefghij+2-more"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=400), st.integers(20, 255))
def test_a_name_that_is_too_long_is_cut_and_keeps_a_hash_of_all_of_it(name: str, longest: int) -> None:
    found = bounded(name, longest)
    assert len(found.encode()) <= longest
    if len(name.encode()) <= longest:
        assert found == name
    else:
        assert found != bounded(f"{name}x", longest)
        assert name.startswith(found[:-9])


@given(NAMES.filter(lambda names: len(names) > 1))
def test_keys_of_a_study_are_names_of_logs(tasks: list[str]) -> None:
    request = Request(RunConfig(task=tuple(tasks)), seeds=1, sets={"+".join(tasks): tuple(tasks)})
    runs = Ablation().plan(request)
    assert len({run.key for run in runs}) == 4
    assert all(len(f"{run.key}.plan.log".encode()) <= LONGEST_NAME + 9 for run in runs)
