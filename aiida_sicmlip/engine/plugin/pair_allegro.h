// The pair style `allegro`: a strictly local model that Python evaluates.

#ifndef SICMLIP_PAIR_ALLEGRO_H
#define SICMLIP_PAIR_ALLEGRO_H

#include "local_model.h"

#include "pair.h"

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

  // With the forces of the present step once they were computed.
  const LocalModel &evaluated_model() const { return model; }

 private:
  void allocate();

  LocalModel model;
};

}    // namespace sicmlip

#endif
