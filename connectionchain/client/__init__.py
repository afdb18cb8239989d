"""Starting, steering and following deals."""

from connectionchain.client.client import Client
from connectionchain.client.listing import DealSummary

__all__ = ["Client", "DealSummary"]
