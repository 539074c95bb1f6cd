"""The types of defects that labelled configurations show."""

from collections.abc import Mapping

from aiida import orm
from aiida.engine import calcfunction

from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.science.defects.types import count_defect_types

CACHE_VERSION = 1
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


@calcfunction
def find_defect_types(dataset: LabelledDataSetData, **namespaces: Mapping[str, orm.StructureData]) -> orm.Dict:
    """Return how many configurations show each type of defect, by the name of the type.

    :param dataset: the configurations.
    :param namespaces: `hosts`, the perfect crystals by the name that the user gave to each, which may be any; a
        configuration belongs to the first, in the order of their names, that it fits.
    :raises InputError: if there is no host.
    """
    crystals = {name: host.get_ase() for name, host in namespaces.get("hosts", {}).items()}
    return orm.Dict(count_defect_types(dataset.frames(), crystals))
