// What the Python side gives to the styles of this plugin, as plain C functions, so that the plugin needs no header of
// Python or torch. engine/pair_bridge.py and engine/bias_bridge.py declare the same signatures.

#ifndef SICMLIP_CALLBACKS_H
#define SICMLIP_CALLBACKS_H

#include <cstdint>

extern "C" {

// All functions return 0, or another number after they wrote one message into `message` (at most `size` bytes with
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

// Fills `disagreement` (n_atoms, eV/A) from the `forces` (n_members x n_atoms x 3, eV/A) of a committee.
typedef int (*sicmlip_committee_disagreement)(int32_t n_members, int64_t n_atoms, const double *forces,
                                              double *disagreement, char *message, int size);

void sicmlip_set_pair_callbacks(sicmlip_pair_load load, sicmlip_pair_compute compute,
                                sicmlip_committee_disagreement disagreement);

// Reads the actions in the file `input` for a run of n_atoms atoms with this timestep (ps) and writes a short report to
// the file `log` (null: none). Fills `bias`, by which the other functions know it, and `atoms` (at most n_atoms: from 0,
// in rising order), the `n_selected` atoms that the actions need.
typedef int (*sicmlip_bias_open)(const char *input, const char *log, int64_t n_atoms, double timestep, int32_t *bias,
                                 int64_t *atoms, int64_t *n_selected, char *message, int size);

// Does one step with what the selected atoms are: `positions` (n_selected x 3, A), `masses` (amu), `charges` (e), and the
// `cell` (3 x 3, A, rows are its vectors; zeros: no images). Fills `energy` (eV), `forces` (n_selected x 3, eV/A),
// `virial` (3 x 3, eV, sum of r f) and `stop`: 1 where an action asks for the end of the run, else 0.
typedef int (*sicmlip_bias_compute)(int32_t bias, int64_t step, int64_t n_selected, const double *positions,
                                    const double *masses, const double *charges, const double *cell, double *energy,
                                    double *forces, double *virial, int32_t *stop, char *message, int size);

// Closes the files of a bias.
typedef int (*sicmlip_bias_close)(int32_t bias, char *message, int size);

void sicmlip_set_bias_callbacks(sicmlip_bias_open open, sicmlip_bias_compute compute, sicmlip_bias_close close);
}

namespace sicmlip {

constexpr int message_size = 2048;

struct PairCallbacks {
  sicmlip_pair_load load = nullptr;
  sicmlip_pair_compute compute = nullptr;
  sicmlip_committee_disagreement disagreement = nullptr;
};

struct BiasCallbacks {
  sicmlip_bias_open open = nullptr;
  sicmlip_bias_compute compute = nullptr;
  sicmlip_bias_close close = nullptr;
};

extern PairCallbacks pair_callbacks;
extern BiasCallbacks bias_callbacks;

}    // namespace sicmlip

#endif
