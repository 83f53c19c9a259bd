// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xnode-p2p/xnode/core/host"
)

func (c *cli) configCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Explains a configuration", Args: cobra.NoArgs}
	cmd.AddCommand(c.explainCommand())
	return cmd
}

// explained is what config explain prints of a key.
type explained struct {
	Path    string          `json:"path"`
	Value   json.RawMessage `json:"value"`
	Default json.RawMessage `json:"default,omitempty"`
	Module  string          `json:"module"`
	What    string          `json:"what,omitempty"`
}

func (c *cli) explainCommand() *cobra.Command {
	var path string
	var effective, diff bool
	cmd := &cobra.Command{
		Use:   "explain",
		Short: "Says what the keys of a configuration are and what the rest comes to",
		Long: `explain prints what each key of a configuration is, says about it what the
manual says, and what it would be without being there. With --effective it prints
every key there is, those that have their defaults too; with --diff-defaults those
that are not what they would be. It prepares the modules as 'xnode validate' does.

JSON: [{"path", "value", "default", "module", "what"}]`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			from, err := c.read(path)
			if err != nil {
				return err
			}
			if err := host.CheckDocument(from.text); err != nil {
				return mistaken(from.name, err)
			}
			list, err := c.explanation(from, effective, diff)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(list, false)
			}
			for _, e := range list {
				fmt.Fprintf(c.out, "%s = %s", e.Path, e.Value)
				switch {
				case bytes.Equal(e.Value, e.Default):
					fmt.Fprint(c.out, "  (default)")
				case e.Default != nil:
					fmt.Fprintf(c.out, "  (default: %s)", e.Default)
				}
				fmt.Fprintln(c.out)
				if e.What != "" && !effective && !diff {
					fmt.Fprintf(c.out, "    %s\n", strings.ReplaceAll(e.What, "\n", "\n    "))
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "configuration file, or - for standard input (default: the built-in configuration)")
	cmd.Flags().BoolVar(&effective, "effective", false, "every key, defaults filled in")
	cmd.Flags().BoolVar(&diff, "diff-defaults", false, "only keys that are not what they would be without being there")
	return c.reads(cmd)
}

// explanation lists the keys of a document's node that are asked for.
func (c *cli) explanation(from source, effective, diff bool) ([]explained, error) {
	var document struct {
		Apps map[string]json.RawMessage `json:"apps"`
	}
	if err := json.Unmarshal(from.text, &document); err != nil {
		return nil, err
	}
	config, ok := document.Apps["xnode"]
	if !ok {
		return nil, errors.New(`this configuration runs no node; add "xnode": {} to apps`)
	}
	settings, err := host.Effective(config)
	if err != nil {
		return nil, mistaken(from.name, err)
	}
	what, err := c.manual()
	if err != nil {
		return nil, err
	}
	list := []explained{}
	for _, s := range settings {
		written := writtenIn(config, s.Path)
		same := s.Value == nil && s.Default == nil || bytes.Equal(s.Value, s.Default)
		if s.Value == nil || diff && same || !diff && !effective && !written {
			continue
		}
		list = append(list, explained{strings.Join(s.Path, "."), s.Value, s.Default, s.Module, what[s.Module+" "+s.Key]})
	}
	return list, nil
}

// manual is what is written about keys, by "MODULE KEY".
func (c *cli) manual() (map[string]string, error) {
	r, err := c.reference()
	if err != nil {
		return nil, err
	}
	what := make(map[string]string)
	for _, m := range r.Modules() {
		m.Walk(func(path, text string) { what[m.ID+" "+path] = text })
	}
	return what, nil
}

// writtenIn reports whether a document has something at a path. A list's
// modules are found by their place.
func writtenIn(raw json.RawMessage, path []string) bool {
	for _, step := range path {
		var object map[string]json.RawMessage
		var list []json.RawMessage
		if json.Unmarshal(raw, &object) == nil {
			next, ok := object[step]
			if !ok {
				return false
			}
			raw = next
		} else if i, err := strconv.Atoi(step); err == nil && json.Unmarshal(raw, &list) == nil && i < len(list) {
			raw = list[i]
		} else {
			return false
		}
	}
	return true
}
