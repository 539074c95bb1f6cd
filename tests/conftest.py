"""A temporary AiiDA profile, and factories of the nodes that tests of the AiiDA layers need; no program is run."""

from __future__ import annotations

import io
import os
import signal
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, chdir, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from tests.entry_points import announce_entry_points

# Before AiiDA is imported: it makes its folder then, and the one of the user is left alone.
_AIIDA_FOLDER = tempfile.TemporaryDirectory(prefix="aiida-of-tests-")
os.environ["AIIDA_PATH"] = _AIIDA_FOLDER.name
announce_entry_points(Path(_AIIDA_FOLDER.name) / "entry-points")

# As many processes as there are cores run tests: more threads in each would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that runs the tests in the background lets them ignore Ctrl-C, and with them every program that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ("aiida.tools.pytest_fixtures", "tests.graphs.labels")

LAYERS_OF_GRAPHS = {"calculations", "cli", "data", "faults", "fuzz", "loop", "parsers", "reports", "tools", "workflows"}
"""Folders whose tests read and write a profile, which costs most of the time of those that start no program."""
CLUSTER = {"services", "slurm"}
"""Folders whose tests start Slurm, SSH, PostgreSQL or RabbitMQ, for minutes each."""
SHARED_LOOP = tuple(
    f"tests/loop/test_{name}.py" for name in ("evaluations", "lineage", "loop", "pictures", "report", "reproduction")
)
"""Files that share one long run of the loop."""
SHARED_KILLED = tuple(f"tests/faults/test_{name}.py" for name in ("runs", "final_run"))
"""Files that share the run whose daemon is killed."""
LONGEST = (
    *SHARED_KILLED,
    *SHARED_LOOP,
    "tests/loop/",
    "tests/workflows/training/test_prior.py",
    "tests/faults/",
    "tests/workflows/exploration/test_walker.py",
    "tests/engine/test_lennard_jones_package.py",
)
"""Tests with programs that take minutes in one piece, the longest first."""
LEVEL_OF_THEORY = {
    "program": "quantumespresso.pw",
    "functional": "PBE",
    "pseudopotentials": {"C": "1" * 32, "Si": "2" * 32},
    "kpoints": {"mesh": [1, 1, 1], "offset": [0.0, 0.0, 0.0]},
    "hubbard": None,
    "settings": {"ecutwfc": 30.0, "nspin": 2},
}
CODES = {
    "lammps": ("sicmlip.exploration", "sicmlip-lmp"),
    "pw": ("quantumespresso.pw", "pw"),
    "sicmlip": (None, "sicmlip"),
}
"""Plugin and label of each code that a run needs."""
UPF = '<UPF version="2.0.1">\n<PP_HEADER element="{}" pseudo_type="NC" z_valence="4.0" functional="PBE"/>\n</UPF>\n'


def pytest_sessionstart() -> None:
    """Let no write of this process wait for the disk: graphs are many small ones, and none has to outlast a crash."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    @event.listens_for(Engine, "connect")
    def leave_it_to_the_system(connection: Any, _: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous = OFF")

    os.fsync = lambda _: None
    _ask_for_cycles_where_there_can_be_one()


def _ask_for_cycles_where_there_can_be_one() -> None:
    """Let AiiDA not search the database for descendants of a node that is not in it, for each link to that node."""
    from aiida.orm.nodes.links import NodeLinks
    from aiida.orm.utils.links import validate_link

    validate = NodeLinks.validate_incoming

    def validate_incoming(self: Any, source: Any, link_type: Any, link_label: str) -> None:
        if self._node.is_stored:
            validate(self, source, link_type, link_label)
        else:
            validate_link(source, self._node, link_type, link_label, backend=self._node.backend)

    NodeLinks.validate_incoming = validate_incoming


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what reads and writes graphs, what needs services, and studies; put the longest first."""
    for item in items:
        folder = set(item.path.relative_to(Path(__file__).parent).parts[:1])
        if LAYERS_OF_GRAPHS & folder:
            item.add_marker("graph")
        if CLUSTER & folder:
            item.add_marker("cluster")
        if "studies" in folder:
            item.add_marker("study")
    # What takes minutes in one piece begins first, so that no process is left with it at the end.
    items.sort(key=lambda item: next((place for place, name in enumerate(LONGEST) if item.nodeid.startswith(name)), 99))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep files together with `--dist loadfile`, and those that share a run of the loop all in one."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class TogetherByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.split("::", 1)[0]
            shared = {"tests/loop": SHARED_LOOP, "tests/faults": SHARED_KILLED}
            return next((folder for folder, paths in shared.items() if path in paths), path)

    return TogetherByFile(config, log)


