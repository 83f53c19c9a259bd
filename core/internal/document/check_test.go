// SPDX-License-Identifier: Apache-2.0 OR MIT

package document

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/xnode-p2p/xnode/core"
)

// probe is an app with a section of each shape.
type probe struct {
	Sections core.Map[core.Protocol]            `json:"sections"`
	List     core.List[core.Protocol]           `json:"list"`
	One      core.One[core.Protocol]            `json:"one"`
	Pointer  *core.One[core.Protocol]           `json:"pointer"`
	Many     map[string]core.One[core.Protocol] `json:"many"`
	Empty    core.Map[core.PubSub]              `json:"empty"`
}

func (*probe) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "probe", New: func() caddy.Module { return new(probe) }}
}

// idle is a service that does nothing.
type idle struct{}

func (idle) Start(context.Context, core.Node) error { return nil }
func (idle) Close() error                           { return nil }

// kinds is a module with a field of every kind.
type kinds struct {
	idle
	Base
	*Extra
	Bool     bool                     `json:"bool"`
	Int      int                      `json:"int"`
	Int8     int8                     `json:"int8"`
	Uint     uint                     `json:"uint"`
	Uint16   uint16                   `json:"uint16"`
	Float    float64                  `json:"float"`
	String   string                   `json:"string"`
	Strings  []string                 `json:"strings"`
	Bytes    []byte                   `json:"bytes"`
	Pair     [2]int                   `json:"pair"`
	Map      map[string]int           `json:"map"`
	Struct   struct{ Inner int }      `json:"struct"`
	Pointer  *struct{ Inner *string } `json:"pointer"`
	Raw      json.RawMessage          `json:"raw"`
	Any      any                      `json:"any"`
	Duration core.Duration            `json:"duration"`
	Size     *core.Size               `json:"size"`
	Addr     netip.Addr               `json:"addr"`
	Guests   core.List[core.Protocol] `json:"guests"`
	Hidden   int                      `json:"-"`
	Untagged int
	private  int
}

// Base and Extra are embedded; String is hidden by kinds.
type (
	Base struct {
		String int `json:"string"`
		Basic  int `json:"basic"`
	}
	Extra struct {
		More int `json:"more"`
		*Extra
	}
)

func (*kinds) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.protocol.kinds", New: func() caddy.Module { return new(kinds) }}
}

// own is a module that decodes itself.
type own struct {
	idle
	n int
}

func (*own) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.protocol.own", New: func() caddy.Module { return new(own) }}
}

