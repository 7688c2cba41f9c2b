"""The command line: one module a command, imported when it is typed, and one place where errors become messages."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from bench import __version__
from bench.errors import BenchError, DataWarning, MissingError, OutOfMemory, StorageError, UsageError, out_of_memory, unknown

COMMANDS = {
    "list": "every installed part (tasks, heads, architectures, models and more), and what is broken",
    "show": "one part, or one run, in detail",
    "demo": "a small comparison on made-up text, trained in a few minutes, for trying the other commands",
    "run": "train, quantize and evaluate one arm under all five invariants",
    "study": "run a plan of runs that are compared, stopped and continued at any time",
    "plan-power": "how many seeds and documents find a difference, from runs or stated variances",
    "compare": "compare finished runs: the contract, then the statistics",
    "verify": "hold finished runs against all that is there, and sign what was found",
    "board": "all runs of a folder, filtered and sorted",
    "pool": "one study at several sites whose corpora stay there: share, check, pool",
    "report": "runs or a study as one page, with tables and figures as files",
    "probe": "what a run's shared and private adapters encode, by linear probes",
    "contamination": "text that splits share, and whether a decoder seems to know the test text",
    "predict": "what a finished run's model finds in your own texts",
    "serve": "a page, and an endpoint for programs, that tell what a run's model finds in a text",
    "export": "what a run trained as a folder used without bench: merged, as PEFT adapter, or as ONNX",
    "score": "score any system's files by a task's official rules",
    "import-predictions": "the prediction files of any system as results beside runs",
    "data": "arrange a corpus's release in the layout that --data wants",
    "convert": "write a model's pickled weights as safetensors, without running what is in them",
    "check": "hold a plugin against the conformance checks",
    "doctor": "what this machine has, what is missing, and how to get it",
    "sync": "bring a run's trackers up to date with its journal",
    "completion": "what makes the Tab key complete bench in a shell",
}

MODULES = {"list": "list_", "import-predictions": "import_predictions", "plan-power": "plan_power"}
"""Commands whose module cannot have their name."""

COMPUTE = ("demo", "probe", "contamination", "predict", "serve", "export", "check")
"""Commands that run a model in this process, beside `run`, which settles threads itself."""

EXIT_CODES = """exit codes:
  0    done                                  5    a package, compiler or model is missing
  1    failed, e.g. a conformance check      6    the run folder is locked, unfinished, damaged or changed
  2    a name, number or option is wrong     7    the disk is full or cannot be written
  3    an invariant or a contract fails      8    memory ran out; a run that was begun can be resumed
  4    a corpus file cannot be read          70   a bug in bench
                                             130  interrupted; a run in training saved a checkpoint
                                             141  the reader of the output closed the pipe"""

EXAMPLES = """examples:
  bench list quantizers
  bench run --task 2015-T14 --arch A2 --quant gptq
  bench score 2015-T14 --gold gold/ --pred mine/"""

BUG = 70
INSTALL = "pip install 'bench-suite[all]'; bench doctor says what is missing"
LONGEST_PATH = 200
_STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
_PATHS = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR)
"""Of a path that somebody gave and that cannot be one, wherever that is noticed."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command from the words after `bench`, the process's own where None; returns one of `EXIT_CODES`."""
    if "_ARGCOMPLETE" in os.environ:  # a shell asks, after `bench completion`
        from bench.cli.completion import complete

        complete()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            code = _dispatch([*(sys.argv[1:] if argv is None else argv)])
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read has gone; without this the interpreter would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except BenchError as error:
        return _tell(error)
    except KeyboardInterrupt:
        return _tell(BenchError("Interrupted."), 130)
    except Exception as error:
        if out_of_memory(error):
            return _tell(OutOfMemory("in this command", "Free memory, or give it less at once."))
        if isinstance(error, ModuleNotFoundError) and (absent := (error.name or "").partition(".")[0]) and absent != "bench":
            return _tell(MissingError(f"This command needs the package {absent}, which is not installed.", INSTALL))
        if isinstance(error, OSError) and error.errno in _STORAGE:
            return _tell(StorageError(f"Cannot write {error.filename or 'to disk'}: {error.strerror}."))
        if isinstance(error, OSError) and error.filename is not None and error.errno in _PATHS:
            path = str(error.filename)
            shown = path if len(path) <= LONGEST_PATH else f"{path[:LONGEST_PATH]}…"
            return _tell(UsageError(f"{shown}: {error.strerror}.", "Correct the path."))
        return _bug(error)


