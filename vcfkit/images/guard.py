"""Opens a cohort's files in a second process that may die, stall or run out of memory without harm.

Headers are held against limits before anything is decoded (`files`), but decoders are large programs in C and a
damaged file can still end one. Then the row that was being opened is a fault, and the next one gets a new process.
"""

import os
import pickle
import resource
import select
import struct
import subprocess
import sys
import time
from typing import BinaryIO

from .examine import Found, examine

SECONDS = 30  # that one row may take, and more where it is a folder of many slices
SECONDS_PER_SLICE = 0.2
STILL = 0.1  # seconds of work in which nothing but waiting is done
MEMORY = 1_600_000_000  # bytes that it may take besides what the libraries take
_LENGTH = struct.Struct(">Q")


class Guard:
    """``with Guard() as guard: guard.examine(stem, row, skip)``: as `examine`, or a fault where that would not end."""

    def __enter__(self):
        self._start()
        return self

    def __exit__(self, *_):
        self._stop()

    def examine(self, stem: str, row: dict, skip: frozenset) -> Found:
        """What the row's files hold."""
        folder = "image" not in skip and os.path.isdir(row["image"])
        limit = SECONDS + (SECONDS_PER_SLICE * len(os.listdir(row["image"])) if folder else 0)
        try:
            _send(self._child.stdin, (stem, row, skip))
            self._wait(limit)
            return _receive(self._child.stdout)
        except (EOFError, BrokenPipeError, TimeoutError) as error:
            self._stop()
            self._start()
            slow = isinstance(error, TimeoutError)
            found = (
                f"one that takes longer than {limit:.0f} s to open" if slow else "one that its decoder cannot survive"
            )
            return Found(faults=[("image", "an intact file", found, "export it again, or leave the row out")])

    def _wait(self, limit):
        """Wait for an answer; `TimeoutError` after ``limit`` seconds of work, or of standing still.

        Work is what the processor gave: a busy machine makes a sound file slow, and not a fault.
        """
        worked, since = _processor_seconds(self._child.pid), time.monotonic()
        first, seen = worked, worked
        while not select.select([self._child.stdout], [], [], 0.5)[0]:
            worked, now = _processor_seconds(self._child.pid), time.monotonic()
            if worked is None:  # the system does not tell: the clock has to do
                if now - since > limit:
                    raise TimeoutError
                continue
            if worked - first > limit or (worked - seen < STILL and now - since > limit):
                raise TimeoutError
            if worked - seen >= STILL:
                seen, since = worked, now

    def _start(self):
        self._child = subprocess.Popen(
            [sys.executable, "-m", "vcfkit.images.guard"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what decoders mutter is in the fault, in words
        )
        _receive(self._child.stdout)  # it has loaded what it needs

    def _stop(self):
        self._child.kill()
        self._child.communicate()


def _processor_seconds(pid: int) -> float | None:
    """Processor time of a process so far, None where the system does not tell."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


def _send(stream: BinaryIO, message) -> None:
    packed = pickle.dumps(message)
    stream.write(_LENGTH.pack(len(packed)) + packed)
    stream.flush()


def _receive(stream: BinaryIO):
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    return pickle.loads(stream.read(_LENGTH.unpack(head)[0]))


def _limit_memory() -> None:
    """Keep this process within `MEMORY` beyond what is loaded; where no limit can be set, those of the headers hold."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            loaded = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (loaded + MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    except (OSError, ValueError):
        return


def serve(incoming: BinaryIO, outgoing: BinaryIO) -> None:
    """Answer rows until the other side hangs up."""
    _limit_memory()
    _send(outgoing, "ready")
    while True:
        try:
            stem, row, skip = _receive(incoming)
        except EOFError:
            return
        try:
            answer = examine(stem, row, skip)
        except MemoryError:
            said = "one that needs too much memory"
            answer = Found(faults=[("image", "an intact file", said, "export it smaller")])
        except Exception as error:  # noqa: BLE001 what a damaged file can raise is no closed list
            said = f"one that cannot be read: {type(error).__name__}: {str(error)[:200]}"
            answer = Found(faults=[("image", "an intact file", said, "export it again")])
        _send(outgoing, answer)


if __name__ == "__main__":
    # The pipe is ours alone: whatever a library prints goes elsewhere.
    pipe = sys.stdout.buffer
    sys.stdout = sys.stderr
    serve(sys.stdin.buffer, pipe)
