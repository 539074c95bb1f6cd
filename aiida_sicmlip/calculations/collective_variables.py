"""Training of collective variables on trajectories."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida import orm
from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from ase.io import write

from aiida_sicmlip.calculations.job import SicmlipCalculation
from aiida_sicmlip.calculations.validation import seed_port, settings_port
from aiida_sicmlip.common import filenames
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.data.collective_variables import CollectiveVariablesData
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.science.defects.crystals import nearest_distance
from aiida_sicmlip.science.pines.atoms import DefectAtoms, choose_atoms_of_structure
from aiida_sicmlip.science.pines.settings import CollectiveVariableSettings


def joined_segments(segments: Mapping[str, SegmentTrajectoryData]) -> list[list[str]]:
    """Return the names of the segments of each trajectory, in order: one with `continues` belongs to the one before."""
    joined: list[list[str]] = []
    # `s100` comes after `s99`.
    for name in sorted(segments, key=lambda name: (len(name), name)):
        if joined and segments[name].continues:
            joined[-1].append(name)
        else:
            joined.append([name])
    return joined


def frames_used(segments: Mapping[str, SegmentTrajectoryData], filters: Mapping[str, orm.ArrayData]) -> dict[str, int]:
    """Return the number of frames of each segment that its filter lets pass; all of them where it has none."""
    return {
        name: filters[name].get_shape("kept")[0] if name in filters else segment.n_frames
        for name, segment in segments.items()
    }


class CollectiveVariablesCalculation(SicmlipCalculation):
    """Learn collective variables of a defect from trajectories, with `sicmlip cv`.

    With a single trajectory none is held out, whatever the settings say; `results` says so.
    """

    CACHE_VERSION = 2
    """Raised when the meaning of the outputs changes, so that earlier results are not taken for new ones."""

    SUBCOMMAND = "cv"
    STEM = "collective_variables"
    WALLTIME = 3600
    INPUT_FILE = filenames.CV_SETTINGS_FILE
    REPORT_FILE = filenames.CV_REPORT_FILE
    WORK = "The training"
    FAILED = "ERROR_TRAINING_FAILED"

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.input(
            "structure",
            valid_type=orm.StructureData,
            help="The structure with the defect, its atoms in the order of the trajectories.",
        )
        spec.input("host", valid_type=orm.StructureData, help="The perfect crystal in the same cell.")
        spec.input_namespace(
            "trajectories",
            valid_type=SegmentTrajectoryData,
            dynamic=True,
            help="Segments `s00`, `s01`, ...; one that continues the one before belongs to the same trajectory.",
        )
        spec.input_namespace(
            "filters",
            valid_type=orm.ArrayData,
            dynamic=True,
            required=False,
            help="Which frames of a segment are learnt from (array `kept`), under its name; by default all of them.",
        )
        spec.input(
            "parameters",
            default=lambda: orm.Dict(CollectiveVariableSettings().to_dict()),
            **settings_port(CollectiveVariableSettings),
        )
        spec.input(
            "seed",
            **seed_port("Seed of the held-out trajectories, of the first weights, the order of frames and the noise."),
        )

        spec.output("collective_variables", valid_type=CollectiveVariablesData, help="The model with its description.")
        spec.output(
            "results", valid_type=orm.Dict, required=False, help="Variance explained, ranges, frames, versions."
        )
        spec.output("training_curve", valid_type=orm.ArrayData, required=False, help="Losses by epoch.")
        spec.default_output_node = "results"

        cls.define_missing_report(spec)
        spec.exit_code(302, "ERROR_MODEL_MISSING", message="The training produced no model: {error}")
        spec.exit_code(
            410,
            "ERROR_NOT_A_NUMBER",
            message="The loss became not-a-number: lower `autoencoder.learning_rate`. {error}",
        )

    @classmethod
    def validate_inputs(cls, inputs: dict[str, Any], _: Any) -> str | None:
        """Check inputs against each other."""
        if not {"structure", "host", "parameters"} <= set(inputs):
            return None
        segments = inputs.get("trajectories", {})
        if not segments:
            return "`trajectories` is empty: collective variables are learnt from one trajectory at least."
        structure = inputs["structure"].get_ase()
        for name, segment in sorted(segments.items()):
            if segment.symbols != structure.get_chemical_symbols():
                return (
                    f"`trajectories.{name}` <{segment.pk}> holds other atoms, or in another order, than `structure`: "
                    "variables refer to atoms by their indices."
                )
            if not np.allclose(segment.base.attributes.get("cell"), structure.cell.array, atol=1e-3):
                return f"`trajectories.{name}` <{segment.pk}> has another cell than `structure`."
        filters = inputs.get("filters", {})
        unknown = sorted(set(filters) - set(segments))
        if unknown:
            return (
                f"`filters.{unknown[0]}` is the filter of no segment of `trajectories`: {', '.join(sorted(segments))}."
            )
        used = frames_used(segments, filters)
        if not any(used.values()):
            return "no frame of `trajectories` passes `filters`: there is nothing to learn collective variables from."
        try:
            settings = CollectiveVariableSettings.from_mapping(inputs["parameters"].get_dict())
            settings.every(list(used.values()))
            _choose_atoms(settings, inputs["structure"], inputs["host"])
        except InputError as error:
            return str(error)
        return None

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the settings and the structure, and name the files of each trajectory."""
        settings = CollectiveVariableSettings.from_mapping(self.inputs.parameters.get_dict())
        segments, filters = self.inputs.trajectories, self.inputs.get("filters", {})
        used = frames_used(segments, filters)
        joined = ([name for name in names if used[name]] for names in joined_segments(segments))
        trajectories = [names for names in joined if names]
        autoencoder = {**settings.autoencoder.to_dict(), "seed": self.inputs.seed.value}
        if len(trajectories) == 1:
            autoencoder["held_out"] = 0
        files = {name: f"{name}.dcd" for name in sorted(segments) if used[name]}
        kept = {name: f"kept_{name}.npy" for name in files if name in filters}
        content = {
            "groups": _choose_atoms(settings, self.inputs.structure, self.inputs.host).groups,
            "switching": settings.switching.in_crystal(nearest_distance(self.inputs.host.get_ase())).to_dict(),
            "autoencoder": autoencoder,
            "every": settings.every(list(used.values())),
            "n_frames": {file: segments[name].n_frames for name, file in files.items()},
            "kept": {files[name]: kept[name] for name in kept},
            "threads": settings.threads,
        }
        with folder.open(filenames.CV_SETTINGS_FILE, "w") as handle:
            json.dump(content, handle, indent=2, sort_keys=True)
        with folder.open(filenames.CV_STRUCTURE_FILE, "w") as handle:
            write(handle, self.inputs.structure.get_ase(), format="extxyz")

        arguments = ["--settings", filenames.CV_SETTINGS_FILE, "--structure", filenames.CV_STRUCTURE_FILE]
        for names in trajectories:
            arguments += ["--trajectory", *(files[name] for name in names)]
        return self.job(
            arguments,
            copies=[
                *((segments[name].uuid, segments[name].filename, file) for name, file in files.items()),
                *((filters[name].uuid, "kept.npy", file) for name, file in kept.items()),
            ],
            retrieve_temporarily=[filenames.CV_MODEL_FILE, filenames.CV_DESCRIPTION_FILE, filenames.CV_WEIGHTS_FILE],
        )


def _choose_atoms(
    settings: CollectiveVariableSettings, structure: orm.StructureData, host: orm.StructureData
) -> DefectAtoms:
    """Return the atoms that the variables see."""
    return choose_atoms_of_structure(structure.get_ase(), host.get_ase(), settings.shells, settings.around)
