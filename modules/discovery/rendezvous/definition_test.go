// SPDX-License-Identifier: Apache-2.0 OR MIT

package rendezvous

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// What rust-libp2p's protocols/rendezvous/src/generated/rpc.proto (as of commit
// 6348a0be4aeb) says of messages: proto2, package rendezvous.pb, all of it inside
// of Message. A type of definedFields is a scalar's name or that of a message or
// enum of the definition; all fields are optional but the one in definedRepeated.
type definedField struct {
	name   string
	number int32
	typ    string
}

var (
	definedFields = map[string][]definedField{
		"Message": {
			{"type", 1, "MessageType"}, {"register", 2, "Register"}, {"registerResponse", 3, "RegisterResponse"},
			{"unregister", 4, "Unregister"}, {"discover", 5, "Discover"}, {"discoverResponse", 6, "DiscoverResponse"},
		},
		"Register":         {{"ns", 1, "string"}, {"signedPeerRecord", 2, "bytes"}, {"ttl", 3, "uint64"}},
		"RegisterResponse": {{"status", 1, "ResponseStatus"}, {"statusText", 2, "string"}, {"ttl", 3, "uint64"}},
		"Unregister":       {{"ns", 1, "string"}, {"id", 2, "bytes"}},
		"Discover":         {{"ns", 1, "string"}, {"limit", 2, "uint64"}, {"cookie", 3, "bytes"}},
		"DiscoverResponse": {
			{"registrations", 1, "Register"}, {"cookie", 2, "bytes"},
			{"status", 3, "ResponseStatus"}, {"statusText", 4, "string"},
		},
	}
	definedRepeated = "registrations"
	definedEnums    = map[string]map[string]int32{
		"MessageType": {"REGISTER": 0, "REGISTER_RESPONSE": 1, "UNREGISTER": 2, "DISCOVER": 3, "DISCOVER_RESPONSE": 4},
		"ResponseStatus": {
			"OK": 0, "E_INVALID_NAMESPACE": 100, "E_INVALID_SIGNED_PEER_RECORD": 101, "E_INVALID_TTL": 102,
			"E_INVALID_COOKIE": 103, "E_NOT_AUTHORIZED": 200, "E_INTERNAL_ERROR": 300, "E_UNAVAILABLE": 400,
		},
	}
)

