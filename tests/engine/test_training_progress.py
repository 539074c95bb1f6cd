"""What a training remembers of its best model when it goes on in another folder."""

from __future__ import annotations

import pytest


@pytest.fixture
def callback():
    """Makes the callback for a folder."""
    from aiida_sicmlip.engine.training_progress import TrainingCheckpoints

    def make(folder):
        return TrainingCheckpoints(
            monitor="loss", dirpath=folder, filename="best", save_last=True, enable_version_counter=False
        )

    return make


@pytest.fixture
def state(callback, tmp_path):
    """The state of a callback whose best model has a loss of 0.25."""
    import torch

    before = callback(tmp_path / "before")
    before.best_model_path = before.kth_best_model_path = str(tmp_path / "before" / "best.ckpt")
    before.last_model_path = str(tmp_path / "before" / "last.ckpt")
    before.best_model_score = torch.tensor(0.25)
    before.best_k_models = {before.best_model_path: before.best_model_score}
    return before.state_dict()


def test_the_best_model_is_known_where_it_has_been_moved(callback, state, tmp_path):
    folder = tmp_path / "after"
    folder.mkdir()
    (folder / "best.ckpt").write_bytes(b"model")
    after = callback(folder)
    after.load_state_dict(state)
    assert after.best_model_score == 0.25
    assert after.best_model_path == after.kth_best_model_path == str(folder / "best.ckpt")
    assert list(after.best_k_models) == [str(folder / "best.ckpt")]
    assert after.last_model_path == str(folder / "last.ckpt")


def test_a_best_model_that_is_not_there_is_no_best_model(callback, state, tmp_path):
    """The next epoch's is taken then, however good the lost one was."""
    after = callback(tmp_path / "after")
    after.load_state_dict(state)
    assert after.best_model_score is None and not after.best_k_models
