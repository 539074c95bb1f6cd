// The pair style `allegro`: gathers atoms and edges for a strictly local model and hands them to Python.

#ifndef SICMLIP_PAIR_ALLEGRO_H
#define SICMLIP_PAIR_ALLEGRO_H

#include "pair.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace sicmlip {

class PairAllegro : public LAMMPS_NS::Pair {
 public:
  explicit PairAllegro(LAMMPS_NS::LAMMPS *lammps);
  ~PairAllegro() override;
  PairAllegro(const PairAllegro &) = delete;
  PairAllegro &operator=(const PairAllegro &) = delete;

  void settings(int narg, char **arguments) override;
  void coeff(int narg, char **arguments) override;
  void init_style() override;
  double init_one(int i, int j) override;
  void compute(int eflag, int vflag) override;
  double memory_usage() override;

 private:
  void allocate();
  void gather_centres();
  void gather_edges();
  void reserve_edges(std::size_t capacity);

  int32_t model = -1;
  double cutoff = 0.0;
  std::vector<int32_t> species;         // of the model, for each LAMMPS type from 0 on; -1 where not ours
  std::vector<double> cutoff_squared;   // n_types x n_types, centre x neighbour; 0 where one of the two is not ours

  // What the model gets. They live as long as the style, because allocating some MB at every step costs page faults.
  int64_t n_centres = 0;
  int64_t n_edges = 0;
  std::vector<int> atom_of_node;        // LAMMPS index of each atom that the model gets, centres first
  std::vector<int> node_of_atom;        // the inverse, -1 for atoms that the model does not get
  std::vector<double> positions;
  std::vector<int64_t> node_species;
  std::unique_ptr<int64_t[]> edges;     // centres, then neighbours
  std::size_t edge_capacity = 0;        // of each of the two halves
  std::vector<double> energies;
  std::vector<double> forces;
};

}    // namespace sicmlip

#endif