def _dispatch(words: list[str]) -> int:
    from bench.cli.parser import Parser, parse

    if words and words[0] in COMMANDS:
        name = words[0]
        module = import_module(f"bench.cli.{MODULES.get(name, name)}")
        parser = Parser(prog=f"bench {name}")
        module.configure(parser)
        args = parse(parser, words[1:])
        if args is None:
            return 0
        if name in COMPUTE:
            from bench.steps.threads import settle_threads

            settle_threads(os.environ)
        return int(module.run(args))
    if words and not words[0].startswith("-"):
        raise unknown("command", words[0], COMMANDS, "bench --help")
    listing = "\n".join(f"  {name:<18} {summary}" for name, summary in COMMANDS.items())
    parser = Parser(
        prog="bench",
        usage="bench COMMAND [...]   (bench COMMAND --help says more)",
        description="Fair fine-tuning comparisons for clinical and biomedical NLP: tokens, parameters and chance controlled.",
        epilog=f"commands:\n{listing}\n\n{EXAMPLES}\n\n{EXIT_CODES}",
    )
    parser.add_argument("--version", action="store_true", help="show the version and the commit, and exit")
    args = parse(parser, words)
    if args is not None and args.version:
        _version()
    elif args is not None:
        parser.print_help()
    return 0


def _version() -> None:
    from bench.results.environment import git
    from bench.screen.terminal import say

    at = git()
    commit = f", commit {at['commit'][:12]}" if at["commit"] else ""
    say(f"bench {__version__}{commit}{', changed since' * bool(at['dirty'])}")


def _warn(message: Warning | str, category: type[Warning], filename: str, lineno: int, *rest: Any, **named: Any) -> None:
    """In our words where it is ours, else in Python's; in both without control characters."""
    from bench.registry import PluginWarning
    from bench.screen.terminal import clean, paint, say
    from bench.screen.text import wrapped

    if category.__name__ == "DependencyWarning":  # of urllib3, about proxies that nobody uses, when a tracker is imported
        return
    if issubclass(category, (DataWarning, PluginWarning)):
        text = wrapped(f"warning: {clean(str(message))}", sys.stderr).removeprefix("warning:")
        say(f"{paint('warning:', 'yellow', sys.stderr)}{text}", sys.stderr)
    else:
        say(warnings.formatwarning(message, category, filename, lineno), sys.stderr, end="")


def _tell(error: BenchError, code: int | None = None) -> int:
    from bench.screen.terminal import paint, say
    from bench.screen.text import wrapped

    code = error.exit_code if code is None else code
    if _another_tells():
        return code
    hint = f"\n{error.hint}" if error.hint else ""
    text = wrapped(f"error: {error.message}{hint}", sys.stderr).removeprefix("error:")
    say(f"{paint('error:', 'red', sys.stderr)}{text}", sys.stderr)
    return code


def _bug(error: BaseException) -> int:
    """Names the place, never the exception's message or a value: either could quote a corpus."""
    import traceback

    from bench.screen.terminal import say

    if os.environ.get("BENCH_DEBUG", "") not in ("", "0"):
        say("".join(traceback.format_exception(error)), sys.stderr, end="")
        return BUG
    if _another_tells():
        return BUG
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    say(f"error: This is a bug in bench or in a plugin: {type(error).__name__}, raised in", sys.stderr)
    for frame in frames:
        say(f"  {'/'.join(Path(frame.filename).parts[-3:])}:{frame.lineno} in {frame.name}", sys.stderr)
    say(
        "Please report these lines with the output of 'bench doctor'. BENCH_DEBUG=1 shows the full traceback, "
        "which may quote your data.",
        sys.stderr,
    )
    return BUG


def _another_tells() -> bool:
    """Whether this is one of several processes of a run, and not the first, which tells what ended any of them."""
    from bench.training.processes import launched

    return not launched().main
