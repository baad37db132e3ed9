"""Whoever started the pipeline holds the other end of standard input, which closes when that process is gone, however it ended."""

import os
import sys
import threading


def end_with_starter() -> None:
    """Ends this process when its standard input ends. A training that nobody waits for would go on for an hour, beside the next one."""
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    try:
        while os.read(sys.stdin.fileno(), 4096):
            pass
    finally:
        os._exit(1)