func (o *own) UnmarshalJSON(b []byte) error {
	var fields struct {
		N     int  `json:"n"`
		Panic bool `json:"panic"`
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	if err := d.Decode(&fields); err != nil {
		return err
	}
	if fields.Panic {
		panic("own panics")
	}
	if o.n = fields.N; o.n < 0 {
		return errors.New("n must be positive; write 1 or more")
	}
	return nil
}

func init() {
	_ = new(kinds).private
	caddy.RegisterModule(new(probe))
	core.Register(new(kinds))
	core.Register(new(own))
}

func TestCheckKinds(t *testing.T) {
	for _, tc := range []struct{ key, value, want string }{
		{"bool", `true`, ""},
		{"bool", `▮"true"`, `want true or false, got the string "true"; write true or false`},
		{"bool", `▮null`, "null says nothing; remove the key to have its default"},
		{"int", `-5`, ""},
		{"int", `▮5.5`, "want a whole number, got the number 5.5; write a whole number"},
		{"int", `▮1e99`, "want a whole number, got the number 1e99; write a whole number"},
		{"int", `▮"5"`, `want a whole number, got the string "5"; write a whole number`},
		{"int8", `▮300`, "want a whole number from -128 to 127, got the number 300; write a whole number from -128 to 127"},
		{"uint", `▮-1`, "want a whole number, not negative, got the number -1; write a whole number, not negative"},
		{"uint16", `▮65536`, "want a whole number from 0 to 65535, got the number 65536; write a whole number from 0 to 65535"},
		{"float", `1e3`, ""},
		{"float", `▮[]`, "want a number, got a list; write a number"},
		{"float", `▮` + strings.Repeat("1", 400), "want a number, got the number " + strings.Repeat("1", 40) + "; write a number"},
		{"string", `"é"`, ""},
		{"string", `▮1`, "want a string, got the number 1; write a string"},
		{"string", `▮{}`, "want a string, got an object; write a string"},
		{"strings", `[]`, ""},
		{"strings", `▮"a"`, `want a list, got the string "a"; write a list`},
		{"strings", `["a", ▮1]`, "/1: want a string, got the number 1; write a string"},
		{"strings", `["a", ▮null]`, "/1: null says nothing; remove the key to have its default"},
		{"bytes", `"aGk="`, ""},
		{"bytes", `▮7`, "want a string of bytes in base64, got the number 7; write a string of bytes in base64"},
		{"pair", `[1, 2]`, ""},
		{"pair", `▮"x"`, `want a list of 2, got the string "x"; write a list of 2`},
		{"map", `{"a": 1, "@id": "m"}`, ""},
		{"map", `{"a/b~": ▮"x"}`, `/a~1b~0: want a whole number, got the string "x"; write a whole number`},
		{"map", `▮[]`, "want an object, got a list; write an object"},
		{"struct", `{"Inner": 1, "@id": "s"}`, ""},
		{"struct", `{▮"inner": 1}`, `/inner: unknown key "inner"; did you mean "Inner"?`},
		{"struct", `▮null`, "want an object, got null; write an object"},
		{"struct", `▮false`, "want an object, got false; write an object"},
		{"pointer", `{"Inner": "x"}`, ""},
		{"pointer", `{"Inner": ▮1}`, "/Inner: want a string, got the number 1; write a string"},
		{"raw", `{"whatever": [1]}`, ""},
		{"any", `[{"x": null}]`, ""},
		{"any", `▮null`, "null says nothing; remove the key to have its default"},
		{"duration", `"1d"`, ""},
		{"duration", `▮10`, `10 is no duration; write a string with a unit, such as "30s" or "2m"`},
		{"duration", `▮"soon"`, `"soon" is no duration; write a number with a unit, such as "30s" or "2m"`},
		{"size", `"1.5GiB"`, ""},
		{"size", `▮"5"`, `"5" is no size; write a number with a unit, such as "64KiB" or "256MiB"`},
		{"addr", `"127.0.0.1"`, ""},
		{"addr", `▮"::x"`, `ParseAddr("::x"): each colon-separated field must have at least one digit (at "x")`},
		{"addr", `▮7`, "want a string, got the number 7; write a string"},
		{"guests", `[{"module": "kinds", "guests": [{"module": "kinds", "bool": ▮1}]}]`, "/0/guests/0/bool: want true or false, got the number 1; write true or false"},
		{"basic", `1`, ""},
		{"more", `▮"x"`, `want a whole number, got the string "x"; write a whole number`},
		{"Untagged", `1`, ""},
	} {
		text, line, column := mark(`{"apps": {"probe": {"sections": {"kinds":` + "\n\t" + `{"` + tc.key + `": ` + tc.value + `}}}}}`)
		want := ""
		if tc.want != "" {
			at, rest := "", tc.want
			if strings.HasPrefix(rest, "/") {
				at, rest, _ = strings.Cut(rest, ": ")
			}
			want = (&Error{"/apps/probe/sections/kinds/" + tc.key + at, line, column, rest, ""}).Error()
		}
		compare(t, text, want)
	}
}

// compare checks a document; want is the text of its mistakes.
func compare(t *testing.T, text, want string) {
	t.Helper()
	d, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	got := ""
	if err := d.Check(); err != nil {
		got = err.Error()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s\n(-want +got) %s", text, diff)
	}
}

func TestCheckSections(t *testing.T) {
	const at = "/apps/probe"
	for _, tc := range []struct{ text, want string }{
		{`"sections": {"kinds": {}, "own": {"n": 1}, "@id": "s"}`, ""},
		{`"list": [{"module": "kinds", "int": 1}, {"n": 1, "module": "own", "@id": "o"}]`, ""},
		{`"one": {"@id": 7, "module": "own", "n": 1}, "pointer": {"module": "own"}, "many": {"a": {"module": "own"}, "@id": "m"}`, ""},
		{`"sections": ▮[]`, at + `/sections (L): want an object of modules by name, such as {"kinds": {}}, got a list; write an object of modules by name, such as {"kinds": {}}`},
		{`"sections": ▮null`, at + `/sections (L): null says nothing; remove the key to have its default`},
		{`"sections": {"own": ▮null}`, at + `/sections/own (L): null is no configuration; write {} for the defaults, or remove the key`},
		{`"sections": {"own": ▮3}`, at + `/sections/own (L): want an object, got the number 3; write an object`},
		{`"sections": {"kinds": ▮3}`, at + `/sections/kinds (L): want an object, got the number 3; write an object`},
		{`"sections": {▮"Kinds": {}}`, at + `/sections/Kinds (L): there is no protocol module "Kinds" in this binary; did you mean "kinds"?`},
		{`"sections": {▮"elsewhere": {}}`, at + `/sections/elsewhere (L): there is no protocol module "elsewhere" in this binary; it has: kinds, own`},
		{`"sections": {▮"": {}}`, at + `/sections/ (L): there is no protocol module "" in this binary; it has: kinds, own`},
		{`"empty": {▮"x": {}}`, at + `/empty/x (L): there is no pubsub module "x" in this binary; remove it`},
		{`"sections": {"own": ▮{"n": -1}}`, at + `/sections/own (L): n must be positive; write 1 or more`},
		{`"sections": {"own": {"n": ▮"x"}}`, at + `/sections/own/n (L): want a whole number, got the string "x"; write a whole number`},
		{`"sections": {"own": ▮{"m": 1}}`, at + `/sections/own (L): json: unknown field "m"`},
		{`"sections": {"own": ▮{"panic": true}}`, at + `/sections/own (L): panic: own panics; report this to the author of the module`},
		{`"list": ▮{"kinds": {}}`, at + `/list (L): want a list of modules, such as [{"module": "kinds"}], got an object; write a list of modules, such as [{"module": "kinds"}]`},
		{`"list": [▮"kinds"]`, at + `/list/0 (L): want an object that names its module, such as {"module": "kinds"}, got the string "kinds"; write an object that names its module, such as {"module": "kinds"}`},
		{`"list": [▮{"Module": "kinds"}]`, at + `/list/0 (L): the key "module" is missing; write an object that names its module, such as {"module": "kinds"}`},
		{`"list": [{"module": ▮5}]`, at + `/list/0/module (L): want the name of a module as a string, got the number 5; write the name of a module as a string`},
		{`"list": [{"module": ▮"kin"}]`, at + `/list/0 (L): there is no protocol module "kin" in this binary; it has: kinds, own`},
		{`"list": [{"module": "own"}, {"module": ▮"onw"}]`, at + `/list/1 (L): there is no protocol module "onw" in this binary; did you mean "own"?`},
		{`"one": {"module": "kinds", ▮"boot": true}`, at + `/one/boot (L): unknown key "boot"; did you mean "bool"?`},
		{`"one": {"module": "kinds", ▮"hidden": 1}`, at + `/one/hidden (L): unknown key "hidden"; known keys: Untagged, addr, any, basic, bool, bytes, duration, float, guests, int, int8, map, more, pair, pointer, raw, size, string, strings, struct, uint, uint16`},
		{`"pointer": ▮7`, at + `/pointer (L): want an object that names its module, such as {"module": "kinds"}, got the number 7; write an object that names its module, such as {"module": "kinds"}`},
		{`"many": {"a": {"module": ▮"xyz"}}`, at + `/many/a (L): there is no protocol module "xyz" in this binary; it has: kinds, own`},
		{`▮"Sections": {}`, at + `/Sections (L): unknown key "Sections"; did you mean "sections"?`},
	} {
		text, line, column := mark("{\"apps\": {\"probe\": {\r\n\t" + tc.text + "}}}")
		place := (&Error{Line: line, Column: column}).Error()
		place = strings.TrimSuffix(strings.TrimPrefix(place, "/ "), ": ")
		compare(t, text, strings.ReplaceAll(tc.want, "(L)", place))
	}
}

func TestCheckDocument(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{`{}`, ""},
		{`{"apps": {}}`, ""},
		{`{"apps": {"@id": "a", "probe": {"@id": "b"}}, "@id": "c", "logging": {"@id": "d", "logs": {"default": {"@id": 5, "level": "INFO"}}}}`, ""},
		{`null`, "/ (line 1, column 1): want an object, got null; write an object"},
		{`[]`, "/ (line 1, column 1): want an object, got a list; write an object"},
		{`{"apps": []}`, "/apps (line 1, column 10): want an object, got a list; write an object"},
		{`{"apps": {"prob": {}}}`, `/apps/prob (line 1, column 11): there is no app module "prob" in this binary; did you mean "probe"?`},
		{`{"apps": {"probe": null}}`, "/apps/probe (line 1, column 20): null is no configuration; write {} for the defaults, or remove the key"},
		{`{"app": {}}`, `/app (line 1, column 2): unknown key "app"; did you mean "apps"?`},
		{`{"Apps": {}}`, `/Apps (line 1, column 2): unknown key "Apps"; did you mean "apps"?`},
		{`{"logging": {"logs": {"default": {"levle": "INFO"}}}}`, `/logging/logs/default/levle (line 1, column 35): unknown key "levle"; did you mean "level"?`},
		{"{\"apps\": {\"probe\": {\"x\": 1}},\n \"x\": 2, \"admin\": {\"disabled\": 1}}", strings.Join([]string{
			`/apps/probe/x (line 1, column 21): unknown key "x"; known keys: empty, list, many, one, pointer, sections`,
			`/x (line 2, column 2): unknown key "x"; known keys: admin, apps, logging, storage`,
			`/admin/disabled (line 2, column 32): want true or false, got the number 1; write true or false`,
		}, "\n")},
	} {
		compare(t, tc.text, tc.want)
	}
}

