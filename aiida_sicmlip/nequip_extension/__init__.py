"""Modules of NequIP models, packed into the models that use them.

The folder is announced under the entry point group `nequip.extension`. NequIP imports it while it is being imported
itself, so nothing is imported here. Its modules import torch and nequip only: whatever they import is packed too, or
missing where the model is loaded.
"""
