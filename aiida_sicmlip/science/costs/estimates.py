"""Estimates of the time of DFT, molecular dynamics, training and descriptors from measured times and known scalings.

Times are in seconds on one core, with lower and upper bounds: machines differ from the measured one, and scalings are
uncertain far from the measured sizes. Unless stated otherwise, times were measured with `benchmarks/cost_bases.py`,
`engine.py` and `selection.py` on one core of an AMD EPYC, with pw.x 6.7, NequIP 0.19 and torch 2.13.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MACHINE_FACTOR = 2.0
"""Factor by which a core may be slower or faster than the measured one."""
UNITS = (("hours", 1.0), ("minutes", 60.0), ("seconds", 3600.0))
"""Units of time, and the number of each in an hour."""


@dataclass(frozen=True)
class Bounds:
    """Lower and upper bound of a number, in the unit of the context."""

    low: float = 0.0
    high: float = 0.0

    def __add__(self, other: Bounds) -> Bounds:
        """Return the bounds of the sum of two numbers."""
        return Bounds(self.low + other.low, self.high + other.high)

    def __mul__(self, factor: float) -> Bounds:
        """Return the bounds of the number multiplied by a factor."""
        return Bounds(self.low * factor, self.high * factor)

    def widened(self, factor: float) -> Bounds:
        """Return bounds that are wider by a factor on each side."""
        return Bounds(self.low / factor, self.high * factor)

    def formatted(self, resource: str) -> str:
        """Format bounds of hours with two digits, such as `4.5 to 30 core hours`, in hours, minutes or seconds.

        :param resource: word before the unit, such as "core"; may be empty.
        """
        unit, factor = next((unit for unit in UNITS if self.high * unit[1] >= 1.5), UNITS[-1])
        low, high = (f"{float(f'{value * factor:.2g}'):,.10g}" for value in (self.low, self.high))
        return f"{low if low == high else f'{low} to {high}'} {resource} {unit}".replace("  ", " ")

    @property
    def middle(self) -> float:
        """Geometric mean of the bounds."""
        return math.sqrt(self.low * self.high)


@dataclass(frozen=True)
class Cell:
    """Size of a cell: number of atoms, and volume in A^3."""

    n_atoms: int
    volume: float

    def edges(self, cutoff: float) -> float:
        """Return the mean number of ordered pairs of atoms within ``cutoff`` (A)."""
        return self.n_atoms * 4.0 / 3.0 * math.pi * cutoff**3 * self.n_atoms / self.volume


@dataclass(frozen=True)
class Network:
    """Size of an Allegro model; names and defaults are those of the settings `model` of a training."""

    cutoff: float = 5.0
    l_max: int = 2
    num_layers: int = 1
    num_scalar_features: int = 32
    num_tensor_features: int = 16
    mlp_depth: int = 2
    mlp_width: int = 64
    precision: str = "float32"

    @property
    def relative_cost(self) -> float:
        """Time per edge relative to that of the network :data:`TIMED`."""
        return _edge_cost(self) / _edge_cost(TIMED)


TIMED = Network(5.0, 1, 1, 24, 8, 1, 32, "float64")
"""Network of 5,700 weights, whose measured times the others are scaled from."""


def _edge_cost(network: Network) -> float:
    """Return the time per edge: a constant, and terms of the dense layers and the tensor products.

    The last layer computes only scalars; each layer before it computes all tensors, some of them of both parities.
    """
    width, features = network.mlp_width, network.num_scalar_features
    dense = network.num_layers * width * (3 * features + (network.mlp_depth - 1) * width)
    last = sum((2 * order + 1) ** 2 for order in range(network.l_max + 1))
    products = (network.num_layers - 1) * 1.5 * product_size(network.l_max) + last
    return WORK_CONSTANT + WORK_PER_DENSE * dense + WORK_PER_TENSOR * network.num_tensor_features * products


def product_size(l_max: int) -> int:
    """Return the sum of (2 l1 + 1)(2 l2 + 1)(2 l3 + 1) over all tensor products of l1 and l2 to l3, up to ``l_max``."""
    orders = range(l_max + 1)
    return sum(
        (2 * first + 1) * (2 * second + 1) * (2 * third + 1)
        for first in orders
        for second in orders
        for third in orders
        if abs(first - second) <= third <= first + second
    )


WORK_CONSTANT, WORK_PER_DENSE, WORK_PER_TENSOR = 0.72, 6.5e-5, 1.65e-3
"""Fitted to the times of trainings of seven networks, 11 ms to 1.3 s per frame; all agree within a third."""
SECONDS_PER_EDGE = 2.5e-6
"""Energy and forces with the compiled network :data:`TIMED`: 7.0 ms for 2,758 edges, 28.9 ms for 9,750."""
CALL_OVERHEAD = 0.2e-3
"""Seconds per step that do not depend on the number of atoms."""
TRAINING_SECONDS_PER_EDGE = 7.6e-6
"""For a frame of a training, forward and backward passes: 27 ms for 62 atoms with the network :data:`TIMED`."""
TRAINING_OVERHEAD, STEP_OVERHEAD = 3.0e-3, 7.0e-3
"""Seconds per frame and per optimiser step of a training that do not depend on the number of atoms."""
FLOAT32_FACTOR = 0.6
"""Time per edge of a training in single precision relative to double: 25 to 43 and 46 to 78 ms per 62 atoms."""
SECONDS_PER_CLASSICAL_ATOM = 1.2e-6
"""For a step with EDIP: 14,000 steps per second for 62 atoms."""
BIAS_SECONDS, BIAS_CALL_FRACTION = 0.55e-3, 0.17
"""Cost of a bias along three variables of 435 distances: seconds per step, and fraction of the potential's time."""
COMPILATION = Bounds(30.0, 120.0)
"""Seconds per compilation."""
START_OF_TRAINING = Bounds(6.0, 15.0)
"""Seconds of a training before its first and after its last step."""

