"""Quantizers: how the base model's weights are stored."""

from collections.abc import Sequence

from bench.api.quantizer import Quantizer
from bench.hooks import hookimpl
from bench_plugins.quantizers.awq import Awq
from bench_plugins.quantizers.gptq import Gptq
from bench_plugins.quantizers.int8 import Int8
from bench_plugins.quantizers.nf4 import Nf4
from bench_plugins.quantizers.none import Unquantized
from bench_plugins.quantizers.rtn import RoundToNearest


@hookimpl
def bench_quantizers() -> Sequence[Quantizer]:
    """From full precision to four bits."""
    return Unquantized(), RoundToNearest(), Int8(), Nf4(), Gptq(), Awq()
