"""What DFT, molecular dynamics, training and descriptors cost, estimated from a few measured times and known scalings.

Times are those of one core, between two bounds: a machine may be slower or faster than the measured one, and far from
the measured sizes scalings are uncertain. Where not said otherwise, they were measured with `benchmarks/cost_bases.py`,
`engine.py` and `selection.py` on one core of an AMD EPYC, with pw.x 6.7, NequIP 0.19 and torch 2.13.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MACHINE_FACTOR = 2.0
"""A core may be so much slower or faster than the measured one."""
UNITS = (("hours", 1.0), ("minutes", 60.0), ("seconds", 3600.0))
"""Units of time, and how many of each an hour is."""


@dataclass(frozen=True)
class Bounds:
    """A number that lies between two others, in the unit that the context gives."""

    low: float = 0.0
    high: float = 0.0

    def __add__(self, other: Bounds) -> Bounds:
        """Return the sum of two numbers known within bounds."""
        return Bounds(self.low + other.low, self.high + other.high)

    def __mul__(self, factor: float) -> Bounds:
        """Return so many times the number."""
        return Bounds(self.low * factor, self.high * factor)

    def within(self, factor: float) -> Bounds:
        """Return bounds that are wider by a factor on both sides."""
        return Bounds(self.low / factor, self.high * factor)

    def in_words(self, whose: str) -> str:
        """Return hours with two digits, in hours, minutes or seconds: `4.5 to 30 core hours` for ``whose`` "core"."""
        unit, factor = next((unit for unit in UNITS if self.high * unit[1] >= 1.5), UNITS[-1])
        low, high = (f"{float(f'{value * factor:.2g}'):,.10g}" for value in (self.low, self.high))
        return f"{low if low == high else f'{low} to {high}'} {whose} {unit}".replace("  ", " ")

    @property
    def middle(self) -> float:
        """The geometric mean of the bounds."""
        return math.sqrt(self.low * self.high)


@dataclass(frozen=True)
class Cell:
    """A cell with so many atoms and a volume in A^3."""

    n_atoms: int
    volume: float

    def edges(self, cutoff: float) -> float:
        """Return the mean number of pairs within ``cutoff`` (A), each counted from both of its atoms."""
        return self.n_atoms * 4.0 / 3.0 * math.pi * cutoff**3 * self.n_atoms / self.volume


@dataclass(frozen=True)
class Network:
    """What decides how fast an Allegro model is; names and defaults are those of `model` in a training's settings."""

    cutoff: float = 5.0
    l_max: int = 1
    num_layers: int = 1
    num_scalar_features: int = 24
    num_tensor_features: int = 8
    mlp_depth: int = 1
    mlp_width: int = 32

    @property
    def work(self) -> float:
        """Time for an edge over that with the default network."""
        return _work(self) / _work(Network())


def _work(network: Network) -> float:
    """Return the time for an edge: a part that every network has, its dense layers, and the products of its tensors.

    The last layer makes scalars alone, each layer before it all tensors, some of them of both parities.
    """
    width, features = network.mlp_width, network.num_scalar_features
    dense = network.num_layers * width * (3 * features + (network.mlp_depth - 1) * width)
    last = sum((2 * order + 1) ** 2 for order in range(network.l_max + 1))
    products = (network.num_layers - 1) * 1.5 * product_size(network.l_max) + last
    return WORK_OF_ANY + WORK_OF_DENSE * dense + WORK_OF_TENSORS * network.num_tensor_features * products


def product_size(l_max: int) -> int:
    """Return the sum of (2 l1 + 1)(2 l2 + 1)(2 l3 + 1) over all products of tensors, l1 with l2 to l3, to ``l_max``."""
    orders = range(l_max + 1)
    return sum(
        (2 * first + 1) * (2 * second + 1) * (2 * third + 1)
        for first in orders
        for second in orders
        for third in orders
        if abs(first - second) <= third <= first + second
    )


WORK_OF_ANY, WORK_OF_DENSE, WORK_OF_TENSORS = 0.72, 6.5e-5, 1.65e-3
"""Fitted to the times of trainings with seven networks, from 11 ms to 1.3 s a frame; all agree within a third."""
SECONDS_OF_AN_EDGE = 2.5e-6
"""Of a call of the compiled default network, energy and forces: 7.0 ms for 2,758 edges, 28.9 ms for 9,750."""
CALL_OVERHEAD = 0.2e-3
"""Seconds of a step that do not depend on its atoms."""
TRAINING_SECONDS_OF_AN_EDGE = 7.6e-6
"""Of a frame of a training, forward, back and back again: 27 ms for 62 atoms with the default network."""
TRAINING_OVERHEAD = 6.5e-3
"""Seconds of such a frame that do not depend on its atoms, in batches of two."""
SECONDS_OF_A_CLASSICAL_ATOM = 1.2e-6
"""Of a step with EDIP: 14,000 steps a second of 62 atoms."""
BIAS_SECONDS, BIAS_OVER_CALL = 0.55e-3, 0.17
"""Of a step along three variables of 435 distances: by itself, and by what it slows the potential."""
COMPILATION = Bounds(30.0, 120.0)
"""Seconds of a compilation."""
START_OF_TRAINING = Bounds(6.0, 15.0)
"""Seconds of a training before and after its epochs."""

