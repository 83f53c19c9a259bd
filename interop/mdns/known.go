// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

// known is something that a peer of another project's cannot see. Every run checks
// that it still cannot.
type known struct {
	network    string // empty: any
	seer, seen string // empty: any
	// why is a sentence, with the evidence.
	why string
}

// knowns lists what other peers cannot do. This project's sees everybody, and is
// seen by everybody.
func knowns() []known {
	const (
		address = "zeroconf 2.2.0, which go-libp2p 0.51.0 uses, tells of nobody without an A or AAAA record (mainloop in client.go, \"Require at least one " +
			"resolved IP address\"), and nobody has to send one: js-libp2p and rust-libp2p send PTR and TXT only."
		complete = "zeroconf 0.150.5, which py-libp2p 0.8.1 uses, asks for an address of each peer, too, and gives up without (ServiceInfo._is_complete in " +
			"_services/info.py); js-libp2p answers the question for PTR only, and sends no address."
		bare = "rust-libp2p 0.57.1 names itself without the service at the end (generate_peer_name in libp2p-mdns's dns.rs), which py-libp2p's zeroconf refuses: " +
			"\"must end with '.local.'\"."
		additional = "libp2p-mdns 0.49.0 takes TXT records from the additional section only (MdnsPeer::new in query.rs), and @libp2p/mdns 12.0.32 puts " +
			"them into the answer section (gotQuery in query.js)."
	)
	return []known{
		{seer: "go", seen: "js", why: address},
		{seer: "go", seen: "rust", why: address},
		{seer: "py", seen: "js", why: complete},
		{seer: "py", seen: "rust", why: bare},
		{seer: "rust", seen: "js", why: additional},
	}
}

// oneVersion says why a kind of peer is on networks of IPv4 only.
func oneVersion() map[string]string {
	return map[string]string{
		"py": "py-libp2p 0.8.1 makes its Zeroconf() without a version of IP, which then is 4 (MDNSDiscovery in discovery/mdns/mdns.py).",
		"js": "@libp2p/mdns 12.0.32 uses one group, 224.0.0.251 unless it is told another one, and multicast-dns 7.2.5 makes a socket of IPv4 (udp4 in index.js).",
	}
}

func knownReason(network, seer, seen string) string {
	for _, k := range knowns() {
		if (k.network == "" || k.network == network) && (k.seer == "" || k.seer == seer) && (k.seen == "" || k.seen == seen) {
			return k.why
		}
	}
	return ""
}
