"""Finds the base model of ``--model``: a short name, a local folder, or a hub id."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench import user_cache
from bench.api.model import Model, ModelSpec
from bench.api.part import Part
from bench.errors import BenchError, MissingError, UsageError, unknown
from bench.modeling.bidirectional import bidirectional_folder, refuse_slopes
from bench.modeling.convert import converted
from bench.modeling.files import only_pickles, sha256_folder
from bench.modeling.spec import inspect, read_config
from bench.modeling.text_stack import reads_more_than_text, text_stack

if TYPE_CHECKING:
    from bench.registry import Registry

Attention = Literal["causal", "bidirectional"]

_HUB = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
_WANTED = ("*.safetensors", "*.safetensors.index.json", "*.json", "vocab.txt", "merges.txt", "*.model")
_PICKLED = ("pytorch_model*.bin", "*.json", "vocab.txt", "merges.txt", "*.model")


class BaseModel:
    """A base model, named as the user typed it: its spec, its folder and its hash.

    It is a plugin's `model`, which may make a folder in the cache, or a folder that exists. Of a model that reads more than
    text it is the text stack, and `whole` names the kind of the whole. A decoder may be `bidirectional` (`attending`). The hash
    is that of the files as they came. A trial of the model (`bench.steps.trial`) shows the `rows` of its embedding table, if it
    tells, and the linear layers that no forward pass goes through (`unused`).
    """

    def __init__(self, name: str, cache: Path, model: Model | None = None, folder: Path | None = None) -> None:
        self.name = name
        self.part = model
        self.plumbing_only = bool(model and model.plumbing_only)
        self.rows: int | None = None
        self.unused: tuple[str, ...] = ()
        self.bidirectional = False
        self._cache = cache
        self._folder = folder
        config = read_config(folder) if folder is not None and folder.is_dir() else {}
        self.whole = str(config["model_type"]) if reads_more_than_text(config) else None
        self._spec = model.spec() if model else inspect(self.folder(), name)

    @property
    def spec(self) -> ModelSpec:
        """The model's spec, for planning; read without torch."""
        return self._spec

    def folder(self) -> Path:
        """The folder in Hugging Face's layout that is loaded; a plugin's is made at the first call."""
        folder = self._source()
        if self.whole is not None:
            folder = text_stack(folder, self.name, user_cache.private("derived"), self.sha256())
        if self.bidirectional:
            folder = bidirectional_folder(folder, user_cache.private("derived"), self.sha256())
        return folder

    def attending(self, attention: Attention | None) -> BaseModel:
        """The same decoder with causal attention, which is its own, or with bidirectional attention.

        Raises:
            UsageError: it is no decoder, or cannot see both ways.
        """
        if attention is None:
            return self
        spec = self.spec
        if not spec.causal:
            raise UsageError(
                f"--attention is for decoders; {spec.name} ({spec.model_type}) sees both ways as it is.",
                "Leave --attention out, or take a decoder, such as smollm2-135m.",
            )
        if attention == "causal":
            return self
        refuse_slopes(spec.name, read_config(self.folder()))
        model = copy(self)
        model.bidirectional, model._spec = True, replace(spec, causal=False)
        return model

    def _source(self) -> Path:
        """The folder that identifies the model."""
        if self._folder is None:
            if self.part is None:
                raise MissingError(f"Model {self.name!r} has neither a plugin nor a folder.")
            self._folder = self.part.folder(self._cache)
        return self._folder

    def loaded(self, spec: ModelSpec, rows: int | None, unused: tuple[str, ...]) -> BaseModel:
        """The same model with what a trial showed of it."""
        model = copy(self)
        model._spec, model.rows, model.unused = spec, rows, unused
        return model

    def sha256(self) -> str:
        """SHA-256 over weights, configuration and tokenizer as they came; cached for files that have not changed."""
        return sha256_folder(self._source())


def find_model(name: str, registry: Registry, cache: Path, convert: bool = False) -> BaseModel:
    """The base model of a name: a short one of the registry, a folder, or ``org/name@revision`` of the Hugging Face hub.

    Torch is imported only where a text stack is taken out of a model for the first time.

    Args:
        name: as the user typed it.
        registry: knows the short ones.
        cache: where models that are made or unpacked go, e.g. ``~/.cache/bench/models``.
        convert: whether pickled weights are converted into the user's cache.

    Raises:
        UsageError: there is no such model, or its folder cannot be used.
        MissingError: a package is not installed, or the hub cannot be reached.
    """
    known: dict[str, Part] = {e.name: e.part for e in registry.entries("models")}
    part = known.get(name)
    if isinstance(part, Model):
        missing = part.missing()
        if missing:
            raise MissingError(f"Model {name!r} needs {missing[0].module}, which is not installed.", missing[0].command)
        return BaseModel(name, cache, model=part)
    path = Path(name).expanduser()
    if path.is_dir() or path.is_absolute() or name.startswith((".", "~")):
        folder = path.resolve()
        return BaseModel(name, cache, folder=converted(folder) if convert and only_pickles(folder) else folder)
    match = _HUB.fullmatch(name)
    if match:
        folder = _download(match["repo"], match["revision"], _WANTED)
        if not any(folder.glob("*.safetensors")):
            if not convert:
                raise UsageError(
                    f"The hub's model {match['repo']} has no safetensors; pickles can run code, and a run never reads them.",
                    f"bench convert {name} FOLDER writes them as safetensors, without running anything; then --model FOLDER. "
                    "Or add --convert, which does so into the cache.",
                )
            folder = converted(pickled_folder(name), name)
        return BaseModel(name, cache, folder=folder)
    raise unknown_model(name, known)


def unknown_model(name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that is no base model: models of the hub have their organisation before them.

    Args:
        name: as it was typed.
        known: the short names that there are.
    """
    hint = f"Wanted a name of 'bench list models', a folder such as ./{name}, or the hub's org/name, such as org/{name}."
    return unknown("model", name, known, hint=hint)


def pickled_folder(name: str) -> Path:
    """The folder that `bench convert` reads: the given one, or the snapshot of a hub id with its pickles, which are not read.

    Raises:
        UsageError: the name is neither a folder nor a hub id.
        MissingError: the hub cannot be reached.
    """
    path, match = Path(name).expanduser(), _HUB.fullmatch(name)
    if path.is_dir() or match is None or name.startswith((".", "~", "/")):
        return path
    return _download(match["repo"], match["revision"], _PICKLED)


def _download(repo: str, revision: str | None, patterns: Sequence[str]) -> Path:
    """Downloads the wanted files of a hub id, none of which is code; gives the snapshot folder."""
    try:
        from huggingface_hub import errors, snapshot_download
    except ImportError:
        raise MissingError(
            "A hub id needs huggingface_hub, which is not installed.", "pip install 'bench-suite[train]'"
        ) from None
    try:
        folder = snapshot_download(repo, revision=revision, allow_patterns=list(patterns), etag_timeout=10)
    except errors.RevisionNotFoundError:
        raise UsageError(
            f"The hub's model {repo} has no revision {revision!r}.", f"See https://huggingface.co/{repo}/commits"
        ) from None
    except errors.GatedRepoError:
        raise MissingError(
            f"The hub's model {repo} asks for an agreement first.", f"Accept it at https://huggingface.co/{repo}"
        ) from None
    except errors.RepositoryNotFoundError:
        raise UsageError(f"The Hugging Face hub has no model {repo}, or it is private.", "See 'bench list models'.") from None
    except BenchError:
        raise
    except Exception as error:  # every transport has exceptions of X
        raise MissingError(
            f"Model {repo} is not on this machine, and the Hugging Face hub could not give it ({type(error).__name__}).",
            f"With a network: hf download {repo}. Without: --model FOLDER, or a name of 'bench list models'.",
        ) from None
    return Path(folder)
