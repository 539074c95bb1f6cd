"""What is run again, with which code, and what a comparison of both says."""

from __future__ import annotations

from pathlib import Path

import aiida
import pytest
from aiida import orm
from aiida.manage.caching import enable_caching

import aiida_sicmlip
from aiida_sicmlip.calculations.functions.subset_dataset import subset_dataset
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.process_types import TRAINING, TRAINING_CALCULATION
from aiida_sicmlip.reports.reproduction import preview_lines, reasons, verdict_lines
from aiida_sicmlip.tools.comparison import reproduction
from aiida_sicmlip.workflows.rerun.reproduction import (
    attempts_of,
    complete,
    process_behind,
    require_no_cache,
    run_again,
    state_of,
    usable_code,
)
from tests.graphs.processes import output, process
from tests.graphs.trainings import trained


@pytest.fixture
def code(aiida_profile_clean, generate_code):
    return generate_code("sicmlip.training")


def test_calcfunction_runs_again_and_not_out_of_the_cache(generate_dataset) -> None:
    part = subset_dataset(generate_dataset(4), orm.List([0, 2]))
    with enable_caching():
        again = run_again(process_behind(part))
    assert again.pk != part.creator.pk and not again.base.caching.is_created_from_cache
    assert again.label == f"subset_dataset <{part.creator.pk}> again"
    found = reproduction(part.creator, again)
    assert found.identical
    assert verdict_lines(found) == [
        "result: the same to the last bit",
        "reproduced: what came out is identical",
    ]


def test_other_inputs_give_another_result(generate_dataset) -> None:
    part = subset_dataset(generate_dataset(4), orm.List([0, 2]))
    found = reproduction(part.creator, run_again(part.creator, replaced={"places": orm.List([0, 3])}))
    assert not found.identical
    lines = verdict_lines(found)
    assert lines[0] == "result: 1 and 1 configurations are not in the other"
    assert lines[-1] == "not identical"


def test_models_with_other_weights(tmp_path: Path, code, generate_dataset) -> None:
    """Versions that differ come first, then weights and errors, then what may be the reason."""
    sets = generate_dataset(3), generate_dataset(2, seed=2)
    first = trained(tmp_path / "a", code, *sets, scale=0.1)
    second = trained(tmp_path / "b", code, *sets, scale=0.2, versions={"torch": "2.14.0"})
    found = reproduction(first.creator, second.creator)
    lines = verdict_lines(found)
    assert lines[0] == "version of torch: 2.13.0 then, 2.14.0 now"
    assert "potential: 1 of 2 weights differ, by up to 0.1 (in `a.weight`)" in lines[1]
    assert any(line.startswith("training set: force MAE 0.200000 and 0.400000 eV/A") for line in lines)
    assert lines[-2:] == ["possible reason: other versions of torch", "not identical"]
    same = trained(tmp_path / "c", code, *sets, scale=0.1)
    assert reproduction(first.creator, same.creator).identical


def test_reports_beside_a_model_do_not_decide(tmp_path: Path, code, generate_dataset) -> None:
    """A later version of the program that reports more gave the same model all the same."""
    sets = generate_dataset(3), generate_dataset(2, seed=2)
    first, second = (trained(tmp_path / name, code, *sets) for name in "ab")
    output(second.creator, "configuration", orm.SinglefileData.from_string("new"))
    found = reproduction(first.creator, second.creator)
    assert found.identical
    lines = verdict_lines(found)
    assert f"configuration: made by <{second.creator.pk}> only, not by <{first.creator.pk}>" in lines
    assert lines[-1] == "reproduced: what came out is identical, besides what is reported of it"


def test_reasons(tmp_path: Path, code, generate_dataset) -> None:
    sets = generate_dataset(3), generate_dataset(2, seed=2)
    nodes = [trained(tmp_path / str(index), code, *sets, scale=0.1 + index).creator for index in range(2)]
    assert "another processor" in reasons(reproduction(*nodes))[0]


