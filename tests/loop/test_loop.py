"""The whole loop for real: pw.x, LAMMPS, NequIP's training and compilation, through the daemon."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.program

CREATED = {
    # In all, of two start structures with their hosts, and of the fixed validation set; and in each round. Data sets of
    # a round are three and the fixed one, or the one into which replaced validation labels are merged.
    "StructureData": (5, 6),
    "TrajectoryData": (1, 6),
    "LabelledDataSetData": (0, 4),
    "PotentialData": (0, 1),
    "CompiledPotentialData": (0, 1),
    # Two unbiased runs from each structure come before the first round.
    "SegmentTrajectoryData": (4, 2),
    "CollectiveVariablesData": (0, 2),
    "CandidateFramesData": (0, 1),
}


def test_ends_with_a_potential(finished_loop, switched):
    """Two rounds give a potential, the data sets it was trained on, and an assessment of each round."""
    from aiida import orm

    folder, pk = finished_loop
    with switched(folder):
        node = orm.load_node(pk)
        assert node.exit_status in (0, 701), folder.report(pk)
        assert set(node.outputs) >= {"potential", "compiled_potential", "training_set", "validation_set", "assessments"}
        rounds = sorted(node.outputs.assessments)
        assert rounds == [f"round_{index:02d}" for index in range(len(rounds))]
        sizes = node.outputs.training_set.n_frames, node.outputs.validation_set.n_frames
        # The validation set is replaced each round, and the replaced one becomes training data.
        assert sizes == (4 * len(rounds) + 2 * (len(rounds) - 1), 2)
        assert node.outputs.fixed_validation_set.n_frames == 1
        assert all("force_mae" in assessment["fixed_validation"] for assessment in node.outputs.assessments.values())
        assert node.outputs.potential.species == ["C", "Si"]
        for assessment in node.outputs.assessments.values():
            errors = [assessment[which]["force_mae"] for which in ("exploring", "training", "validation")]
            assert all(0 < error < float("inf") for error in errors)
        first = node.outputs.assessments.round_00
        assert first["training"]["force_mae"] < first["exploring"]["force_mae"]


def test_nothing_appears_from_nowhere(finished_loop, switched):
    """Provenance rule 1: configurations, trajectories, labels, data sets and potentials have a creator."""
    from aiida import orm

    folder, pk = finished_loop
    with switched(folder):
        node = orm.load_node(pk)
        given = {link.node.pk for link in node.base.links.get_incoming().all()}
        orphans = []
        seen = dict.fromkeys(CREATED, 0)
        for (data,) in orm.QueryBuilder().append(orm.Data).all():
            name = type(data).__name__
            if name in (*CREATED, "ContinuationData"):
                # A walker that failed at once has no state to go on from.
                seen[name] = seen.get(name, 0) + 1
                if data.creator is None and data.pk not in given:
                    orphans.append((name, data.pk))
        rounds = len(node.outputs.assessments)
        assert seen.pop("ContinuationData") > 0
        assert seen == {name: once + each * rounds for name, (once, each) in CREATED.items()}
        assert orphans == []


def test_validation_frames_are_never_training_frames(finished_loop, switched):
    """No configuration is in both sets, and each data set names its labels by their indices."""
    from aiida import orm

    from aiida_sicmlip.tools.lineage import labels_of_dataset

    folder, pk = finished_loop
    with switched(folder):
        outputs = orm.load_node(pk).outputs
        sets = {name: labels_of_dataset(outputs[f"{name}_set"]) for name in ("training", "validation")}
        assert not {source.label for source in sets["training"]} & {source.label for source in sets["validation"]}
        frames = {name: {(s.trajectory, s.frame) for s in sources} for name, sources in sets.items()}
        assert not frames["training"] & frames["validation"]
        for name, sources in sets.items():
            assert [source.index for source in sources] == list(range(outputs[f"{name}_set"].n_frames))


def test_data_sets_hold_what_dft_computed(finished_loop, switched):
    """Each configuration of a data set is its label, to the last digit, and its structure a frame of its trajectory."""
    import numpy as np
    from aiida import orm

    from aiida_sicmlip.tools.lineage import labels_of_dataset

    folder, pk = finished_loop
    with switched(folder):
        dataset = orm.load_node(pk).outputs.training_set
        for source, frame in zip(labels_of_dataset(dataset), dataset.frames(), strict=True):
            label = orm.load_node(source.label)
            assert frame.get_potential_energy() == float(label.get_array("energy")[-1])
            assert np.array_equal(frame.get_forces(), label.get_array("forces")[-1])
            picked = orm.load_node(source.structure).get_ase()
            kept = orm.load_node(source.trajectory).frames([source.frame])[0]
            assert np.allclose(picked.positions, kept.positions, atol=1e-12)


def test_configurations_know_their_rounds_and_start_structures(finished_loop, switched, ask):
    """A part of a real data set by round; its export comes back as it was; the sources of the whole are complete."""
    from aiida import orm

    from aiida_sicmlip.tools.datasets import origins_of_dataset, select_indices, source_columns

    folder, pk = finished_loop
    with switched(folder):
        run = orm.load_node(pk)
        dataset = run.outputs.training_set
        origins = origins_of_dataset(dataset)
        rounds = len(run.outputs.assessments)
        # Four picks of each round, and the two validation labels of each but the last, which the next one replaced.
        expected = [index for index in range(rounds) for _ in range(6 if index < rounds - 1 else 4)]
        assert [origin.round for origin in origins] == expected
        assert {origin.start for origin in origins} <= {"vacancy", "divacancy"}
        for origin in origins:
            segment = orm.load_node(origin.source.trajectory).creator
            assert segment.inputs.structure.pk == run.inputs.structures[origin.start].pk
        assert select_indices(dataset, rounds=[0]) == [place for place, index in enumerate(expected) if index == 0]
        sources = {"label_uuid", "calculation_uuid", "structure_uuid", "selection_uuid", "trajectory_uuid"}
        for columns in source_columns(dataset):
            assert set(columns) == sources | {"segment", "frame", "round", "start_structure"}
        identifier = dataset.pk
    printed = ask(folder, "dataset", "export", str(identifier), "training.db")
    assert f"Wrote {len(expected)} configurations" in printed


def test_later_rounds_explore_with_the_trained_model(finished_loop, switched):
    """Round 0 is driven by EDIP, round 1 by what round 0 trained, and seeds differ."""
    from aiida import orm

    from aiida_sicmlip.tools.runs import read_run

    folder, pk = finished_loop
    with switched(folder):
        run = read_run(orm.load_node(pk))
        driving = [orm.load_node(entry.steps["exploration"].pk).inputs.potential for entry in run.rounds]
        assert type(driving[0]).__name__ == "LammpsPotentialData"
        if len(run.rounds) > 1:
            first = orm.load_node(run.rounds[0].steps["training"].pk)
            assert driving[1].pk == first.outputs.compiled_potential.pk
        seeds = [orm.load_node(entry.steps["exploration"].pk).inputs.seed.value for entry in run.rounds]
        assert len(set(seeds)) == len(seeds)


def test_walkers_are_biased_along_what_was_learned_before(finished_loop, switched):
    """Variables come from unbiased runs in round 0, and from the walkers of the round before in round 1."""
    from aiida import orm

    from aiida_sicmlip.tools.runs import read_run

    folder, pk = finished_loop
    with switched(folder):
        explorations = [orm.load_node(entry.steps["exploration"].pk) for entry in read_run(orm.load_node(pk)).rounds]
        sources = [explorations[0].outputs.unbiased_trajectories, *(e.outputs.trajectories for e in explorations)]
        for exploration, source in zip(explorations, sources[:-1], strict=True):
            for name, variables in exploration.outputs.collective_variables.items():
                learned_from = variables.creator.inputs.trajectories
                assert {node.pk for node in learned_from.values()} == {node.pk for node in source[name].values()}
                for segment in exploration.outputs.trajectories[name].values():
                    assert segment.creator.inputs.collective_variables.pk == variables.pk
            for name, segments in exploration.outputs.colvars.items():
                for label, colvar in segments.items():
                    frames = exploration.outputs.trajectories[name][label]
                    assert colvar.get_array("time").tolist() == frames.times().round(6).tolist()
                    if frames.times()[-1] > 0.2:
                        assert colvar.get_array("nker")[-1] > 0


def test_results_and_status_read_well(finished_loop, ask):
    """The table by round, the way from the model to one DFT calculation, and a picture."""
    folder, pk = finished_loop
    printed = ask(folder, "results", str(pk), "--plot", "errors.png")
    assert "force MAE (eV/A)" in printed
    assert "PwCalculation with pw@localhost" in printed
    assert "among candidates of" in printed and "DescriptorsCalculation, " in printed
    assert "bootstrap potential" in printed or "compiled model" in printed
    assert (folder.path / "errors.png").stat().st_size > 5000
    ask(folder, "results", str(pk), "--plot-space", "space.svg")
    space = (folder.path / "space.svg").read_text()
    assert all(f"round 0, {name}" in space for name in ("vacancy", "divacancy")) and " selected" in space
    options = ("--round", "0", "--structure", "divacancy", "--blocks", "2", "--json")
    report = json.loads(ask(folder, "free-energy", str(pk), *options))
    # The ramp begins at 60 % of the temperature.
    assert (report["temperature"], report["variables"], len(report["calculations"])) == (300.0, ["CV 1"], 1)
    assert folder.state(pk).splitlines()[0].startswith(f"ActiveLearningWorkChain <{pk}>: finished")


def test_verdi_tells_the_story(finished_loop):
    """`verdi process report` names rounds, counts and errors."""
    folder, pk = finished_loop
    report = folder.command("verdi", "-p", "loop", "process", "report", str(pk))
    for words in ("round 0: picked 4 of 4 training and 2 of 2 validation", "force MAE on the validation set is"):
        assert words in report
    status = folder.command("verdi", "-p", "loop", "process", "status", str(pk))
    assert "ExplorationWorkChain" in status and "TrainingWorkChain" in status


def test_no_calculation_was_submitted_twice(finished_loop):
    """Each work folder saw one start of its program."""
    folder, _ = finished_loop
    starts = folder.starts()
    assert len(starts) == len(set(starts)) > 10


def test_label_that_exists_is_not_computed_again(finished_loop, switched):
    """With caching on, a second labelling takes the label of the first, and pw.x does not start."""
    import numpy as np
    from aiida import orm
    from aiida.engine import run_get_node
    from aiida.manage.caching import enable_caching

    from aiida_sicmlip.tools.costs import costs_of_run, jobs_of_run
    from aiida_sicmlip.tools.runs import read_run

    folder, pk = finished_loop
    before = folder.starts()
    with switched(folder):
        run = orm.load_node(pk)
        labelling = orm.load_node(read_run(run).rounds[0].steps["labelling"].pk)
        name, first = next(iter(labelling.outputs.labels.items()))
        builder = labelling.get_builder_restart()
        builder.structures = {name: labelling.inputs.structures[name]}
        with enable_caching(identifier="aiida.calculations:quantumespresso.pw"):
            outputs, again = run_get_node(builder)
        assert again.is_finished_ok
        label = outputs["labels"][name]
        assert label.pk != first.pk and label.creator.base.caching.is_created_from_cache
        for array in ("energy", "forces"):
            assert np.array_equal(label.get_array(array), first.get_array(array))
        # What the run has cost is what its jobs say, each of them once.
        costs, jobs = costs_of_run(run), jobs_of_run(pk)
        assert costs.labels == sum(entry.labels_asked for entry in read_run(run).rounds) == costs.computed_labels
        assert costs.dft_core_hours > 0 and costs.gpu_hours == 0
        assert len({job.pk for job in jobs}) == len(jobs) > costs.labels
    assert folder.starts() == before
