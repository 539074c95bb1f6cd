"""What the loop does when a step fails or finds nothing, and how it ends; the exit status of steps is made up."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from aiida import orm
from plumpy.utils import AttributesFrozendict

from aiida_sicmlip.data.candidates import CandidateFramesData
from aiida_sicmlip.science.evaluation.calibration import CalibrationSettings, calibrate
from aiida_sicmlip.science.selection.candidates_file import write_candidates
from aiida_sicmlip.science.selection.picks import ROLES
from aiida_sicmlip.science.selection.settings import SelectionSettings
from aiida_sicmlip.tools.lineage.sources import labels_of_dataset
from aiida_sicmlip.tools.verification import verify
from aiida_sicmlip.workflows.active_learning.loop import ActiveLearningWorkChain
from tests.graphs.processes import ended


@pytest.fixture
def loop(chain, inputs):
    """A run that has finished round 0 and is in round 1."""
    instance = chain(ActiveLearningWorkChain, inputs)
    instance.setup()
    instance.ctx.round = 1
    return instance


def test_failed_round_hands_out_the_round_before(loop, portable_potential):
    """A failure in a later round loses nothing that was finished."""
    loop.ctx.finished = {"potential": portable_potential}
    loop.ctx.exploration = ended(401, "no frames", orm.WorkChainNode)
    code = loop.inspect_exploration()
    assert code.status == 401 and "round 1" in code.message and "no frames" in code.message
    assert loop.outputs["potential"].pk == portable_potential.pk


def test_rounds_end_with_a_warning_that_counts_them(loop, portable_potential):
    """Not converged after `max_rounds`: a 7xx code, and the potential is handed out."""
    loop.ctx.round = 2
    loop.ctx.finished = {"potential": portable_potential}
    loop.ctx.assessment = orm.Dict({"fitness": {"message": "not fit for dynamics: it forgets atoms"}})
    assert not loop.should_run_round()
    code = loop.results()
    assert code.status == 701 and "after 2 rounds" in code.message
    assert "The last potential is not fit for dynamics: it forgets atoms. Increase `max_rounds`" in code.message
    assert loop.outputs["potential"].pk == portable_potential.pk


def test_converged_loop_ends_well(loop):
    """Convergence ends the loop before the last round, with status 0."""
    loop.ctx.converged = True
    assert not loop.should_run_final_run()
    assert not loop.should_run_round()
    assert loop.results() is None


def test_no_label_left_for_validation(loop, generate_dataset):
    """Where every label of a set failed and there is no earlier one, the round fails with a reason."""
    level = orm.Dict(generate_dataset(1).levels_of_theory[0])
    loop.ctx.picked = {"training": {}, "validation": {"frame_s00_000001": None}, "fixed_validation": {}}
    loop.ctx.datasets = {"training": generate_dataset(1), "validation": None, "fixed_validation": None}
    loop.ctx.labelling = SimpleNamespace(pk=7, outputs=SimpleNamespace(labels={}, level_of_theory=level))
    code = loop.run_datasets()
    assert code.status == 402 and "no label is left for the validation set" in code.message


@pytest.mark.parametrize(("status", "code"), [(410, 410), (420, 405)])
def test_failed_description(loop, portable_potential, status, code):
    """Where nothing is new, the run ends and says so; any other failure names its reason. Nothing finished is lost."""
    loop.ctx.finished = {"potential": portable_potential}
    loop.ctx.descriptors = ended(status, "no host fits")
    found = loop.inspect_descriptors()
    assert found.status == code and "ound 1" in found.message
    assert ("no host fits" in found.message) is (code == 405)
    assert loop.outputs["potential"].pk == portable_potential.pk


def test_segments_are_numbered_through_all_rounds(loop, monkeypatch):
    """The second exploration's `s00` is the fourth segment of the run, in trajectories and filters alike."""
    given = {}
    monkeypatch.setattr(
        "aiida_sicmlip.workflows.active_learning.steps.submit_once",
        lambda chain, process, label, **inputs: given.update(inputs, label=label) or ended(),
    )
    loop.ctx.n_segments = 3
    loop.ctx.exploration = ended(0, None, orm.WorkChainNode)
    loop.ctx.trajectories = {"divacancy": {"s00": "a", "s01": "b"}}
    loop.ctx.filters = {"divacancy": {"s01": "kept"}}
    loop.ctx.seeds = {"descriptors": orm.Int(5)}
    loop.run_descriptors()
    assert given["label"] == "round_01_descriptors" and given["seed"].value == 5
    assert given["trajectories"] == {"divacancy": {"s03": "a", "s04": "b"}}
    assert given["filters"] == {"divacancy": {"s04": "kept"}}
    assert list(given["hosts"]) == ["divacancy"]
    assert given["with_fixed"].value is False