def test_preview_says_how_long_it_took_and_what_is_newer(code) -> None:
    version = {"core": "2.0.0", "plugin": "0.0.1"}
    node = process(orm.CalcJobNode, TRAINING_CALCULATION, version=version, code=code)
    lines = preview_lines(node, code)
    assert lines[0] == f"version of aiida-core: 2.0.0 then, {aiida.__version__} now"
    assert lines[1] == f"version of aiida-sicmlip: 0.0.1 then, {aiida_sicmlip.__version__} now"
    assert lines[2].startswith(f"to run: sicmlip.training <{node.pk}>, which took ")


def test_legs_of_a_training(aiida_profile_clean) -> None:
    """A training that went on from checkpoints is made again from its first part on."""
    first = process(orm.CalcJobNode, TRAINING_CALCULATION)
    checkpoint = output(first, "checkpoint", orm.Int(1))
    second = process(orm.CalcJobNode, TRAINING_CALCULATION, checkpoint=checkpoint)
    last = process(
        orm.CalcJobNode,
        TRAINING_CALCULATION,
        checkpoint=output(second, "checkpoint", orm.Int(2)),
    )
    assert [node.pk for node in attempts_of(last)] == [first.pk, second.pk, last.pk]
    assert state_of(last) == "finished"


def test_training_that_was_cut_off_goes_on_from_its_checkpoint(
    tmp_path: Path, code, generate_dataset, monkeypatch
) -> None:
    cut = process(orm.CalcJobNode, TRAINING_CALCULATION)
    checkpoint = output(cut, "checkpoint", orm.Int(1))
    whole = trained(tmp_path, code, generate_dataset(3), generate_dataset(2, seed=2)).creator
    asked = []

    def next_leg(process, **inputs):
        asked.append((process.pk, inputs["replaced"]["checkpoint"].pk))
        return whole

    monkeypatch.setattr("aiida_sicmlip.workflows.rerun.reproduction.run_again", next_leg)
    said: list[str] = []
    assert complete(cut, said.append).pk == whole.pk
    assert asked == [(cut.pk, checkpoint.pk)]
    assert said == [f"sicmlip.training <{cut.pk}>: finished", f"sicmlip.training <{whole.pk}>: finished"]


def test_what_cannot_be_run_again(code, generate_dataset) -> None:
    with pytest.raises(InputError, match="was not created by a process"):
        process_behind(generate_dataset(2))
    chain = process(orm.WorkChainNode, TRAINING)
    with pytest.raises(InputError, match="give what it made or called"):
        process_behind(chain)
    with pytest.raises(InputError, match="has not finished"):
        process_behind(orm.CalcFunctionNode(process_type="x").store())
    gone = process(orm.CalcFunctionNode, "nothing.of_the_kind.exists")
    with pytest.raises(InputError, match="is not installed here"):
        run_again(gone)


def test_code_of_another_profile(code) -> None:
    """A computer that came with an archive is not configured: the one code here for the same is taken."""
    computer = orm.Computer("elsewhere", "elsewhere", "", "core.local", "core.direct").store()
    foreign = orm.InstalledCode(computer, "/bin/true", label="foreign", default_calc_job_plugin="sicmlip.training")
    foreign.store()
    assert usable_code(code).pk == code.pk
    assert usable_code(foreign).pk == code.pk
    assert usable_code(foreign, wanted=code.full_label).pk == code.pk
    with pytest.raises(InputError, match="`code` is nothing@nowhere"):
        usable_code(foreign, wanted="nothing@nowhere")
    orm.InstalledCode(code.computer, "/bin/true", label="second", default_calc_job_plugin="sicmlip.training").store()
    with pytest.raises(InputError, match="name another `code` for `sicmlip`"):
        usable_code(foreign)


def test_runs_are_not_copied_out_of_the_cache(aiida_profile_clean) -> None:
    require_no_cache()
    with enable_caching(), pytest.raises(InputError, match="caching is enabled"):
        require_no_cache()
