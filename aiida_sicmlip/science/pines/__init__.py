"""PINES collective variables: choice of atoms, permutation invariant vector (PIV), autoencoder, and export.

Sources: Herringer et al., JCTC 20, 178 (2024); for the PIV, Gallet and Pietrucci, JCP 139, 074101 (2013).
"""
