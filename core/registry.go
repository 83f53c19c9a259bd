// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
	"fmt"
	"reflect"

	"github.com/caddyserver/caddy/v2"
)

// A kind is one interface and the namespace of the modules that implement it.
type kind struct {
	namespace string
	iface     reflect.Type
	// oneOf lists interfaces of which a module must also implement one.
	oneOf []reflect.Type
}

// kinds is filled by [DefineKind] while the program's packages initialise and
// does not change after that.
var kinds []kind

func init() {
	DefineKind[Transport]("xnode.transport", reflect.TypeFor[RawTransport](), reflect.TypeFor[MuxedTransport]())
	DefineKind[Security]("xnode.security", reflect.TypeFor[SecureChannel](), reflect.TypeFor[PrivateNetwork]())
	DefineKind[Muxer]("xnode.muxer")
	DefineKind[KeySource]("xnode.identity")
	DefineKind[CertificateSource]("xnode.certificate")
	DefineKind[Storage]("xnode.storage")
	DefineKind[RecordValidator]("xnode.record")
	DefineKind[NAT]("xnode.nat")
	DefineKind[Routing]("xnode.routing")
	DefineKind[PubSub]("xnode.pubsub")
	DefineKind[TopicValidator]("xnode.pubsub.validator")
	DefineKind[Discoverer]("xnode.discovery")
	DefineKind[Protocol]("xnode.protocol")
}

// DefineKind makes the interface T the kind of all modules in a namespace, so
// that a module can have guests of its own: a field of type Map[T] or List[T]
// then loads from that namespace. If oneOf is given, a module must implement
// one of those interfaces too. Call it from init; it panics if T or the
// namespace has been defined before.
func DefineKind[T any](namespace string, oneOf ...reflect.Type) {
	t := reflect.TypeFor[T]()
	if t.Kind() != reflect.Interface {
		panic(fmt.Sprintf("core: %v is no interface and cannot be a kind of module", t))
	}
	for _, o := range oneOf {
		if o.Kind() != reflect.Interface {
			panic(fmt.Sprintf("core: kind %v in namespace %s: %v is no interface", t, namespace, o))
		}
	}
	for _, k := range kinds {
		if k.iface == t || k.namespace == namespace {
			panic(fmt.Sprintf("core: kind %v in namespace %s: %v in namespace %s exists", t, namespace, k.iface, k.namespace))
		}
	}
	kinds = append(kinds, kind{namespace, t, oneOf})
}

// Register adds a module to the registry. Call it from init. It panics if the
// module's ID is in no known namespace, is taken, or if the module is not what
// its namespace wants. How far it is may be said too; see [Stability].
func Register(m caddy.Module, stability ...Stability) {
	info := m.CaddyModule()
	namespace := info.ID.Namespace()
	k, ok := kindOf(namespace)
	if !ok {
		panic(fmt.Sprintf("core: module %s (%T): there is no kind of module in namespace %q", info.ID, m, namespace))
	}
	if info.ID.Name() == "" {
		panic(fmt.Sprintf("core: module %s (%T) has no name after its namespace", info.ID, m))
	}
	if info.New == nil {
		panic(fmt.Sprintf("core: module %s (%T) has no constructor New", info.ID, m))
	}
	v := reflect.ValueOf(info.New())
	if v.Kind() != reflect.Pointer || v.IsNil() {
		panic(fmt.Sprintf("core: module %s: New returns %#v, want a pointer to a new value", info.ID, info.New()))
	}
	t := v.Type()
	if !t.Implements(k.iface) {
		panic(fmt.Sprintf("core: module %s: %v does not implement %v, the kind in namespace %s", info.ID, t, k.iface, namespace))
	}
	if len(k.oneOf) > 0 && !implementsOne(t, k.oneOf) {
		panic(fmt.Sprintf("core: module %s: %v implements none of %v, of which namespace %s wants one", info.ID, t, k.oneOf, namespace))
	}
	if other, err := caddy.GetModule(string(info.ID)); err == nil {
		panic(fmt.Sprintf("core: module %s of package %s has the ID of a module of package %s; leave out one of the packages",
			info.ID, packageOf(t), packageOf(reflect.TypeOf(other.New()))))
	}
	how := Development
	if len(stability) > 0 {
		how = stability[0]
	}
	if len(stability) > 1 || !how.known() {
		panic(fmt.Sprintf("core: module %s: %q is no stability", info.ID, stability))
	}
	stabilities[string(info.ID)] = how
	caddy.RegisterModule(m)
}

// packageOf is the package that a type, or what it points to, is from.
func packageOf(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.PkgPath()
}

func implementsOne(t reflect.Type, ifaces []reflect.Type) bool {
	for _, i := range ifaces {
		if t.Implements(i) {
			return true
		}
	}
	return false
}

func kindOf(namespace string) (kind, bool) {
	for _, k := range kinds {
		if k.namespace == namespace {
			return k, true
		}
	}
	return kind{}, false
}

// Namespace returns the namespace of kind T; it is empty if T is no kind.
func Namespace[T any]() string {
	t := reflect.TypeFor[T]()
	for _, k := range kinds {
		if k.iface == t {
			return k.namespace
		}
	}
	return ""
}

// Namespaces lists the namespaces of all kinds.
func Namespaces() []string {
	list := make([]string, 0, len(kinds))
	for _, k := range kinds {
		list = append(list, k.namespace)
	}
	return list
}
