"""Names of files that a calculation writes or asks back and a program or parser reads or writes."""

from __future__ import annotations

# Data nodes
DATASET_FILE = "frames.npz"
PORTABLE_MODEL_FILE = "potential.nequip.zip"
COMPILED_MODEL_FILE = "potential.nequip.pt2"
TRAJECTORY_FILE = "trajectory.dcd"

# Exploration
LAMMPS_INPUT_FILE = "exploration.in"
LAMMPS_LOG_FILE = "log.lammps"
STRUCTURE_FILE = "structure.data"
CLASSICAL_POTENTIAL_FILE = "potential.dat"
#: LAMMPS numbers the states that it writes by their steps: `exploration.restart.1000`.
RESTART_FILE = "exploration.restart"
#: The state that a later segment of a run continues from.
PREVIOUS_RESTART_FILE = "previous.restart"

# Bias
PLUMED_INPUT_FILE = "plumed.dat"
PLUMED_LOG_FILE = "plumed.log"
COLVAR_FILE = "COLVAR"
KERNELS_FILE = "KERNELS"
STATE_FILE = "STATE"
#: PLUMED keeps the state before the last one under this name.
LAST_STATE_FILE = "bck.last.STATE"
PREVIOUS_STATE_FILE = "previous.STATE"

# Training
TRAINING_SETTINGS_FILE = "training.json"
TRAINING_SET_FILE = "training_set.npz"
VALIDATION_SET_FILE = "validation_set.npz"
PRIOR_FILE = "prior.json"
TRAINING_REPORT_FILE = "training_report.json"
TRAINING_CURVE_FILE = "training_curve.json"
NEQUIP_CONFIGURATION_FILE = "nequip.yaml"
INITIAL_MODEL_FILE = "initial.nequip.zip"
CHECKPOINT_FOLDER = "checkpoints"
BEST_CHECKPOINT_FILE = "best.ckpt"
LAST_CHECKPOINT_FILE = "last.ckpt"

# Compilation
COMPILATION_REPORT_FILE = "compilation.json"

# Evaluation
EVALUATION_DATASET_FILE = "dataset.npz"
CLASSICAL_POTENTIAL_SETTINGS_FILE = "classical.json"
PREDICTIONS_FILE = "predictions.npz"
EVALUATION_REPORT_FILE = "evaluation.json"

# Labels by a reference potential
CONFIGURATION_FILE = "configuration.json"
LABEL_REPORT_FILE = "label.json"

# Collective variables
CV_SETTINGS_FILE = "cv_settings.json"
CV_MODEL_FILE = "model.ptc"
CV_DESCRIPTION_FILE = "cv.json"
CV_WEIGHTS_FILE = "autoencoder.npz"
CV_STRUCTURE_FILE = "structure.extxyz"
CV_REPORT_FILE = "cv_report.json"

# Descriptors
DESCRIPTORS_SETTINGS_FILE = "descriptors.json"
DESCRIPTORS_REPORT_FILE = "descriptors_report.json"
CANDIDATES_FILE = "candidates.npz"