// definition returns the description of Message.
func definition(t *testing.T) protoreflect.MessageDescriptor {
	t.Helper()
	top := definedMessage("Message")
	for name := range definedFields {
		if name != "Message" {
			top.NestedType = append(top.NestedType, definedMessage(name))
		}
	}
	for name, values := range definedEnums {
		e := &descriptorpb.EnumDescriptorProto{Name: &name}
		for value, n := range values {
			e.Value = append(e.Value, &descriptorpb.EnumValueDescriptorProto{Name: &value, Number: &n})
		}
		top.EnumType = append(top.EnumType, e)
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("rpc.proto"), Package: new("rendezvous.pb"), Syntax: new("proto2"),
		MessageType: []*descriptorpb.DescriptorProto{top},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return file.Messages().ByName("Message")
}

func definedMessage(name string) *descriptorpb.DescriptorProto {
	d := &descriptorpb.DescriptorProto{Name: &name}
	for _, f := range definedFields[name] {
		fd := &descriptorpb.FieldDescriptorProto{
			Name: &f.name, Number: &f.number, Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		}
		if f.name == definedRepeated {
			fd.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
		}
		switch f.typ {
		case "string":
			fd.Type = descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum()
		case "bytes":
			fd.Type = descriptorpb.FieldDescriptorProto_TYPE_BYTES.Enum()
		case "uint64":
			fd.Type = descriptorpb.FieldDescriptorProto_TYPE_UINT64.Enum()
		default:
			fd.Type = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum()
			if definedEnums[f.typ] != nil {
				fd.Type = descriptorpb.FieldDescriptorProto_TYPE_ENUM.Enum()
			}
			fd.TypeName = new(".rendezvous.pb.Message." + f.typ)
		}
		d.Field = append(d.Field, fd)
	}
	return d
}

// set are the fields of a message of the definition that are present: enums by
// name, messages as sets, the repeated one as a list of sets.
type set map[string]any

// defined returns a message of the definition. What the definition does not have
// panics: no such field, a value of another type.
func defined(d protoreflect.MessageDescriptor, fields set) *dynamicpb.Message {
	m := dynamicpb.NewMessage(d)
	for name, value := range fields {
		f := d.Fields().ByName(protoreflect.Name(name))
		switch value := value.(type) {
		case set:
			m.Set(f, protoreflect.ValueOfMessage(defined(f.Message(), value)))
		case []set:
			for _, one := range value {
				m.Mutable(f).List().Append(protoreflect.ValueOfMessage(defined(f.Message(), one)))
			}
		case string:
			if f.Enum() != nil {
				m.Set(f, protoreflect.ValueOfEnum(f.Enum().Values().ByName(protoreflect.Name(value)).Number()))
				break
			}
			m.Set(f, protoreflect.ValueOfString(value))
		default:
			m.Set(f, protoreflect.ValueOf(value))
		}
	}
	return m
}

// sameBytes checks that theirs is read as m, that m is written as the bytes of
// ours, and that those are read as ours by the definition, with no field left over.
func sameBytes(t *testing.T, d protoreflect.MessageDescriptor, theirs, ours set, m message) {
	t.Helper()
	encode := func(fields set) []byte {
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(defined(d, fields)) // ascending order, as prost has it
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if got, err := unmarshal(encode(theirs)); err != nil || !reflect.DeepEqual(*got, m) {
		t.Errorf("%x is read as %+v, %v; want %+v", encode(theirs), got, err, m)
	}
	b := m.marshal()
	if want := encode(ours); !bytes.Equal(b, want) {
		t.Errorf("wrote %x, the definition %x", b, want)
	}
	back := dynamicpb.NewMessage(d)
	if err := proto.Unmarshal(b, back); err != nil || !proto.Equal(back, defined(d, ours)) {
		t.Errorf("%x is read by the definition as %v, %v", b, back, err)
	}
}

// What we write has the bytes that the definition gives to the same fields.
func TestDefinitionOfRust(t *testing.T) {
	d := definition(t)
	const most = uint64(math.MaxUint64)
	long := bytes.Repeat([]byte{0xff, 0}, 100) // a length of two bytes
	for name, tc := range map[string]struct {
		fields set
		m      message
	}{
		"register, every field": {
			set{"type": "REGISTER", "register": set{"ns": "foo", "signedPeerRecord": long, "ttl": uint64(7200)}},
			message{kind: register, namespace: new("foo"), record: long, ttl: new(uint64(7200))}},
		"register, without ttl": {
			set{"type": "REGISTER", "register": set{"ns": "foo", "signedPeerRecord": []byte{1}}},
			message{kind: register, namespace: new("foo"), record: []byte{1}}},
		"register, empty fields": {
			set{"type": "REGISTER", "register": set{"ns": "", "signedPeerRecord": []byte{}, "ttl": uint64(0)}},
			message{kind: register, namespace: new(""), record: []byte{}, ttl: new(uint64(0))}},
		"register response, every field": {
			set{"type": "REGISTER_RESPONSE", "registerResponse": set{"status": "E_UNAVAILABLE", "statusText": "später", "ttl": most}},
			message{kind: registerResponse, status: unavailable, text: "später", ttl: new(most)}},
		"register response, as rust's": {
			set{"type": "REGISTER_RESPONSE", "registerResponse": set{"status": "OK", "ttl": uint64(7200)}},
			message{kind: registerResponse, ttl: new(uint64(7200))}},
		"unregister": {
			set{"type": "UNREGISTER", "unregister": set{"ns": "foo"}},
			message{kind: unregister, namespace: new("foo")}},
		"unregister, no field": {
			set{"type": "UNREGISTER", "unregister": set{}},
			message{kind: unregister}},
		"discover, every field": {
			set{"type": "DISCOVER", "discover": set{"ns": "foo", "limit": uint64(300), "cookie": long}},
			message{kind: discover, namespace: new("foo"), limit: new(uint64(300)), cookie: long}},
		"discover, no field": {
			set{"type": "DISCOVER", "discover": set{}},
			message{kind: discover}},
		"discover, empty fields": {
			set{"type": "DISCOVER", "discover": set{"ns": "", "limit": uint64(0), "cookie": []byte{}}},
			message{kind: discover, namespace: new(""), limit: new(uint64(0)), cookie: []byte{}}},
		"discover response, every field": {
			set{"type": "DISCOVER_RESPONSE", "discoverResponse": set{
				"registrations": []set{
					{"ns": "foo", "signedPeerRecord": long, "ttl": uint64(1)},
					{"ns": "", "signedPeerRecord": []byte{}, "ttl": uint64(0)},
					{"ns": "bar", "signedPeerRecord": []byte{1}, "ttl": most},
				},
				"cookie": []byte("12345678foo"), "status": "E_INTERNAL_ERROR", "statusText": "some",
			}},
			message{kind: discoverResponse, status: internalError, text: "some", cookie: []byte("12345678foo"),
				found: []registration{{"foo", long, 1}, {"", []byte{}, 0}, {"bar", []byte{1}, most}}}},
		"discover response, as rust's of none": {
			set{"type": "DISCOVER_RESPONSE", "discoverResponse": set{"cookie": []byte("12345678"), "status": "OK"}},
			message{kind: discoverResponse, cookie: []byte("12345678")}},
	} {
		t.Run(name, func(t *testing.T) { sameBytes(t, d, tc.fields, tc.fields, tc.m) })
	}
}

// The definition lets a sender leave out or add what we always write or never do.
// We read that, and write the same message with other fields.
func TestDefinitionOfRust_OtherFields(t *testing.T) {
	d := definition(t)
	for why, tc := range map[string]struct {
		theirs, ours set
		m            message
	}{
		"a type of zero need not be there: py-libp2p leaves it out, rust-libp2p asks for it": {
			set{"register": set{"ns": "foo", "signedPeerRecord": []byte{1}}},
			set{"type": "REGISTER", "register": set{"ns": "foo", "signedPeerRecord": []byte{1}}},
			message{kind: register, namespace: new("foo"), record: []byte{1}}},
		"a registration has a record, be it empty: rust-libp2p refuses one without": {
			set{"type": "REGISTER", "register": set{}},
			set{"type": "REGISTER", "register": set{"signedPeerRecord": []byte{}}},
			message{kind: register}},
		"an answer has a status, also OK: rust-libp2p refuses one without": {
			set{"type": "REGISTER_RESPONSE", "registerResponse": set{}},
			set{"type": "REGISTER_RESPONSE", "registerResponse": set{"status": "OK"}},
			message{kind: registerResponse}},
		"so has that of a search": {
			set{"type": "DISCOVER_RESPONSE", "discoverResponse": set{}},
			set{"type": "DISCOVER_RESPONSE", "discoverResponse": set{"status": "OK"}},
			message{kind: discoverResponse}},
		"text for people that is empty is none": {
			set{"type": "REGISTER_RESPONSE", "registerResponse": set{"status": "OK", "statusText": ""}},
			set{"type": "REGISTER_RESPONSE", "registerResponse": set{"status": "OK"}},
			message{kind: registerResponse}},
		"nor is it in the answer to a search": {
			set{"type": "DISCOVER_RESPONSE", "discoverResponse": set{"status": "OK", "statusText": ""}},
			set{"type": "DISCOVER_RESPONSE", "discoverResponse": set{"status": "OK"}},
			message{kind: discoverResponse}},
		"text for people is cut at 256 bytes": {
			set{"type": "REGISTER_RESPONSE", "registerResponse": set{"status": "OK", "statusText": strings.Repeat("a", 300)}},
			set{"type": "REGISTER_RESPONSE", "registerResponse": set{"status": "OK", "statusText": strings.Repeat("a", 256)}},
			message{kind: registerResponse, text: strings.Repeat("a", 256)}},
		"whose registration ends is who the connection says, not the id": {
			set{"type": "UNREGISTER", "unregister": set{"ns": "foo", "id": []byte{1, 2}}},
			set{"type": "UNREGISTER", "unregister": set{"ns": "foo"}},
			message{kind: unregister, namespace: new("foo")}},
		"what is found has all three fields: rust-libp2p refuses an answer with less": {
			set{"type": "DISCOVER_RESPONSE", "discoverResponse": set{"registrations": []set{{}}, "status": "OK"}},
			set{"type": "DISCOVER_RESPONSE", "discoverResponse": set{
				"registrations": []set{{"ns": "", "signedPeerRecord": []byte{}, "ttl": uint64(0)}}, "status": "OK"}},
			message{kind: discoverResponse, found: []registration{{}}}},
		"parts of other types are not looked at": {
			set{"type": "DISCOVER", "discover": set{"ns": "foo"}, "register": set{"ns": "bar"}, "unregister": set{}},
			set{"type": "DISCOVER", "discover": set{"ns": "foo"}},
			message{kind: discover, namespace: new("foo")}},
	} {
		t.Run(why, func(t *testing.T) { sameBytes(t, d, tc.theirs, tc.ours, tc.m) })
	}
}

// Each status of the definition, in both answers, has our name and bytes.
func TestDefinitionOfRust_Statuses(t *testing.T) {
	d := definition(t)
	for name, n := range definedEnums["ResponseStatus"] {
		s := status(n)
		if s.String() != name {
			t.Errorf("status %d is %s, in the definition %s", n, s, name)
		}
		fields := set{"type": "REGISTER_RESPONSE", "registerResponse": set{"status": name}}
		sameBytes(t, d, fields, fields, message{kind: registerResponse, status: s})
		fields = set{"type": "DISCOVER_RESPONSE", "discoverResponse": set{"status": name, "statusText": name}}
		sameBytes(t, d, fields, fields, message{kind: discoverResponse, status: s, text: name})
	}
	for s := range status(1000) {
		if _, has := definedEnums["ResponseStatus"][s.String()]; has != !strings.HasPrefix(s.String(), "status ") {
			t.Errorf("%s is no status of the definition", s)
		}
	}
}

// A type without its part is no message, as it is none to rust-libp2p.
func TestDefinitionOfRust_NoPart(t *testing.T) {
	d := definition(t)
	for name := range definedEnums["MessageType"] {
		b, err := proto.Marshal(defined(d, set{"type": name}))
		if err != nil {
			t.Fatal(err)
		}
		if m, err := unmarshal(b); err == nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
}
