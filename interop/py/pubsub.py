# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Messages on topics: the service beside a host, and a part in one topic."""

import base64
from contextlib import asynccontextmanager

import trio
from libp2p.peer.id import ID
from libp2p.pubsub import floodsub, gossipsub
from libp2p.pubsub.pubsub import Pubsub
from libp2p.tools.anyio_service import background_trio_service

from flags import UnsupportedError

# The library's protocols of its own, /meshsub/1.4.0 and /meshsub/2.0.0, are left out: nobody else has them.
GOSSIPSUB = [
    gossipsub.PROTOCOL_ID_V13,
    gossipsub.PROTOCOL_ID_V12,
    gossipsub.PROTOCOL_ID_V11,
    gossipsub.PROTOCOL_ID,
    floodsub.PROTOCOL_ID,
]


class Talk:
    """A host's part in a topic. What it publishes itself is not among the messages."""

    def __init__(self, host, pubsub, topic):
        self.host, self.pubsub, self.topic = host, pubsub, topic
        self.got = []

    async def read(self, subscription):
        while True:
            message = await subscription.get()
            if message.from_id == self.host.get_id().to_bytes():
                continue
            sender = str(ID(message.from_id)) if message.from_id else ""
            self.got.append({"topic": self.topic, "from": sender, "data": base64.b64encode(message.data).decode()})

    def messages(self):
        return {"messages": self.got, "peers": len(self.pubsub.peer_topics.get(self.topic, ()))}

    async def publish(self, text):
        await self.pubsub.publish(self.topic, text.encode())
        return {"published": 1}


@asynccontextmanager
async def running_talk(flags, host):
    """The part in --topic that --pubsub asks for, None if it does not."""
    if not flags.pubsub:
        yield None
        return
    if flags.unsigned:
        # With strict_signing=False, Pubsub.publish still writes an author and a number into its messages.
        raise UnsupportedError("py-libp2p has no policy StrictNoSign")
    if flags.pubsub == "floodsub":
        router = floodsub.FloodSub([floodsub.PROTOCOL_ID])
    else:
        # By default the heartbeat comes every two minutes.
        router = gossipsub.GossipSub(GOSSIPSUB, degree=6, degree_low=5, degree_high=12, heartbeat_interval=1)
    pubsub = Pubsub(host, router)
    async with background_trio_service(pubsub), trio.open_nursery() as nursery:
        if flags.pubsub == "gossipsub":
            await nursery.start(started, router)
        await pubsub.wait_until_ready()
        talk = Talk(host, pubsub, flags.topic)
        nursery.start_soon(talk.read, await pubsub.subscribe(flags.topic))
        yield talk
        nursery.cancel_scope.cancel()


async def started(router, task_status=trio.TASK_STATUS_IGNORED):
    """Runs a router until it is cancelled."""
    async with background_trio_service(router):
        task_status.started()
        await trio.sleep_forever()
