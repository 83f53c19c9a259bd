# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The commands."""

import cProfile
import gc
import logging
import sys
import time
import tracemalloc
from contextlib import AsyncExitStack

import trio
from libp2p.abc import INotifee
from libp2p.peer.envelope import consume_envelope
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.peer.peerstore import PERMANENT_ADDR_TTL
from multiaddr import Multiaddr

import autonat
import protocols
import relay
from dht import operate, running_dht
from flags import UsageError
from node import remote_addr, running_host, traits
from output import print_json, quantile, stdin_closed
from pubsub import running_talk
from rendezvous import ask, serve

RECORD_DOMAIN = "libp2p-peer-record"


def run(flags):
    """Runs the command that the flags name."""
    profile = cProfile.Profile() if flags.cpuprofile else None
    if flags.memprofile:
        tracemalloc.start()
    if profile:
        profile.enable()
    try:
        trio.run(COMMANDS[flags.command], flags)
    finally:
        if profile:
            profile.disable()
            profile.dump_stats(flags.cpuprofile)
        if flags.memprofile:
            tracemalloc.take_snapshot().dump(flags.memprofile)


class Events(INotifee):
    """Prints a line for the first connection with a peer and one for the end of its last."""

    def __init__(self, flags):
        self.flags = flags
        self.conns, self.addrs = {}, {}

    async def connected(self, network, conn):
        peer = conn.muxed_conn.peer_id
        held = self.conns.setdefault(peer, set())
        held.add(conn)
        if len(held) == 1:
            addr = remote_addr(conn)
            self.addrs[peer] = addr
            line = {"peer": str(peer), "addr": addr, **traits(conn, self.flags, addr), "limited": "/p2p-circuit" in addr}
            print_json({"event": "peer:connect", **line})

    async def disconnected(self, network, conn):
        peer = conn.muxed_conn.peer_id
        held = self.conns.get(peer, set())
        if conn not in held:
            return
        held.discard(conn)
        if not held:
            del self.conns[peer]
            print_json({"event": "peer:disconnect", "peer": str(peer), "addr": self.addrs.pop(peer)})

    async def opened_stream(self, network, stream):
        pass

    async def closed_stream(self, network, stream):
        pass

    async def listen(self, network, multiaddr):
        pass

    async def listen_close(self, network, multiaddr):
        pass


async def listen(flags):
    async with running_host(flags, listen=True) as host, relay.running_relay(flags, host) as circuits:
        network = host.get_network()
        serve(flags, host)
        if len(network.listeners) < len(flags.transports):
            raise OSError(f"listen on {flags.ip} port {flags.port}: the library could not bind every address")
        addrs = [str(addr) for addr in host.get_addrs()]
        for text in flags.reserve.split(",") if flags.reserve else []:
            with trio.fail_after(flags.timeout):
                addrs.append(await relay.reserve(circuits, host, text, *target(text)))
        print_json({"peer_id": str(host.get_id()), "addrs": addrs})
        network.register_notifee(Events(flags))

        async def connect(addr):
            try:
                addr, peer = target(addr)
                await network.dial_addr(addr, peer)
                if service:
                    await join(host, service, addr, peer)
            except Exception as error:
                logging.error("connect %s: %s", addr, error)

        async def answer(line):
            command, *words = line.split() or [""]
            if command == "gc":
                print_json(collected())
            elif command == "discovered" and host.mDNS:
                print_json(discovered(host))
            elif command == "reach" and reachability:
                print_json(autonat.reach(reachability))
            elif command == "messages" and talk:
                print_json(talk.messages())
            elif command == "publish" and talk:
                try:
                    print_json(await talk.publish(" ".join(words)))
                except Exception as error:
                    print_json({"ok": False, "error": str(error) or type(error).__name__})
            elif command == "dht" and service:
                try:
                    with trio.fail_after(flags.timeout):
                        print_json(await operate(service, words))
                except Exception as error:
                    print_json({"ok": False, "error": str(error) or type(error).__name__})

        async with (
            trio.open_nursery() as nursery,
            running_dht(flags, host) as service,
            running_talk(flags, host) as talk,
            autonat.running_autonat(flags, host) as reachability,
        ):
            for addr in flags.connect.split(",") if flags.connect else []:
                nursery.start_soon(connect, addr)
            await stdin_closed(answer)
            if host.mDNS:
                # The library's stop waits for look-ups under way, up to 18 s for each peer that it cannot read.
                host.mDNS.broadcaster.unregister()
                host.mDNS = None
            nursery.cancel_scope.cancel()


