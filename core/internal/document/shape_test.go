// SPDX-License-Identifier: Apache-2.0 OR MIT

package document

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/xnode-p2p/xnode/core"
)

func TestShapes(t *testing.T) {
	for _, tc := range []struct {
		value any
		want  Kind
	}{
		{"", String}, {1, Integer}, {uint8(1), Integer}, {1.5, Number}, {true, Boolean}, {new(int), Integer},
		{[]byte{}, Bytes}, {[]string{}, List}, {[2]int{}, List}, {map[string]int{}, Map}, {struct{}{}, Object},
		{core.Duration(0), Duration}, {core.Size(0), Size}, {netip.Addr{}, Text}, {json.RawMessage{}, Any},
		{core.Map[core.Protocol]{}, ModuleMap}, {core.List[core.Muxer]{}, ModuleList}, {core.One[core.Storage]{}, ModuleOne},
	} {
		if got := ShapeOf(reflect.TypeOf(tc.value)); got.Kind != tc.want {
			t.Errorf("%T: %v, want %v", tc.value, got.Kind, tc.want)
		}
	}
	if s := ShapeOf(reflect.TypeFor[core.Map[core.Protocol]]()); s.Namespace != "xnode.protocol" {
		t.Errorf("%+v", s)
	}
}

func TestFieldsInOrderAndOwnBeforeEmbedded(t *testing.T) {
	type inner struct {
		A string `json:"a"`
		B string `json:"b"`
	}
	type outer struct {
		inner
		B    int `json:"b"`
		C    int
		d    int
		Gone int `json:"-"`
	}
	var got []string
	for _, f := range FieldsOf(reflect.TypeFor[outer]()) {
		got = append(got, f.Owner.Name()+"."+f.Name+" "+f.Key)
	}
	if want := []string{"inner.A a", "outer.B b", "outer.C C"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	_ = outer{d: 0}
}
