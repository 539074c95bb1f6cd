"""Two models side by side, and the card of one."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from aiida import orm

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.process_types import COMPILATION, EVALUATION
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.reports.exchange import export_model, import_model
from aiida_sicmlip.reports.model_card import Statement, model_card
from aiida_sicmlip.reports.model_card_text import model_card_text
from aiida_sicmlip.reports.models import model_comparison_lines
from aiida_sicmlip.science.evaluation.rare_events import score_regions
from aiida_sicmlip.science.training.settings import TrainingParameters
from aiida_sicmlip.tools.model_comparison import compare_models
from tests.graphs.packaged_models import stored_model
from tests.graphs.processes import output, process
from tests.graphs.trainings import PARAMETERS, grown, trained


@pytest.fixture
def labels(aiida_profile_clean, generate_label, labelled_frames):
    return [generate_label(frame) for frame in labelled_frames(5)]


def test_everything_that_differs_is_named(tmp_path: Path, labels, level, training_code) -> None:
    training, validation = grown(labels, level, 3), grown(labels[4:], level, 1)
    first = trained(tmp_path / "a", training_code, training, validation, scale=0.1)
    second = trained(
        tmp_path / "b",
        training_code,
        grown([labels[0], labels[3], labels[2]], level, 3),
        validation,
        seed=2,
        scale=0.2,
        changes={"batch_size": 4},
        versions={"torch": "2.14.0"},
        initial_potential=first,
    )
    found = compare_models(first, second)
    assert not found.weights.identical
    default = TrainingParameters.complete(PARAMETERS)["batch_size"]
    assert default != 4 and found.settings == [("batch_size", default, 4)]
    assert [name for name, _ in found.inputs] == ["initial_potential", "seed"]
    assert found.versions == [("torch", "2.13.0", "2.14.0")]
    assert (found.sets["training_set"].only_first, found.sets["training_set"].only_second) == ([1], [1])
    # Errors of configuration 0 and 2 of both are 1 and 3 times the scale.
    both = found.errors["2 in both training sets"]
    assert both[0] == pytest.approx((0.2, 0.02)) and both[1] == pytest.approx((0.4, 0.04))
    lines = "\n".join(model_comparison_lines(found))
    assert f"validation set: the same, <{validation.pk}>" in lines
    assert "seed: 1 and 2" in lines
    assert f"initial_potential: <{first.pk}> for the second model only" in lines
    assert "version of torch: 2.13.0 and 2.14.0" in lines


def test_same_training_twice(tmp_path: Path, labels, level, training_code) -> None:
    sets = grown(labels, level, 3), grown(labels[4:], level, 1)
    models = [trained(tmp_path / name, training_code, *sets) for name in "ab"]
    found = compare_models(*models)
    assert found.weights.identical and not (found.settings or found.inputs or found.versions or found.machine)
    assert "identical weights, all 2 numbers" in "\n".join(model_comparison_lines(found))


def test_model_that_was_not_trained_here(tmp_path: Path, labels, level, training_code) -> None:
    model = trained(tmp_path / "a", training_code, grown(labels, level, 3), grown(labels[4:], level, 1))
    given = stored_model(tmp_path / "given.nequip.zip", {"a.weight": [1.0]}).store()
    with pytest.raises(InputError, match="was not trained in this profile"):
        compare_models(model, given)


def evaluated(model, dataset, rare_events) -> None:
    """Let a model have been compiled, and evaluated with scores on rare events."""
    compilation = process(orm.CalcJobNode, COMPILATION, potential=model)
    compiled = CompiledPotentialData(io.BytesIO(b"compiled"), "c.nequip.pt2", species=["C", "Si"], cutoff=4.0)
    output(compilation, "compiled_potential", compiled)
    evaluation = process(orm.CalcJobNode, EVALUATION, potential=compiled, dataset=dataset)
    output(evaluation, "results", orm.Dict({"force_mae": 0.1, "rare_events": rare_events}))


def test_card(tmp_path: Path, labels, level, training_code, labelled_frames) -> None:
    """Numbers of the card are those of the data; statements of the authors stand where they belong."""
    training, validation = grown(labels, level, 4), grown(labels[4:], level, 1)
    model = trained(tmp_path / "a", training_code, training, validation, scale=0.1)
    predicted, reference = np.ones((6, 3)), np.full((6, 3), 1.1)
    scores = score_regions(predicted, reference, {"migrating": np.arange(6) < 2})
    evaluated(model, validation, {name: score.to_dict() for name, score in scores.items()})
    card = model_card(model, Statement(purpose="Divacancies.", licence="CC-BY-4.0", citation="Doe, 2030."))
    assert json.loads(json.dumps(card)) == card
    assert card["trained_on"]["training"] == {
        "n_configurations": 4,
        "by_round": {"outside of a run": 4},
        "by_start_structure": {"given structures": 4},
    }
    frames = labelled_frames(5)[:4]
    energies = [frame.get_potential_energy() / len(frame) for frame in frames]
    assert card["valid_range"]["energy_per_atom"]["least"] == pytest.approx(min(energies))
    assert card["valid_range"]["greatest_force"] == pytest.approx(
        max(np.linalg.norm(frame.get_forces(), axis=1).max() for frame in frames)
    )
    assert card["valid_range"]["states"] == [{"charge": 0, "spin": 2, "level": 0, "n_frames": 4}]
    assert "- charge and spin: 0 e, 2 (triplet) (4)" in model_card_text(card)
    assert card["errors"]["at_the_end_of_the_training"]["training"]["force_mae"] == pytest.approx(0.25)
    migrating = card["errors"]["on_rare_events"]["validation"]["migrating"]
    assert migrating["n_atoms"] == 2 and migrating["score"] == scores["migrating"].score
    text = model_card_text(card)
    assert text.startswith("# Interatomic potential for C-Si\n\nDivacancies.\n")
    assert "- licence: CC-BY-4.0" in text and "- authors: not stated by its authors" in text
    assert "| validation | migrating | 2 | 0.1000 |" in text
    assert text.index("Doe, 2030.") < text.index("AiiDA 1.0")


def test_card_without_rare_events_says_so(tmp_path: Path, labels, level, training_code) -> None:
    model = trained(tmp_path / "a", training_code, grown(labels, level, 4), grown(labels[4:], level, 1))
    assert "was not evaluated on migrating atoms" in model_card_text(model_card(model, Statement()))


def test_folders_that_are_not_whole(tmp_path: Path, labels, level, training_code) -> None:
    """A file that was changed or is missing is refused before anything is imported."""
    model = trained(tmp_path / "a", training_code, grown(labels, level, 4), grown(labels[4:], level, 1))
    with pytest.raises(InputError, match="cannot be written"):
        export_model(model, tmp_path / "out", Statement())
    for node in orm.QueryBuilder().append(orm.ProcessNode).all(flat=True):
        if not node.is_sealed:
            node.seal()
    written = export_model(model, tmp_path / "out", Statement())
    assert [path.name for path in written] == [
        *("potential.nequip.zip", "history.aiida", "model_card.json", "model_card.md")
    ]
    with pytest.raises(InputError, match="is not an empty folder"):
        export_model(model, tmp_path / "out", Statement())
    again = import_model(tmp_path / "out")
    assert (again.model.pk, again.new) == (model.pk, False)
    content = written[0].read_bytes()
    written[0].write_bytes(content + b"x")
    with pytest.raises(InputError, match=r"potential.nequip.zip` was changed after it was written"):
        import_model(tmp_path / "out")
    written[0].unlink()
    with pytest.raises(InputError, match=r"potential.nequip.zip` is missing"):
        import_model(tmp_path / "out")
    with pytest.raises(InputError, match="holds no model card"):
        import_model(tmp_path / "a")


SUMS = {name: {"sha256": "0" * 64} for name in ("potential.nequip.zip", "history.aiida")}


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ("[]", "holds no model card"),
        ("{", "holds no model card"),
        ("[" * 100_000, "holds no model card"),
        ({"model": [], "files": SUMS}, "`model.uuid` is no text"),
        ({"model": {"uuid": "a"}, "files": {"history.aiida": SUMS["history.aiida"]}}, "has to list the SHA-256 sums"),
        ({"model": {"uuid": "a"}, "files": {**SUMS, "../../x": {"sha256": "0"}}}, "and nothing else"),
        ({"model": {"uuid": "a"}, "files": {**SUMS, "history.aiida": {}}}, "has to list the SHA-256 sums"),
        ({"model": {"uuid": "a"}, "files": [1, 2]}, "has to list the SHA-256 sums"),
        ({"model": {"uuid": "a"}, "files": SUMS}, "is missing"),
    ],
)
def test_cards_of_any_shape(tmp_path: Path, aiida_profile, card, message: str) -> None:
    (tmp_path / "model_card.json").write_text(card if isinstance(card, str) else json.dumps(card))
    with pytest.raises(InputError, match=message):
        import_model(tmp_path)
