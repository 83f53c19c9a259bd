// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The command line; flags and positional arguments mix in any order.

use std::{net::IpAddr, time::Duration};

use libp2p::Multiaddr;

/// What is to be done.
#[derive(Clone)]
pub enum Command {
    Listen,
    Register(Multiaddr, String),
    Discover(Multiaddr, String),
}

/// The flags that this peer takes.
pub struct Flags {
    pub command: Command,
    pub ip: IpAddr,
    pub port: u16,
    pub seed: u64,
    pub mdns: bool,
    pub rendezvous: bool,
    pub timeout: Duration,
}

impl Flags {
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut args = Vec::new();
        let mut flags = Flags {
            command: Command::Listen,
            ip: IpAddr::from([127, 0, 0, 1]),
            port: 0,
            seed: 0,
            mdns: false,
            rendezvous: false,
            timeout: Duration::from_secs(60),
        };
        while let Some(word) = words.next() {
            let Some(name) = word.strip_prefix("--") else {
                args.push(word);
                continue;
            };
            if name == "mdns" {
                flags.mdns = true;
                continue;
            }
            let value = words.next().ok_or_else(|| format!("--{name} takes a value"))?;
            let bad = |error: String| format!("--{name} {value}: {error}");
            match name {
                "ip" => flags.ip = value.parse().map_err(|e| bad(format!("{e}")))?,
                "port" => flags.port = value.parse().map_err(|e| bad(format!("{e}")))?,
                "seed" => flags.seed = value.parse().map_err(|e| bad(format!("{e}")))?,
                "timeout" => flags.timeout = duration(&value).ok_or_else(|| bad("want a duration such as 10s".into()))?,
                "rendezvous" => only(&value, "server").map_err(bad).map(|()| flags.rendezvous = true)?,
                "transport" => only(&value, "tcp").map_err(bad)?,
                "security" => only(&value, "noise").map_err(bad)?,
                "muxer" => only(&value, "yamux").map_err(bad)?,
                _ => return Err(format!("this peer has no flag --{name}")),
            }
        }
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        flags.command = match words[..] {
            ["listen"] => Command::Listen,
            ["rendezvous", addr, "register", namespace] => Command::Register(point(addr)?, namespace.into()),
            ["rendezvous", addr, "discover", namespace] => Command::Discover(point(addr)?, namespace.into()),
            _ => return Err("want listen, or rendezvous ADDR register|discover NS".into()),
        };
        Ok(flags)
    }
}

fn point(text: &str) -> Result<Multiaddr, String> {
    text.parse().map_err(|e| format!("{text}: {e}"))
}

fn only(value: &str, known: &str) -> Result<(), String> {
    if value == known { Ok(()) } else { Err(format!("this peer knows {known} only")) }
}

/// Reads "500ms", "10s", "2m", "1m30s" in seconds or a bare number of seconds.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().ok()?;
    let (unit, rest) = match &text[digits..] {
        rest if rest.starts_with("ms") => (0.001, &rest[2..]),
        rest if rest.starts_with('s') => (1.0, &rest[1..]),
        rest if rest.starts_with('m') => (60.0, &rest[1..]),
        rest => (1.0, rest),
    };
    let first = Duration::from_secs_f64(number * unit);
    if rest.is_empty() { Some(first) } else { duration(rest).map(|more| first + more) }
}
