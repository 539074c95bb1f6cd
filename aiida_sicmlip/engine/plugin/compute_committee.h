// The compute `committee/disagreement`: how much the members of a committee of models disagree on the forces.

#ifndef SICMLIP_COMPUTE_COMMITTEE_H
#define SICMLIP_COMPUTE_COMMITTEE_H

#include "local_model.h"

#include "compute.h"

#include <memory>
#include <vector>

namespace sicmlip {

// The first member is the model of the pair style, which drives the run; its forces of the step are taken as they are.
// Scalar: the largest disagreement of the atoms of the group; vector: that of each atom, eV/A.
class ComputeCommittee : public LAMMPS_NS::Compute {
 public:
  ComputeCommittee(LAMMPS_NS::LAMMPS *lammps, int narg, char **arguments);
  ~ComputeCommittee() override;
  ComputeCommittee(const ComputeCommittee &) = delete;
  ComputeCommittee &operator=(const ComputeCommittee &) = delete;

  void init() override;
  void init_list(int id, LAMMPS_NS::NeighList *list) override;
  double compute_scalar() override;
  void compute_peratom() override;
  int pack_reverse_comm(int n, int first, double *buffer) override;
  void unpack_reverse_comm(int n, int *indices, double *buffer) override;
  double memory_usage() override;

 private:
  [[noreturn]] void refuse(const std::string &message) const;
  void keep_forces(const LocalModel &model);

  const LocalModel *driving = nullptr;
  std::vector<std::unique_ptr<LocalModel>> members;    // the others
  LAMMPS_NS::NeighList *list = nullptr;
  double **total = nullptr;            // forces of one member on all atoms, ghosts included
  int n_total = 0;                     // rows that it has room for
  std::vector<double> forces;          // members x own atoms x 3
  std::vector<double> disagreement;    // of own atoms
};

}    // namespace sicmlip

#endif