@pytest.fixture(scope="session")
def aiida_in(aiida_config_factory: Any) -> Callable[[Path], AbstractContextManager[None]]:
    """A context in which AiiDA's configuration is that of a folder, no profile being loaded, as for a new process."""
    from aiida.manage import get_manager

    @contextmanager
    def switch(folder: Path) -> Iterator[None]:
        previous = get_manager().get_profile()
        get_manager().unload_profile()
        try:
            with aiida_config_factory(folder), chdir(folder):
                try:
                    yield
                finally:
                    get_manager().unload_profile()
        finally:
            if previous is not None:
                get_manager().load_profile(previous.name, allow_switch=True)

    return switch


@pytest.fixture
def divacancy() -> Atoms:
    """3C-SiC with a divacancy in the 2x2x2 primitive cell: 14 atoms, rhombohedral."""
    from aiida_sicmlip.science.defects.building import build_defects
    from tests.crystals import silicon_carbide_host

    return build_defects(silicon_carbide_host(repeats=(2, 2, 2), cell="primitive"), [{"kind": "divacancy"}], 1).atoms


@pytest.fixture
def labelled_frames(divacancy: Atoms) -> Callable[..., list[Atoms]]:
    """Makes neutral triplets with random displacements, energies and forces: number, seed."""

    def make(count: int = 3, seed: int = 1) -> list[Atoms]:
        generator = np.random.default_rng(seed)
        frames = []
        for _ in range(count):
            frame = divacancy.copy()
            frame.info.update(charge=0, spin=2)
            frame.positions += generator.normal(0.0, 0.05, frame.positions.shape)
            forces = generator.normal(0.0, 1.0, frame.positions.shape)
            frame.calc = SinglePointCalculator(frame, energy=generator.normal(-1000.0, 1.0), forces=forces)
            frames.append(frame)
        return frames

    return make


@pytest.fixture
def generate_dataset(labelled_frames: Callable[..., list[Atoms]]) -> Callable[..., Any]:
    """Makes stored data sets: frames or their number, seed; charge and spin of all; settings of the level of theory."""
    from aiida_sicmlip.data.dataset import LabelledDataSetData

    def make(
        frames: Sequence[Atoms] | int = 3, seed: int = 1, *, state: tuple[Any, Any] | None = None, **settings: Any
    ) -> LabelledDataSetData:
        level = {**LEVEL_OF_THEORY, "settings": {**LEVEL_OF_THEORY["settings"], **settings}}
        given = labelled_frames(frames, seed) if isinstance(frames, int) else frames
        if state is not None:
            for frame in given:
                frame.info.update(charge=state[0], spin=state[1])
        return LabelledDataSetData.from_frames(given, [level]).store()

    return make


@pytest.fixture
def announce(entry_points: Any) -> Callable[[Any, str], None]:
    """Announces a data type where an installed package, older than its sources, does not: class, entry point."""
    from aiida.plugins.entry_point import (
        get_entry_point_from_class,
        get_entry_point_names,
        is_registered_entry_point,
    )

    def make(data_type: Any, name: str) -> None:
        if name not in get_entry_point_names("aiida.data"):
            entry_points.add(data_type, f"aiida.data:{name}")
            get_entry_point_from_class.cache_clear()
            is_registered_entry_point.cache_clear()

    return make


