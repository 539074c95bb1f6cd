"""Readers and writers of the files that the methods and the programs use."""
