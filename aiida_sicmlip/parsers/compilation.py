"""Parser of compilations."""

from __future__ import annotations

from typing import Any

from aiida.engine import ExitCode
from aiida.parsers import Parser

from aiida_sicmlip.calculations.compilation import CompilationSettings
from aiida_sicmlip.common import filenames
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.parsers.retrieved import COMPLETE, error_of, read_report, temporary_file


class CompilationParser(Parser):
    """Turn a compiled model into a node, if it was compiled on the kind of machine that was asked for."""

    CACHE_VERSION = 1

    def parse(self, *, retrieved_temporary_folder: str, **kwargs: Any) -> ExitCode:
        """Compare the machine with the one that was asked for and keep the model."""
        report = read_report(self.retrieved, filenames.COMPILATION_REPORT_FILE)
        error = error_of(report, self.retrieved, "compilation.err")
        if report is None or error is not None:
            return self.exit_codes.ERROR_COMPILATION_FAILED.format(error=error)
        settings = CompilationSettings.from_mapping(self.node.inputs.parameters.get_dict())
        architecture, torch_version = report["gpu_architecture"], report["torch_version"]
        for what, asked, found in (
            ("torch", settings.torch_version, torch_version),
            ("GPU architecture", settings.gpu_architecture, architecture),
        ):
            # A version without its build (`+cpu`) means every build of it.
            if asked is not None and asked not in (found, str(found).partition("+")[0]):
                return self.exit_codes.ERROR_OTHER_MACHINE.format(
                    error=f"{what} `{asked}` was asked for, `{found}` was found"
                )
        model = temporary_file(retrieved_temporary_folder, filenames.COMPILED_MODEL_FILE)
        if model is None:
            return self.exit_codes.ERROR_MODEL_MISSING
        self.out(
            "compiled_potential",
            CompiledPotentialData(
                model,
                filename=filenames.COMPILED_MODEL_FILE,
                species=report["species"],
                cutoff=report["cutoff"],
                device=report["device"],
                target=report["target"],
                torch_version=torch_version,
                gpu_architecture=architecture,
            ),
        )
        return COMPLETE