def collected():
    """Collects garbage and tells the memory in use: Python tells its blocks but not their bytes, so both heap figures are
    the resident pages of the process that are not shared with files; there are no goroutines, but trio's tasks."""
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as statm:
        _, resident, shared, *_ = (int(field) * 4096 for field in statm.read().split())
    tasks = trio.lowlevel.current_statistics().tasks_living
    return {"heap_inuse": resident - shared, "heap_alloc": resident - shared, "stack_inuse": 0, "goroutines": tasks}


def discovered(host):
    """Whom mDNS has found and not seen go."""
    peers = {peer for peer, _ in list(host.mDNS.listener.discovered_services.values())}
    return {"discovered": [{"peer": str(peer), "addrs": [str(addr) for addr in host.get_peerstore().addrs(peer)]} for peer in peers]}


def target(text):
    """The address without its peer ID, and the peer ID. The library dials /wss with a peer ID behind it, but not
    /tls/ws, which is the same."""
    try:
        info = info_from_p2p_addr(Multiaddr(text.replace("/tls/ws", "/wss")))
    except Exception as error:
        raise UsageError(f"{text}: {error}") from error
    return info.addrs[0], info.peer_id


async def dial(host, addr, peer):
    """Dials one address. Host.connect would do, but waits a fixed 250 ms beside every dial (swarm.dial_peer gives the next
    address that head start even if there is none)."""
    return await host.get_network().dial_addr(addr, peer)


class Session:
    """One open connection, and how it came to be."""

    def __init__(self, flags, host, peer, conn, start):
        self.flags, self.host, self.peer, self.conn, self.start = flags, host, peer, conn, start
        self.handshake_ms = (time.perf_counter() - start) * 1000

    async def stream(self, protocol):
        return await self.host.new_stream(self.peer, [protocol])

    async def identify(self):
        return await protocols.identify(await self.stream(protocols.IDENTIFY_PROTOCOL), self.peer)


def client(operation):
    """Wraps a command that works on one connection: dials, runs it and prints what it returns."""

    async def command(flags):
        addr, peer = target(flags.args[0])
        with trio.fail_after(flags.timeout):
            async with running_host(flags) as host, relay.running_relay(flags, host) as circuits:
                start = time.perf_counter()
                if circuits:
                    conn = await relay.dial(circuits, host, flags.args[0], target)
                else:
                    conn = await dial(host, addr, peer)
                result = await operation(Session(flags, host, peer, conn, start))
                print_json(result)

    return command


async def ping(session):
    await session.identify()
    identified_ms = (time.perf_counter() - session.start) * 1000
    rtts = await protocols.pings(await session.stream(protocols.PING_PROTOCOL), session.flags.count)
    return {
        "handshake_ms": session.handshake_ms,
        "identified_ms": identified_ms,
        "rtt_min_ms": min(rtts),
        "rtt_median_ms": quantile(rtts, 0.5),
        "rtt_p99_ms": quantile(rtts, 0.99),
        **traits(session.conn, session.flags, session.flags.args[0]),
    }


async def identify(session):
    message = await session.identify()
    signed = False
    if message.signedPeerRecord:
        _, record = consume_envelope(message.signedPeerRecord, RECORD_DOMAIN)
        signed = record.peer_id == session.peer
    return {
        "agent": message.agent_version,
        "protocol_version": message.protocol_version,
        "protocols": sorted(message.protocols),
        "listen_addrs": [str(Multiaddr(addr)) for addr in message.listen_addrs],
        "observed_addr": str(Multiaddr(message.observed_addr)) if message.observed_addr else "",
        "signed_peer_record": signed,
    }


async def perf(session):
    flags = session.flags
    stream = await session.stream(protocols.PERF_PROTOCOL)
    cpu = time.process_time()
    result = await protocols.perf(stream, flags.upload, flags.download, flags.block)
    return {**result, "client_cpu_seconds": time.process_time() - cpu}


async def echo(session):
    start = time.perf_counter()
    await protocols.echo(await session.stream(protocols.ECHO_PROTOCOL), session.flags.size)
    return {"ok": True, "seconds": time.perf_counter() - start}


