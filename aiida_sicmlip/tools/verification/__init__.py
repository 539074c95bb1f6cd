"""Checks of the rules that every graph of this package keeps."""

from aiida_sicmlip.tools.verification.verify import Check, verify

__all__ = ["Check", "verify"]
