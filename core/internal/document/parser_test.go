// SPDX-License-Identifier: Apache-2.0 OR MIT

package document

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// mark parts a text with the character ▮ from the line and column it stands at.
func mark(text string) (clean string, line, column int) {
	before, after, ok := strings.Cut(text, "▮")
	if !ok {
		return text, 0, 0
	}
	lines := strings.Split(before, "\n")
	return before + after, len(lines), len(lines[len(lines)-1]) + 1
}

func TestParsePlacesSyntaxErrors(t *testing.T) {
	const early = "the document ends too early"
	for _, tc := range []struct{ text, pointer, problem, remedy string }{
		{`▮`, "", "the document is empty", `write {"apps"`},
		{"▮ \r\n\t", "", "the document is empty", `write {"apps"`},
		{`{"a":▮`, "", early, "close every"},
		{`{"a":tr▮`, "", early, "close every"},
		{"{\"a\":[1▮\n\n  ", "", early, "close every"},
		{`{"a":"x▮`, "", early, "close every"},
		{`{"a":▮,}`, "", "invalid character ','", "write valid JSON here"},
		{`[1 ▮2]`, "", "invalid character '2'", "put a comma before it"},
		{`[[[[1, 2], 3 ▮"x"]]]`, "", "invalid character '\"'", "put a comma before it"},
		{`{"a" ▮1}`, "", "invalid character '1'", "put a colon before it"},
		{`{"a" ▮"b"}`, "", "invalid character '\"'", "put a colon before it"},
		{"{\n  \"a\": 1\n  ▮\"b\": 2\n}", "", "invalid character '\"'", "put a comma before it"},
		{"{\r\n  \"a\": 1\r\n  ▮\"b\": 2\r\n}", "", "invalid character '\"'", "put a comma before it"},
		{"{\n\t\t\"é\": \"ü€😀\" ▮\"b\": 2}", "", "invalid character '\"'", "put a comma before it"},
		{"{\"a\": {\"b\": [1, 2, {\"c\":\n tru▮}]}}", "", "invalid character '}'", "write valid JSON here"},
		{`[1,▮]`, "", "invalid character ']'", "remove the comma before it"},
		{"{\"a\":1,\n▮}", "", "invalid character '}'", "remove the comma before it"},
		{`{▮'a':1}`, "", `invalid character '\''`, "use double quotes"},
		{`{▮a:1}`, "", "invalid character 'a'", "put the key in double quotes"},
		{`{"a":1, ▮2:3}`, "", "invalid character '2'", "put the key in double quotes"},
		{"▮\xef\xbb\xbf{}", "", "invalid character 'ï'", "save the file without a byte order mark"},
		{"{\"a\":\"x▮\ny\"}", "", `invalid character '\n'`, "close the quotes before it"},
		{`{"a":"C:\▮x"}`, "", "invalid character 'x'", `write \\ for a backslash`},
		{`{"a":"\▮'"}`, "", `invalid character '\''`, `write \\ for a backslash`},
		{`{"a":0▮1}`, "", "invalid character '1'", "put a comma before it"},
		{`{"a":▮.5}`, "", "invalid character '.'", "write valid JSON here"},
		{"{\n ▮// comment\n}", "", "invalid character '/'", "remove the comment"},
		{"[1, ▮# comment\n 2]", "", "invalid character '#'", "remove the comment"},
		{`▮]`, "", "invalid character ']'", "write valid JSON here"},
		{`{"a":1▮]`, "", "invalid character ']'", "put a comma before it"},
		{"{}\n ▮{}", "", "there is text after the document's end", "remove it"},
		{`{"a":1}▮}`, "", "there is text after the document's end", "remove it"},
		{"{\"a\":\n\"caf▮\xe9\"}", "", "the byte 0xe9 is no UTF-8", "save the file in UTF-8"},
		{"▮\xff\xfe{\x00}\x00", "", "the byte 0xff is no UTF-8", "save the file in UTF-8"},
		{`{"a":1, ▮"a":2}`, "/a", `the key "a" stands twice`, "remove one"},
		{`{"a":1, ▮"\u0061":2}`, "/a", `the key "a" stands twice`, "remove one"},
		{"{\"x\": [0, {\"a/b~\": {\"k\": 1,\n\t▮\"k\": 2}}]}", "/x/1/a~1b~0/k", `the key "k" stands twice`, "remove one"},
	} {
		text, line, column := mark(tc.text)
		_, err := Parse([]byte(text))
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%q: got %v, want a mistake", text, err)
			continue
		}
		if e.Line != line || e.Column != column || e.Pointer != tc.pointer {
			t.Errorf("%q: at %q, line %d, column %d, want %q, %d, %d", text, e.Pointer, e.Line, e.Column, tc.pointer, line, column)
		}
		if !strings.HasPrefix(e.Problem, tc.problem) || !strings.HasPrefix(e.Remedy, tc.remedy) {
			t.Errorf("%q: %q; %q, want %q; %q", text, e.Problem, e.Remedy, tc.problem, tc.remedy)
		}
	}
}

