"""A TCP proxy that does to a live connection what networks do: late, slow, gone, cut, silent.

The words are Toxiproxy's (https://github.com/Shopify/toxiproxy): upstream is what the client says to the server,
downstream what the server says to the client.
"""

from simulators.faults.flow import CLEAR, Ending, Impairment
from simulators.faults.proxy import Connection, FaultProxy

__all__ = ["CLEAR", "Connection", "Ending", "FaultProxy", "Impairment"]
