"""What a work chain does when a child fails; the exit status of the children is made up."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from plumpy.utils import AttributesFrozendict

from aiida_sicmlip.workflows.base import sliding_window
from aiida_sicmlip.workflows.exploration.exploration import ExplorationWorkChain
from aiida_sicmlip.workflows.exploration.walker import WalkerWorkChain
from aiida_sicmlip.workflows.labelling.labelling import LabellingWorkChain
from aiida_sicmlip.workflows.training.training import TrainingWorkChain
from tests.graphs.processes import ended


def label_data():
    """Return a label of one atom."""
    node = orm.TrajectoryData()
    node.set_trajectory(["Si"], np.zeros((1, 1, 3)), cells=np.eye(3)[None] * 5)
    return node


@pytest.fixture
def labelling(chain, inputs):
    """Makes a labelling whose children have ended with the given statuses."""

    def make(*statuses):
        structures = {f"frame_s00_{index:06d}": inputs["structures"]["divacancy"] for index in range(len(statuses))}
        instance = chain(LabellingWorkChain, {**inputs["labelling"], "structures": structures})
        instance.ctx.pks = {}
        for name, status in zip(structures, statuses, strict=True):
            outputs = {"output_trajectory": label_data()} if status == 0 else {}
            instance.ctx.pks[name] = ended(status, "no convergence", orm.WorkChainNode, **outputs).pk
        instance.ctx.level_of_theory = None
        return instance

    return make


def test_few_failed_labels_are_reported_and_left_out(labelling, caplog):
    """One of ten may fail by default: the others are outputs, and the report names it."""
    instance = labelling(*[0] * 9, 410)
    assert instance.inspect_labels() is None
    assert "`frame_s00_000009`" in caplog.text and "no convergence" in caplog.text
    assert "9 of 10 labels done, 1 failed" in caplog.text
    instance.ctx.level_of_theory = None
    handed_out = {}
    instance.out = lambda name, value: handed_out.update({name: value})
    instance.results()
    assert sorted(handed_out["labels"]) == [f"frame_s00_{index:06d}" for index in range(9)]


@pytest.mark.parametrize("statuses", [(0, 410), (410,), (0, 0, 0, 410)])
def test_too_many_failed_labels_fail_the_step(labelling, statuses):
    """More than `allowed_failed_fraction`, or all, is a failure that counts them."""
    code = labelling(*statuses).inspect_labels()
    assert code.status == 401
    assert f"{sum(status != 0 for status in statuses)} of {len(statuses)} labels failed" in code.message


def test_labels_set_aside_for_their_forces_do_not_count_as_failures_of_the_step(labelling, caplog):
    """Half of the labels are beyond the bound: the others are outputs. Where all are, nothing is left."""
    instance = labelling(0, 460, 460, 0)
    assert instance.inspect_labels() is None
    assert "2 of 4 labels done, 2 failed, 2 of them rejected for their forces" in caplog.text
    assert labelling(0, 460, 410, 410).inspect_labels().status == 401
    assert labelling(460, 460).inspect_labels().status == 401


@pytest.mark.parametrize(("statuses", "kept"), [((0, 410, 410), ["frame_s00_000000"]), ((410,), None)])
def test_labels_that_are_done_are_handed_out_by_a_failed_step(labelling, statuses, kept):
    """They cost the same as all others; a step without a single one has no outputs."""
    instance = labelling(*statuses)
    handed_out = {}
    instance.out = lambda name, value: handed_out.update({name: value})
    instance.results()
    assert instance.inspect_labels().status == 401
    assert (sorted(handed_out["labels"]) if "labels" in handed_out else None) == kept


def test_labels_at_once_fit_into_the_slots(labelling, monkeypatch, caplog, inputs):
    """`max_concurrent` is lowered to what the daemon holds, and the report says so."""
    monkeypatch.setattr(sliding_window, "daemon_slots", lambda: 5)
    instance = labelling(0, 0)
    instance.setup()
    assert instance.ctx.window_size == 1
    assert "the slots of the daemon only suffice for 1 labels at a time" in caplog.text
    monkeypatch.setattr(sliding_window, "daemon_slots", lambda: 200)
    instance.setup()
    assert instance.ctx.window_size == inputs["labelling"]["max_concurrent"].value


@pytest.fixture
def exploration(chain, inputs):
    """Makes an exploration whose walkers are the given nodes."""

    def make(*walkers):
        given = {
            **inputs["exploration"],
            "structures": inputs["structures"],
            "hosts": inputs["hosts"],
            "potential": inputs["bootstrap_potential"],
            "seed": 1,
        }
        instance = chain(ExplorationWorkChain, given)
        instance.ctx.pks = {f"walker_{index:02d}": walker.pk for index, walker in enumerate(walkers)}
        instance.ctx.start_of = dict.fromkeys(instance.ctx.pks, "divacancy")
        return instance

    return make


def trajectory(tmp_path, frames=3):
    """Return a segment whose file is none."""
    from aiida_sicmlip.data.trajectory import SegmentTrajectoryData

    path = tmp_path / "trajectory.dcd"
    path.write_bytes(b"frames")
    return SegmentTrajectoryData(path, symbols=["Si"], cell=np.eye(3), n_frames=frames)


def walker(status, message=None, **outputs):
    """Return a walker that has ended."""
    return ended(status, message, orm.WorkChainNode, **outputs)


def test_frames_before_a_blow_up_are_kept(exploration, tmp_path, caplog):
    """A walker that blew up has its frames as outputs, one without frames is left out, and both are reported."""
    good = walker(0, trajectories__s00=trajectory(tmp_path), trajectories__s01=trajectory(tmp_path))
    blown = walker(710, "the potential failed", trajectories__s00=trajectory(tmp_path))
    instance = exploration(good, blown, walker(404, "LAMMPS stopped"))
    assert instance.inspect_walkers() is None
    assert sorted(instance.outputs["trajectories"]["divacancy"]) == ["s00", "s01", "s02"]
    assert instance.outputs["trajectories"]["divacancy"]["s02"].uuid == blown.outputs.trajectories.s00.uuid
    assert "walker_01" in caplog.text and "failed after 3 frames: the potential failed" in caplog.text
    assert "walker_02" in caplog.text and "LAMMPS stopped" in caplog.text


def test_segment_without_energies_is_not_filtered(exploration, tmp_path, caplog):
    """A run interrupted between a frame and its row has no energy for the filter."""
    instance = exploration(walker(0, trajectories__s00=trajectory(tmp_path)))
    assert instance.inspect_walkers() is None
    assert instance.should_run_filter()
    instance.run_filter()
    assert "has no energies to filter by" in caplog.text
    assert "frame_filters" not in instance.outputs


def test_exploration_without_frames_fails(exploration):
    """Nothing to select from is a failure."""
    assert exploration(walker(404), walker(404)).inspect_walkers().status == 401


def test_walkers_that_are_all_stopped_at_once_end_the_exploration(exploration):
    """The potential is not fit for the run: the message says so, and what to do."""
    message = "Segment 0 <1> has no frames that count"
    code = exploration(walker(711, message), walker(711, message)).inspect_walkers()
    assert code.status == 404
    assert code.message.startswith("All 2 walkers were stopped") and message in code.message
    assert "exploration.parameters.temperature" in code.message
    assert exploration(walker(711, message), walker(404, "LAMMPS stopped")).inspect_walkers().status == 401


def test_walkers_that_the_brake_stops_are_reported(exploration, tmp_path, caplog):
    """At which value, and when; they are no failures."""
    held = walker(0, trajectories__s00=trajectory(tmp_path), results=stopped())
    assert exploration(held).inspect_walkers() is None
    assert "was stopped by the brake: temperature 3400 K, above 3000 K, after 0.25 ps" in caplog.text
    assert "failed" not in caplog.text


def test_unbiased_runs_without_frames_fail(exploration):
    """Nothing to learn variables from is a failure that names the structure."""
    instance = exploration(walker(404))
    instance.setup()
    assert instance.should_run_unbiased()
    code = instance.inspect_unbiased()
    assert code.status == 402 and "`divacancy`" in code.message


def test_failed_variables_end_the_exploration(exploration):
    """Without collective variables no walker is biased: the reason of the training is told."""
    instance = exploration()
    instance.setup()
    failed = ended(410, "the loss became not-a-number")
    instance.ctx.pks = {"variables_divacancy": failed.pk}
    code = instance.inspect_variables()
    assert code.status == 403 and f"<{failed.pk}>" in code.message and "not-a-number" in code.message


def test_earlier_trajectories_replace_unbiased_runs(exploration, tmp_path):
    """From the second round on, variables are learned from the walkers of the round before."""
    instance = exploration()
    instance._parsed_inputs = AttributesFrozendict(
        {**instance.inputs, "earlier": {"divacancy": {"s00": trajectory(tmp_path).store()}}}
    )
    instance.setup()
    assert instance.should_run_variables() and not instance.should_run_unbiased()


@pytest.fixture
def with_committee(exploration, generate_compiled_potential):
    """Makes an exploration of a potential with a committee and what else is given; what it submits is kept."""
    from aiida_sicmlip.workflows.exploration import walkers as module

    def make(monkeypatch, **more):
        instance = exploration()
        potentials = [generate_compiled_potential() for _ in range(2)]
        more |= {"potential": potentials[0], "committee": AttributesFrozendict({"member_01": potentials[1]})}
        instance._parsed_inputs = AttributesFrozendict({**instance.inputs, **more})
        submitted = {}
        monkeypatch.setattr(
            module, "submit_once", lambda _, process, label, **inputs: submitted.update({label: inputs}) or ended()
        )
        instance.setup()
        instance.ctx.start_of = {"unbiased_00": "divacancy"}
        instance.ctx.walker_seeds = {"walker_00": orm.Int(1)}
        instance._submit("unbiased_00", {}, excluded=("bias",))
        return instance, submitted["unbiased_00"]["exploration"]

    return make


def test_walkers_get_the_committee_of_their_potential(with_committee, monkeypatch):
    instance, run = with_committee(monkeypatch)
    assert run["committee"]["member_01"].uuid == instance.inputs.committee.member_01.uuid
    assert "calibration" not in run and "calibration" not in instance.outputs


@pytest.mark.parametrize("count", [3, 12])
def test_disagreement_is_calibrated_by_the_labels_of_the_round_before(with_committee, monkeypatch, caplog, count):
    """With few labels, the node says so and the walkers keep the bound of the parameters."""
    frames = {"disagreement": [0.1 * (1 + n) for n in range(count)], "error": [0.4 * (1 + n) for n in range(count)]}
    evaluation = orm.Dict({"committee": {"frames": frames}}).store()
    instance, run = with_committee(monkeypatch, evaluation=evaluation)
    calibration = instance.outputs["calibration"]
    assert calibration.creator.process_label == "calibrate_disagreement"
    assert run["calibration"].uuid == calibration.uuid
    if count == 12:
        # A quarter of the accepted 15 eV/A.
        assert calibration["max_disagreement"] == pytest.approx(3.75)
        assert "walkers are stopped at a disagreement of 3.75 eV/A" in caplog.text
    else:
        assert calibration["max_disagreement"] is None
        assert "3 labels do not suffice" in caplog.text


def test_free_walkers_need_no_variables(exploration):
    """Without a bias nothing is learned."""
    instance = exploration()
    walker_inputs = {key: value for key, value in instance.inputs.walker.exploration.items() if key != "bias"}
    namespace = AttributesFrozendict({**instance.inputs.walker, "exploration": AttributesFrozendict(walker_inputs)})
    instance._parsed_inputs = AttributesFrozendict({**instance.inputs, "walker": namespace})
    instance.setup()
    assert not instance.should_run_variables() and not instance.should_run_unbiased()


@pytest.fixture
def chain_walker(chain, inputs):
    """Makes a walker in its first segment, which has ended as the given calculation has."""

    def make(calculation, iteration=1):
        run = {
            **inputs["exploration"]["walker"]["exploration"],
            "structure": inputs["structures"]["divacancy"],
            "potential": inputs["bootstrap_potential"],
            "seed": orm.Int(1),
        }
        run.pop("bias")
        instance = chain(WalkerWorkChain, {"exploration": run})
        instance.setup()
        instance.ctx.iteration = iteration
        instance.ctx.children = [calculation] * iteration
        instance.add_list_of_handlers()
        return instance

    return make


def continuation(step):
    """Return a saved state that holds nothing."""
    from aiida_sicmlip.data.continuation import ContinuationData

    node = ContinuationData()
    node.base.attributes.set("step", step)
    node.base.repository.put_object_from_bytes(b"state", "exploration.restart")
    return node


@pytest.mark.parametrize("status", [400, 401, 120, 140])
def test_segment_that_was_cut_off_is_continued(chain_walker, status):
    """The walltime, the scheduler or a failed node: the next segment begins at the last saved state."""
    calculation = ended(status, "interrupted", continuation=continuation(500))
    instance = chain_walker(calculation)
    assert instance.inspect_process().status == 0
    assert instance.should_run_process()
    assert instance.ctx.inputs.continuation.step == 500


def test_segment_without_progress_ends_the_walker(chain_walker, tmp_path):
    """A walltime too short to save one state would be spent again and again."""
    instance = chain_walker(ended(400, "walltime", trajectory=trajectory(tmp_path)))
    code = instance.inspect_process()
    assert code.status == 403 and "restart_interval" in code.message
    assert list(instance.outputs["trajectories"]) == ["s00"]

    calculation = ended(400, "walltime", continuation=continuation(500))
    instance = chain_walker(calculation)
    instance.ctx.inputs.continuation = continuation(500)
    assert instance.inspect_process().status == 403


@pytest.mark.parametrize("status", [411, 412, 415, 150])
def test_blown_up_walker_keeps_its_frames(chain_walker, tmp_path, status):
    """Where the potential fails, the walker finishes with a warning and keeps its outputs."""
    instance = chain_walker(ended(status, "the temperature diverged", trajectory=trajectory(tmp_path)))
    code = instance.inspect_process()
    assert code.status == 710 and "the temperature diverged" in code.message
    assert list(instance.outputs["trajectories"]) == ["s00"]


def stopped(cause="temperature", at_once=False):
    """Return results of a run that the brake stopped."""
    from aiida_sicmlip.science.dynamics.brake import Stop

    stop = Stop(cause, 3400.0, 3000.0, 0.25, in_production=not at_once, at_once=at_once)
    return orm.Dict({"n_frames": 0 if at_once else 3, "stopped": stop.to_dict()})


def test_walker_that_the_brake_stops_has_succeeded(chain_walker, tmp_path):
    """It says why, and is not continued."""
    instance = chain_walker(ended(0, trajectory=trajectory(tmp_path), results=stopped()))
    assert instance.inspect_process() is None
    assert not instance.should_run_process()
    instance.results()
    assert list(instance.outputs["trajectories"]) == ["s00"]
    message = instance.outputs["results"]["stopped"]["message"]
    assert message == "temperature 3400 K, above 3000 K, after 0.25 ps of the production"


def test_walker_that_is_stopped_at_once_ends_with_a_warning(chain_walker):
    code = chain_walker(ended(410, "too hot in the equilibration", results=stopped(at_once=True))).inspect_process()
    assert code.status == 711 and "too hot in the equilibration" in code.message


def test_other_failures_name_their_reason(chain_walker):
    """A wrong plumed.dat does not get better by trying again."""
    code = chain_walker(ended(413, "no such action")).inspect_process()
    assert code.status == 404 and "no such action" in code.message


@pytest.fixture
def training(chain, inputs, generate_dataset):
    """A training of two small data sets."""
    namespace = inputs["training"]
    sets = {"training_set": generate_dataset(2, seed=1), "validation_set": generate_dataset(2, seed=2)}
    return chain(TrainingWorkChain, {**namespace, **sets, "training": {**namespace["training"], "seed": 1}})


@pytest.mark.parametrize(
    ("key", "step", "status"),
    [("training", "training", 401), ("compilation", "compilation", 402), ("evaluation_validation", "evaluations", 403)],
)
def test_failed_step_of_a_training(training, key, step, status):
    """Each step has its own exit code, with PK and reason of the child."""
    failed = ended(410, "the loss became not-a-number")
    others = {"training": ended(), "evaluation_training": ended(), "evaluation_validation": ended()}
    training.ctx.update({**others, key: failed})
    code = getattr(training, f"inspect_{step}")()
    assert code.status == status
    assert f"<{failed.pk}>" in code.message and "not-a-number" in code.message
