"""A daemon of one worker goes on with other work while twenty thousand frames are described."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiida_sicmlip.science.dynamics.dcd import read_dcd_header
from tests.loop.conftest import require_programs
from tests.loop.folder import LoopFolder

pytestmark = pytest.mark.program

N_FRAMES = 20000
FRAMES = Path(__file__).parents[1] / "fixtures" / "edip-14" / "0.dcd"
SCRIPT = """
import json, sys, time
from pathlib import Path
from aiida import load_profile, orm
from aiida.engine import submit
load_profile("loop")
from aiida.calculations.arithmetic.add import ArithmeticAddCalculation
from aiida_sicmlip.calculations.descriptors import DescriptorsCalculation
from aiida_sicmlip.calculations.functions.select_frames import select_frames
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.science.defects.building import build_defects
from aiida_sicmlip.science.defects.hosts import HostSettings, build_host

host = build_host(HostSettings("zincblende", ("Si", "C"), 4.416, repeats=(2, 2, 2), cell="primitive"))
atoms = build_defects(host, [{"kind": "divacancy"}], 0).atoms
segment = SegmentTrajectoryData(
    Path("frames.dcd").resolve(), "trajectory.dcd", symbols=atoms.get_chemical_symbols(), cell=host.cell.array,
    n_frames=int(sys.argv[1]), steps_between_frames=100,
).store()
code = orm.InstalledCode(orm.load_computer("localhost"), "/bin/bash", default_calc_job_plugin="core.arithmetic.add")
code.label = "add"
code.store()
parameters = orm.Dict({"n_training": 5, "n_validation": 3, "n_candidates": 20}).store()
description = submit(
    DescriptorsCalculation, code=orm.load_code("sicmlip@localhost"), parameters=parameters,
    trajectories={"vv": {"s00": segment}}, hosts={"vv": orm.StructureData(ase=host)}, seed=orm.Int(1),
)

def wait(node, limit=400):
    begin = time.monotonic()
    while not node.is_terminated:
        if time.monotonic() - begin > limit:
            raise SystemExit(f"{node} has not ended")
        time.sleep(0.1)
    return time.monotonic() - begin

meanwhile = []
while not description.is_terminated and len(meanwhile) < 50:
    seconds = wait(submit(ArithmeticAddCalculation, code=code, x=orm.Int(1), y=orm.Int(len(meanwhile))))
    meanwhile.append({"seconds": seconds, "before_the_end": not description.is_terminated})
wait(description)
alone = wait(submit(ArithmeticAddCalculation, code=code, x=orm.Int(2), y=orm.Int(2)))
begin = time.monotonic()
picked = select_frames(parameters, orm.Int(1), description.outputs.candidates)
print(json.dumps({
    "status": description.exit_status, "message": description.exit_message,
    "n_frames": description.outputs.results["n_frames"], "seconds": description.outputs.results["seconds"],
    "meanwhile": meanwhile, "alone": alone, "selection": time.monotonic() - begin, "n_picked": len(picked["training"]),
}))
"""


def test_worker_stays_responsive(tmp_path: Path, record_property) -> None:
    """Small jobs that are submitted while the frames are described are done long before these are."""
    require_programs()
    header = read_dcd_header(FRAMES)
    content = FRAMES.read_bytes()
    frames = content[header.offset :]
    repeats = -(-N_FRAMES // header.n_frames)
    (tmp_path / "frames.dcd").write_bytes(content[: header.offset] + repeats * frames)
    folder = LoopFolder(tmp_path)
    folder.set_up()
    folder.start_daemon(workers=1)
    try:
        (tmp_path / "script.py").write_text(SCRIPT)
        found = json.loads(folder.command("python", "script.py", str(N_FRAMES)).splitlines()[-1])
    finally:
        folder.stop_daemon()
    record_property("found", found)
    assert (found["status"], found["n_frames"], found["n_picked"]) == (0, N_FRAMES, 5), found["message"]
    assert sum(job["before_the_end"] for job in found["meanwhile"]) >= 3, found
