"""Parser of compilations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.engine import ExitCode

from aiida_sicmlip.calculations.compilation import CompilationSettings
from aiida_sicmlip.common import filenames
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.parsers.base import SicmlipParser
from aiida_sicmlip.parsers.retrieved import COMPLETE


class CompilationParser(SicmlipParser):
    """Turn a compiled model into a node, if it was compiled on the kind of machine that was asked for."""

    CACHE_VERSION = 1

    def keep_outputs(self, report: Mapping[str, Any]) -> ExitCode:
        """Compare the machine with the one that was asked for and keep the model."""
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
        model = self.temporary(filenames.COMPILED_MODEL_FILE)
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
