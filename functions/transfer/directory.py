"""The directory as the functions use it; what it is and how it is read is decided in `contracts/directory.py`."""

from __future__ import annotations

from contracts.directory import E164, Destination, Directory, DirectoryRefused, load

__all__ = ["E164", "Destination", "Directory", "DirectoryRefused", "load"]
