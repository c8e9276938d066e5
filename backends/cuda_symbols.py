"""Which symbol of a compiled source the job means, however C++ has mangled it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from kbd.backends.base import CompileFailed
from kbd.inbox.kernel_source import cuda_kernels
from kbd.inbox.manifest import KernelCode


def wanted_name(kernel: KernelCode) -> str:
    """The kernel by the name its author gives it: a name, or an instance such as `scale<float, 3>`.

    Raises CompileFailed when several are defined and none is named.
    """
    names = kernel.metadata.get("name_expressions") or ()
    assert isinstance(names, list | tuple)
    expressions = [str(name) for name in names]
    named = kernel.metadata.get("kernel_name")
    if named:
        instances = [name for name in expressions if base_name(name) == named]
        return instances[0] if len(instances) == 1 else str(named)
    defined = expressions or list(cuda_kernels(kernel.source_code))
    if len(defined) != 1:
        raise CompileFailed(
            f"expected one __global__ function or metadata.kernel_name, found {', '.join(defined) or 'none'}",
            hint="name the kernel to call in metadata.kernel_name",
        )
    return defined[0]


def base_name(name: str) -> str:
    """`ns::scale<float, 3>` -> `scale`."""
    return name.partition("<")[0].strip().rpartition("::")[2]


def symbol_of(wanted: str, symbols: Sequence[str], demangle: Callable[[str], str]) -> str:
    """The symbol of the kernel that is wanted. Raises CompileFailed."""
    if wanted in symbols:
        return wanted
    readable = {symbol: _dense(demangle(symbol)) for symbol in symbols}
    exact = re.compile(rf"(?<!\w){re.escape(_dense(wanted))}(?:\(|$)")
    by_base = re.compile(rf"(?<!\w){re.escape(base_name(wanted))}(?:<.*>)?(?:\(|$)")
    for pattern in (exact, by_base):
        found = [symbol for symbol, text in readable.items() if pattern.search(text)]
        if len(found) == 1:
            return found[0]
        if found:
            break
    raise CompileFailed(
        _why(wanted, found, [demangle(symbol) for symbol in symbols]), hint=_hint(wanted, found)
    )


def _why(wanted: str, found: Sequence[str], known: Sequence[str]) -> str:
    if found:
        return (
            f"{wanted} names {len(found)} instances of a template; the source compiles to {'; '.join(known)}"
        )
    return f"{wanted} is none of the kernels that the source compiles to: {'; '.join(known) or 'none'}"


def _hint(wanted: str, found: Sequence[str]) -> str:
    if found:
        return "name one of them in metadata.kernel_name"
    return (
        f"correct metadata.kernel_name; a template is compiled only where it is used: name an instance, "
        f'for example metadata.name_expressions: ["{base_name(wanted)}<float>"]'
    )


def _dense(text: str) -> str:
    """Without the spaces that every demangler puts elsewhere; one stays between words."""
    return re.sub(r"(?<=\W)\s+|\s+(?=\W)", "", text)
