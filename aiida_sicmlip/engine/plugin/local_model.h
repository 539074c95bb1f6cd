// A strictly local model: gathers atoms and edges from a full neighbour list and hands them to Python.

#ifndef SICMLIP_LOCAL_MODEL_H
#define SICMLIP_LOCAL_MODEL_H

#include "pointers.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace LAMMPS_NS {
class NeighList;
}

namespace sicmlip {

class LocalModel : protected LAMMPS_NS::Pointers {
 public:
  explicit LocalModel(LAMMPS_NS::LAMMPS *lammps) : Pointers(lammps) {}
  LocalModel(const LocalModel &) = delete;
  LocalModel &operator=(const LocalModel &) = delete;

  // Reads the file of the model; `names`: its species for each atom type, NULL for a type that is not its own.
  void load(const char *path, char **names);
  bool covers(int type, int other) const { return species[type - 1] >= 0 && species[other - 1] >= 0; }
  double largest_cutoff() const { return cutoff; }

  // Energies, forces and, where it is asked for, the virial at the present positions.
  void evaluate(LAMMPS_NS::NeighList *list, bool with_virial);
  // Adds the forces of the last evaluation to an array of all atoms, ghosts included.
  void add_forces(double **all) const;
  double memory_usage() const;

  // Of the last evaluation.
  int64_t n_centres = 0;
  std::vector<int> atom_of_node;    // LAMMPS index of each atom that the model gets, centres first
  std::vector<double> energies;     // of the centres, eV
  std::vector<double> forces;       // nodes x 3, eV/A
  double virial[9] = {};            // eV, sum of r f

 private:
  void gather_centres(LAMMPS_NS::NeighList *list);
  void gather_edges(LAMMPS_NS::NeighList *list);
  void reserve_edges(std::size_t capacity);

  int32_t model = -1;
  double cutoff = 0.0;
  std::vector<int32_t> species;         // of the model, for each LAMMPS type from 0 on; -1 where not its own
  std::vector<double> cutoff_squared;   // n_types x n_types, centre x neighbour; 0 where one of the two is not its own

  // What the model gets. They live as long as the object, because allocating some MB at every step costs page faults.
  int64_t n_edges = 0;
  std::vector<int> node_of_atom;        // the inverse of `atom_of_node`, -1 for atoms that the model does not get
  std::vector<double> positions;
  std::vector<int64_t> node_species;
  std::unique_ptr<int64_t[]> edges;     // centres, then neighbours
  std::size_t edge_capacity = 0;        // of each of the two halves
};

}    // namespace sicmlip

#endif
