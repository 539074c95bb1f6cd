#include "pair_allegro.h"

#include "atom.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "update.h"

#include <cstring>
#include <string>

using namespace LAMMPS_NS;

namespace sicmlip {

PairAllegro::PairAllegro(LAMMPS *lammps) : Pair(lammps), model(lammps)
{
  single_enable = 0;    // the energy is not a sum over pairs
  restartinfo = 0;      // the model's file stays where it is: inputs name it again after read_restart
  one_coeff = 1;
  manybody_flag = 1;
  no_virial_fdotr_compute = 1;    // the model gives its virial
  centroidstressflag = CENTROID_NOTAVAIL;
}

PairAllegro::~PairAllegro()
{
  if (!allocated) return;
  memory->destroy(setflag);
  memory->destroy(cutsq);
}

void PairAllegro::allocate()
{
  const int n = atom->ntypes + 1;
  memory->create(setflag, n, n, "pair:setflag");
  memory->create(cutsq, n, n, "pair:cutsq");
  allocated = 1;
}

void PairAllegro::settings(int narg, char ** /*arguments*/)
{
  if (narg > 0)
    error->all(FLERR, std::string("The pair style allegro takes no arguments; the file of the model and the species "
                                  "belong to `pair_coeff * * model.nequip.pt2 Si C`."));
}

void PairAllegro::coeff(int narg, char **arguments)
{
  const int n_types = atom->ntypes;
  if (!allocated) allocate();
  if (narg < 3 || strcmp(arguments[0], "*") != 0 || strcmp(arguments[1], "*") != 0)
    error->all(FLERR, std::string("The pair style allegro expects `pair_coeff * * <model>.nequip.pt2` and one species "
                                  "for each atom type."));
  if (narg != 3 + n_types)
    error->all(FLERR, std::string("The command pair_coeff gives ") + std::to_string(narg - 3) + " species, but there are " +
                          std::to_string(n_types) + " atom types; give one species of the model for each atom type.");
  model.load(arguments[2], arguments + 3);
  for (int i = 1; i <= n_types; i++)
    for (int j = i; j <= n_types; j++) setflag[i][j] = model.covers(i, j);
}

void PairAllegro::init_style()
{
  if (strcmp(update->unit_style, "metal") != 0)
    error->all(FLERR, std::string("The model works in eV and Angstrom, but the input has `units ") + update->unit_style +
                          "`; use `units metal`.");
  if (!force->newton_pair)
    error->all(FLERR, std::string("The pair style allegro needs Newton's third law between processors; remove "
                                  "`newton off` or give `newton on`."));
  neighbor->add_request(this, NeighConst::REQ_FULL);
}

double PairAllegro::init_one(int /*i*/, int /*j*/)
{
  return model.largest_cutoff();
}

void PairAllegro::compute(int eflag, int vflag)
{
  ev_init(eflag, vflag);
  if (vflag_atom || cvflag_atom)
    error->all(FLERR, std::string("The pair style allegro gives no virial of single atoms; leave out computes such as "
                                  "stress/atom and heat/flux."));
  model.evaluate(list, vflag_global);
  if (model.n_centres == 0) return;
  model.add_forces(atom->f);
  if (eflag_global)
    for (double energy : model.energies) eng_vdwl += energy;
  if (eflag_atom)
    for (int64_t node = 0; node < model.n_centres; node++) eatom[model.atom_of_node[node]] += model.energies[node];
  if (vflag_global) {
    const int order[6] = {0, 4, 8, 1, 2, 5};    // xx yy zz xy xz yz of a 3 x 3 array
    for (int k = 0; k < 6; k++) virial[k] += model.virial[order[k]];
  }
}

double PairAllegro::memory_usage()
{
  return Pair::memory_usage() + model.memory_usage();
}

}    // namespace sicmlip
