"""Nodes by what a user calls them, and what is said where that is none that fits."""

from __future__ import annotations

import re

import pytest
from aiida import orm

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.process_types import EVALUATION, EXPLORATION
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.tools.nodes import load


def test_a_node_is_found_by_what_it_is_called(generate_dataset) -> None:
    node = generate_dataset(2)
    for identifier in (node.pk, str(node.pk), node.uuid, node):
        assert load(identifier, [LabelledDataSetData], "PK").uuid == node.uuid
    assert load(node.pk, [], "NODE").uuid == node.uuid


def test_a_process_is_found_by_its_type(aiida_profile) -> None:
    process = orm.WorkChainNode(process_type=EXPLORATION).store()
    assert load(process.pk, [EVALUATION, EXPLORATION], "PK").pk == process.pk


@pytest.mark.parametrize("identifier", [987654, "987654", "nothing", "zz", [1], None])
def test_no_such_node(aiida_profile, identifier) -> None:
    message = f"`initial.training_set` is {identifier}, and no node is called that; give the PK or UUID of a Labelled"
    with pytest.raises(InputError, match=re.escape(message)):
        load(identifier, [LabelledDataSetData], "initial.training_set")


def test_nodes_of_other_kinds(generate_dataset) -> None:
    number = orm.Int(3).store()
    message = f"`PK` is node <{number.pk}>, an Int; give the PK or UUID of a LabelledDataSetData or a StructureData."
    with pytest.raises(InputError, match=re.escape(message)):
        load(number.pk, [LabelledDataSetData, orm.StructureData], "PK")
    for other in (generate_dataset(2), orm.WorkChainNode(process_type=EXPLORATION).store()):
        with pytest.raises(InputError, match="give the PK or UUID of an EvaluationCalculation"):
            load(other.pk, [EVALUATION], "--compare")
