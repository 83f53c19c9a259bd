// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xnode-p2p/xnode/core/host"
)

// broken is a document and what is said of it.
type broken struct {
	// node is the value of apps.xnode, from line 4 on; text, if it is set, the
	// whole document instead.
	node, text string
	wants      []want
}

// want is a mistake: its pointer, line, and a part of its remedy.
type want struct {
	pointer string
	line    int
	remedy  string
}

func one(pointer string, line int, remedy string) []want { return []want{{pointer, line, remedy}} }

const node = "/apps/xnode"

// inNode puts keys into the section of the node.
func inNode(keys string) string {
	return "{\n  \"apps\": {\n    \"xnode\": {\n      " + keys + "\n    }\n  }\n}\n"
}

var brokenDocuments = map[string]broken{
	// Syntax.
	"empty":             {text: " \n", wants: one("", 1, `write {"apps": {"xnode": {}}}`)},
	"a list":            {text: "[]", wants: one("", 1, "write an object")},
	"null":              {text: "null", wants: one("", 1, "write an object")},
	"a string":          {text: `"xnode"`, wants: one("", 1, "write an object")},
	"comma at the end":  {text: "{\"apps\": {\n\"xnode\": {},\n}}", wants: one("", 3, "remove the comma before it")},
	"comment":           {text: "{\n// node\n\"apps\": {}}", wants: one("", 2, "remove the comment: JSON has none")},
	"single quotes":     {text: "{'apps': {}}", wants: one("", 1, "use double quotes")},
	"no comma":          {text: "{\"apps\": {}\n \"admin\": {}}", wants: one("", 2, "put a comma before it")},
	"cut off":           {text: "{\"apps\": {\n\"xnode\": {", wants: one("", 2, "close every bracket")},
	"text after it":     {text: "{\"apps\": {}}\n{}", wants: one("", 2, "remove it")},
	"byte order mark":   {text: "\ufeff{\"apps\": {}}", wants: one("", 1, "without a byte order mark")},
	"key twice":         {text: "{\"apps\": {\n\"xnode\": {},\n\"xnode\": {}}}", wants: one(node, 3, "remove one")},
	"nested too deeply": {text: `{"apps":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + "}", wants: one("/apps"+strings.Repeat("/0", 63), 1, "within 64 levels")},
	// Caddy's part.
	"unknown section":   {text: `{"app": {"xnode": {}}}`, wants: one("/app", 1, `did you mean "apps"?`)},
	"apps is a list":    {text: `{"apps": []}`, wants: one("/apps", 1, "write an object")},
	"unknown app":       {text: `{"apps": {"xnod": {}}}`, wants: one("/apps/xnod", 1, `did you mean "xnode"?`)},
	"app is null":       {text: `{"apps": {"xnode": null}}`, wants: one(node, 1, "write {} for the defaults")},
	"admin to the net":  {text: `{"admin": {"listen": "0.0.0.0:2019"}}`, wants: one("/admin/listen", 1, `write "unix//path/to/socket|0600" or "127.0.0.1:2019"`)},
	"admin everywhere":  {text: `{"admin": {"listen": ":2019"}}`, wants: one("/admin/listen", 1, "127.0.0.1:2019")},
	"admin elsewhere":   {text: `{"admin": {"listen": "192.0.2.1:2019"}}`, wants: one("/admin/listen", 1, "127.0.0.1:2019")},
	"admin ports":       {text: `{"admin": {"listen": "localhost:2000-2010"}}`, wants: one("/admin/listen", 1, "127.0.0.1:2019")},
	"admin key":         {text: `{"admin": {"port": 1}}`, wants: one("/admin/port", 1, "known keys: config, disabled")},
	"log level":         {text: `{"logging": {"logs": {"default": {"level": "loud"}}}}`, wants: one("/logging", 1, "write debug, info, warn or error")},
	"log section":       {text: `{"logging": {"log": {}}}`, wants: one("/logging/log", 1, `did you mean "logs"?`)},
	"log writer":        {text: `{"logging": {"logs": {"default": {"writer": {"output": "printer"}}}}}`, wants: one("/logging", 1, "list-modules")},
	"storage":           {text: `{"storage": {"module": "s3"}}`, wants: one("/storage", 1, "list-modules")},
	"name twice":        {node: `"@id": "a", "limits": {"@id": "a"}`, wants: one(node+"/limits/@id", 4, "choose another one")},
	"name is an object": {node: `"@id": {}`, wants: one(node+"/@id", 4, "write a name")},
	// The node.
	"unknown key":              {node: `"lissten": []`, wants: one(node+"/lissten", 4, `did you mean "listen"?`)},
	"upper case":               {node: `"Listen": []`, wants: one(node+"/Listen", 4, `did you mean "listen"?`)},
	"listen is a string":       {node: `"listen": "/ip4/0.0.0.0/tcp/1"`, wants: one(node+"/listen", 4, "write a list")},
	"listen on a number":       {node: `"listen": [4001]`, wants: one(node+"/listen/0", 4, "write a string")},
	"listen on no multiaddr":   {node: `"listen": ["0.0.0.0:4001"]`, wants: one(node+"/listen/0", 4, "an example is /ip4/0.0.0.0/tcp/4001")},
	"listen twice":             {node: "\"listen\": [\"/ip4/127.0.0.1/tcp/1\",\n\"/ip4/127.0.0.1/tcp/1\"]", wants: one(node+"/listen/1", 5, "remove one")},
	"listen without transport": {node: `"listen": ["/ip4/127.0.0.1/tcp/1/ws"]`, wants: one(node+"/listen/0", 4, "add one to transports")},
	"listen on nothing":        {node: `"listen": ["{env.XNODE_TEST_UNSET}"]`, wants: one(node+"/listen/0", 4, "set the environment variable XNODE_TEST_UNSET")},
	"unknown transport":        {node: `"transports": {"tpc": {}}`, wants: one(node+"/transports/tpc", 4, "tcp")},
	"transports is a list":     {node: `"transports": ["tcp"]`, wants: one(node+"/transports", 4, "write an object of modules by name")},
	"transport is null":        {node: `"transports": {"tcp": null}`, wants: one(node+"/transports/tcp", 4, "write {} for the defaults")},
	"key of a transport":       {node: `"transports": {"tcp": {"keep_alive": "1s"}}`, wants: one(node+"/transports/tcp/keep_alive", 4, `did you mean "keepalive"?`)},
	"duration as a number":     {node: `"transports": {"tcp": {"keepalive": 15}}`, wants: one(node+"/transports/tcp/keepalive", 4, `such as "30s"`)},
	"duration without unit":    {node: `"transports": {"tcp": {"keepalive": "15"}}`, wants: one(node+"/transports/tcp/keepalive", 4, "write a number with a unit")},
	"duration out of range":    {node: `"transports": {"tcp": {"keepalive": "1ms"}}`, wants: one(node+"/transports/tcp/keepalive", 4, "write 1s to 9h")},
	"boolean as a word":        {node: `"transports": {"tcp": {"no_reuse": "yes"}}`, wants: one(node+"/transports/tcp/no_reuse", 4, "write true or false")},
	"security is an object":    {node: `"security": {"noise": {}}`, wants: one(node+"/security", 4, `[{"module": "noise"}]`)},
	"security without module":  {node: `"security": [{"noise": {}}]`, wants: one(node+"/security/0", 4, `{"module": "noise"}`)},
	"unknown security":         {node: "\"security\": [\n{\"module\": \"noize\"}]", wants: one(node+"/security/0", 5, `did you mean "noise"?`)},
	"security by number":       {node: `"security": [{"module": 1}]`, wants: one(node+"/security/0/module", 4, "write the name of a module")},
	"security as a string":     {node: `"security": ["noise"]`, wants: one(node+"/security/0", 4, `{"module": "noise"}`)},
	"security twice":           {node: `"security": [{"module": "noise"}, {"module": "noise"}]`, wants: one(node+"/security/1", 4, "remove one")},
	"no security":              {node: `"security": []`, wants: one(node, 3, "add them")},
	"unknown muxer":            {node: `"muxers": [{"module": "yamucks"}]`, wants: one(node+"/muxers/0", 4, "yamux")},
	"unknown protocol":         {node: `"protocols": {"pingg": {}}`, wants: one(node+"/protocols/pingg", 4, `did you mean "ping"?`)},
	"key of a protocol":        {node: `"protocols": {"ping": {"rate": 1}}`, wants: one(node+"/protocols/ping/rate", 4, "remove it")},
	"unknown identity":         {node: `"identity": {"module": "flie"}`, wants: one(node+"/identity", 4, `did you mean "file"?`)},
	"identity as a string":     {node: `"identity": "file"`, wants: one(node+"/identity", 4, `{"module": `)},
	"type of a key":            {node: `"identity": {"module": "file", "type": "dsa"}`, wants: one(node+"/identity/type", 4, "write ed25519, secp256k1, ecdsa or rsa")},
	"path of a key":            {node: `"identity": {"module": "file", "path": "{env.XNODE_TEST_UNSET}/k"}`, wants: one(node+"/identity/path", 4, "set the environment variable XNODE_TEST_UNSET")},
	"key in the document":      {node: `"identity": {"module": "file", "key": "CAES"}`, wants: one(node+"/identity/key", 4, "known keys: allow_readable, path, type")},
	"negative limit":           {node: `"limits": {"handshakes": -1}`, wants: one(node+"/limits/handshakes", 4, "write 1 or more")},
	"size as a number":         {node: `"limits": {"memory": 256}`, wants: one(node+"/limits/memory", 4, `"256MiB"`)},
	"size in words":            {node: `"limits": {"memory": "256 megs"}`, wants: one(node+"/limits/memory", 4, `"256MiB"`)},
	"limits that contradict":   {node: `"limits": {"connections": 10, "inbound_connections": 20}`, wants: one(node+"/limits", 4, "change one of the two")},
	"half a connection":        {node: `"limits": {"connections": 1.5}`, wants: one(node+"/limits/connections", 4, "write a whole number")},
	"trusted range":            {node: `"limits": {"trusted": ["10.0.0.0/99"]}`, wants: one(node+"/limits/trusted/0", 4, "write an IP address or a range")},
	"gater rule":               {node: `"gater": {"deny": ["10.0.0.0/33"]}`, wants: one(node+"/gater/deny/0", 4, "write a peer ID, an IP address, a range")},
	"gater key":                {node: `"gater": {"block": []}`, wants: one(node+"/gater/block", 4, "known keys: allow, deny")},
	"agent":                    {node: `"agent": 5`, wants: one(node+"/agent", 4, "write a string")},
	// Several at once, in the order of their lines.
	"private network over QUIC": {node: `"security": [{"module": "pnet", "key_file": "{env.XNODE_TEST_SWARM_KEY}"}, {"module": "noise"}], "transports": {"tcp": {}, "quic": {}}`,
		wants: one(node+"/transports/quic", 4, "let gater.allow name the peers instead")},
	"two of one security": {node: `"security": [{"module": "noise"}, {"module": "noise"}]`, wants: one(node+"/security/1", 4, "remove one")},
	"no such key":         {node: `"security": [{"module": "pnet", "key_file": "/nonexistent/swarm.key"}]`, wants: one(node+"/security/0/key_file", 4, "")},
	"dial order":          {node: `"dial": {"policy": {"order": ["udp"]}}`, wants: one(node+"/dial/policy/order/0", 4, "there are quic, tcp")},
	"announce":            {node: `"addresses": {"announce": ["1.2.3.4:4001"]}`, wants: one(node+"/addresses/announce/0", 4, "an example is /dns4/")},
	"certificate":         {node: `"transports": {"websocket": {"certificate": {"module": "file"}}}, "listen": []`, wants: one(node+"/transports/websocket/certificate", 4, "")},
	"two wrong types": {node: "\"limits\": {\"memory\": 1},\n\"transports\": {\"tpc\": {}}", wants: []want{
		{node + "/limits/memory", 4, "256MiB"}, {node + "/transports/tpc", 5, "tcp"}}},
	"two wrong values": {node: "\"listen\": [\"nope\"],\n\"gater\": {\"deny\": [\"x\"]}", wants: []want{
		{node + "/listen/0", 4, "an example"}, {node + "/gater/deny/0", 5, "write a peer ID"}}},
	"two limits": {node: "\"limits\": {\"handshakes\": -1,\n\"connect_burst\": -1}", wants: []want{
		{node + "/limits/handshakes", 4, "write 1 or more"}, {node + "/limits/connect_burst", 5, "write 1 or more"}}},
}

func TestValidate(t *testing.T) {
	t.Setenv("XNODE_DATA", t.TempDir())
	swarmKey := filepath.Join(t.TempDir(), "swarm.key")
	if err := os.WriteFile(swarmKey, []byte("/key/swarm/psk/1.0.0/\n/base16/\n"+strings.Repeat("0123456789abcdef", 4)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XNODE_TEST_SWARM_KEY", swarmKey)
	if len(brokenDocuments) < 40 {
		t.Fatalf("%d documents", len(brokenDocuments))
	}
	for name, test := range brokenDocuments {
		t.Run(name, func(t *testing.T) {
			text := test.text
			if text == "" {
				text = inNode(test.node)
			}
			found := host.Mistakes(host.ValidateDocument([]byte(text)))
			for i, w := range test.wants {
				if i >= len(found) {
					t.Fatalf("%d mistakes, want %d", len(found), len(test.wants))
				}
				m := found[i]
				if m.Pointer != w.pointer || m.Line != w.line || m.Column < 1 || m.Problem == "" || !strings.Contains(m.Remedy, w.remedy) {
					t.Errorf("%v\nwant %s, line %d, remedy %q", m, w.pointer, w.line, w.remedy)
				}
			}
			if len(found) > len(test.wants) {
				t.Errorf("more mistakes: %v", found[len(test.wants):])
			}
		})
	}
}

func TestValidateGood(t *testing.T) {
	t.Setenv("XNODE_DATA", t.TempDir())
	for _, text := range []string{
		`{}`, `{"apps": {}}`, `{"apps": {"xnode": {}}}`,
		inNode(`"@id": "node", "listen": [], "protocols": {"ping": {"@id": "p"}, "echo": {}}`),
		`{"admin": {"listen": "127.0.0.1:0"}, "apps": {"xnode": {}}}`,
		`{"admin": {"listen": "unix//tmp/some.sock|0600"}, "logging": {"logs": {"default": {"level": "debug"}}}}`,
	} {
		if err := host.ValidateDocument([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestValidateOutput(t *testing.T) {
	n := newNode(t)
	path := n.write("node.json", inNode("\"listen\": [\"nope\"],\n\"gater\": {\"deny\": [\"x\"]}"))
	out := n.xnode("", "validate", "-c", path)
	lines := strings.Split(strings.TrimSpace(out.stderr), "\n")
	if out.code != 1 || out.stdout != "" || len(lines) != 2 ||
		!strings.HasPrefix(lines[0], path+":4:18: /apps/xnode/listen/0: ") || !strings.HasSuffix(lines[0], "; an example is /ip4/0.0.0.0/tcp/4001") ||
		!strings.HasPrefix(lines[1], path+":5:20: /apps/xnode/gater/deny/0: ") {
		t.Errorf("%+v", out)
	}
	out = n.xnode("", "validate", "--json", path)
	var v struct {
		File     string
		Valid    bool
		Mistakes []struct {
			Pointer, Problem, Remedy string
			Line, Column             int
		}
	}
	if err := json.Unmarshal([]byte(out.stdout), &v); err != nil {
		t.Fatalf("%v: %+v", err, out)
	}
	if out.code != 1 || v.Valid || v.File != path || len(v.Mistakes) != 2 || v.Mistakes[1].Line != 5 || out.stderr != "" {
		t.Errorf("%+v: %+v", out, v)
	}
	if out := n.xnode(`{"apps": {"xnode": {}}}`, "validate", "-c", "-"); out.code != 0 || out.stdout != "(standard input): valid\n" {
		t.Errorf("%+v", out)
	}
	if out := n.xnode("", "validate"); out.code != 0 {
		t.Errorf("built-in configuration: %+v", out)
	}
	if out := n.xnode("", "validate", "gone.json"); out.code != 1 || !strings.Contains(out.stderr, "gone.json") {
		t.Errorf("%+v", out)
	}
	if entries, err := os.ReadDir(filepath.Join(n.dir, "data")); err == nil && len(entries) > 0 {
		t.Errorf("validate left something behind: %v", entries)
	}
}
