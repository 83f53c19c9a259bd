# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Lines on stdout, lines from stdin, and the arithmetic of results."""

import json
import math
import sys

import trio


def print_json(value):
    """Writes one JSON object as one line, at once."""
    sys.stdout.write(json.dumps(value, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def quantile(values, share):
    """The value at or below which the share of the values lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0


async def nothing(line):
    pass


async def stdin_closed(on_line=nothing):
    """Returns when stdin ends; every line on the way is handed to on_line."""
    while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
        await on_line(line.strip())
