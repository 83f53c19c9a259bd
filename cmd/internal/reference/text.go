// SPDX-License-Identifier: Apache-2.0 OR MIT

package reference

import (
	"fmt"
	"go/doc/comment"
	"io"
	"strings"
)

// WriteText writes a module's manual for a terminal.
func (m Module) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n  %s\n\n", m.ID, m.Package)
	p := comment.Printer{TextPrefix: "  ", TextCodePrefix: "      ", TextWidth: 76}
	b.Write(p.Text(new(comment.Parser).Parse(m.Doc)))
	walk(m.Fields, "", func(path string, f Field) {
		fmt.Fprintf(&b, "\n  %s  (%s)\n", path, f.label())
		text := f.What
		if f.Default != "" {
			text += "\nDefault: " + f.Default
		}
		for line := range strings.SplitSeq(text, "\n") {
			wrap(&b, line)
		}
	})
	_, err := io.WriteString(w, b.String())
	return err
}

// walk calls f for every field with its path, each before those in it.
func walk(fields []Field, in string, f func(path string, field Field)) {
	for _, field := range fields {
		path := in + field.Key
		f(path, field)
		switch {
		case strings.HasPrefix(field.Type, "list"):
			path += "[]"
		case strings.HasPrefix(field.Type, "map"):
			path += ".NAME"
		}
		walk(field.Fields, path+".", f)
	}
}

// label is a field's type and, for modules, where they are from.
func (f Field) label() string {
	if f.Namespace != "" {
		return f.Type + ", " + f.Namespace + ".*"
	}
	return f.Type
}

// wrap writes words in lines of 76 characters, indented.
func wrap(b *strings.Builder, text string) {
	const indent = "      "
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(indent)+len(line)+1+len(word) > 76 {
			b.WriteString(indent + line + "\n")
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		b.WriteString(indent + line + "\n")
	}
}
