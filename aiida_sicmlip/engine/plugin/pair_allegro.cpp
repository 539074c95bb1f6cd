#include "pair_allegro.h"

#include "callbacks.h"

#include "atom.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "update.h"

#include <algorithm>
#include <cstring>
#include <string>

using namespace LAMMPS_NS;

namespace sicmlip {

PairAllegro::PairAllegro(LAMMPS *lammps) : Pair(lammps)
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
  if (!pair_callbacks.load)
    error->all(FLERR, std::string("The pair style allegro of aiida-sicmlip works inside sicmlip-lmp only; run this input "
                                  "with sicmlip-lmp."));

  species.assign(n_types, -1);
  std::vector<double> cutoffs(static_cast<std::size_t>(n_types) * n_types, 0.0);
  char message[message_size] = "";
  if (pair_callbacks.load(arguments[2], arguments + 3, n_types, species.data(), cutoffs.data(), &model, message,
                          message_size))
    error->one(FLERR, std::string(message));

  cutoff = *std::max_element(cutoffs.begin(), cutoffs.end());
  cutoff_squared.resize(cutoffs.size());
  std::transform(cutoffs.begin(), cutoffs.end(), cutoff_squared.begin(), [](double c) { return c * c; });
  for (int i = 1; i <= n_types; i++)
    for (int j = i; j <= n_types; j++) setflag[i][j] = species[i - 1] >= 0 && species[j - 1] >= 0;
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
  return cutoff;
}

// Centres are the atoms of the neighbour list that the model covers; they come first.
void PairAllegro::gather_centres()
{
  atom_of_node.clear();
  node_of_atom.assign(atom->nlocal + atom->nghost, -1);
  for (int ii = 0; ii < list->inum; ii++) {
    const int i = list->ilist[ii];
    if (species[atom->type[i] - 1] < 0) continue;
    node_of_atom[i] = static_cast<int>(atom_of_node.size());
    atom_of_node.push_back(i);
  }
  n_centres = static_cast<int64_t>(atom_of_node.size());
}

void PairAllegro::reserve_edges(std::size_t capacity)
{
  if (capacity <= edge_capacity) return;
  edge_capacity = capacity + capacity / 4;
  edges.reset(new int64_t[2 * edge_capacity]);
}

// The neighbour list reaches further than the model by the skin. Only edges within the cutoff, and only ghost atoms
// that belong to one of them, go to the model: its cost grows with both.
void PairAllegro::gather_edges()
{
  double **x = atom->x;
  const int *type = atom->type;
  const int n_types = atom->ntypes;

  std::size_t capacity = 0;
  for (int64_t node = 0; node < n_centres; node++) capacity += list->numneigh[atom_of_node[node]];
  reserve_edges(capacity);
  int64_t *centre_of_edge = edges.get();
  int64_t *neighbour_of_edge = edges.get() + capacity;

  n_edges = 0;
  for (int64_t node = 0; node < n_centres; node++) {
    const int i = atom_of_node[node];
    const double *cutoffs = &cutoff_squared[static_cast<std::size_t>(type[i] - 1) * n_types];
    const int *neighbours = list->firstneigh[i];
    for (int jj = 0; jj < list->numneigh[i]; jj++) {
      const int j = neighbours[jj] & NEIGHMASK;
      const double dx = x[j][0] - x[i][0], dy = x[j][1] - x[i][1], dz = x[j][2] - x[i][2];
      if (dx * dx + dy * dy + dz * dz >= cutoffs[type[j] - 1]) continue;
      if (node_of_atom[j] < 0) {
        node_of_atom[j] = static_cast<int>(atom_of_node.size());
        atom_of_node.push_back(j);
      }
      centre_of_edge[n_edges] = node;
      neighbour_of_edge[n_edges] = node_of_atom[j];
      n_edges++;
    }
  }
  // The model wants one array of two rows without a gap between them.
  memmove(edges.get() + n_edges, neighbour_of_edge, n_edges * sizeof(int64_t));
}

void PairAllegro::compute(int eflag, int vflag)
{
  ev_init(eflag, vflag);
  if (vflag_atom || cvflag_atom)
    error->all(FLERR, std::string("The pair style allegro gives no virial of single atoms; leave out computes such as "
                                  "stress/atom and heat/flux."));
  gather_centres();
  if (n_centres == 0) return;
  gather_edges();

  const std::size_t n_nodes = atom_of_node.size();
  positions.resize(3 * n_nodes);
  node_species.resize(n_nodes);
  energies.resize(n_centres);
  forces.resize(3 * n_nodes);
  for (std::size_t node = 0; node < n_nodes; node++) {
    const int i = atom_of_node[node];
    std::copy_n(atom->x[i], 3, &positions[3 * node]);
    node_species[node] = species[atom->type[i] - 1];
  }

  double w[9] = {};
  char message[message_size] = "";
  if (pair_callbacks.compute(model, static_cast<int64_t>(n_nodes), n_centres, n_edges, positions.data(),
                             node_species.data(), edges.get(), energies.data(), forces.data(),
                             vflag_global ? w : nullptr, message, message_size))
    error->one(FLERR, std::string(message));

  double **f = atom->f;
  for (std::size_t node = 0; node < n_nodes; node++) {
    const int i = atom_of_node[node];
    for (int k = 0; k < 3; k++) f[i][k] += forces[3 * node + k];
  }
  if (eflag_global)
    for (double energy : energies) eng_vdwl += energy;
  if (eflag_atom)
    for (int64_t node = 0; node < n_centres; node++) eatom[atom_of_node[node]] += energies[node];
  if (vflag_global) {
    const int order[6] = {0, 4, 8, 1, 2, 5};    // xx yy zz xy xz yz of a 3 x 3 array
    for (int k = 0; k < 6; k++) virial[k] += w[order[k]];
  }
}

double PairAllegro::memory_usage()
{
  return Pair::memory_usage() + 2.0 * edge_capacity * sizeof(int64_t) +
      static_cast<double>(atom_of_node.capacity()) * (7 * sizeof(double) + sizeof(int)) +
      static_cast<double>(node_of_atom.capacity()) * sizeof(int);
}

}    // namespace sicmlip