def test_frames_that_were_left_out_stay_so_in_the_next_round(loop, monkeypatch, generate_segment):
    """Variables of a round are learned from what the filter of the round before let pass."""
    given = {}
    monkeypatch.setattr(
        "aiida_sicmlip.workflows.active_learning.steps.submit_once",
        lambda chain, process, label, **inputs: given.update(inputs) or ended(),
    )
    monkeypatch.setattr(
        "aiida_sicmlip.workflows.active_learning.steps.run_once",
        lambda chain, function, label, **inputs: {"exploration": orm.Int(1)},
    )
    segment, passing = generate_segment(0), orm.ArrayData()
    passing.set_array("kept", np.arange(2))
    outputs = {"trajectories__divacancy__s00": segment.clone(), "frame_filters__divacancy__s00": passing}
    loop.ctx.exploration = ended(0, None, orm.WorkChainNode, **outputs)
    assert loop.inspect_exploration() is None
    loop.run_exploration()
    assert given["earlier"]["divacancy"]["s00"].uuid == loop.ctx.exploration.outputs.trajectories.divacancy.s00.uuid
    assert given["earlier_filters"]["divacancy"]["s00"].uuid == passing.uuid
    # Without a filter there is none.
    loop.ctx.exploration = ended(0, None, orm.WorkChainNode, trajectories__divacancy__s00=segment.clone())
    assert loop.inspect_exploration() is None
    assert loop.ctx.filters == {}


@pytest.mark.parametrize(
    ("calibrated", "fixed", "bound"),
    [(2.0, None, 2.0), (2.0, 3.0, 2.0), (None, 3.0, 3.0), (None, None, np.inf), ("none", 2.0, 2.0)],
)
def test_picks_are_inside_what_the_calibration_of_the_round_believes(loop, request, calibrated, fixed, bound):
    """Frames beyond are most novel, and not picked; without a calibration (of enough labels) the settings hold."""
    describe, generate_segment, caplog = map(request.getfixturevalue, ("describe", "generate_segment", "caplog"))
    soap = {"cutoff": 4.0, "n_max": 2, "l_max": 1, "centres": "all"}
    given = {"n_training": 6, "n_validation": 3, "separation": 0.0, **soap, "max_disagreement": fixed}
    loop._parsed_inputs = AttributesFrozendict(
        {**loop.inputs, "selection": AttributesFrozendict({"parameters": orm.Dict(given).store()})}
    )
    known = describe({"divacancy": {"s00": generate_segment()}}, parameters=orm.Dict(given), seed=orm.Int(1))
    # Disagreement grows with novelty, from 0 to 4 eV/A.
    found = known.candidates()
    order = np.argsort(np.argsort(np.linalg.norm(found.descriptors - found.mean, axis=1)))
    disagreement = 4.0 * order / (len(order) - 1)
    path = request.getfixturevalue("tmp_path") / "candidates.npz"
    write_candidates(path, replace(found, disagreement=disagreement, max_force=np.full(len(found), 9.0)))
    described = orm.Dict({"n_frames": len(found), "n_overlapping": 0, "n_filtered": 0})
    loop.ctx.descriptors = ended(candidates=CandidateFramesData.from_file(path), results=described)
    loop.ctx.candidates, loop.ctx.picks, loop.ctx.seeds = {}, {}, {"selection": orm.Int(1)}
    loop.ctx.trajectories = {"divacancy": {"s00": "a"}}
    outputs = {}
    if calibrated is not None:
        settings = CalibrationSettings(max_error=8.0, multiple_of_median=0.0)
        # Too few labels for a line, or twelve whose errors are four times the disagreement.
        labels = np.linspace(0.1, 1.2, 2 if calibrated == "none" else 12)
        outputs["calibration"] = orm.Dict(calibrate(labels, 4.0 * labels, settings))
    loop.ctx.exploration = ended(0, None, orm.WorkChainNode, **outputs)
    assert loop.run_selection() is None
    summary = loop.ctx.selection
    assert (summary["n_training"], summary["n_validation"]) == (6, 3)
    picks = loop.ctx.picks["round_01"]
    rows = [int(np.flatnonzero(found.frame == frame)[0]) for frame in picks.get_array("frame")]
    assert (disagreement[rows] <= bound + 1e-9).all()
    assert summary["window"]["n_above_disagreement"] == (disagreement > bound).sum()
    if calibrated == 2.0:
        assert f"{(disagreement > 2.0).sum()} for `max_disagreement` 2 eV/A" in caplog.text
        assert picks.creator.inputs.thresholds.uuid == loop.ctx.exploration.outputs.calibration.uuid
    if bound == np.inf:
        assert (disagreement[rows] > 3.0).any()


