"""How often a JPEG file is drawn over: a scan costs as much as a picture, and may be a few bytes.

A progressive file has about ten. Decoders draw as many as there are, so that a file of some
megabytes could keep them for hours.
"""

import re

MOST_SCANS = 64

_START_OF_SCAN, _END, _RESTARTS = 0xDA, 0xD9, range(0xD0, 0xD8)
_BARE = {0x01, *_RESTARTS, 0xD8}  # markers without a segment behind them
# In the data of a scan 0xFF is followed by 0, but where a marker is, a restart being part of it.
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)


def scans(data: bytes) -> int:
    """The number of scans of a JPEG file, at most MOST_SCANS + 1; 0 of what is none."""
    if not data.startswith(b"\xff\xd8\xff"):
        return 0
    count, at = 0, 2
    while count <= MOST_SCANS and (found := _MARKER.search(data, at)):
        marker, at = found[1][0], found.end()
        if marker == _END:
            break
        if marker in _BARE:
            continue
        count += marker == _START_OF_SCAN
        at += int.from_bytes(data[at : at + 2], "big")
    return count
