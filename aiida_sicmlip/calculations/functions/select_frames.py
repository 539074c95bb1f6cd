"""The selection step: the most novel frames of a round's candidates, and representatives of all frames so far."""

from collections.abc import Sequence

from aiida import orm
from aiida.engine import calcfunction

from aiida_sicmlip.common.labels import frame_label
from aiida_sicmlip.data.candidates import CandidateFramesData
from aiida_sicmlip.science.selection.candidates_file import Candidates
from aiida_sicmlip.science.selection.frames import FrameSelection, select_frames_of_candidates
from aiida_sicmlip.science.selection.picks import ROLES
from aiida_sicmlip.science.selection.settings import SelectionSettings
from aiida_sicmlip.science.selection.window import with_thresholds

CACHE_VERSION = 4
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


@calcfunction
def select_frames(
    parameters: orm.Dict,
    seed: orm.Int,
    candidates: CandidateFramesData,
    thresholds: orm.Dict | None = None,
    **earlier: CandidateFramesData,
) -> dict:
    """Return the picked frames as structures, and what later rounds need to know of them.

    :param parameters: see :class:`aiida_sicmlip.science.selection.settings.SelectionSettings`.
    :param seed: decides which representatives become the fixed validation set.
    :param candidates: of this round.
    :param thresholds: bounds of the window of this round, which take the place of those of the parameters: any of
        :data:`aiida_sicmlip.science.selection.window.BOUNDS`.
    :param earlier: of the rounds before, under names whose order is that of the rounds.
    :return: ``training``, ``validation`` and ``fixed_validation``, each a namespace of structures whose link label
        names segment and frame (``frame_s03_012345``), ``picks`` with the arrays of
        :class:`aiida_sicmlip.science.selection.picks.Picks`, and ``summary``.
    :raises InputError: if ``earlier`` are not the candidates beside which ``candidates`` were found, or ``thresholds``
        are no bounds of the window.
    """
    rounds = [*(earlier[name].candidates() for name in sorted(earlier)), candidates.candidates()]
    settings = with_thresholds(
        SelectionSettings.from_mapping(parameters.get_dict()), thresholds and thresholds.get_dict()
    )
    selection = select_frames_of_candidates(settings, seed.value, rounds[-1], rounds[:-1])
    return nodes_of_selection(selection, rounds)


def nodes_of_selection(selection: FrameSelection, rounds: Sequence[Candidates]) -> dict:
    """Return picked frames as structures, the arrays of the picks, and the summary.

    :param rounds: the candidates that were selected from, oldest first.
    """
    structures: dict[str, dict[str, orm.StructureData]] = {name: {} for name in ROLES}
    picks = selection.picks
    for role, segment, frame, (index, row) in zip(
        picks.role, picks.segment, picks.frame, selection.places, strict=True
    ):
        structure = orm.StructureData(ase=rounds[index].structure(row))
        structure.label = f"{structure.get_formula()} frame {frame} of segment {segment}"
        structures[ROLES[role]][frame_label(int(segment), int(frame))] = structure
    arrays = orm.ArrayData()
    for name, array in picks.to_arrays().items():
        arrays.set_array(name, array)
    return {**structures, "picks": arrays, "summary": orm.Dict(selection.summary)}
