"""Train Allegro potentials for point defects in silicon carbide by active learning, with full provenance in AiiDA."""

__version__ = "0.1.0"
