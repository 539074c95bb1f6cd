"""Commands of `aiida-sicmlip dataset`."""
