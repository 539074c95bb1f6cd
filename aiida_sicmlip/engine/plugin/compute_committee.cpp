#include "compute_committee.h"

#include "callbacks.h"
#include "pair_allegro.h"

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "update.h"

#include <algorithm>
#include <cstring>
#include <string>

using namespace LAMMPS_NS;

namespace sicmlip {

ComputeCommittee::ComputeCommittee(LAMMPS *lammps, int narg, char **arguments) : Compute(lammps, narg, arguments)
{
  const int n_types = atom->ntypes;
  const int first = 5 + n_types;
  if (narg <= first || strcmp(arguments[3], "types") != 0 || strcmp(arguments[first - 1], "members") != 0)
    refuse("write `compute <ID> all committee/disagreement types Si C members <model>.nequip.pt2 ...`, with one species "
           "for each of the " +
           std::to_string(n_types) + " atom types and the files of all members but the one that drives the run.");
  scalar_flag = 1;
  extscalar = 0;
  peratom_flag = 1;
  size_peratom_cols = 0;
  comm_reverse = 3;
  for (int k = first; k < narg; k++) {
    members.push_back(std::make_unique<LocalModel>(lammps));
    members.back()->load(arguments[k], arguments + 4);
  }
}

ComputeCommittee::~ComputeCommittee()
{
  memory->destroy(total);
}

void ComputeCommittee::refuse(const std::string &message) const
{
  error->all(FLERR, "compute committee/disagreement: " + message);
}

void ComputeCommittee::init()
{
  const auto *pair = dynamic_cast<PairAllegro *>(force->pair_match("allegro", 1));
  if (!pair) refuse("the run has to be driven by one `pair_style allegro`, the first member of the committee.");
  driving = &pair->evaluated_model();
  for (const auto &member : members)
    if (member->largest_cutoff() > force->pair->cutforce)
      refuse("a member has a longer cutoff than the model that drives the run, whose neighbours it gets.");
  neighbor->add_request(this, NeighConst::REQ_FULL | NeighConst::REQ_OCCASIONAL);
}

void ComputeCommittee::init_list(int /*id*/, NeighList *pointer)
{
  list = pointer;
}

double ComputeCommittee::compute_scalar()
{
  if (invoked_peratom != update->ntimestep) compute_peratom();
  invoked_scalar = update->ntimestep;
  double largest = 0.0;
  for (int i = 0; i < atom->nlocal; i++)
    if (atom->mask[i] & groupbit) largest = std::max(largest, disagreement[i]);
  MPI_Allreduce(&largest, &scalar, 1, MPI_DOUBLE, MPI_MAX, world);
  return scalar;
}

void ComputeCommittee::compute_peratom()
{
  invoked_peratom = update->ntimestep;
  const int n_all = atom->nlocal + atom->nghost;
  if (n_all > n_total || !total) {
    n_total = n_all + n_all / 4 + 1;
    memory->destroy(total);
    memory->create(total, n_total, 3, "committee:total");
  }
  neighbor->build_one(list);
  forces.clear();
  keep_forces(*driving);
  for (const auto &member : members) {
    member->evaluate(list, false);
    keep_forces(*member);
  }
  disagreement.assign(std::max(1, atom->nlocal), 0.0);
  vector_atom = disagreement.data();
  if (atom->nlocal == 0) return;
  char message[message_size] = "";
  if (pair_callbacks.disagreement(static_cast<int32_t>(members.size() + 1), atom->nlocal, forces.data(), vector_atom,
                                  message, message_size))
    error->one(FLERR, std::string(message));
}

// Appends the forces on own atoms, to which those on their images at other places and on other processes belong.
void ComputeCommittee::keep_forces(const LocalModel &model)
{
  const int n_all = atom->nlocal + atom->nghost;
  for (int i = 0; i < n_all; i++) std::fill_n(total[i], 3, 0.0);
  model.add_forces(total);
  comm->reverse_comm(this);
  for (int i = 0; i < atom->nlocal; i++) forces.insert(forces.end(), total[i], total[i] + 3);
}

int ComputeCommittee::pack_reverse_comm(int n, int first, double *buffer)
{
  for (int i = first; i < first + n; i++) buffer = std::copy_n(total[i], 3, buffer);
  return 3 * n;
}

void ComputeCommittee::unpack_reverse_comm(int n, int *indices, double *buffer)
{
  for (int i = 0; i < n; i++)
    for (int k = 0; k < 3; k++) total[indices[i]][k] += *buffer++;
}

double ComputeCommittee::memory_usage()
{
  double bytes = static_cast<double>(n_total) * 3 * sizeof(double);
  bytes += static_cast<double>(forces.capacity() + disagreement.capacity()) * sizeof(double);
  for (const auto &member : members) bytes += member->memory_usage();
  return bytes;
}

}    // namespace sicmlip
