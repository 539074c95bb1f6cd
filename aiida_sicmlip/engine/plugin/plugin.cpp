// Announces the styles of this plugin to LAMMPS.

#include "callbacks.h"
#include "compute_committee.h"
#include "fix_plumed.h"
#include "lammpsplugin.h"
#include "pair_allegro.h"

#include "force.h"
#include "lammps.h"
#include "modify.h"

namespace sicmlip {
PairCallbacks pair_callbacks;
BiasCallbacks bias_callbacks;
}    // namespace sicmlip

using namespace LAMMPS_NS;

namespace {

Pair *create_pair_allegro(LAMMPS *lammps)
{
  return new sicmlip::PairAllegro(lammps);
}

Fix *create_fix_plumed(LAMMPS *lammps, int narg, char **arguments)
{
  return new sicmlip::FixPlumed(lammps, narg, arguments);
}

Compute *create_compute_committee(LAMMPS *lammps, int narg, char **arguments)
{
  return new sicmlip::ComputeCommittee(lammps, narg, arguments);
}

}    // namespace

extern "C" void sicmlip_set_pair_callbacks(sicmlip_pair_load load, sicmlip_pair_compute compute,
                                           sicmlip_committee_disagreement disagreement)
{
  sicmlip::pair_callbacks = {load, compute, disagreement};
}

extern "C" void sicmlip_set_bias_callbacks(sicmlip_bias_open open, sicmlip_bias_compute compute,
                                           sicmlip_bias_close close)
{
  sicmlip::bias_callbacks = {open, compute, close};
}

// Called for every LAMMPS instance, and again after `clear`.
extern "C" void lammpsplugin_init(void *instance, void *handle, void *regfunc)
{
  auto *lammps = static_cast<LAMMPS *>(instance);
  const auto announce = reinterpret_cast<lammpsplugin_regfunc>(regfunc);
  lammpsplugin_t plugin = {};
  plugin.version = lammps->version;
  plugin.author = "the aiida-sicmlip developers";
  plugin.handle = handle;

  // LAMMPS keeps one list of plugins for the whole process and ignores a style that is already in it, so that a second
  // instance next to the first would not know the style: hence the entries in the instance's own maps.
  plugin.style = "pair";
  plugin.name = "allegro";
  plugin.info = "pair style allegro through Python";
  plugin.creator.v1 = reinterpret_cast<lammpsplugin_factory1 *>(&create_pair_allegro);
  announce(&plugin, instance);
  (*lammps->force->pair_map)["allegro"] = &create_pair_allegro;

  plugin.style = "compute";
  plugin.name = "committee/disagreement";
  plugin.info = "disagreement of a committee of models through Python";
  plugin.creator.v2 = reinterpret_cast<lammpsplugin_factory2 *>(&create_compute_committee);
  announce(&plugin, instance);
  (*lammps->modify->compute_map)["committee/disagreement"] = &create_compute_committee;

  // A LAMMPS that was built with PLUMED keeps its own fix.
  auto &fixes = *lammps->modify->fix_map;
  const auto known = fixes.find("plumed");
  if (known != fixes.end() && known->second != &create_fix_plumed) return;
  plugin.style = "fix";
  plugin.name = "plumed";
  plugin.info = "fix plumed through Python";
  plugin.creator.v2 = reinterpret_cast<lammpsplugin_factory2 *>(&create_fix_plumed);
  announce(&plugin, instance);
  fixes["plumed"] = &create_fix_plumed;
}
