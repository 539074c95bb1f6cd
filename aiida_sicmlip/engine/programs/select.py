"""`sicmlip-select`: picks the most novel configurations of a pool, from file to file; knows no AiiDA."""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aiida_sicmlip import __version__
from aiida_sicmlip.engine.frames import FRAMES_FOR_HOST, find_hosts, read_frames, read_hosts
from aiida_sicmlip.engine.programs.options import positive_number
from aiida_sicmlip.engine.reports import run_command
from aiida_sicmlip.science.selection.farthest_point import METHODS
from aiida_sicmlip.science.selection.settings import CENTRES

if TYPE_CHECKING:
    from aiida_sicmlip.science.selection.farthest_point import Pick


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status; known failures are told in one sentence on stderr."""
    options = _parser().parse_args(arguments)
    return run_command("sicmlip-select", lambda: select(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sicmlip-select",
        description="Pick the configurations of a pool that differ most from a training set and from each other: "
        "averaged SOAP, distance 1 - kernel. Ties go to the lowest index; duplicates are never picked.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("pool", type=Path, metavar="POOL", help="configurations to pick from (extended XYZ)")
    parser.add_argument("--training", type=Path, metavar="FILE", help="configurations that are known (extended XYZ)")
    parser.add_argument("--count", type=positive_number, required=True, metavar="N", help="configurations to pick")
    parser.add_argument("--method", choices=METHODS, default=METHODS[0], help="how they are picked")
    parser.add_argument(
        "--centres",
        type=_centres,
        default="all",
        metavar="all|defect|ATOMS",
        help="atoms to average over: all, those around the defects, or a list of atoms from 0, such as 0,3,17",
    )
    parser.add_argument(
        "--host",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="perfect crystal for --centres defect, any format that ASE reads; once for each cell (default: found from "
        "the configurations)",
    )
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="seed of the method random")
    parser.add_argument("--output", type=Path, default="selected.extxyz", metavar="FILE", help="picks (extended XYZ)")
    soap = parser.add_argument_group("SOAP")
    soap.add_argument("--cutoff", type=float, default=5.0, metavar="A", help="radius of the local environments")
    soap.add_argument("--n-max", type=positive_number, default=8, metavar="N", help="number of radial functions")
    soap.add_argument("--l-max", type=int, default=6, metavar="L", help="highest degree of spherical harmonics")
    soap.add_argument("--sigma", type=float, default=0.5, metavar="A", help="width of the Gaussians")
    soap.add_argument(
        "--centre-radius", type=float, default=3.4, metavar="A", help="sites so near to a defect count as around it"
    )
    parser.add_argument(
        "--tolerance", type=float, default=1e-10, metavar="D", help="nearer than this to a known one is a duplicate"
    )
    parser.add_argument(
        "--overlap-fraction",
        type=float,
        default=0.5,
        metavar="F",
        help="leave out configurations with atoms nearer than this fraction of the sum of their covalent radii",
    )
    parser.add_argument(
        "--processes", type=positive_number, metavar="N", help="processes that describe (default: all usable cores)"
    )
    return parser


def _centres(text: str) -> str | list[int]:
    """Return what the atoms are called, or the list of them, for argparse."""
    if text in CENTRES:
        return text
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither all nor defect nor a list of atoms") from None


def select(options: argparse.Namespace) -> None:
    """Pick configurations and write them, with `pool_index`, `distance` and `reference_distance` of each.

    Memory does not grow with the size of the pool: descriptors lie in a temporary file.

    :raises InputError: when a file or a setting cannot be used.
    """
    # Here, so that `--help` answers without loading SciPy.
    import numpy as np

    from aiida_sicmlip.common.exceptions import InputError
    from aiida_sicmlip.engine.description import (
        Describer,
        Progress,
        RowFile,
        chunks_of_frames,
        describe_chunks,
        usable_cores,
    )
    from aiida_sicmlip.science.selection.farthest_point import Eligibility, UnitRows, choose_frames, distance_to_set
    from aiida_sicmlip.science.selection.settings import SelectionSettings

    settings = SelectionSettings(
        centres=options.centres,
        centre_radius=options.centre_radius,
        cutoff=options.cutoff,
        n_max=options.n_max,
        l_max=options.l_max,
        sigma=options.sigma,
        tolerance=options.tolerance,
        overlap_fraction=options.overlap_fraction,
    )
    training = list(read_frames(options.training)) if options.training is not None else []
    first = list(itertools.islice(read_frames(options.pool), FRAMES_FOR_HOST))
    if not first:
        raise InputError(f"The pool `{options.pool}` holds no configuration.")
    hosts = {}
    if options.centres == "defect":
        hosts = read_hosts(options.host) if options.host else find_hosts([*training, *first])
    species = sorted({symbol for frame in (*training, *first) for symbol in frame.get_chemical_symbols()})
    describer = Describer(settings, species, hosts)
    processes = options.processes or usable_cores()
    with tempfile.TemporaryDirectory() as folder:
        rows_file = RowFile(Path(folder) / "rows", describer.n_features)
        sound = []
        chunks = chunks_of_frames(read_frames(options.pool))
        for rows, overlapping in describe_chunks(describer, chunks, processes, Progress(None)):
            rows_file.append(rows)
            sound.append(~overlapping)
        pool = UnitRows("pool", rows_file.read())
        allowed = np.concatenate(sound)
        known = describer.describe(training) if training else np.empty((0, describer.n_features), dtype=np.float32)
        picks = choose_frames(
            options.method,
            pool,
            distance_to_set(pool, known),
            options.count,
            Eligibility(allowed=allowed, tolerance=settings.tolerance),
            keys=np.random.Generator(np.random.PCG64(options.seed)).random(len(pool)),
        )
    n_left_out = int((~allowed).sum())
    print(f"{len(allowed)} configurations in the pool, {len(training)} known, {n_left_out} with overlapping atoms")
    _write(options.output, options.pool, picks)
    print("    pick  pool index          distance  from the known ones")
    for number, pick in enumerate(picks):
        print(f"{number:8d}  {pick.index:10d}  {pick.distance:16.9e}  {pick.reference_distance:19.9e}")
    print(f"{len(picks)} of {options.count} are in {options.output}")
    if len(picks) < options.count:
        print("The rest of the pool repeats what is known or was picked.", file=sys.stderr)


def _write(output: Path, pool: Path, picks: Sequence[Pick]) -> None:
    """Write the picks in their order; the pool is read again as far as it needs."""
    from ase.io import write

    from aiida_sicmlip.common.exceptions import InputError

    wanted = {pick.index for pick in picks}
    found = {}
    for index, frame in enumerate(read_frames(pool)):
        if index in wanted:
            found[index] = frame
            if len(found) == len(wanted):
                break
    for pick in picks:
        frame = found[pick.index]
        frame.info |= {"pool_index": pick.index, "distance": pick.distance}
        if pick.reference_distance < float("inf"):
            frame.info["reference_distance"] = pick.reference_distance
    try:
        write(output, [found[pick.index] for pick in picks], format="extxyz")
    except OSError as error:
        raise InputError(f"`--output` names `{output}`, which cannot be written: {error.strerror}.") from error


if __name__ == "__main__":
    sys.exit(main())
