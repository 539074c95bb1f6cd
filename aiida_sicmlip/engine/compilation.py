"""Compilation of a packaged model for the machine it runs on: `sicmlip compile`."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path
from typing import Any

import torch

from aiida_sicmlip.common.exceptions import InputError, ProgramError
from aiida_sicmlip.engine.compiled_file import first_line, gpu_architecture, record_versions
from aiida_sicmlip.engine.errors import NoCompilerError
from aiida_sicmlip.engine.packaged_model import PackagedModel, require_package


def compile_model(package: Path, output: Path, device: str, target: str, report: dict[str, Any]) -> None:
    """Compile ``package`` ahead of time for ``device`` (``cpu`` or ``cuda``), write ``output`` and fill ``report``.

    :raises InputError: when the package, the name of the output or the device cannot be used.
    :raises NoCompilerError: when there is no C++ compiler.
    :raises ProgramError: when NequIP's compilation fails.
    """
    report.update(device=device, target=target)
    require_package(package)
    if not str(output).endswith(".nequip.pt2"):
        raise InputError(f"The output `{output}` must have a name that ends in `.nequip.pt2`.")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("`--device cuda` was given, but torch sees no GPU here: compile on the machine that has it.")
    _require_compiler()
    report.update(_machine(report["versions"], device))
    model = PackagedModel.load(package)
    report.update(species=list(model.species), cutoff=model.cutoff)
    del model

    # Importing NequIP's program changes the logging of the process, so it is imported only to compile.
    from nequip.scripts.compile import main as nequip_compile
    from torch._inductor import config as inductor_config

    # Without this the number of threads of the compiling process is written into the model.
    inductor_config.cpp.dynamic_threads = True
    output.unlink(missing_ok=True)
    try:
        nequip_compile([str(package), str(output), "--device", device, "--mode", "aotinductor", "--target", target])
    except Exception as error:
        raise ProgramError(f"NequIP could not compile `{package}`: {first_line(error)}") from error
    recorded = {"torch": report["torch_version"], "nequip": report["nequip_version"]}
    if report["gpu_architecture"] is not None:
        recorded["gpu_architecture"] = report["gpu_architecture"]
    record_versions(output, recorded)


def _require_compiler() -> None:
    """Raise :class:`NoCompilerError` unless there is a C++ compiler, before the model is traced."""
    candidates = [os.environ["CXX"].split()[0]] if os.environ.get("CXX", "").strip() else ["g++", "clang++", "c++"]
    if not any(shutil.which(candidate) for candidate in candidates):
        raise NoCompilerError(
            f"Compilation needs a C++ compiler, but none of {', '.join(candidates)} is on this machine's path: install "
            "g++, or name the compiler in the variable CXX."
        )


def _machine(versions: dict[str, str | None], device: str) -> dict[str, Any]:
    """Return the properties of the machine that a compiled file depends on."""
    return {
        "torch_version": torch.__version__,
        "nequip_version": versions["nequip"],
        "gpu_architecture": gpu_architecture(device) if device == "cuda" else None,
        "gpu_name": torch.cuda.get_device_name() if device == "cuda" else None,
        "machine": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }
