"""Parsers, one for each CalcJob."""
