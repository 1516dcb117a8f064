"""The end of what a command prints, as text that can be stored and shown."""

import asyncio
import re

KEPT_BYTES = 64 * 1024
KEPT_LINES = 200
#: A result with this much text still fits into the log and so shows up whole where it is read.
SHOWN_BYTES = 60 * 1024

_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])", re.ASCII
)
_CONTROLS = dict.fromkeys((*range(9), *range(11, 32), *range(0x7F, 0xA0)))


class OutputTail:
    """Takes bytes as they come and keeps the last 64 KB; memory stays at twice that.

    `total` counts all bytes; `grown` is set whenever some have come.
    """

    def __init__(self) -> None:
        self.total = 0
        self.grown = asyncio.Event()
        self._kept = bytearray()

    def feed(self, data: bytes) -> None:
        """More output."""
        self.total += len(data)
        self._kept += data[-KEPT_BYTES:]
        if len(self._kept) > 2 * KEPT_BYTES:
            del self._kept[:-KEPT_BYTES]
        self.grown.set()

    def text(self, lines: int = KEPT_LINES, size: int = SHOWN_BYTES) -> tuple[str, bool]:
        """At most so many lines and bytes of UTF-8 from the end, and whether something is missing.

        What is not UTF-8 is replaced; of a line that was overwritten the last version stays;
        control sequences and characters are gone.
        """
        kept = bytes(self._kept[-KEPT_BYTES:])
        cut = self.total > len(kept)
        if cut:  # begin with a whole character
            kept = kept.lstrip(bytes(range(0x80, 0xC0)))
        text = _ESCAPES.sub("", kept.decode("utf-8", "replace")).rstrip()
        parts = text.split("\n")
        shown = "\n".join(
            line.rstrip("\r").rpartition("\r")[2].translate(_CONTROLS) for line in parts[-lines:]
        )
        encoded = shown.encode()
        if len(encoded) > size:
            shown = encoded[-size:].decode("utf-8", "ignore")
        return shown, cut or len(parts) > lines or len(encoded) > size
