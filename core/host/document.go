// SPDX-License-Identifier: Apache-2.0 OR MIT

package host

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core/internal/document"
)

// Mistake is one mistake in a configuration document: where it is, what is
// wrong and how to mend it.
type Mistake = document.Error

// Shape is what JSON a Go type takes, Field a key of an object, and Kind a kind
// of JSON.
type (
	Shape = document.Shape
	Field = document.Field
	Kind  = document.Kind
)

// The kinds of JSON.
const (
	Any        = document.Any
	Custom     = document.Custom
	Text       = document.Text
	String     = document.String
	Integer    = document.Integer
	Number     = document.Number
	Boolean    = document.Boolean
	Bytes      = document.Bytes
	Duration   = document.Duration
	Size       = document.Size
	List       = document.List
	Map        = document.Map
	Object     = document.Object
	ModuleMap  = document.ModuleMap
	ModuleList = document.ModuleList
	ModuleOne  = document.ModuleOne
)

// ShapeOf returns what JSON [CheckDocument] wants for a value of a type.
func ShapeOf(t reflect.Type) Shape { return document.ShapeOf(t) }

// FieldsOf lists the keys of a struct.
func FieldsOf(t reflect.Type) []Field { return document.FieldsOf(t) }

// Mistakes lists the mistakes that an error of [CheckDocument],
// [ValidateDocument] or [LoadDocument] consists of, in their order. An error of
// another kind becomes a mistake without a place.
func Mistakes(err error) []*Mistake {
	if err == nil {
		return nil
	}
	var one *Mistake
	if errors.As(err, &one) && error(one) == err {
		return []*Mistake{one}
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var list []*Mistake
		for _, e := range many.Unwrap() {
			list = append(list, Mistakes(e)...)
		}
		return list
	}
	return []*Mistake{{Problem: err.Error()}}
}

// CheckDocument compares a document with what the modules in this binary
// understand. It loads nothing. A document of more than 16 MiB or 64 levels, or
// one in which a key stands twice in an object, is refused.
func CheckDocument(text []byte) error {
	_, err := check(text)
	return err
}

// CheckJSON checks that a text is one JSON value within the bounds of a document
// and without keys that stand twice.
func CheckJSON(text []byte) error {
	_, err := document.Parse(text)
	return err
}

// CheckAdmin says what is wrong with an address for the admin endpoint.
func CheckAdmin(address string) error {
	if problem, remedy := document.CheckAdminAddress(address); problem != "" {
		return fmt.Errorf("%s; %s", problem, remedy)
	}
	return nil
}

// ValidateDocument checks a document and provisions its modules, but starts
// nothing.
func ValidateDocument(text []byte) error {
	d, err := check(text)
	if err != nil {
		return err
	}
	config := new(caddy.Config)
	err = caddy.StrictUnmarshalJSON(caddy.RemoveMetaFields(d.Plain()), config)
	if err == nil {
		err = caddy.Validate(config)
	}
	return locate(d, err)
}

// LoadDocument checks a document and makes it the process's running
// configuration. If it fails the one before goes on. The same document again
// changes nothing unless force is true.
func LoadDocument(text []byte, force bool) error {
	d, err := check(text)
	if err != nil {
		return err
	}
	return locate(d, caddy.Load(d.Plain(), force))
}

func check(text []byte) (*document.Document, error) {
	d, err := document.Parse(text)
	if err != nil {
		return nil, err
	}
	return d, d.Check()
}

func locate(d *document.Document, err error) error {
	if err == nil {
		return nil
	}
	return d.Locate(err)
}
