"""Nodes to tables and pages."""
