"""What `verdi` says of the nodes: beside them in graphs, and in its lists."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiida.tools.visualization.graph import default_node_sublabels
from click.testing import CliRunner

from aiida_sicmlip.cli import verdi_data
from tests.graphs.packaged_models import stored_model


def test_data_sets(generate_dataset) -> None:
    assert default_node_sublabels(generate_dataset(3)) == "3 configurations of C7Si7"


def test_models(tmp_path: Path, aiida_profile, generate_compiled_potential) -> None:
    model = stored_model(tmp_path / "m.nequip.zip", {"a.weight": [1.0]}).store()
    assert default_node_sublabels(model) == "C-Si, cutoff 4 A"
    assert default_node_sublabels(generate_compiled_potential()) == "C-Si, cutoff 5 A, for pair_allegro on cpu"


def test_what_explorations_leave(generate_segment, variables) -> None:
    assert default_node_sublabels(generate_segment(n_frames=11)) == "11 frames of 14 atoms, 0 to 0.4 ps"
    described = default_node_sublabels(variables)
    assert described == f"{variables.n_variables} variables of {len(variables.pairs)} distances"


def test_levels_and_priors(generate_label, labelled_frames, level_of, generate_prior) -> None:
    assert default_node_sublabels(level_of(generate_label(labelled_frames(1)[0]))) == "PBE by quantumespresso.pw"
    assert default_node_sublabels(generate_prior(cutoff=5.0)) == "pairs of C, Si, cutoff 5 A"


@pytest.mark.parametrize("group", [verdi_data.dataset, verdi_data.potential])
def test_lists(group, aiida_profile_clean, tmp_path: Path, generate_dataset) -> None:
    """The latest nodes, the last one at the end."""
    if group is verdi_data.dataset:
        nodes = [generate_dataset(count) for count in (2, 3, 4)]
    else:
        nodes = [stored_model(tmp_path / f"{n}.nequip.zip", {"a.weight": [1.0]}, cutoff=n).store() for n in (4.0, 5.0)]
    nodes[-1].label = "the last"
    result = CliRunner().invoke(group, ["list", "-n", "2"])
    assert result.exit_code == 0, result.output
    rows = [line for line in result.output.splitlines()[2:] if line and not line.startswith("The latest")]
    assert [row.split()[0] for row in rows] == [str(node.pk) for node in nodes[-2:]]
    assert "the last" in rows[-1] and rows[-1].endswith(nodes[-1].get_description())
    assert ("The latest 2 of 3" in result.output) == (len(nodes) > 2)