DFT_ATOMS, DFT_CUTOFF, DFT_SECONDS = 62, 30.0, 410.0
"""Atoms, cutoff (Ry) and seconds of the label that all others are scaled from: a spin-polarised SCF at Gamma."""
DFT_EXPONENTS = (2.25, 3.0)
"""Power of the atoms: 2.3 from 14 to 30 atoms, 2.5 from 30 to 62, 3 in the end, where orthogonality costs most."""
SECONDS_OF_A_REFERENCE_LABEL = Bounds(2.0, 8.0)
"""Of a label by a classical potential: the start of the program."""

SECONDS_OF_A_CENTRE = Bounds(0.1e-3, 0.3e-3)
"""Of the SOAP of one atom, with n_max 8 and l_max 6."""
ATOMS_OF_A_DEFECT = 30
"""Atoms that a frame is described by where those around its defect count."""
SECONDS_OF_A_ROW = Bounds(4e-6, 20e-6)
"""Of a frame in an epoch of the autoencoder: 435 distances, layers of 64, 32 and 16."""

GPU_CELL = Cell(214, 27 * 4.416**3)
GPU_CUTOFF = 6.0
GPU_STEP = Bounds(5.0e-3, 20.0e-3)
"""Seconds of a step of that cell: about 6 ns a day on an L40S (Dutta et al., section 3.1), with the bias."""
GPU_LEAST_STEP = 2.0e-3
"""Seconds below which no step gets, however few the atoms."""
GPU_FRAME = Bounds(12.0e-3, 80.0e-3)
"""Seconds of a frame of that cell in a training: 43 hours for trainings with 300 to 1,800 frames (ibid.), were they of
300 to 1,000 epochs, which is not said; and down to half of that."""


def label_seconds(n_atoms: int, cutoff: float, *, spin_polarised: bool, kpoints: int, gamma_only: bool) -> Bounds:
    """Return the time on one core of an SCF with forces by pw.x.

    :param cutoff: of the wave functions in Ry; time grows with its 3/2 power, as the plane waves do.
    :param kpoints: number of points; the tricks for Gamma alone halve the time.
    """
    ratio = n_atoms / DFT_ATOMS
    powers = sorted(ratio**exponent for exponent in DFT_EXPONENTS)
    factor = (cutoff / DFT_CUTOFF) ** 1.5 * (1.0 if spin_polarised else 0.5)
    factor *= kpoints * (1.0 if gamma_only else 2.0)
    return (Bounds(powers[0], powers[1]) * (DFT_SECONDS * factor)).within(MACHINE_FACTOR)


def step_seconds(cell: Cell, network: Network | None, *, biased: bool, on_gpu: bool = False) -> Bounds:
    """Return the time of a step of molecular dynamics; without a network the potential is a classical one.

    On one core, or on a GPU: then all steps with a network are taken for biased, as the measured ones are.
    """
    if network is None:
        seconds = cell.n_atoms * SECONDS_OF_A_CLASSICAL_ATOM + (BIAS_SECONDS if biased else 0.0)
    elif on_gpu:
        scale = cell.edges(network.cutoff) / GPU_CELL.edges(GPU_CUTOFF)
        return Bounds(max(GPU_LEAST_STEP, GPU_STEP.low * scale), max(GPU_LEAST_STEP * 2, GPU_STEP.high * scale))
    else:
        call = CALL_OVERHEAD + cell.edges(network.cutoff) * SECONDS_OF_AN_EDGE * network.work
        seconds = call + (BIAS_SECONDS + BIAS_OVER_CALL * call if biased else 0.0)
    return Bounds(seconds, seconds).within(MACHINE_FACTOR)


def training_frame_seconds(cell: Cell, network: Network, *, on_gpu: bool = False) -> Bounds:
    """Return the time of one frame in one epoch of a training, on one core or on a GPU."""
    if on_gpu:
        return GPU_FRAME * (cell.edges(network.cutoff) / GPU_CELL.edges(GPU_CUTOFF))
    seconds = TRAINING_OVERHEAD + cell.edges(network.cutoff) * TRAINING_SECONDS_OF_AN_EDGE * network.work
    return Bounds(seconds, seconds).within(MACHINE_FACTOR)


def description_seconds(n_centres: int) -> Bounds:
    """Return the time on one core to describe a frame by so many atoms."""
    return SECONDS_OF_A_CENTRE * n_centres
