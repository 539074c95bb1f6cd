"""Types of defects of a data set, whatever the user calls the start structures."""

from __future__ import annotations

from aiida import orm

from aiida_sicmlip.calculations.functions.find_defect_types import find_defect_types


def test_a_host_may_be_called_as_an_input_is(generate_dataset, divacancy_host) -> None:
    hosts = {name: orm.StructureData(ase=divacancy_host) for name in ("dataset", "hosts")}
    types = find_defect_types(dataset=generate_dataset(3), hosts=hosts)
    assert types.get_dict() == {"V_C + V_Si": 3}
    assert types.creator.inputs.hosts["dataset"].uuid == hosts["dataset"].uuid