func TestCheckNames(t *testing.T) {
	const bad = "; write a name as a string without quotes and slashes, or a short number"
	want := func(got string) string {
		return "want a name as a string without quotes and slashes, or a short number, got " + got + bad
	}
	for _, tc := range []struct{ name, want string }{
		{`"a"`, ""}, {`"ü b:c"`, ""}, {`7`, ""}, {`-7.5`, ""},
		{`▮""`, want(`the string ""`)},
		{`▮null`, want("null")},
		{`▮true`, want("true")},
		{`▮{"x": 1}`, want("an object")},
		{`▮["x"]`, want("a list")},
		{`▮"a\"b"`, want(`the string "a\"b"`)},
		{`▮"a\\b"`, want(`the string "a\\b"`)},
		{`▮"a/b"`, want(`the string "a/b"`)},
		{`▮1e3`, want("the number 1e3")},
		{`▮1000000000000000000000`, want("the number 1000000000000000000000")},
		{`▮"twice"`, `the name "twice" stands at /apps/@id too; choose another one`},
		{`▮1.0`, `the name "1" stands at /apps/probe/@id too; choose another one`},
	} {
		text, line, column := mark("{\"apps\": {\"@id\": \"twice\", \"probe\": {\"@id\": 1, \"sections\": {\"kinds\": {\n\"raw\": [{\"@id\": " + tc.name + `}]}}}}}`)
		expect := ""
		if tc.want != "" {
			expect = (&Error{"/apps/probe/sections/kinds/raw/0/@id", line, column, tc.want, ""}).Error()
		}
		compare(t, text, expect)
	}
	compare(t, `{"\u0040id": "x"}`, `/@id (line 1, column 2): Caddy does not recognise this key; write "@id" without escapes`)
}

