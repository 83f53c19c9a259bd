// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xnode-p2p/xnode/core/host"
)

func (c *cli) fmtCommand() *cobra.Command {
	var write, check bool
	cmd := &cobra.Command{
		Use:   "fmt [FILE]",
		Short: "Formats a configuration",
		Long: `fmt formats a configuration: two spaces a level, what is short in one line, the
keys in the order that they have. Without a file, or with -, it reads standard
input. It prints the result, or with --write puts it into the file.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			path := "-"
			if len(args) > 0 {
				path = args[0]
			}
			from, err := c.read(path)
			if err != nil {
				return err
			}
			if err := host.CheckJSON(from.text); err != nil {
				return mistaken(from.name, err)
			}
			text := format(from.text)
			switch {
			case check && !bytes.Equal(text, from.text):
				return fmt.Errorf("%s is not formatted; run xnode fmt --write", from.name)
			case check:
				return nil
			case write && from.file == "":
				return errors.New("there is no file to --write: name one")
			case write && !bytes.Equal(text, from.text):
				info, err := os.Stat(from.file)
				if err != nil {
					return err
				}
				return os.WriteFile(from.file, text, info.Mode().Perm())
			case write:
				return nil
			}
			_, err = c.out.Write(text)
			return err
		},
	}
	cmd.Flags().BoolVarP(&write, "write", "w", false, "write the file")
	cmd.Flags().BoolVar(&check, "check", false, "fail if the file is not formatted, and print nothing")
	return cmd
}

const (
	formatWidth = 100 // of a line
	formatDepth = 2   // up to here every object has lines of its own: apps and xnode
)

// format lays out JSON that is known to be good.
func format(text []byte) []byte {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var b bytes.Buffer
	layOut(&b, d, 0, 0)
	b.WriteByte('\n')
	return b.Bytes()
}

// layOut writes the decoder's next value at a depth, with used bytes before it
// in its line.
func layOut(b *bytes.Buffer, d *json.Decoder, depth, used int) {
	var raw json.RawMessage
	if d.Decode(&raw) != nil {
		return
	}
	layOutValue(b, raw, depth, used)
}

func layOutValue(b *bytes.Buffer, raw json.RawMessage, depth, used int) {
	short := oneLine(raw)
	container := len(raw) > 0 && (raw[0] == '{' || raw[0] == '[')
	if !container || len(short) == 2 || depth > formatDepth && used+len(short) <= formatWidth || raw[0] == '[' && used+len(short) <= formatWidth {
		b.WriteString(short)
		return
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	open, err := d.Token()
	if err != nil {
		return
	}
	indent := strings.Repeat("  ", depth+1)
	fmt.Fprint(b, open)
	for first := true; d.More(); first = false {
		if !first {
			b.WriteByte(',')
		}
		b.WriteString("\n" + indent)
		before := len(indent)
		if raw[0] == '{' {
			key, err := d.Token()
			if err != nil {
				return
			}
			quoted := quote(key)
			b.WriteString(quoted + ": ")
			before += len(quoted) + 2
		}
		layOut(b, d, depth+1, before+1) // and a comma
	}
	fmt.Fprintf(b, "\n%s%c", indent[2:], raw[0]+2) // ] is two after [, } two after {
}

// oneLine is a value in one line, with spaces after colons and commas.
func oneLine(raw json.RawMessage) string {
	var b strings.Builder
	var compact bytes.Buffer
	if json.Compact(&compact, raw) != nil {
		return string(raw)
	}
	inside, escaped := false, false
	for _, r := range compact.String() {
		b.WriteRune(r)
		switch {
		case escaped:
			escaped = false
		case inside && r == '\\':
			escaped = true
		case r == '"':
			inside = !inside
		case !inside && (r == ':' || r == ','):
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// quote is a string as JSON, with the characters of the web as they are.
func quote(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return `""`
	}
	return strings.TrimSpace(b.String())
}
