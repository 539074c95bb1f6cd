"""Run an exploration again with another LAMMPS, and say how its first row differs.

verdi run -- compare.py PK CODE [SWITCHES]
"""

import sys

from aiida import orm
from aiida.engine import run_get_node

QUANTITIES = ("potential_energy", "pressure", "min_distance", "max_force")

pk, label, *switches = sys.argv[1:]
first = orm.load_node(pk)
builder = first.get_builder_restart()
builder.code = orm.load_code(label)
builder.switches = orm.List(switches)
_, second = run_get_node(builder)
if "thermodynamics" not in second.outputs:
    sys.exit(f"{label} wrote no row: {second.exit_message}")
for name in QUANTITIES:
    one, other = (node.outputs.thermodynamics.get_array(name)[0] for node in (first, second))
    print(f"{name:16} {one:18.10g} {other:18.10g}")
if "colvar" in first.outputs:
    one, other = (node.outputs.colvar.get_array("variables")[0] for node in (first, second))
    for number in range(len(one)):
        print(f"{f'variable {number}':16} {one[number]:18.10g} {other[number]:18.10g}")
