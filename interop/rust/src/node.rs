// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A node, and what it does.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder, identify,
    identity::Keypair,
    mdns,
    multiaddr::Protocol,
    noise, ping, rendezvous,
    swarm::{NetworkBehaviour, SwarmEvent, behaviour::toggle::Toggle},
    tcp, yamux,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::flags::Flags;

pub type Done = Result<(), Box<dyn Error>>;

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    mdns: Toggle<mdns::tokio::Behaviour>,
    point: Toggle<rendezvous::server::Behaviour>,
    client: rendezvous::client::Behaviour,
}

fn make(flags: &Flags) -> Result<Swarm<Behaviour>, Box<dyn Error>> {
    let key = match flags.seed {
        0 => Keypair::generate_ed25519(),
        seed => {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&seed.to_le_bytes());
            Keypair::ed25519_from_bytes(bytes)?
        }
    };
    let id = key.public().to_peer_id();
    let mdns = match flags.mdns {
        // Either version, not both, is what the library can.
        true => Some(mdns::tokio::Behaviour::new(mdns::Config { enable_ipv6: flags.ip.is_ipv6(), ..Default::default() }, id)?),
        false => None,
    };
    let point = flags.rendezvous.then(|| rendezvous::server::Behaviour::new(Default::default()));
    Ok(SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)?
        .with_behaviour(|key| Behaviour {
            identify: identify::Behaviour::new(identify::Config::new("/interop/1.0.0".into(), key.public())),
            ping: ping::Behaviour::default(),
            mdns: mdns.into(),
            point: point.into(),
            client: rendezvous::client::Behaviour::new(key.clone()),
        })?
        .build())
}

/// Listens on the one address of the flags, and returns it.
async fn open(swarm: &mut Swarm<Behaviour>, flags: &Flags) -> Result<Multiaddr, Box<dyn Error>> {
    swarm.listen_on(Multiaddr::from(flags.ip).with(Protocol::Tcp(flags.port)))?;
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            swarm.add_external_address(address.clone());
            return Ok(address);
        }
    }
}

/// Runs until stdin closes; a line "discovered" is answered with the peers that mDNS has found.
pub async fn listen(flags: Flags) -> Done {
    let mut swarm = make(&flags)?;
    let addr = open(&mut swarm, &flags).await?;
    let id = *swarm.local_peer_id();
    println!("{}", json!({"peer_id": id.to_string(), "addrs": [format!("{addr}/p2p/{id}")]}));
    let mut stdin = BufReader::new(tokio::io::stdin()).lines();
    let mut found: BTreeMap<PeerId, BTreeSet<Multiaddr>> = BTreeMap::new();
    loop {
        tokio::select! {
            line = stdin.next_line() => match line?.as_deref() {
                None => return Ok(()),
                Some("discovered") => println!("{}", json!({"discovered": found.iter().map(|(p, a)| entry(p, a)).collect::<Vec<_>>()})),
                Some(_) => {}
            },
            event = swarm.select_next_some() => match event {
                SwarmEvent::Behaviour(BehaviourEvent::Mdns(mdns::Event::Discovered(list))) => for (peer, addr) in list {
                    found.entry(peer).or_default().insert(bare(addr));
                },
                SwarmEvent::Behaviour(BehaviourEvent::Mdns(mdns::Event::Expired(list))) => for (peer, addr) in list {
                    if let Some(addrs) = found.get_mut(&peer) {
                        addrs.remove(&bare(addr));
                        if addrs.is_empty() {
                            found.remove(&peer);
                        }
                    }
                },
                other => eprintln!("{other:?}"),
            },
        }
    }
}

/// The address without a peer ID at its end.
fn bare(mut addr: Multiaddr) -> Multiaddr {
    if let Some(Protocol::P2p(_)) = addr.iter().last() {
        addr.pop();
    }
    addr
}

fn entry<'a>(peer: &PeerId, addrs: impl IntoIterator<Item = &'a Multiaddr>) -> Value {
    json!({"peer": peer.to_string(), "addrs": addrs.into_iter().map(ToString::to_string).collect::<Vec<_>>()})
}

/// Connects to a rendezvous point.
async fn meet(swarm: &mut Swarm<Behaviour>, addr: Multiaddr) -> Result<PeerId, Box<dyn Error>> {
    let Some(Protocol::P2p(point)) = addr.iter().last() else {
        return Err(format!("{addr}: no peer ID at its end").into());
    };
    swarm.dial(addr)?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { peer_id, .. } if peer_id == point => return Ok(point),
            SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.into()),
            _ => {}
        }
    }
}

/// Registers, and stays registered after its end.
pub async fn register(flags: Flags, addr: Multiaddr, namespace: String) -> Done {
    let mut swarm = make(&flags)?;
    open(&mut swarm, &flags).await?;
    let point = meet(&mut swarm, addr).await?;
    swarm.behaviour_mut().client.register(rendezvous::Namespace::new(namespace)?, point, None)?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::Behaviour(BehaviourEvent::Client(rendezvous::client::Event::Registered { ttl, .. })) => {
                println!("{}", json!({"ttl": ttl}));
                return Ok(());
            }
            SwarmEvent::Behaviour(BehaviourEvent::Client(rendezvous::client::Event::RegisterFailed { error, .. })) => {
                return Err(format!("register: {error:?}").into());
            }
            _ => {}
        }
    }
}

/// Prints who has registered.
pub async fn discover(flags: Flags, addr: Multiaddr, namespace: String) -> Done {
    let mut swarm = make(&flags)?;
    let point = meet(&mut swarm, addr).await?;
    swarm.behaviour_mut().client.discover(Some(rendezvous::Namespace::new(namespace)?), None, None, point);
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::Behaviour(BehaviourEvent::Client(rendezvous::client::Event::Discovered { registrations, .. })) => {
                let list: Vec<_> = registrations.iter().map(|r| entry(&r.record.peer_id(), r.record.addresses())).collect();
                println!("{}", json!({"peers": list}));
                return Ok(());
            }
            SwarmEvent::Behaviour(BehaviourEvent::Client(rendezvous::client::Event::DiscoverFailed { error, .. })) => {
                return Err(format!("discover: {error:?}").into());
            }
            _ => {}
        }
    }
}
