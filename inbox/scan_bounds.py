"""How much a scanner reads and remembers."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ScanBounds:
    """How much the scanner reads and remembers.

    Attributes:
        manifest_bytes: larger manifests are not waited for, since intake refuses them.
        examined_bytes: how much one look may read; what is left over is due at once at the next look.
        names_per_owner: how many names of one owner are remembered; others enter as these leave.
        leftovers: how many temporary names are remembered.
        stock: how many ready names are kept for the next looks.
        listings_share: so much of the time goes into listing, where looks follow each other closely.
        listed_again_s: the stock is handed out for so long at least before the inbox is listed again.
        abandoned_s: how long a client's temporary file may stay unchanged before it counts as left behind.
    """

    manifest_bytes: int = 1 << 20
    examined_bytes: int = 2 << 20
    names_per_owner: int = 20_000
    leftovers: int = 10_000
    stock: int = 10_000
    listings_share: float = 0.1
    listed_again_s: float = 1.0
    abandoned_s: float = 24 * 3600.0


USUAL_BOUNDS: Final = ScanBounds()
