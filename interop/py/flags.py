# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The command line."""

import argparse
import re


class UsageError(Exception):
    """Ends the process with exit code 2."""


class UnsupportedError(Exception):
    """Ends the process with exit code 1."""

    def __init__(self, what):
        super().__init__(f"unsupported: {what}")


# What this peer does, by command: the number of positional arguments; None for dht, which takes an operation too.
POSITIONALS = {
    "listen": 0, "ping": 1, "identify": 1, "perf": 1, "echo": 1, "handshakes": 1, "streams": 1, "idle": 1, "dht": None, "rendezvous": 3,
}

# The operations of dht, with the number of their arguments.
DHT_OPERATIONS = {"find-peer": 1, "put": 2, "get": 1, "put-pk": 0, "get-pk": 1, "provide": 1, "find-providers": 1}

# The commands and flags of the other peers' command lines that this peer does not take part in.
FOREIGN_COMMANDS = ("fetch", "publish", "subscribe", "pubsub-bench", "sim-gossip", "dial-through")
FOREIGN_FLAGS = (
    "bootstrap fetch data window nodes degree messages rate wait"
).split()
FOREIGN_SWITCHES = "hole-punch".split()

WORDS = {
    "transport": ("tcp", "ws", "quic", "wss", "webtransport", "webrtc-direct", "webrtc", "memory"),
    "security": ("noise", "tls", "plaintext", "both"),
    "muxer": ("yamux", "mplex"),
    "key-type": ("ed25519", "rsa", "secp256k1", "ecdsa"),
    "dht": ("server", "client"),
    "pubsub": ("gossipsub", "floodsub"),
    "rendezvous": ("server",),
    "autonat": ("v1", "v2", "both"),
}
SPOKEN = ("tcp", "ws", "wss", "quic")


def transport_of(addr):
    """The transport of an address, in the words of the command line."""
    names = addr.split("/")
    if "tls" in names and "ws" in names:
        return "wss"
    order = {"quic-v1": "quic", "wss": "wss", "ws": "ws", "tcp": "tcp"}
    for name in ("p2p-circuit", "webrtc-direct", "webrtc", "webtransport", *order):
        if name in names:
            return order.get(name, name)
    return "unknown"


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise UsageError(message)


def count(text):
    if not re.fullmatch(r"\d+", text):
        raise argparse.ArgumentTypeError(f"{text}: want a whole number")
    return int(text)


def positive(text):
    if count(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be at least 1")
    return int(text)


def duration(text):
    """Seconds, from "500ms", "10s", "2m" or a bare number of seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m)?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text}: want a duration such as 10s")
    return float(match[1]) * {"ms": 0.001, "s": 1, "m": 60}[match[2] or "s"]


def parse(argv):
    """Reads the command line; flags and positional arguments mix in any order."""
    parser = Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("command", nargs="?")
    parser.add_argument("args", nargs="*")
    for name in ("transport", "security", "connect", "key", "pnet", "cpuprofile", "memprofile", "dht", "pubsub", "rendezvous", "reserve", "autonat"):
        parser.add_argument(f"--{name}")
    for name, default in {"muxer": "yamux", "ip": "127.0.0.1", "key-type": "ed25519", "dht-prefix": "/ipfs", "topic": "interop"}.items():
        parser.add_argument(f"--{name}", default=default)
    for name, default in {"port": 0, "seed": 0, "size": 32, "upload": 0, "download": 0}.items():
        parser.add_argument(f"--{name}", type=count, default=default)
    for name, default in {"count": 10, "parallel": 1, "block": 65536, "conns": 1}.items():
        parser.add_argument(f"--{name}", type=positive, default=default)
    parser.add_argument("--timeout", type=duration, default=60.0)
    for name in ("identify", "fresh", "unsigned", "mdns", "relay-service", "relay-limits"):
        parser.add_argument(f"--{name}", action="store_true")
    for name in FOREIGN_FLAGS:
        parser.add_argument(f"--{name}", dest=f"foreign-{name}")
    for name in FOREIGN_SWITCHES:
        parser.add_argument(f"--{name}", dest=f"foreign-{name}", action="store_true")

    flags = parser.parse_intermixed_args(argv)
    if flags.command in FOREIGN_COMMANDS:
        raise UnsupportedError(f"this peer has no command {flags.command}")
    if flags.command not in POSITIONALS:
        raise UsageError(f"want a command: {', '.join(POSITIONALS)}")
    for name in (*FOREIGN_FLAGS, *FOREIGN_SWITCHES):
        if getattr(flags, f"foreign-{name}"):
            raise UnsupportedError(f"this peer has no flag --{name}")
    want = POSITIONALS[flags.command]
    if flags.command == "dht":
        flags.dht = flags.dht or "client"
        if len(flags.args) < 2 or DHT_OPERATIONS.get(flags.args[1]) != len(flags.args) - 2:
            raise UsageError(f"dht takes an address and one of {', '.join(DHT_OPERATIONS)} with what it takes")
    elif len(flags.args) != want:
        raise UsageError(f"{flags.command} takes {want} argument(s), got {len(flags.args)}")
    if flags.command == "rendezvous" and flags.args[1] not in ("register", "discover"):
        raise UsageError("rendezvous takes an address, register or discover, and a namespace")
    if flags.relay_limits and not flags.relay_service:
        raise UsageError("--relay-limits goes with --relay-service")
    first_hop = flags.args[0].split("/p2p-circuit")[0] if flags.args else ""  # which is the relay, where there is one
    flags.transport = flags.transport or (transport_of(first_hop) if first_hop else "tcp")
    flags.transports = flags.transport.split(",")
    flags.security = flags.security or ("both" if flags.command == "listen" else "noise")
    for name, known in WORDS.items():
        value = getattr(flags, name.replace("-", "_"))
        for word in value.split(",") if name == "transport" else [value]:
            if word is not None and word not in known:
                raise UsageError(f"--{name} {word}: want one of {', '.join(known)}")
    if flags.autonat not in (None, "v1"):
        raise UnsupportedError(f"this peer has no AutoNAT {flags.autonat}")
    for name in flags.transports:
        if name not in SPOKEN:
            raise UnsupportedError(f"this peer has no transport {name}")
    if flags.seed and flags.key_type != "ed25519":
        raise UsageError("--seed makes Ed25519 keys only")
    return flags
