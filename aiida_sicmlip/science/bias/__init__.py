"""Built-in evaluator of plumed.dat: the actions that the workflow writes, without PLUMED."""

from aiida_sicmlip.science.bias.evaluator import Bias, BiasResult

__all__ = ["Bias", "BiasResult"]
