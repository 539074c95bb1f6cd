"""Calcfunctions, one a file: unwrap the nodes, call one function of `science`, wrap the result."""
