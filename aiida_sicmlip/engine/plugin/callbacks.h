// What the Python side gives to the styles of this plugin, as plain C functions, so that the plugin needs no header of
// Python or torch. engine/lammps_plugin.py declares the same signatures.

#ifndef SICMLIP_CALLBACKS_H
#define SICMLIP_CALLBACKS_H

#include <cstdint>

extern "C" {

// All functions return 0, or another number after they wrote one sentence into `message` (at most `size` bytes with
// the terminating zero), which becomes the LAMMPS error.

// Reads the compiled model. `names`: one name for each of the `count` LAMMPS types, the word NULL for a type that
// other pair styles handle. Fills `species` (count: index in the model, -1 for NULL), `cutoffs` (count x count, in
// Angstrom: centre x neighbour) and the `model` by which `compute` knows it.
typedef int (*sicmlip_pair_load)(const char *path, const char *const *names, int count, int32_t *species,
                                 double *cutoffs, int32_t *model, char *message, int size);

// Evaluates the model. Atoms come in the order centres first, then those that are neighbours only; `edges` holds
// n_edges centres and then n_edges neighbours. Fills `energies` (n_centres, eV), `forces` (n_atoms x 3, eV/A) and, where
// `virial` is not null, `virial` (3 x 3, eV, sum of r f).
typedef int (*sicmlip_pair_compute)(int32_t model, int64_t n_atoms, int64_t n_centres, int64_t n_edges,
                                    const double *positions, const int64_t *species, const int64_t *edges,
                                    double *energies, double *forces, double *virial, char *message, int size);

void sicmlip_set_pair_callbacks(sicmlip_pair_load load, sicmlip_pair_compute compute);
}

namespace sicmlip {

constexpr int message_size = 2048;

struct PairCallbacks {
  sicmlip_pair_load load = nullptr;
  sicmlip_pair_compute compute = nullptr;
};

extern PairCallbacks pair_callbacks;

}    // namespace sicmlip

#endif