func TestParseAccepts(t *testing.T) {
	for _, text := range []string{
		`{}`, `[]`, `null`, `-0.5e+3`, `"\u00e9\ud83d\ude00"`, " \r\n\t{ }\r\n", `{"a":{"a":{"a":1}}}`,
		`{"a":1,"A":2}`, `{"":{"":0}}`, `[[],{},[[]],"{,:]"]`, `{"@id":"x"}`,
	} {
		if _, err := Parse([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// nested is a text of n lists within each other, around a number.
func nested(n int) string { return strings.Repeat("[", n) + "1" + strings.Repeat("]", n) }

func TestEvil_X5_DocumentBounds(t *testing.T) {
	pad := func(n int) string { return `{}` + strings.Repeat(" ", n-2) }
	many := func(n int) string { return "[" + strings.Repeat("0,", n-2) + "0]" }
	for _, tc := range []struct{ name, text, want string }{
		{"64 levels", nested(64), ""},
		{"65 levels", nested(65), strings.Repeat("/0", 64) + " (line 1, column 65): nested too deeply; keep it within 64 levels"},
		{"a million levels, none closed", strings.Repeat("[", 1e6), "nested too deeply"},
		{"a million objects, none closed", strings.Repeat(`{"a":`, 1e6), "nested too deeply"},
		{"16 MiB", pad(maxSize), ""},
		{"more than 16 MiB", pad(maxSize + 1), "/: the document has 16777217 bytes; keep it within 16777216"},
		{"more than a million values", many(maxValues + 1), "/1048575 (line 1, column 2097152): more than 1048576 values; make the document smaller"},
		{"long key around many values", `{"` + strings.Repeat("k", 8<<20) + `":` + many(1<<16) + `}`, ""},
		{"long key twice", `{"` + strings.Repeat("k", 1<<20) + `":1,"` + strings.Repeat("k", 1<<20) + `":1}`, "kkk stands twice"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, err := Parse([]byte(tc.text))
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want == "":
				if err := d.Check(); err == nil && tc.text[1] != '}' {
					t.Error("passes as a configuration")
				}
			case err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), `"`, ""), strings.ReplaceAll(tc.want, `"`, "")):
				t.Errorf("got %.300v, want %s", err, tc.want)
			}
		})
	}
}

func TestEvil_X5_ManyMistakesStayCheap(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"zzz0":0`)
	for i := 1; i < 100_000; i++ {
		fmt.Fprintf(&b, ",\n\"zzz%d\":0", i)
	}
	b.WriteString("}")
	d, err := Parse([]byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(d.Check().Error(), "\n")
	if len(lines) != maxErrors+1 || lines[maxErrors] != "and 99980 more" {
		t.Errorf("%d lines, the last is %q", len(lines), lines[len(lines)-1])
	}
}

func TestErrorText(t *testing.T) {
	for _, tc := range []struct {
		err  Error
		want string
	}{
		{Error{Problem: "p"}, "/: p"},
		{Error{Problem: "p", Remedy: "r"}, "/: p; r"},
		{Error{Pointer: "/a/0", Line: 3, Column: 7, Problem: "p", Remedy: "r"}, "/a/0 (line 3, column 7): p; r"},
	} {
		if got := tc.err.Error(); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}