async def streams(session):
    async def one(worker):
        start = time.perf_counter()
        await protocols.echo(await session.stream(protocols.ECHO_PROTOCOL), session.flags.size)
        return time.perf_counter() - start

    return await repeat("streams", session.flags, one)


async def handshakes(flags):
    """Dials count times; each of the parallel workers has a host of its own, with --fresh every dial has. The latency is
    that of the dial, with --identify up to identify's answer."""
    addr, peer = target(flags.args[0])
    with trio.fail_after(flags.timeout):
        async with AsyncExitStack() as stack:
            hosts = []
            if not flags.fresh:
                for worker in range(min(flags.parallel, flags.count)):
                    seed = flags.seed + worker if flags.seed else 0
                    hosts.append(await stack.enter_async_context(running_host(flags, seed=seed)))

            async def handshake(host):
                start = time.perf_counter()
                conn = await dial(host, addr, peer)
                session = Session(flags, host, peer, conn, start)
                if flags.identify:
                    await session.identify()
                return time.perf_counter() - start, conn

            async def one(worker):
                if flags.fresh:
                    async with running_host(flags, seed=0) as host:
                        return (await handshake(host))[0]
                latency, conn = await handshake(hosts[worker])
                # The library sleeps 200 ms in every close: that is not handshake time.
                closing.start_soon(conn.close)
                return latency

            async with trio.open_nursery() as closing:
                result = await repeat("handshakes", flags, one)
    print_json(result)


async def repeat(noun, flags, operation):
    """Runs an operation count times on parallel workers and sums up; it returns its latency in seconds."""
    latencies, failures, started = [], [], 0

    async def work(worker):
        nonlocal started
        while started < flags.count:
            started += 1
            try:
                latencies.append(await operation(worker))
            except Exception as error:
                failures.append(error)
                logging.error("%s: %s", noun, error)

    cpu, start = time.process_time(), time.perf_counter()
    async with trio.open_nursery() as nursery:
        for worker in range(min(flags.parallel, flags.count)):
            nursery.start_soon(work, worker)
    elapsed = time.perf_counter() - start
    if not latencies:
        raise failures[-1]
    return {
        f"{noun}_per_second": len(latencies) / elapsed,
        "client_cpu_seconds": time.process_time() - cpu,
        "latency_median_ms": quantile(latencies, 0.5) * 1000,
        "latency_p99_ms": quantile(latencies, 0.99) * 1000,
        "errors": len(failures),
    }


async def join(host, service, addr, peer):
    """Enters a peer into the routing table of the DHT, which looks for none by itself."""
    host.get_peerstore().add_addr(peer, addr, PERMANENT_ADDR_TTL)
    await service.add_peer(peer)


async def dht(flags):
    """Runs one operation of the DHT on a host that knows the target only. It listens: who provides must be reachable."""
    text, *words = flags.args
    addr, peer = target(text)
    with trio.fail_after(flags.timeout):
        async with running_host(flags, listen=True) as host, running_dht(flags, host) as service:
            await dial(host, addr, peer)
            await join(host, service, addr, peer)
            print_json(await operate(service, words))


async def rendezvous(flags):
    """Asks a rendezvous point for one thing. The host listens: who registers must be reachable."""
    text, *words = flags.args
    addr, peer = target(text)
    with trio.fail_after(flags.timeout):
        async with running_host(flags, listen=True) as host:
            await dial(host, addr, peer)
            print_json(await ask(host, peer, *words))


async def idle(flags):
    """Holds conns connections, each from its own identity, until stdin closes."""
    addr, peer = target(flags.args[0])

    async def hold(number, task_status=trio.TASK_STATUS_IGNORED):
        async with running_host(flags, seed=flags.seed + number if flags.seed else 0) as host:
            await dial(host, addr, peer)
            task_status.started()
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        start = time.perf_counter()
        with trio.fail_after(flags.timeout):
            for number in range(flags.conns):
                await nursery.start(hold, number)
        print_json({"conns": flags.conns, "seconds": time.perf_counter() - start})
        await stdin_closed()
        nursery.cancel_scope.cancel()


COMMANDS = {
    "listen": listen,
    "ping": client(ping),
    "identify": client(identify),
    "perf": client(perf),
    "echo": client(echo),
    "streams": client(streams),
    "handshakes": handshakes,
    "idle": idle,
    "dht": dht,
    "rendezvous": rendezvous,
}