@pytest.mark.parametrize(
    ("replaced", "sizes"), [("train", [(2, 1), (5, 1), (8, 1)]), ("drop", [(2, 1), (4, 1), (6, 1)])]
)
def test_replaced_validation_labels_become_training_labels(loop, monkeypatch, request, replaced, sizes):
    """Three rounds of two training labels and one validation label: each label is used once, and has its lineage."""
    labelled_frames, generate_label, level_of = map(
        request.getfixturevalue, ("labelled_frames", "generate_label", "level_of")
    )
    parameters = {**loop.inputs.selection.parameters.get_dict(), "replaced_validation": replaced}
    monkeypatch.setattr(type(loop), "_selection", property(lambda self: SelectionSettings.from_mapping(parameters)))
    loop.ctx.datasets = dict.fromkeys(ROLES)
    frames = labelled_frames(9)
    validation = []
    for index, expected in enumerate(sizes):
        names = [f"frame_s{index:02d}_{number:06d}" for number in range(3)]
        labels = dict(zip(names, map(generate_label, frames[3 * index : 3 * index + 3]), strict=True))
        loop.ctx.round = index
        loop.ctx.picked = {
            "training": dict.fromkeys(names[:2]),
            "validation": dict.fromkeys(names[2:]),
            "fixed_validation": {},
        }
        level = level_of(labels[names[0]])
        loop.ctx.labelling = SimpleNamespace(pk=7, outputs=SimpleNamespace(labels=labels, level_of_theory=level))
        assert loop.run_datasets() is None
        found = {
            role: [source.label for source in labels_of_dataset(loop.ctx.datasets[role])]
            for role in ("training", "validation")
        }
        assert tuple(map(len, found.values())) == expected
        assert found["validation"] == [labels[names[2]].pk]
        assert None not in found["training"] and len(set(found["training"])) == len(found["training"])
        assert not set(found["training"]) & set(found["validation"])
        assert set(validation) <= set(found["training"]) or replaced == "drop"
        validation += found["validation"]
    # The last training set holds the sets of all rounds before.
    for dataset in (loop.ctx.datasets["training"], loop.ctx.new_labels):
        problems = {check.name: check.problems for check in verify(dataset) if "label" in check.name}
        assert len(problems) == 3 and not any(problems.values()), problems


@pytest.mark.parametrize(("update", "expected"), [("replace", ["new"]), ("extend", ["old", "new"])])
def test_validation_set_is_replaced_or_extended(loop, monkeypatch, generate_dataset, update, expected):
    """The training set always keeps what it had; the validation set does where the settings say so."""
    old = {"training": generate_dataset(2, seed=1), "validation": generate_dataset(2, seed=2), "fixed_validation": None}
    calls = {}

    def extended(chain, function, label, **inputs):
        calls[label] = [*(["old"] if "previous" in inputs else []), *(["new"] if "label_0" in str(inputs) else [])]
        return old["training"]

    monkeypatch.setattr("aiida_sicmlip.workflows.active_learning.steps.run_once", extended)
    parameters = {**loop.inputs.selection.parameters.get_dict(), "validation_update": update}
    monkeypatch.setattr(
        type(loop), "_selection", property(lambda self: SelectionSettings.from_mapping(parameters)), raising=True
    )
    loop.ctx.datasets = dict(old)
    loop.ctx.picked = {
        "training": {"frame_s03_000001": None},
        "validation": {"frame_s03_000002": None},
        "fixed_validation": {},
    }
    labels = {"frame_s03_000001": "a", "frame_s03_000002": "b"}
    loop.ctx.labelling = SimpleNamespace(pk=7, outputs=SimpleNamespace(labels=labels, level_of_theory="level"))
    assert loop.run_datasets() is None
    assert calls["round_01_training_set"] == ["old", "new"]
    assert calls["round_01_validation_set"] == expected
    assert calls["round_01_new_labels"] == ["new"] and "round_01_fixed_validation_set" not in calls
    assert ("round_01_replaced_validation" in calls) is (update == "replace")
