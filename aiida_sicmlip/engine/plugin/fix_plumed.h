// The fix `plumed`: gathers the atoms that the actions of a plumed.dat need and hands them to Python.

#ifndef SICMLIP_FIX_PLUMED_H
#define SICMLIP_FIX_PLUMED_H

#include "fix.h"

#include <cstdint>
#include <string>
#include <vector>

namespace sicmlip {

// Input, output and switches are those of LAMMPS' own fix plumed. The first process evaluates for all of them.
class FixPlumed : public LAMMPS_NS::Fix {
 public:
  FixPlumed(LAMMPS_NS::LAMMPS *lammps, int narg, char **arguments);
  ~FixPlumed() override;
  FixPlumed(const FixPlumed &) = delete;
  FixPlumed &operator=(const FixPlumed &) = delete;

  int setmask() override;
  void init() override;
  void setup(int vflag) override;
  void post_force(int vflag) override;
  void reset_dt() override;
  double compute_scalar() override;
  double memory_usage() override;

 private:
  [[noreturn]] void refuse(const std::string &message) const;
  void check_surroundings() const;
  void check_other_fixes() const;
  void open(const char *input, const char *log);
  void share_outcome(int failed, char *message) const;
  void gather(std::vector<double> &values) const;
  void gather_properties();

  int me = 0;                       // number of this process
  int32_t bias = -1;                // known to the first process only
  bool opened = false;
  LAMMPS_NS::bigint n_atoms = 0;    // of the run, which may not change
  double timestep = 0.0;            // ps, which may not change either
  std::vector<int64_t> atoms;       // that the actions need, from 0
  std::vector<int> place_of_tag;    // place in `atoms` of an atom's ID, -1 for others

  // Of the needed atoms, in the order of `atoms`; complete on the first process.
  std::vector<double> masses;
  std::vector<double> charges;
  std::vector<double> positions;
  std::vector<double> answer;       // energy, whether to stop, forces: what the first process tells the others
};

}    // namespace sicmlip

#endif
