# SPDX-License-Identifier: Apache-2.0 OR MIT
"""AutoNAT, of which the library has version 1."""

from contextlib import asynccontextmanager

import trio
from libp2p.host.autonat.autonat import AutoNATService, AutoNATStatus

NAMES = {AutoNATStatus.UNKNOWN: "unknown", AutoNATStatus.PUBLIC: "public", AutoNATStatus.PRIVATE: "private"}
BREAK = 1.0  # between two times that everybody is asked, in seconds


@asynccontextmanager
async def running_autonat(flags, host):
    """Answers peers that ask, and asks all that the node is connected to, again and again."""
    if not flags.autonat:
        yield None
        return
    service = AutoNATService(host)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, service, host)
        yield service
        nursery.cancel_scope.cancel()


async def ask(service, host):
    while True:
        await trio.sleep(BREAK)
        await service.check_reachability(host.get_connected_peers())


def reach(service):
    """What the library says, which is about the node as a whole."""
    return {"reachability": NAMES[service.get_status()], "addrs": []}
