"""Server-Sent Events from bytes that may be split anywhere, with lines that end in LF, CRLF or CR."""

import codecs
import re
from dataclasses import dataclass
from typing import Iterator


@dataclass
class Event:
    event: str
    data: str
    id: str


class SseParser:
    """Feed it the bytes as they arrive. Comments are skipped; an incomplete event is not delivered."""

    def __init__(self) -> None:
        # Buffers the first bytes of a character until the rest arrives.
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._line = ""
        self._ended_in_cr = False
        self._event = "message"
        self._data: list[str] = []
        self._id = ""

    def feed(self, received: bytes) -> Iterator[Event]:
        text = self._decoder.decode(received)
        if not text:
            return
        if self._ended_in_cr and text.startswith("\n"):
            text = text[1:]
        self._ended_in_cr = text.endswith("\r")
        # Not splitlines(), which also splits at characters that are part of the text.
        *lines, self._line = re.split("\r\n|\r|\n", self._line + text)
        for line in lines:
            if line == "":
                if self._data:
                    yield Event(self._event, "\n".join(self._data), self._id)
                self._event, self._data = "message", []
                continue
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                self._data.append(value)
            elif name == "event":
                self._event = value
            elif name == "id":
                self._id = value
