"""From LLVM code to addresses in this process: compiled for this processor, and kept on disk.

What is kept begins with a digest of itself, of the sources of all kernels, of the compiler and of the processor: what
is damaged or belongs to another version is made anew. Where nothing can be written, each process compiles for itself.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

import llvmlite
import llvmlite.binding as llvm

from ..._writing import whole_file
from ...errors import MixtureError
from ..telling import tell
from .program import Plain, Program
from .values import INT, REAL, VOID

__all__ = ["address", "address_in", "called"]

_LEVEL = 2  # of optimisation
_KERNELS = Path(__file__).parents[1]
_IN_C: dict[Any, Any] = {INT: ctypes.c_int64, REAL: ctypes.c_double, VOID: None}
_LOCK = Lock()
_FOUND: dict[Plain, int] = {}
_MADE: dict[str, int] = {}


def address(function: Plain, kind: Any) -> int:
    """Where a function is, compiled for arguments of a kind at its first use."""
    with _LOCK:
        if function not in _FOUND:
            _FOUND[function] = _loaded(_kept(function, kind), function.name)
        return _FOUND[function]


@cache
def called(function: Plain, kind: Any) -> Callable[..., Any]:
    """A compiled function for Python, which gives it pointers as numbers; other threads go on meanwhile."""
    given = [_IN_C.get(each, ctypes.c_void_p) for each in kind.args]
    return ctypes.CFUNCTYPE(_IN_C[kind.return_type], *given)(address(function, kind))


def address_in(assembly: str, name: str) -> int:
    """Where a function of a module is, that leaves nothing to optimise and is of use in this process alone."""
    with _LOCK:
        if name not in _MADE:
            module = llvm.parse_assembly(assembly)
            module.verify()
            _MADE[name] = _loaded(_target().emit_object(module), name)
        return _MADE[name]


@cache
def _target() -> Any:
    """This processor."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    cpu, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    place = "static" if target.name.startswith("x86") else "default"  # what LLVM's loader takes, as numba has it
    return target.create_target_machine(
        cpu=cpu, features=features, opt=_LEVEL, reloc=place, codemodel="jitdefault", jit=True
    )


@cache
def _engine() -> Any:
    """Where compiled functions live."""
    target = _target()
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), target)


def _compiled(function: Plain, kind: Any) -> bytes:
    """Machine code of a function and of all that it calls."""
    tell()
    module = llvm.parse_assembly(Program.of(function, kind))
    module.verify()
    builder = llvm.create_pass_builder(_target(), llvm.create_pipeline_tuning_options(speed_level=_LEVEL))
    builder.getModulePassManager().run(module, builder)
    return _target().emit_object(module)


def _loaded(code: bytes, name: str) -> int:
    engine = _engine()
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    found = engine.get_function_address(name)
    if not found:
        raise RuntimeError(f"LLVM does not find {name} in the code that it made")
    return found


# -- on disk


@cache
def _version() -> bytes:
    """A digest of all that machine code depends on."""
    given = llvmlite.__version__, llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    sources = [path.read_bytes() for path in sorted(_KERNELS.rglob("*.py"))]
    return sha256(b"\0".join([repr(given).encode(), *sources])).digest()


def _sealed(code: bytes) -> bytes:
    return sha256(_version() + code).digest()


def _folders() -> tuple[Path, ...]:
    """Where code may be kept: where numba's is to be, or else beside the sources, or with a user's other caches."""
    if os.environ.get("NUMBA_CACHE_DIR"):
        return (Path(os.environ["NUMBA_CACHE_DIR"]),)
    return _KERNELS / "__pycache__", Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mixtura"


def _kept(function: Plain, kind: Any) -> bytes:
    """The code of a function, from disk where it is."""
    name = f"{function.name}.{llvm.get_host_cpu_name()}.o"
    for folder in _folders():
        with suppress(OSError):
            seal, code = _split((folder / name).read_bytes())
            if seal == _sealed(code):
                return code
    code = _compiled(function, kind)
    _keep(_sealed(code) + code, name)
    return code


def _split(whole: bytes) -> tuple[bytes, bytes]:
    size = sha256().digest_size
    return whole[:size], whole[size:]


def _keep(whole: bytes, name: str) -> None:
    """Writes to the first folder where that can be done, if there is one."""
    for folder in _folders():
        with suppress(OSError, MixtureError):
            folder.mkdir(parents=True, exist_ok=True)
            with whole_file(folder / name) as file:
                file.write_bytes(whole)
            return
