"""Compilation of a packaged model for the machine it runs on: `sicmlip-potential compile`."""

from __future__ import annotations

import logging
import os
import shutil
import time
from pathlib import Path
from typing import Any

from aiida_sicmlip.common.exceptions import InputError, ProgramError
from aiida_sicmlip.engine.reports import versions, write_report

TARGETS = ("pair_allegro", "ase")


class NoCompilerError(ProgramError):
    """The machine has no C++ compiler."""


def run_compilation(package: str | Path, device: str, target: str, output: str | Path, report_file: str | Path) -> None:
    """Compile ``package`` ahead of time for ``device`` (``cpu`` or ``cuda``) and write ``output`` and a report.

    :raises InputError: when the package, the output name, the target or the device cannot be used.
    :raises NoCompilerError: when there is no C++ compiler. :raises ProgramError: when NequIP's compilation fails.
    """
    start = time.monotonic()
    if not Path(package).is_file() or not str(package).endswith(".nequip.zip"):
        raise InputError(f"`{package}` is not an existing packaged model: give a file whose name ends in `.nequip.zip`.")
    if not str(output).endswith(".nequip.pt2"):
        raise InputError(f"The output `{output}` must have a name that ends in `.nequip.pt2`.")
    if target not in TARGETS:
        raise InputError(f"`{target}` is not a target: choose one of {', '.join(TARGETS)}.")
    _require_compiler()
    species, cutoff = _compile(Path(package), device, target, Path(output))
    report: dict[str, Any] = {
        "device": device,
        "target": target,
        "species": list(species),
        "cutoff": cutoff,
        **_machine(device),
        "versions": versions(),
        "seconds": time.monotonic() - start,
    }
    write_report(report_file, report)


def _require_compiler() -> None:
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler.split()[0]) is None and shutil.which("clang++") is None:
        raise NoCompilerError(
            f"Compilation needs a C++ compiler, but `{compiler}` is not on this machine's path: install g++ or set CXX."
        )


def _compile(package: Path, device: str, target: str, output: Path) -> tuple[tuple[str, ...], float]:
    """Run NequIP's compilation in this process; return the model's species and cutoff (A)."""
    import torch
    from nequip.scripts.compile import main as nequip_compile

    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("`--device cuda` was given, but torch sees no GPU here: compile on the machine that has it.")
    # NequIP's program sets up logging of its own when it is imported.
    logging.getLogger("nequip").setLevel(logging.ERROR)
    output.unlink(missing_ok=True)
    arguments = [str(package), str(output), "--device", device, "--mode", "aotinductor", "--target", target]
    try:
        nequip_compile(arguments)
    except Exception as error:
        raise ProgramError(f"NequIP could not compile `{package}`: {error}") from error

    from aiida_sicmlip.engine.packaged_model import PackagedModel

    model = PackagedModel.load(package)
    return model.species, model.cutoff


def _machine(device: str) -> dict[str, Any]:
    """Return what a compiled file depends on besides the model."""
    import torch

    gpu = None
    if device == "cuda":
        major, minor = torch.cuda.get_device_capability()
        gpu = {"name": torch.cuda.get_device_name(), "architecture": f"sm_{major}{minor}", "cuda": torch.version.cuda}
    return {"gpu": gpu, "cpu_capability": torch.backends.cpu.get_cpu_capability()}
