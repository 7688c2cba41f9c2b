"""Checks of a quantizer, on the first tiny model that it supports."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.api.architecture import Adapter, Architecture
from bench.api.model import Model
from bench.api.quantizer import QuantizedWeights, Quantizer
from bench.conformance import architectures
from bench.conformance.common import dead, described
from bench.conformance.workbench import Workbench, contents, expect, named, own_temp, scramble, without_heavy_imports
from bench.wording import some

if TYPE_CHECKING:
    from torch import Tensor, nn

EXAMPLES = 12
_TELLING = 5
"""So many consecutive token ids are not in a file by chance."""
_WORST = 0.9
_BITS_OFF = 0.1
"""Share by which the bits that a quantizer tells of may be off; scales and zero points count as bits."""


class _OneAdapter(Architecture):
    name, version, summary = "one", "1", "one adapter"

    def adapters(self, tasks: Sequence[str]) -> tuple[Adapter, ...]:
        return (Adapter("only", "shared"),)

    def passes(self, task: str) -> tuple[tuple[str, ...], ...]:
        return (("only",),)


def metadata(quantizer: Quantizer, bench: Workbench) -> str:
    """`bits`, `group_size` and `when` are valid, and `supports` works without torch."""
    described(quantizer, citation=False)
    when = tuple(quantizer.when)
    expect(len(when) > 0 and set(when) <= {"load", "after"}, f"when is {when!r}; wanted 'load', 'after' or both")
    expect(0 < quantizer.bits <= 32, f"bits is {quantizer.bits!r}; wanted bits per weight, up to 32")
    expect(quantizer.group_size == -1 or quantizer.group_size > 0, f"group_size is {quantizer.group_size!r}; -1 is a whole row")
    expect(isinstance(quantizer.sym, bool), f"sym is {quantizer.sym!r}; wanted True or False")
    reused = quantizer.reused
    expect(reused in (None, "model", "calibration"), f"reused is {reused!r}; wanted 'model', 'calibration' or None")
    answers = []
    with without_heavy_imports():
        for model in bench.tiny_models():
            for moment in when:
                answer = quantizer.supports(model.spec(), moment, "cpu")
                ok = answer is None or (isinstance(answer, str) and answer.strip() != "" and "\n" not in answer)
                expect(ok, f"supports gives {answer!r} for {model.name}; wanted None, or the reason in one line")
                answers.append(answer)
    expect(None in answers, f"supports refuses every tiny model, so nothing can be tried: {answers[0]}")
    return f"{quantizer.bits:g} bits, {' or '.join(when)}"


def determinism(quantizer: Quantizer, bench: Workbench) -> str:
    """The same model and calibration give the same bytes; so does another calibration where ``reused`` is ``model``."""
    first, _ = quantized(quantizer, bench)
    scramble(2)
    again = bench.fresh("again") / "q"
    other = quantizer.reused == "model"
    quantizer.quantize(_source(quantizer, bench), again, calibration()[1 if other else 0 :], "cpu")
    left, right = contents(first), contents(again)
    odd = sorted(n for n in {*left, *right} if left.get(n) != right.get(n))
    how = "on another calibration, which reused = 'model' says is nothing to it," if other else "twice"
    expect(not odd, f"quantizing {how} gives other bytes in {named(odd)}")
    return some(len(left), "file")


def gradients(quantizer: Quantizer, bench: Workbench) -> str:
    """LoRA trains on the quantized base: after two updates and an evaluation, every adapter tensor has a gradient."""
    from bench.adapters.attach import attach
    from bench.api.architecture import ParameterBudget

    folder, _ = quantized(quantizer, bench)
    base = _load(quantizer, folder)
    free = [n for n, p in base.named_parameters() if p.requires_grad]
    expect(not free, f"load gives a base that is not frozen: {named(free)}")
    arm, tasks = _OneAdapter(), architectures.TASKS[:1]
    model = attach(arm, base, tasks, ParameterBudget(4, _subject(quantizer, bench).spec().linears))
    architectures.train(model, tasks[0])
    trainable = model.trainable(tasks[0])
    still = dead(trainable)
    expect(
        not still,
        f"{len(still)} of {some(len(trainable), 'adapter tensor')}: no gradient after two updates and an evaluation: "
        f"{named(still)}",
    )
    return some(len(trainable), "adapter tensor")


def save_and_load(quantizer: Quantizer, bench: Workbench) -> str:
    """The folder is complete, holds safetensors only, and gives the same outputs when it is copied and loaded again."""
    import torch

    from bench.modeling.backbone import load_backbone
    from bench.modeling.files import PICKLES, weight_bytes, weight_files
    from bench.modeling.packed import bits_per_weight

    folder, weights = quantized(quantizer, bench)
    weight_files(folder)
    foreign = sorted(p.name for p in folder.rglob("*") if p.suffix in (*PICKLES, ".py"))
    expect(not foreign, f"the folder holds {named(foreign)}; wanted safetensors, JSON and text, nothing that could run")
    size = weight_bytes(folder)
    expect(weights.bytes == size, f"quantize tells of {some(weights.bytes, 'byte')}; the weight files have {size:,}")
    bits = weights.bits_per_weight
    expect(0.9 * min(quantizer.bits, 16) <= bits <= 33, f"{bits:.2f} bits per weight for {quantizer.bits:g} nominal bits")
    spec = _subject(quantizer, bench).spec()
    kept = bits_per_weight(folder, spec.linears)
    if not kept:  # tensors have names of their own: all bytes, less four for every number outside of these layers, are theirs
        count = sum(shape.inputs * shape.outputs for shape in spec.linears)
        kept = max(bits, 8 * (size - 4 * (spec.parameters - count)) / count)
    expect(
        abs(kept - bits) <= _BITS_OFF * bits,
        f"quantize tells of {bits:.2f} bits per weight; the files hold {kept:.2f} for each weight of the linear layers",
    )
    before = _hidden(_load(quantizer, folder))
    moved = bench.fresh("moved") / "q"
    shutil.copytree(folder, moved)
    after = _hidden(_load(quantizer, moved))
    expect(torch.equal(before, after), "loaded from a copy of its folder, the model gives other outputs")
    plain = _hidden(load_backbone(_source(quantizer, bench), torch.float32, "cpu"))
    error = float((after - plain).norm() / plain.norm())
    expect(error < _WORST, f"relative output error {error:.2f} against the unquantized model; that is another model")
    return f"{bits:.2f} bits per weight, {some(size, 'byte')}, relative output error {error:.3f}"


def privacy(quantizer: Quantizer, bench: Workbench) -> str:
    """No calibration text, as token ids or as words, is left in the folder or among temporary files."""
    from bench.modeling.backbone import load_tokenizer

    folder, _ = quantized(quantizer, bench)
    tokenizer = load_tokenizer(_source(quantizer, bench))
    left = bench.once(quantizer, "temp", lambda: bench.fresh("temp"))
    files = [(p, p.read_bytes()) for root in (folder, folder.parent, left) for p in root.rglob("*") if p.is_file()]
    for row in calibration():
        ids = row[4 : 4 + _TELLING]
        spelt = re.compile(rb"(?<!\d)" + rb"\D{1,9}".join(str(i).encode() for i in ids) + rb"(?!\d)")
        raw = [b"".join(i.to_bytes(size, "little") for i in ids) for size in (2, 4, 8)]
        text = str(tokenizer.decode(ids)).strip().encode()
        for path, content in files:
            numbers = spelt.search(content)
            places = {
                "token ids as numbers": -1 if numbers is None else numbers.start(),
                "token ids as bytes": max(content.find(r) for r in raw),
                "words": content.find(text) if len(text) > _TELLING else -1,
            }
            for sort, at in places.items():
                expect(at < 0, f"{path.name} holds {sort} of the calibration examples, at byte {at:,}")
    return f"{some(len(files), 'file')}, {EXAMPLES} calibration examples"


def quantized(quantizer: Quantizer, bench: Workbench) -> tuple[Path, QuantizedWeights]:
    """The model of these checks, quantized; made once."""

    def make() -> tuple[Path, QuantizedWeights]:
        source, out = _source(quantizer, bench), bench.fresh("quantized") / "q"
        before = contents(source)
        scramble(1)
        with own_temp(bench.once(quantizer, "temp", lambda: bench.fresh("temp"))):
            weights = quantizer.quantize(source, out, calibration(), "cpu")
        expect(contents(source) == before, "quantize changes the pristine model's folder")
        return out, weights

    return bench.once(quantizer, "quantized", make)


def calibration() -> list[list[int]]:
    """Calibration examples of random token ids, which no model folder holds by chance."""
    draw = random.Random(5)
    return [[draw.randrange(300, 1000) for _ in range(32)] for _ in range(EXAMPLES)]


def _subject(quantizer: Quantizer, bench: Workbench) -> Model:
    models = bench.tiny_models()
    refused = [quantizer.supports(m.spec(), quantizer.when[0], "cpu") for m in models]
    fitting = [m for m, reason in zip(models, refused, strict=True) if reason is None]
    expect(bool(fitting), f"supports refuses every tiny model, so nothing can be tried: {refused[0]}")
    return fitting[0]


def _source(quantizer: Quantizer, bench: Workbench) -> Path:
    return bench.model_folder(_subject(quantizer, bench))


def _load(quantizer: Quantizer, folder: Path) -> nn.Module:
    import torch

    return quantizer.load(folder, torch.float32, "cpu")


def _hidden(backbone: nn.Module) -> Tensor:
    import torch

    ids, mask = architectures.batch()
    with torch.no_grad():
        states: Tensor = backbone.eval()(input_ids=ids, attention_mask=mask).last_hidden_state
    return states[mask.bool()].float()


CHECKS: Mapping[str, Callable[[Quantizer, Workbench], str]] = {
    "metadata": metadata,
    "determinism": determinism,
    "gradients": gradients,
    "save-and-load": save_and_load,
    "privacy": privacy,
}
