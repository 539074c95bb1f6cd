#include "local_model.h"

#include "callbacks.h"

#include "atom.h"
#include "error.h"
#include "neigh_list.h"

#include <algorithm>
#include <cstring>
#include <string>

using namespace LAMMPS_NS;

namespace sicmlip {

void LocalModel::load(const char *path, char **names)
{
  if (!pair_callbacks.load)
    error->all(FLERR, std::string("The pair style allegro of aiida-sicmlip works inside sicmlip-lmp only; run this input "
                                  "with sicmlip-lmp."));
  const int n_types = atom->ntypes;
  species.assign(n_types, -1);
  std::vector<double> cutoffs(static_cast<std::size_t>(n_types) * n_types, 0.0);
  char message[message_size] = "";
  if (pair_callbacks.load(path, names, n_types, species.data(), cutoffs.data(), &model, message, message_size))
    error->one(FLERR, std::string(message));
  cutoff = *std::max_element(cutoffs.begin(), cutoffs.end());
  cutoff_squared.resize(cutoffs.size());
  std::transform(cutoffs.begin(), cutoffs.end(), cutoff_squared.begin(), [](double c) { return c * c; });
}

// Centres are the atoms of the neighbour list that the model covers; they come first.
void LocalModel::gather_centres(NeighList *list)
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

void LocalModel::reserve_edges(std::size_t capacity)
{
  if (capacity <= edge_capacity) return;
  edge_capacity = capacity + capacity / 4;
  edges.reset(new int64_t[2 * edge_capacity]);
}

// The neighbour list reaches further than the model by the skin. Only edges within the cutoff, and only ghost atoms
// that belong to one of them, go to the model: its cost grows with both.
void LocalModel::gather_edges(NeighList *list)
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

void LocalModel::evaluate(NeighList *list, bool with_virial)
{
  std::fill_n(virial, 9, 0.0);
  gather_centres(list);
  if (n_centres == 0) return;
  gather_edges(list);

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
  char message[message_size] = "";
  if (pair_callbacks.compute(model, static_cast<int64_t>(n_nodes), n_centres, n_edges, positions.data(),
                             node_species.data(), edges.get(), energies.data(), forces.data(),
                             with_virial ? virial : nullptr, message, message_size))
    error->one(FLERR, std::string(message));
}

void LocalModel::add_forces(double **all) const
{
  for (std::size_t node = 0; node < atom_of_node.size(); node++) {
    const int i = atom_of_node[node];
    for (int k = 0; k < 3; k++) all[i][k] += forces[3 * node + k];
  }
}

double LocalModel::memory_usage() const
{
  return 2.0 * edge_capacity * sizeof(int64_t) +
      static_cast<double>(atom_of_node.capacity()) * (7 * sizeof(double) + sizeof(int)) +
      static_cast<double>(node_of_atom.capacity()) * sizeof(int);
}

}    // namespace sicmlip
