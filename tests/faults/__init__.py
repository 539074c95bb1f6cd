"""Faults, each put where it would happen: what is lost, what the user reads, and how it goes on."""
