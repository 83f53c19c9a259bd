# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The py-libp2p interop peer.

One command line for every implementation: one JSON object a line on stdout, diagnostics on stderr. Exit 0: done; 1: not
done, the last line says why; 2: usage error.
"""

import os
import sys
import traceback

import flags
from output import print_json


def describe(error):
    """One line for an error: its own words, then those of its causes and of the members of a group."""
    names = {"TooSlowError": "timed out"}
    kind = type(error).__name__
    parts = [] if hasattr(error, "exceptions") else [str(error) or names.get(kind, kind)]
    parts += [describe(inner) for inner in getattr(error, "exceptions", ())]
    if error.__cause__ is not None:
        parts.append(describe(error.__cause__))
    return ": ".join(dict.fromkeys(parts))


def main():
    try:
        parsed = flags.parse(sys.argv[1:])
        import commands  # The library is imported only for a good command line: it takes a second.

        commands.run(parsed)
        code = 0
    except flags.UsageError as error:
        print_json({"ok": False, "error": str(error)})
        code = 2
    except flags.UnsupportedError as error:
        print_json({"ok": False, "error": str(error)})
        code = 1
    except BaseException as error:
        traceback.print_exception(error, limit=-3)
        print_json({"ok": False, "error": describe(error)})
        code = 1
    sys.stderr.flush()
    os._exit(code)  # Threads of the library and of stdin's reader are still there.


main()
