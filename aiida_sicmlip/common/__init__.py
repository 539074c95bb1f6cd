"""Enumerations, constants, exceptions and names that several layers share; imports nothing of the package."""
