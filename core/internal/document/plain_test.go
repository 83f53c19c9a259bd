// SPDX-License-Identifier: Apache-2.0 OR MIT

package document

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

func TestPlainIsTheRestWhereItStood(t *testing.T) {
	for _, text := range []string{
		`{}`, `{"apps": {}}`, `{"$schema":"x"}`, `{ "$schema" : "x" , "apps": {} }`, `{"apps": {} , "$schema": "x"}`,
		"{\"admin\": {},\n \"$schema\":\n \"x\",\n \"apps\": {}}", `{"apps": {"$schema": "stays"}}`, `{"\u0024schema": "x"}`,
	} {
		d, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		plain := d.Plain()
		if len(plain) != len(text) || bytes.Count(plain, []byte("\n")) != bytes.Count([]byte(text), []byte("\n")) {
			t.Errorf("%s: moved: %q", text, plain)
		}
		var want, got map[string]any
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		delete(want, "$schema")
		if err := json.Unmarshal(plain, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, %v", text, plain, err)
		}
	}
}
