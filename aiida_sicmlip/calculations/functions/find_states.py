"""States of a defect in trajectories, as structures that further walkers start from."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.labels import frame_label, number_of_segment, state_label
from aiida_sicmlip.science.defects.hop_stream import follow_hops
from aiida_sicmlip.science.defects.hops import find_defect_sites
from aiida_sicmlip.science.defects.states import distinct_states, state_of_sites, visits
from aiida_sicmlip.science.dynamics.dcd import read_dcd_pieces
from aiida_sicmlip.science.dynamics.lammps_input import rotation_to_lammps

CACHE_VERSION = 1
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


@calcfunction
def find_states(
    start: orm.StructureData, host: orm.StructureData, parameters: orm.Dict, **namespaces: Mapping[str, Any]
) -> dict:
    """Return frames of trajectories in which the defect is in another state than in the structure that they began from.

    :param start: the start structure that the states are told from; its atoms are those of the trajectories.
    :param host: its perfect crystal.
    :param parameters: ``count``, the number of states at most, and ``shortest_visit``, the time in ps that a trajectory
        stays in a state at least.
    :param namespaces: ``trajectories``, under ``s00`` and so on, and ``filters`` with the frames that may be used
        (array ``kept``) of some of them.
    :return: under ``state_01`` and so on one structure each, whose link label names segment and frame
        (``state_01__frame_s03_012345``), those in which trajectories were longest first, and ``summary``: ``name``,
        ``longest`` and ``total`` time (ps) of the ``states``, and why trajectories were ``not_followed``.
    """
    settings = parameters.get_dict()
    trajectories = namespaces["trajectories"]
    kept = {name: node.get_array("kept") for name, node in namespaces.get("filters", {}).items()}
    crystal, species = host.get_ase(), start.get_ase().get_chemical_symbols()
    sites = find_defect_sites(start.get_ase(), crystal).site_of_atom
    found, shortest, problems = {}, {}, {}
    for name, node in trajectories.items():
        shortest[name] = max(1, round(settings["shortest_visit"] / node.frame_interval_ps))
        cell, _ = rotation_to_lammps(np.asarray(node.base.attributes.get("cell")))
        try:
            with node.open(mode="rb") as handle:
                hops = follow_hops(read_dcd_pieces(handle, node.n_frames), cell, crystal, species)
        except InputError as error:
            # A molten frame, or another crystal: what was found elsewhere counts all the same.
            problems[name] = str(error)
            continue
        found[name] = visits(hops, crystal, species)
    states = distinct_states(found, kept, state_of_sites(sites, crystal, species)[1], shortest, settings["count"])
    outputs: dict[str, Any] = {}
    summary: dict[str, Any] = {"states": [], "not_followed": problems}
    for index, state in enumerate(states, start=1):
        node = trajectories[state.segment]
        structure = orm.StructureData(ase=node.frames([state.frame])[0])
        structure.label = state.name
        outputs[state_label(index)] = {frame_label(number_of_segment(state.segment), state.frame): structure}
        times = {
            "longest": state.longest * node.frame_interval_ps,
            "total": state.total * node.frame_interval_ps,
        }
        summary["states"].append({"name": state.name, **times})
    return {**outputs, "summary": orm.Dict(summary)}
