"""The file of a compiled model: its metadata, and whether it runs on this machine."""

from __future__ import annotations

import importlib
import json
import platform
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from aiida_sicmlip.common.exceptions import InputError, ProgramError
from aiida_sicmlip.engine.archives import require_undamaged

# Names that NequIP gives to the inputs and outputs of the compile target `pair_allegro`.
_INPUTS = ["pos", "edge_index", "atom_types"]
_OUTPUTS = ["atomic_energy", "forces", "virial"]
# Archive entry with the metadata of the model; torch writes it next to the compiled library.
_METADATA_ENTRY = re.compile(r"data/aotinductor/model/[^/]*_metadata\.json$")
# Archive entry that lists libraries with custom operators, which have to be imported before it is loaded.
_CUSTOM_OPERATORS_ENTRY = "nequip_custom_ops_libs.txt"
# Archive entry in which this package records the compiling versions; torch requires all entries in one folder.
_VERSIONS_ENTRY = re.compile(r"[^/]+/extra/sicmlip_versions\.json$")
# Processor features, by torch's names, of the instruction sets that torch compiles for.
_PROCESSOR_FEATURES = {"AVX512": "avx512_f", "AVX2": "avx2"}


@dataclass(frozen=True)
class CompiledFile:
    """A ``*.nequip.pt2`` file: its ``path``, the ``metadata`` that the compiler stored, the ``versions`` that compiled
    it (empty where they were not recorded) and the Python packages (``libraries``) whose operators it calls.
    """

    path: Path
    metadata: dict[str, str]
    versions: dict[str, str]
    libraries: tuple[str, ...]

    @classmethod
    def read(cls, path: str | Path) -> CompiledFile:
        """Read the properties needed before torch loads the code.

        :raises InputError: where the file is missing, damaged or is no compiled model.
        """
        path = Path(path)
        if path.name.endswith(".nequip.zip"):
            raise InputError(
                f"The file `{path}` is a packaged model, which runs on no machine before it is compiled; compile it "
                "with `sicmlip compile` and name the resulting `.nequip.pt2`."
            )
        if not path.is_file():
            raise InputError(f"The compiled model `{path}` does not exist; give the path of a `.nequip.pt2` file.")
        if not path.name.endswith(".pt2") or not zipfile.is_zipfile(path):
            raise InputError(
                f"The file `{path}` is no compiled model; give a `.nequip.pt2` file that `sicmlip compile` "
                "or `nequip-compile --mode aotinductor` wrote."
            )
        require_undamaged(path)
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            described = [name for name in names if _METADATA_ENTRY.search(name)]
            metadata = json.loads(archive.read(described[0])) if described else {}
            libraries = archive.read(_CUSTOM_OPERATORS_ENTRY).decode() if _CUSTOM_OPERATORS_ENTRY in names else ""
            recorded = [name for name in names if _VERSIONS_ENTRY.match(name)]
            versions = json.loads(archive.read(recorded[0])) if recorded else {}
        if "type_names" not in metadata or "r_max" not in metadata:
            raise InputError(
                f"The file `{path}` holds no model that nequip-compile wrote; compile the packaged model with "
                "`sicmlip compile`."
            )
        return cls(path, metadata, versions, tuple(libraries.split()))

    @property
    def device(self) -> str:
        """Type of the device that the model was compiled for: ``cpu`` or ``cuda``."""
        return self.metadata.get("AOTI_DEVICE_KEY", "cpu").split(":")[0]

    def check_target(self) -> None:
        """Check that a model was compiled for the inputs and outputs of ``pair_allegro``.

        :raises InputError: otherwise.
        """
        inputs = self.metadata.get("nequip_aoti_inputs", " ".join(_INPUTS)).split()
        outputs = self.metadata.get("nequip_aoti_outputs", " ".join(_OUTPUTS)).split()
        if inputs != _INPUTS or outputs != _OUTPUTS:
            raise InputError(
                f"The model `{self.path}` was compiled for another target (its inputs are {', '.join(inputs)}); "
                "compile it with `--target pair_allegro`."
            )

    def check_machine(self, device: str) -> None:
        """Check that a model was compiled for this device, architecture and instruction set.

        :param device: ``cpu``, ``cuda`` or ``cuda:<index>``.
        :raises InputError: otherwise; without the check the process may crash with an illegal instruction.
        """
        import torch  # slow; imported only where needed

        wanted = torch.device(device).type
        if wanted != self.device:
            raise InputError(
                f"The model `{self.path}` was compiled for the device `{self.device}`, but `{device}` is requested; "
                f"compile the packaged model with `--device {wanted}`."
            )
        remedy = "compile the packaged model on this kind of machine."
        machine = self.metadata.get("AOTI_MACHINE", platform.machine())
        if machine != platform.machine():
            raise InputError(
                f"The model `{self.path}` was compiled for {machine}, but this machine is {platform.machine()}; "
                f"{remedy}"
            )
        if wanted == "cpu":
            needed = (self.metadata.get("AOTI_CPU_ISA", "").split() or [""])[0]
            present = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
            if present.get(_PROCESSOR_FEATURES.get(needed, "")) is False:
                raise InputError(
                    f"The model `{self.path}` needs a processor with {needed}, which this one lacks; {remedy}"
                )
        elif not torch.cuda.is_available():
            raise InputError(
                f"The model `{self.path}` was compiled for `{self.device}`, but torch finds no such device; {remedy}"
            )
        elif (compiled_for := self.versions.get("gpu_architecture")) is not None:
            present_gpu = gpu_architecture(device)
            if compiled_for != present_gpu:
                raise InputError(
                    f"The model `{self.path}` was compiled for GPUs of architecture {compiled_for}, but this one has "
                    f"{present_gpu}; {remedy}"
                )

    def import_libraries(self) -> None:
        """Import the packages whose operators the model calls.

        :raises ProgramError: where one is missing.
        """
        for library in self.libraries:
            try:
                importlib.import_module(library)
            except ImportError as error:
                raise ProgramError(
                    f"The model `{self.path}` uses operators of the Python package `{library}`, which cannot be "
                    "imported; install it."
                ) from error

    def other_torch(self, present: str) -> str:
        """Part of a message where another torch than ``present`` compiled the file; empty where not, or unknown."""
        compiled_with = self.versions.get("torch", "")
        if not compiled_with or compiled_with.split("+")[0] == present.split("+", maxsplit=1)[0]:
            return ""
        return f"it was compiled with torch {compiled_with}, this is torch {present}"


def gpu_architecture(device: str) -> str:
    """Return the compute capability of a GPU, such as ``9.0``."""
    import torch  # slow; imported only where needed

    return ".".join(str(number) for number in torch.cuda.get_device_capability(device))


def record_versions(path: str | Path, versions: dict[str, str]) -> None:
    """Record in a compiled model the versions that compiled it, e.g. ``{"torch": "2.13.0", "nequip": "0.19.1"}``.

    ``CompiledPotential.load`` compares the entry ``torch`` with the torch that loads the file, and
    ``gpu_architecture``, where there is one, with the GPU.
    """
    with zipfile.ZipFile(path, "a") as archive:
        folder = next(name.split("/")[0] for name in archive.namelist() if _METADATA_ENTRY.search(name))
        archive.writestr(zipfile.ZipInfo(f"{folder}/extra/sicmlip_versions.json"), json.dumps(versions, sort_keys=True))


def first_line(error: BaseException) -> str:
    """First line of an error message, or the error's class where it is empty."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