@pytest.fixture
def generate_checkpoint(announce: Callable[[Any, str], None], tmp_path: Path) -> Callable[..., Any]:
    """Makes unstored checkpoints of trainings, whose files are none: number of steps."""
    from aiida_sicmlip.data.training_checkpoint import TrainingCheckpointData

    announce(TrainingCheckpointData, "sicmlip.training_checkpoint")

    def make(steps: int = 6) -> TrainingCheckpointData:
        for name in ("last", "best"):
            (tmp_path / f"{name}.ckpt").write_bytes(name.encode())
        return TrainingCheckpointData.from_files(steps, tmp_path / "last.ckpt", tmp_path / "best.ckpt")

    return make


@pytest.fixture
def generate_prior(announce: Callable[[Any, str], None], generate_dataset: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a stored Lennard-Jones prior of a small data set: further names are inputs of the fit."""
    from aiida import orm

    from aiida_sicmlip.calculations.functions.fit_lennard_jones_prior import fit_lennard_jones_prior
    from aiida_sicmlip.data.lennard_jones_prior import LennardJonesPriorData

    announce(LennardJonesPriorData, "sicmlip.lennard_jones_prior")

    def make(dataset: Any = None, **settings: Any) -> LennardJonesPriorData:
        return fit_lennard_jones_prior(dataset or generate_dataset(4), orm.Dict(settings))

    return make


@pytest.fixture
def aiida_localhost(aiida_localhost: Any) -> Any:
    """The computer of AiiDA's fixture as `aiida-sicmlip setup` makes it: a login shell for each command costs more."""
    aiida_localhost.configure(safe_interval=0.0, use_login_shell=False)
    return aiida_localhost


@pytest.fixture
def generate_code(aiida_localhost: Any) -> Callable[..., Any]:
    """Makes, or finds again, a code of `localhost` for a plugin; its program does nothing."""
    from aiida import orm

    def make(plugin: str | None, label: str | None = None) -> orm.InstalledCode:
        label = label or f"test-{plugin}"
        query = orm.QueryBuilder().append(orm.Computer, filters={"id": aiida_localhost.pk}, tag="computer")
        query.append(orm.InstalledCode, with_computer="computer", filters={"label": label}, project="*")
        found = query.first(flat=True)
        made = orm.InstalledCode(aiida_localhost, "/bin/true", label=label, default_calc_job_plugin=plugin)
        return found or made.store()

    return make


@pytest.fixture
def edip() -> Any:
    """The EDIP potential of LAMMPS for Si and C."""
    from aiida_sicmlip.common.lammps_files import find_potential_file
    from aiida_sicmlip.data.classical_potential import classical_potential

    return classical_potential(find_potential_file("SiC.edip"), "edip/multi", ["Si", "C"]).store()


@pytest.fixture
def generate_segment(divacancy: Atoms) -> Callable[..., Any]:
    """Makes stored segments from the runs of `fixtures/edip-14`: number of the run, frames that count, `continues`."""
    from aiida_sicmlip.data.trajectory import SegmentTrajectoryData

    def make(run: int = 0, n_frames: int = 30, continues: bool = False) -> SegmentTrajectoryData:
        node = SegmentTrajectoryData(
            Path(__file__).parent / "fixtures" / "edip-14" / f"{run}.dcd",
            "trajectory.dcd",
            symbols=divacancy.get_chemical_symbols(),
            cell=divacancy.cell.array,
            n_frames=n_frames,
            steps_between_frames=40,
        )
        node.base.attributes.set("continues", continues)
        return node.store()

    return make


@pytest.fixture
def describe(generate_code: Callable[..., Any], tmp_path: Path) -> Any:
    """Describes trajectories, by start structure, in this process, and returns the node of the candidates."""
    from tests.graphs.descriptions import Description

    return Description(generate_code("sicmlip.descriptors"), tmp_path)


@pytest.fixture
def divacancy_host() -> Atoms:
    """The perfect crystal of :func:`divacancy`: 16 atoms."""
    from tests.crystals import silicon_carbide_host

    return silicon_carbide_host(repeats=(2, 2, 2), cell="primitive")


@pytest.fixture
def variables(aiida_profile: Any) -> Any:
    """Collective variables of :func:`divacancy`, those of a run of `tests/parsers/test_real_runs.py`."""
    from aiida_sicmlip.data.collective_variables import CollectiveVariablesData

    folder = Path(__file__).parent / "parsers" / "fixtures" / "collective_variables" / "default" / "temporary"
    return CollectiveVariablesData.from_folder(folder).store()


@pytest.fixture
def portable_potential() -> Any:
    """A portable model; its file is none."""
    from aiida_sicmlip.data.potential import PotentialData

    return PotentialData(io.BytesIO(b"model"), "potential.nequip.zip", species=["C", "Si"], cutoff=5.0).store()


@pytest.fixture
def generate_compiled_potential() -> Callable[..., Any]:
    """Makes compiled models, whose file is none; names are arguments of the node."""
    from aiida_sicmlip.data.compiled_potential import CompiledPotentialData

    def make(**arguments: Any) -> CompiledPotentialData:
        arguments = {"species": ["C", "Si"], "cutoff": 5.0, **arguments}
        return CompiledPotentialData(io.BytesIO(b"compiled"), "anything.nequip.pt2", **arguments).store()

    return make


@pytest.fixture
def pseudo_family(aiida_profile: Any) -> Any:
    """A family `sicmlip` of pseudopotentials for Si and C: headers alone."""
    from aiida import orm
    from aiida_pseudo.data.pseudo.upf import UpfData
    from aiida_pseudo.groups.family import PseudoPotentialFamily

    found = orm.QueryBuilder().append(PseudoPotentialFamily, filters={"label": "sicmlip"}).first(flat=True)
    if found:
        return found
    family = PseudoPotentialFamily(label="sicmlip").store()
    family.add_nodes([UpfData(io.BytesIO(UPF.format(name).encode()), f"{name}.upf").store() for name in ("Si", "C")])
    return family


@pytest.fixture
def ready(generate_code: Callable[..., Any], pseudo_family: Any) -> dict[str, str]:
    """A profile in which the protocols can run, and the labels of its codes for `codes`."""
    return {name: generate_code(plugin, label).full_label for name, (plugin, label) in CODES.items()}


@pytest.fixture
def write_settings(ready: dict[str, str], tmp_path: Path) -> Callable[..., str]:
    """Writes a file of settings on top of the protocol `demo`, with codes that exist, and returns its path."""

    def write(settings: dict[str, Any] | str) -> str:
        path = tmp_path / "run.yaml"
        if isinstance(settings, dict):
            settings = yaml.safe_dump({"protocol": "demo", **settings, "codes": {**ready, **settings.get("codes", {})}})
        path.write_text(settings, encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def generate_calc_job(tmp_path: Path) -> Callable[..., Any]:
    """Lets a CalcJob write its files: entry point, inputs; gives the folder and the CalcInfo."""
    from aiida.common.folders import Folder
    from aiida.engine.utils import instantiate_process
    from aiida.manage.manager import get_manager
    from aiida.plugins import CalculationFactory

    def make(entry_point: str, inputs: Mapping[str, Any]) -> tuple[Path, Any]:
        process = instantiate_process(get_manager().get_runner(), CalculationFactory(entry_point), **inputs)
        folder = tmp_path / "submitted"
        folder.mkdir()
        return folder, process.prepare_for_submission(Folder(str(folder)))

    return make
