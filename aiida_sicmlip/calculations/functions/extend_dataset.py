"""Data sets from labels."""

from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import calcfunction
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_sicmlip.calculations.functions.derive_level_of_theory import level_from_nodes
from aiida_sicmlip.calculations.functions.derive_reference_level import level_of_potential
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.labels import label_of_place, place_of_label
from aiida_sicmlip.data.classical_potential import REFERENCE_LABEL
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.level_of_theory import LevelOfTheoryData, require_same_level

CACHE_VERSION = 1
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


def labelled_frame(label: orm.TrajectoryData, name: str) -> Atoms:
    """Return the configuration of a label with its energy (eV) and forces (eV/A).

    :raises InputError: if the label holds no energy or no forces.
    """
    arrays = label.get_arraynames()
    for needed, what in (("energy", "an energy"), ("forces", "forces")):
        if needed not in arrays:
            raise InputError(
                f"label `{name}` <{label.pk}> holds no `{needed}`; a label needs {what}: set `tprnfor` in the CONTROL "
                "namelist of the labelling."
            )
    # The symbols of a parsed trajectory are names of kinds (`Si1`); the elements stand in the structure that was given.
    numbers = label.creator.inputs.structure.get_ase().numbers
    frame = Atoms(numbers, positions=label.get_positions()[-1], cell=label.get_cells()[-1], pbc=True)
    frame.calc = SinglePointCalculator(
        frame, energy=float(label.get_array("energy")[-1]), forces=label.get_array("forces")[-1]
    )
    return frame


def level_of_label(label: orm.TrajectoryData, name: str) -> dict:
    """Return the level of theory of the calculation that made ``label``.

    :raises InputError: if the label was made neither by a calculation of ``pw.x`` nor by one of a reference potential.
    """
    creator = label.creator
    if creator is not None and creator.process_type == REFERENCE_LABEL:
        return level_of_potential(creator.inputs.potential)
    if creator is None or "parameters" not in creator.inputs:
        raise InputError(
            f"label `{name}` <{label.pk}> was not made by a calculation, so that its level of theory is unknown; "
            "take the `output_trajectory` of a PwCalculation or a ReferenceLabelCalculation."
        )
    incoming = creator.base.links.get_incoming(link_type=LinkType.INPUT_CALC).nested()
    return level_from_nodes(incoming["parameters"], incoming["kpoints"], incoming["code"], incoming["pseudos"])


@calcfunction
def extend_dataset(
    level_of_theory: LevelOfTheoryData, previous: LabelledDataSetData | None = None, **labels: orm.TrajectoryData
) -> LabelledDataSetData:
    """Return ``previous`` and after it the new labels, as a new data set.

    :param level_of_theory: that of all labels; checked against each.
    :param previous: an earlier data set; without it a new one begins.
    :param labels: ``output_trajectory`` of each new label; its link label is ``label_`` and its place, six digits.
    :raises InputError: if places are not consecutive, or levels of theory differ (with setting and both values).
    """
    level = level_of_theory.get_dict()
    frames = []
    if previous is not None:
        require_same_level(level, previous.level_of_theory, f"data set <{previous.pk}>")
        frames = previous.frames()
    expected = [label_of_place(len(frames) + index) for index in range(len(labels))]
    if sorted(labels) != expected:
        raise InputError(
            f"the labels are named {', '.join(sorted(labels))}; after {len(frames)} earlier configurations they "
            f"have to be named {', '.join(expected)}."
        )
    for name in sorted(labels, key=place_of_label):
        require_same_level(level, level_of_label(labels[name], name), f"label `{name}` <{labels[name].pk}>")
        frames.append(labelled_frame(labels[name], name))
    return LabelledDataSetData.from_frames(frames, level)
