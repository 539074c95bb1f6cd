"""PINES collective variables: which atoms, their permutation invariant vector, an autoencoder on it, and its export.

Herringer et al., JCTC 20, 178 (2024); the vector is that of Gallet and Pietrucci, JCP 139, 074101 (2013).
"""