// What Check lets pass, Caddy decodes: it cuts the names out at the right places.
func TestNamesThatPassAreCutOut(t *testing.T) {
	for _, text := range []string{
		`{"@id": "a", "apps": {}}`, `{"apps": {}, "@id": -7.5}`, `{"apps": {"@id": "x"}, "@id": "ü : , } b", "admin": {}}`,
		`{"@id": 3}`, `{"admin": {"@id":"a","disabled":true}, "apps": {"@id" : "b" , "probe": {"@id":"c"}}}`,
	} {
		compare(t, text, "")
		if err := caddy.StrictUnmarshalJSON(caddy.RemoveMetaFields([]byte(text)), new(caddy.Config)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestCheckAdmin(t *testing.T) {
	for _, tc := range []struct{ listen, want string }{
		{"127.0.0.1:2019", ""}, {"[::1]:2019", ""}, {"localhost:2019", ""}, {"LOCALHOST:1", ""}, {"[::ffff:127.0.0.1]:1", ""},
		{"unix//run/x.sock|0600", ""}, {"fd/3", ""},
		{"0.0.0.0:2019", "to the network"}, {":2019", "to the network"}, {"192.168.1.1:2019", "to the network"},
		{"example.com:2019", "to the network"}, {"[::]:2019", "to the network"}, {"127.0.0.1.example.com:1", "to the network"},
		{"127.0.0.1:1-5", "is not one address"}, {"127.0.0.1:x", "is no address"}, {"{env.XNODE_TEST_UNSET}", "is empty"},
	} {
		problem, remedy := CheckAdminAddress(tc.listen)
		if tc.want == "" && problem != "" || !strings.Contains(problem, tc.want) || (problem == "") != (remedy == "") {
			t.Errorf("%s: got %q; %q, want %q", tc.listen, problem, remedy, tc.want)
		}
	}
	compare(t, `{"admin": {"listen": ":2019"}}`,
		`/admin/listen (line 1, column 22): ":2019" would open the admin endpoint, which asks for no password, to the network; write "unix//path/to/socket|0600" or "127.0.0.1:2019"`)
}
