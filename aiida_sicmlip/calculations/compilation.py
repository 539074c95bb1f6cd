"""Compilation of a portable potential for one kind of machine."""

from __future__ import annotations

from dataclasses import dataclass

from aiida import orm
from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec

from aiida_sicmlip.calculations.job import SicmlipCalculation
from aiida_sicmlip.calculations.validation import settings_port
from aiida_sicmlip.common import filenames
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.science.settings import Settings, choice, text

DEVICES = ("cpu", "cuda")
TARGETS = ("pair_allegro", "ase")


@dataclass(frozen=True)
class CompilationSettings(Settings):
    """Device and target of a compilation, which are part of its hash for caching."""

    PREFIX = "compilation.parameters."

    device: str = choice("cpu", DEVICES, "device that runs the model")
    target: str = choice("pair_allegro", TARGETS, "program that calls the model: `pair_allegro` (LAMMPS) or `ase`")
    torch_version: str | None = text(
        None,
        "version of torch on the machine; the compilation fails if it differs",
        "text, in quotation marks,",
    )
    gpu_architecture: str | None = text(
        None,
        'compute capability of the GPU, for example `"9.0"`; the compilation fails if it differs',
        "text, in quotation marks,",
    )


class CompilationCalculation(SicmlipCalculation):
    """Compile a portable model with ``nequip-compile``; the result runs on machines of that kind only."""

    CACHE_VERSION = 1
    """Raised when the meaning of the outputs changes, so that earlier results are not taken for new ones."""

    SUBCOMMAND = "compile"
    STEM = "compilation"
    WALLTIME = 3600
    REPORT_FILE = filenames.COMPILATION_REPORT_FILE
    WORK = "The compilation"
    FAILED = "ERROR_COMPILATION_FAILED"

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.input("potential", valid_type=PotentialData, help="The portable model.")
        spec.input(
            "parameters",
            default=lambda: orm.Dict(CompilationSettings().to_dict()),
            **settings_port(CompilationSettings),
        )

        spec.output("compiled_potential", valid_type=CompiledPotentialData, help="The model, compiled.")
        spec.exit_code(302, "ERROR_MODEL_MISSING", message="The compilation left no compiled model.")
        spec.exit_code(
            410,
            "ERROR_OTHER_MACHINE",
            message="The machine is not the one that was asked for: {error}. Correct `compilation.parameters`.",
        )

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Put the portable model in place."""
        settings = CompilationSettings.from_mapping(self.inputs.parameters.get_dict())
        arguments = [filenames.PORTABLE_MODEL_FILE, "--device", settings.device, "--target", settings.target]
        arguments += ["--output", filenames.COMPILED_MODEL_FILE, "--report", filenames.COMPILATION_REPORT_FILE]
        potential = self.inputs.potential
        return self.job(
            arguments,
            copies=[(potential.uuid, potential.filename, filenames.PORTABLE_MODEL_FILE)],
            retrieve_temporarily=[filenames.COMPILED_MODEL_FILE],
        )