DFT_ATOMS, DFT_CUTOFF, DFT_SECONDS = 62, 30.0, 410.0
"""Number of atoms, cutoff (Ry) and seconds of the measured label: a spin-polarised SCF calculation at Gamma."""
DFT_EXPONENTS = (2.25, 3.0)
"""Exponent of the number of atoms: 2.3 from 14 to 30 atoms, 2.5 from 30 to 62, 3 asymptotically (orthogonalisation)."""
SECONDS_PER_REFERENCE_LABEL = Bounds(2.0, 8.0)
"""For a label by a classical potential, dominated by the start of the program."""

SECONDS_PER_CENTRE = Bounds(0.1e-3, 0.3e-3)
"""For the SOAP descriptor of one atom, with n_max 8 and l_max 6."""
ATOMS_PER_DEFECT = 30
"""Number of atoms around a defect over which the descriptor of a frame is averaged."""
SECONDS_PER_VARIABLE_FRAME = Bounds(4e-6, 20e-6)
"""For a frame in an epoch of the autoencoder: 435 distances, layers of 64, 32 and 16."""

GPU_CELL = Cell(214, 27 * 4.416**3)
GPU_CUTOFF = 6.0
GPU_STEP = Bounds(5.0e-3, 20.0e-3)
"""Seconds per step of this cell with a bias: about 6 ns per day on an L40S (Dutta et al., section 3.1)."""
GPU_MIN_STEP = 2.0e-3
"""Minimum seconds per step, for few atoms."""
GPU_FRAME = Bounds(12.0e-3, 80.0e-3)
"""Seconds per frame of this cell in a training: 43 hours for trainings with 300 to 1,800 frames (ibid.), assuming 300
to 1,000 epochs, which are not stated; the lower bound is half of that."""


def label_seconds(n_atoms: int, cutoff: float, *, spin_polarised: bool, kpoints: int, gamma_only: bool) -> Bounds:
    """Return the time on one core of an SCF calculation with forces by pw.x, s.

    :param cutoff: of the wave functions, Ry; the time is proportional to the number of plane waves, its 3/2 power.
    :param kpoints: number of k-points.
    :param gamma_only: whether gamma-point algorithms are used, which halve the time.
    """
    ratio = n_atoms / DFT_ATOMS
    powers = sorted(ratio**exponent for exponent in DFT_EXPONENTS)
    factor = (cutoff / DFT_CUTOFF) ** 1.5 * (1.0 if spin_polarised else 0.5)
    factor *= kpoints * (1.0 if gamma_only else 2.0)
    return (Bounds(powers[0], powers[1]) * (DFT_SECONDS * factor)).widened(MACHINE_FACTOR)


def step_seconds(cell: Cell, network: Network | None, *, biased: bool, on_gpu: bool = False) -> Bounds:
    """Return the time of a step of molecular dynamics, s.

    :param network: of the potential; None for a classical one.
    :param on_gpu: on a GPU instead of one core; the time of a network then includes a bias, as it was measured.
    """
    if network is None:
        seconds = cell.n_atoms * SECONDS_PER_CLASSICAL_ATOM + (BIAS_SECONDS if biased else 0.0)
    elif on_gpu:
        scale = cell.edges(network.cutoff) / GPU_CELL.edges(GPU_CUTOFF)
        return Bounds(max(GPU_MIN_STEP, GPU_STEP.low * scale), max(GPU_MIN_STEP * 2, GPU_STEP.high * scale))
    else:
        call = CALL_OVERHEAD + cell.edges(network.cutoff) * SECONDS_PER_EDGE * network.relative_cost
        seconds = call + (BIAS_SECONDS + BIAS_CALL_FRACTION * call if biased else 0.0)
    return Bounds(seconds, seconds).widened(MACHINE_FACTOR)


def training_frame_seconds(cell: Cell, network: Network, batch_size: int, *, on_gpu: bool = False) -> Bounds:
    """Return the time of one frame in one pass of a training, on one core or on a GPU, s."""
    if on_gpu:
        return GPU_FRAME * (cell.edges(network.cutoff) / GPU_CELL.edges(GPU_CUTOFF))
    precision = FLOAT32_FACTOR if network.precision == "float32" else 1.0
    edge = TRAINING_SECONDS_PER_EDGE * network.relative_cost * precision
    seconds = TRAINING_OVERHEAD + STEP_OVERHEAD / batch_size + cell.edges(network.cutoff) * edge
    return Bounds(seconds, seconds).widened(MACHINE_FACTOR)


def descriptor_seconds(n_centres: int) -> Bounds:
    """Return the time of the descriptor of a frame that is averaged over ``n_centres`` atoms, on one core, s."""
    return SECONDS_PER_CENTRE * n_centres
