"""Weights out of packages that torch wrote, and files that are none."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.training.packaged_weights import read_packaged_weights
from tests.graphs.packaged_models import write_package


def test_weights_are_those_that_were_packaged(tmp_path: Path) -> None:
    given = {"a.weight": np.arange(6.0).reshape(2, 3) / 7, "a.bias": np.array([-1.0, np.nan]), "b.scale": np.array(2.5)}
    found = read_packaged_weights(write_package(tmp_path / "model.nequip.zip", given))
    assert set(found) == set(given)
    for name, values in given.items():
        np.testing.assert_array_equal(found[name], values)


def test_tensors_that_share_their_numbers(tmp_path: Path) -> None:
    """Parts and transposes of one storage are read at their own places."""
    import torch

    whole = torch.arange(12, dtype=torch.float64).reshape(3, 4)
    module = torch.nn.Module()
    module.register_buffer("column", whole[:, 1])
    module.register_buffer("turned", whole.T)
    module.register_buffer("numbers", torch.tensor([1, 2], dtype=torch.int64))
    with torch.package.PackageExporter(str(tmp_path / "model.nequip.zip")) as package:
        package.extern(["torch.**"])
        package.save_pickle("model", "eager_model.pkl", module)
    found = read_packaged_weights(tmp_path / "model.nequip.zip")
    np.testing.assert_array_equal(found["column"], whole[:, 1].numpy())
    np.testing.assert_array_equal(found["turned"], whole.T.numpy())
    assert found["numbers"].tolist() == [1, 2]


class Malicious:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_in_a_file_is_called(tmp_path: Path) -> None:
    content = pickle.dumps(Malicious(tmp_path / "touched"))
    pickle.loads(content)
    assert (tmp_path / "touched").exists()
    (tmp_path / "touched").unlink()
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("p/model/eager_model.pkl", content)
    with pytest.raises(InputError, match="contains no weights"):
        read_packaged_weights(package)
    assert not (tmp_path / "touched").exists()


def test_files_that_are_no_packages(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no archive")
    with pytest.raises(InputError, match="cannot be read as a packaged model"):
        read_packaged_weights(tmp_path / "text")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("p/readme", "nothing")
    with pytest.raises(InputError, match="is not a packaged model"):
        read_packaged_weights(tmp_path / "other.zip")
    with zipfile.ZipFile(tmp_path / "cut.zip", "w") as archive:
        archive.writestr("p/model/eager_model.pkl", pickle.dumps({"a": 1})[:-3])
    with pytest.raises(InputError, match="cannot be read"):
        read_packaged_weights(tmp_path / "cut.zip")
