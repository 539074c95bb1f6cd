"""Process types of nodes that are looked for in the graph: the work chains and calculations of the loop."""

ACTIVE_LEARNING = "aiida.workflows:sicmlip.active_learning"
EXPLORATION = "aiida.workflows:sicmlip.exploration"
WALKER = "aiida.workflows:sicmlip.walker"
CALCULATION = "aiida.calculations:sicmlip.exploration"
"""One calculation of a walker."""
