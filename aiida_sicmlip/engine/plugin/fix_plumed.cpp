#include "fix_plumed.h"

#include "callbacks.h"

#include "atom.h"
#include "comm.h"
#include "domain.h"
#include "error.h"
#include "input.h"
#include "modify.h"
#include "timer.h"
#include "universe.h"
#include "update.h"

#include <algorithm>
#include <cstring>

using namespace LAMMPS_NS;

namespace sicmlip {

namespace {

// Fixes that ask for the pressure while a run is set up: the virial of this fix has to be there by then.
const char *const fixes_with_pressure[] = {"nph",   "npt",   "press/berendsen", "press/langevin", "deform/pressure",
                                           "msst",  "nphug", "qbmsst",          "rigid/nph",      "rigid/npt",
                                           "box/relax"};
const char *const path_integrals[] = {"pimd", "ipi"};

template <std::size_t N> bool begins_with_one_of(const char *style, const char *const (&beginnings)[N])
{
  return std::any_of(beginnings, beginnings + N,
                     [style](const char *beginning) { return strncmp(style, beginning, strlen(beginning)) == 0; });
}

}    // namespace

FixPlumed::FixPlumed(LAMMPS *lammps, int narg, char **arguments) : Fix(lammps, narg, arguments)
{
  MPI_Comm_rank(world, &me);
  const char *input = nullptr;
  const char *log = nullptr;
  for (int k = 3; k < narg; k += 2) {
    const bool is_input = strcmp(arguments[k], "plumedfile") == 0;
    if (!is_input && strcmp(arguments[k], "outfile") != 0)
      refuse(std::string("the word `") + arguments[k] +
             "` is not known; write `fix <ID> all plumed plumedfile plumed.dat outfile plumed.log`.");
    if (k + 1 == narg) refuse(std::string("the word `") + arguments[k] + "` needs the name of a file after it.");
    (is_input ? input : log) = arguments[k + 1];
  }
  if (!input) refuse("it needs the file with the actions, `plumedfile plumed.dat`.");

  scalar_flag = 1;
  extscalar = 1;
  global_freq = 1;
  energy_global_flag = virial_global_flag = 1;
  thermo_energy = thermo_virial = 1;
  std::fill_n(virial, 6, 0.0);

  check_surroundings();
  check_other_fixes();
  n_atoms = atom->natoms;
  timestep = update->dt;
  open(input, log);
}

FixPlumed::~FixPlumed()
{
  if (!opened || me != 0) return;
  char message[message_size] = "";
  if (bias_callbacks.close(bias, message, message_size)) error->warning(FLERR, std::string(message));
}

int FixPlumed::setmask()
{
  return FixConst::POST_FORCE;
}

void FixPlumed::refuse(const std::string &message) const
{
  error->all(FLERR, "fix plumed: " + message);
}

void FixPlumed::check_surroundings() const
{
  if (!bias_callbacks.open)
    refuse("this one works inside sicmlip-lmp only; run this input with sicmlip-lmp, or with a LAMMPS that was built "
           "with PLUMED.");
  if (igroup != 0) refuse("the group must be `all`; which atoms are biased is said in the file with the actions.");
  if (strcmp(update->unit_style, "metal") != 0)
    refuse(std::string("the input has `units ") + update->unit_style + "`; use `units metal`.");
  if (!atom->tag_enable || !atom->tag_consecutive())
    refuse("atom IDs must be 1, 2, ... without gaps, because the actions name atoms by them; use `reset_atoms id`.");
  if (universe->existflag)
    refuse("several partitions (`-partition`) would write the same files; run them one by one in folders of their own.");
  if (domain->xperiodic != domain->yperiodic || domain->xperiodic != domain->zperiodic)
    refuse("the cell must be periodic in all three directions or in none; set `boundary p p p`.");
}

void FixPlumed::check_other_fixes() const
{
  for (const Fix *other : modify->get_fix_list()) {
    if (other == this) continue;
    const std::string name = std::string("`fix ") + other->id + " ... " + other->style + "`";
    if (strcmp(other->style, "plumed") == 0)
      refuse("there is one already, " + name + "; put all actions into one file, or remove it with `unfix`.");
    if (begins_with_one_of(other->style, fixes_with_pressure))
      refuse(name + " needs the pressure, to which this fix adds; write this fix before it.");
    if (begins_with_one_of(other->style, path_integrals))
      refuse(name + " makes a path integral, which cannot be biased here.");
  }
}

void FixPlumed::open(const char *input, const char *log)
{
  atoms.resize(n_atoms);
  int64_t n_selected = 0;
  char message[message_size] = "";
  int failed = 0;
  if (me == 0)
    failed = bias_callbacks.open(input, log, n_atoms, timestep, &bias, atoms.data(), &n_selected, message,
                                 message_size);
  share_outcome(failed, message);
  opened = true;
  MPI_Bcast(&n_selected, 1, MPI_INT64_T, 0, world);
  atoms.resize(n_selected);
  MPI_Bcast(atoms.data(), static_cast<int>(n_selected), MPI_INT64_T, 0, world);

  place_of_tag.assign(n_atoms + 1, -1);
  for (int64_t place = 0; place < n_selected; place++) place_of_tag[atoms[place] + 1] = static_cast<int>(place);
  positions.resize(3 * n_selected);
  masses.resize(n_selected);
  charges.resize(n_selected);
  answer.resize(2 + 3 * n_selected);
}

// What the first process was told ends the run on all of them.
void FixPlumed::share_outcome(int failed, char *message) const
{
  MPI_Bcast(&failed, 1, MPI_INT, 0, world);
  if (!failed) return;
  MPI_Bcast(message, message_size, MPI_CHAR, 0, world);
  refuse(message);
}

void FixPlumed::init()
{
  if (update->whichflag == 2)
    refuse("a minimisation cannot be biased, because each of its steps would count as time; remove the fix with "
           "`unfix` first.");
  if (strcmp(input->command, "rerun") == 0)
    refuse("a rerun cannot be biased, because its frames are no time steps; remove the fix with `unfix`, and evaluate "
           "the trajectory with sicmlip driver.");
  if (strncmp(update->integrate_style, "respa", 5) == 0)
    refuse("the run style respa does not work with it here; use `run_style verlet`.");
  // Before the first run, LAMMPS does not say that the timestep was set.
  reset_dt();
  // Fixes that ask for the pressure before this one was set up must not get an old one.
  std::fill_n(virial, 6, 0.0);
  gather_properties();
}

// Every atom belongs to one process, so that the sum over processes is what its owner says.
void FixPlumed::gather(std::vector<double> &values) const
{
  if (comm->nprocs == 1) return;
  const int count = static_cast<int>(values.size());
  if (me == 0)
    MPI_Reduce(MPI_IN_PLACE, values.data(), count, MPI_DOUBLE, MPI_SUM, 0, world);
  else
    MPI_Reduce(values.data(), nullptr, count, MPI_DOUBLE, MPI_SUM, 0, world);
}

void FixPlumed::gather_properties()
{
  std::fill(masses.begin(), masses.end(), 0.0);
  std::fill(charges.begin(), charges.end(), 0.0);
  for (int i = 0; i < atom->nlocal; i++) {
    const int place = place_of_tag[atom->tag[i]];
    if (place < 0) continue;
    masses[place] = atom->rmass ? atom->rmass[i] : atom->mass[atom->type[i]];
    if (atom->q_flag) charges[place] = atom->q[i];
  }
  gather(masses);
  gather(charges);
}

void FixPlumed::setup(int vflag)
{
  post_force(vflag);
}

void FixPlumed::post_force(int /*vflag*/)
{
  if (atom->natoms != n_atoms) refuse("the number of atoms changed, which the actions cannot follow.");

  std::fill(positions.begin(), positions.end(), 0.0);
  for (int i = 0; i < atom->nlocal; i++) {
    const int place = place_of_tag[atom->tag[i]];
    if (place >= 0) std::copy_n(atom->x[i], 3, &positions[3 * static_cast<std::size_t>(place)]);
  }
  gather(positions);

  std::fill_n(virial, 6, 0.0);
  double *forces = answer.data() + 2;
  char message[message_size] = "";
  int failed = 0;
  if (me == 0) {
    const double *h = domain->h;
    const double cell[9] = {h[0], 0.0, 0.0, h[5], h[1], 0.0, h[4], h[3], h[2]};
    const double no_cell[9] = {};
    double w[9] = {};
    int32_t stop = 0;
    failed = bias_callbacks.compute(bias, update->ntimestep, static_cast<int64_t>(atoms.size()), positions.data(),
                                    masses.data(), charges.data(), domain->xperiodic ? cell : no_cell, answer.data(),
                                    forces, w, &stop, message, message_size);
    answer[1] = stop;
    // LAMMPS adds up the virials of all processes.
    const int order[6] = {0, 4, 8, 1, 2, 5};    // xx yy zz xy xz yz of a 3 x 3 array
    for (int k = 0; k < 6; k++) virial[k] = w[order[k]];
  }
  if (comm->nprocs > 1 || failed) share_outcome(failed, message);
  if (comm->nprocs > 1) MPI_Bcast(answer.data(), static_cast<int>(answer.size()), MPI_DOUBLE, 0, world);

  for (int i = 0; i < atom->nlocal; i++) {
    const int place = place_of_tag[atom->tag[i]];
    if (place < 0) continue;
    for (int k = 0; k < 3; k++) atom->f[i][k] += forces[3 * place + k];
  }
  if (answer[1] != 0.0) timer->force_timeout();
}

void FixPlumed::reset_dt()
{
  if (update->dt == timestep) return;
  refuse("the timestep changed, but the actions were read with the one before; set `timestep` before this fix.");
}

double FixPlumed::compute_scalar()
{
  return answer[0];
}

double FixPlumed::memory_usage()
{
  return static_cast<double>(place_of_tag.capacity()) * sizeof(int) +
      static_cast<double>(atoms.size()) * (8 * sizeof(double) + sizeof(int64_t));
}

}    // namespace sicmlip
