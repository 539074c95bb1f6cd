"""The commands of `aiida-sicmlip dataset`."""
