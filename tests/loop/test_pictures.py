"""What is told and drawn of the potential of a real run."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.program


def test_pictures_of_a_finished_run(finished_loop, ask):
    folder, pk = finished_loop
    pictures = folder.path / "pictures"
    said = ask(folder, "potential", str(pk), "--pictures", str(pictures))
    assert "kept the model of step" in said
    drawn = {path.name for path in pictures.iterdir()}
    assert {"training_curve.png", "errors_by_round.png", "parity_training.png", "parity_validation.png"} <= drawn
    assert all(f"drawn: {pictures / name}" in said for name in drawn)
