"""Description of a round's frames, and those of them that a selection may pick."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from aiida import orm
from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from ase.io import write

from aiida_sicmlip.calculations.collective_variables import joined_segments
from aiida_sicmlip.calculations.job import SicmlipCalculation
from aiida_sicmlip.calculations.lammps_potential import validate_members
from aiida_sicmlip.calculations.validation import (
    seed_port,
    settings_port,
)
from aiida_sicmlip.common import filenames
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.labels import number_of_segment
from aiida_sicmlip.data.candidates import CandidateFramesData
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.science.selection.picks import Picks
from aiida_sicmlip.science.selection.settings import SelectionSettings
from aiida_sicmlip.science.selection.window import BOUNDS, with_thresholds


class DescriptorsCalculation(SicmlipCalculation):
    """Describe all frames of a round by SOAP next to their trajectories, with `sicmlip describe`.

    What comes back are candidates: the frames that the selection picks, those that are most novel after them, and those
    that represent everything sampled so far. Descriptors of the others stay on the machine only while the program runs.
    If the potential that explored is a trained one, candidates carry the largest force that it predicts on an atom and,
    with a committee, the largest disagreement.
    It takes as many processes as `num_cores_per_mpiproc` of the resources says, or one.
    """

    CACHE_VERSION = 2
    """Raised when the meaning of the outputs changes, so that earlier results are not taken for new ones."""

    SUBCOMMAND = "describe"
    STEM = "descriptors"
    WALLTIME = 3600
    INPUT_FILE = filenames.DESCRIPTORS_SETTINGS_FILE
    REPORT_FILE = filenames.DESCRIPTORS_REPORT_FILE
    WORK = "The description"
    FAILED = "ERROR_DESCRIPTION_FAILED"

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.input_namespace(
            "trajectories",
            dynamic=True,
            valid_type=SegmentTrajectoryData,
            help="The round's segments by start structure, each under `s00`, `s01` and so on. Numbers are unique in a "
            "run; a segment that continues the one before belongs to the same trajectory.",
        )
        spec.input_namespace(
            "hosts",
            dynamic=True,
            required=False,
            valid_type=orm.StructureData,
            help="The perfect crystal of each start structure, of those of labelled configurations too; found from the "
            "frames where it is left out.",
        )
        spec.input_namespace(
            "filters",
            dynamic=True,
            required=False,
            valid_type=orm.ArrayData,
            help="Which frames of a segment pass the filter, under the names of the trajectories; all do by default.",
        )
        spec.input(
            "training_set",
            valid_type=LabelledDataSetData,
            required=False,
            help="What novelty is measured from.",
        )
        spec.input_namespace(
            "other_sets",
            dynamic=True,
            required=False,
            valid_type=LabelledDataSetData,
            help="Further labelled configurations, which are not picked again.",
        )
        spec.input_namespace(
            "picks",
            dynamic=True,
            required=False,
            valid_type=orm.ArrayData,
            help="What the selections of earlier rounds picked: output `picks`.",
        )
        spec.input_namespace(
            "earlier",
            dynamic=True,
            required=False,
            valid_type=CandidateFramesData,
            help="Candidates of earlier rounds under names whose order is that of the rounds.",
        )
        spec.input(
            "parameters",
            default=lambda: orm.Dict(SelectionSettings().to_dict()),
            **settings_port(SelectionSettings),
        )
        spec.input(
            "thresholds",
            valid_type=orm.Dict,
            required=False,
            help="Bounds of the window of this round, which take the place of those of `parameters`: "
            f"{', '.join(f'`{name}`' for name in BOUNDS)}.",
        )
        spec.input(
            "potential",
            valid_type=CompiledPotentialData,
            required=False,
            help="The potential that explored: what it predicts of the candidates decides whether they may be picked.",
        )
        spec.input_namespace(
            "committee",
            dynamic=True,
            required=False,
            valid_type=CompiledPotentialData,
            validator=validate_members,
            help="The other members of the committee of `potential`: how much all of them disagree.",
        )
        spec.input(
            "with_fixed",
            valid_type=orm.Bool,
            serializer=orm.to_aiida_type,
            default=lambda: orm.Bool(False),
            help="Whether configurations of the fixed validation set are to be picked, too.",
        )
        spec.input("seed", **seed_port("Seed of held-out trajectories, of random picks and of the clusters."))

        spec.output("candidates", valid_type=CandidateFramesData, help="Frames that a selection may pick.")
        spec.output(
            "results", valid_type=orm.Dict, required=False, help="Counts of frames, covering distance, time and memory."
        )
        spec.default_output_node = "results"
        cls.define_missing_report(spec)
        spec.exit_code(302, "ERROR_CANDIDATES_MISSING", message="The program left no candidates: {error}")
        spec.exit_code(410, "ERROR_NOTHING_NEW", message="There is nothing to pick: {error} Explore longer or hotter.")

    @classmethod
    def validate_inputs(cls, inputs: dict[str, Any], _: Any) -> str | None:
        """Check inputs against each other."""
        trajectories = inputs.get("trajectories", {})
        names = [name for segments in trajectories.values() for name in segments]
        if not names:
            return "`trajectories` is empty: candidates come from one segment at least."
        try:
            numbers = [number_of_segment(name) for name in names]
        except ValueError as error:
            return f"`trajectories`: {error}"
        if len(set(numbers)) < len(numbers):
            return f"`trajectories` has two segments of one number: {', '.join(sorted(names))}. Number all of a run."
        for name, filters in inputs.get("filters", {}).items():
            if name not in trajectories:
                return f"`filters.{name}` belongs to no structure of `trajectories`: {', '.join(trajectories)}."
            unknown = sorted(set(filters) - set(trajectories[name]))
            if unknown:
                return f"`filters.{name}.{unknown[0]}` belongs to no segment of `trajectories.{name}`."
        for name, picks in inputs.get("picks", {}).items():
            missing = sorted(set(Picks.names()) - set(picks.get_arraynames()))
            if missing:
                return f"`picks.{name}` <{picks.pk}> lacks {', '.join(missing)}: give the output of a selection."
        if inputs.get("committee") and "potential" not in inputs:
            return "`committee` is given without `potential`, which is one of its members: give both."
        try:
            thresholds = inputs["thresholds"].get_dict() if "thresholds" in inputs else None
            settings = with_thresholds(SelectionSettings.from_mapping(inputs["parameters"].get_dict()), thresholds)
        except InputError as error:
            return str(error)
        except KeyError:
            return None
        unknown = sorted(set(settings.held_out_structures) - set(trajectories))
        if unknown and not set(settings.held_out_structures) & set(trajectories):
            return (
                f"`parameters.held_out_structures` names `{unknown[0]}`; the structures are {', '.join(trajectories)}."
            )
        return None

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the settings, and put trajectories, data sets and earlier candidates in place."""
        copies: list[tuple[str, str, str]] = []
        segments = list(self._segments(copies))
        sets: dict[str, list[str]] = {"training": [], "other": []}
        datasets = [("training", "training_set", self.inputs.get("training_set", None))]
        datasets += [("other", name, node) for name, node in sorted(self.inputs.get("other_sets", {}).items())]
        for kind, name, node in datasets:
            if node is not None:
                copies.append((node.uuid, node.filename, f"{kind}_{name}.npz"))
                sets[kind].append(f"{kind}_{name}.npz")
        hosts = {}
        for name, host in sorted(self.inputs.get("hosts", {}).items()):
            hosts[name] = f"host_{name}.extxyz"
            with folder.open(hosts[name], "w") as handle:
                write(handle, host.get_ase(), format="extxyz")
        picks = []
        for name, node in sorted(self.inputs.get("picks", {}).items()):
            picks.append(f"picks_{name}.npz")
            with folder.open(picks[-1], "wb") as handle:
                np.savez(handle, **{array: node.get_array(array) for array in Picks.names()})
        earlier = []
        for name, node in sorted(self.inputs.get("earlier", {}).items()):
            earlier.append(f"candidates_{name}.npz")
            copies.append((node.uuid, node.filename, earlier[-1]))
        committee = []
        members = {"potential": self.inputs.potential} if "potential" in self.inputs else {}
        for name, node in {**members, **dict(sorted(self.inputs.get("committee", {}).items()))}.items():
            committee.append(f"member_{name}.nequip.pt2")
            copies.append((node.uuid, node.filename, committee[-1]))
        thresholds = self.inputs.thresholds.get_dict() if "thresholds" in self.inputs else None
        settings = SelectionSettings.from_mapping(self.inputs.parameters.get_dict())
        content = {
            "parameters": with_thresholds(settings, thresholds).to_dict(),
            "seed": self.inputs.seed.value,
            "segments": segments,
            "hosts": hosts,
            **sets,
            "picks": picks,
            "earlier": earlier,
            "with_fixed": self.inputs.with_fixed.value,
            "committee": committee,
        }
        with folder.open(filenames.DESCRIPTORS_SETTINGS_FILE, "w") as handle:
            json.dump(content, handle, indent=1, sort_keys=True)
        processes = self.inputs.metadata.options.resources.get("num_cores_per_mpiproc", None) or 1
        return self.job(
            ["--settings", filenames.DESCRIPTORS_SETTINGS_FILE, "--processes", str(processes)],
            copies=copies,
            retrieve_temporarily=[filenames.CANDIDATES_FILE],
        )

    def _segments(self, copies: list[tuple[str, str, str]]) -> Iterator[dict[str, Any]]:
        """Yield what the program has to know of each segment, in the order of their numbers.

        :param copies: is added to.
        """
        numbered = []
        for structure, segments in self.inputs.trajectories.items():
            for joined in joined_segments(segments):
                first = number_of_segment(joined[0])
                numbered += [(number_of_segment(name), name, structure, first, segments[name]) for name in joined]
        for number, name, structure, trajectory, node in sorted(numbered, key=lambda entry: entry[0]):
            copies.append((node.uuid, node.filename, f"{name}.dcd"))
            entry = {
                "file": f"{name}.dcd",
                "segment": number,
                "structure": structure,
                "symbols": node.symbols,
                "cell": node.base.attributes.get("cell"),
                "n_frames": node.n_frames,
                "trajectory": trajectory,
                "first_time": float(node.times()[0]),
                "interval": node.frame_interval_ps,
            }
            kept = self.inputs.get("filters", {}).get(structure, {}).get(name, None)
            if kept is not None:
                entry["kept"] = f"kept_{name}.npy"
                copies.append((kept.uuid, "kept.npy", entry["kept"]))
            yield entry
