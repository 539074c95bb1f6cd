// Announces the styles of this plugin to LAMMPS.

#include "callbacks.h"
#include "lammpsplugin.h"
#include "pair_allegro.h"

#include "force.h"
#include "lammps.h"

namespace sicmlip {
PairCallbacks pair_callbacks;
}

using namespace LAMMPS_NS;

namespace {

Pair *create_pair_allegro(LAMMPS *lammps)
{
  return new sicmlip::PairAllegro(lammps);
}

}    // namespace

extern "C" void sicmlip_set_pair_callbacks(sicmlip_pair_load load, sicmlip_pair_compute compute)
{
  sicmlip::pair_callbacks = {load, compute};
}

// Called for every LAMMPS instance, and again after `clear`.
extern "C" void lammpsplugin_init(void *instance, void *handle, void *regfunc)
{
  auto *lammps = static_cast<LAMMPS *>(instance);
  lammpsplugin_t plugin = {};
  plugin.version = lammps->version;
  plugin.style = "pair";
  plugin.name = "allegro";
  plugin.info = "pair style allegro through Python";
  plugin.author = "the aiida-sicmlip developers";
  plugin.creator.v1 = reinterpret_cast<lammpsplugin_factory1 *>(&create_pair_allegro);
  plugin.handle = handle;
  reinterpret_cast<lammpsplugin_regfunc>(regfunc)(&plugin, instance);

  // LAMMPS keeps one list of plugins for the whole process and ignores a style that is already in it, so that a second
  // instance next to the first would not know the style.
  (*lammps->force->pair_map)["allegro"] = &create_pair_allegro;
}
