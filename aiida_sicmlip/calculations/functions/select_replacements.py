"""Frames that replace picked ones whose labels have failed."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_sicmlip.calculations.functions.select_frames import nodes_of_selection
from aiida_sicmlip.common.labels import parse_frame_label
from aiida_sicmlip.data.candidates import CandidateFramesData
from aiida_sicmlip.science.selection.picks import Picks
from aiida_sicmlip.science.selection.replacements import select_replacements_of_candidates
from aiida_sicmlip.science.selection.settings import SelectionSettings
from aiida_sicmlip.science.selection.window import with_thresholds

CACHE_VERSION = 2
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


@calcfunction
def select_replacements(
    parameters: orm.Dict,
    failed: orm.List,
    picks: orm.ArrayData,
    candidates: CandidateFramesData,
    thresholds: orm.Dict | None = None,
    **earlier: CandidateFramesData,
) -> dict:
    """Return structures that replace picked ones that failed, as many as there are candidates for.

    :param parameters: of the selection that picked.
    :param thresholds: likewise.
    :param failed: link labels of the frames that failed (``frame_s03_012345``), the most important first.
    :param picks: all that was picked in this round: output ``picks`` of its selection.
    :param candidates: of this round.
    :param earlier: of the rounds before, under names whose order is that of the rounds.
    :return: as :func:`~aiida_sicmlip.calculations.functions.select_frames.select_frames`.
    :raises InputError: if a failed frame was not picked, or ``earlier`` are not the candidates of the selection.
    """
    rounds = [*(earlier[name].candidates() for name in sorted(earlier)), candidates.candidates()]
    selection = select_replacements_of_candidates(
        with_thresholds(SelectionSettings.from_mapping(parameters.get_dict()), thresholds and thresholds.get_dict()),
        [parse_frame_label(label) for label in failed.get_list()],
        Picks.from_arrays({name: picks.get_array(name) for name in Picks.names()}),
        rounds[-1],
        rounds[:-1],
    )
    return nodes_of_selection(selection, rounds)
