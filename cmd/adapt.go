// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/warning"
	"github.com/spf13/cobra"

	"github.com/xnode-p2p/xnode/core/host"
)

// adapters is the namespace of modules that make configurations of other
// formats, which are Caddy's adapters.
const adapters = "caddy.adapters"

// adapter is such a module.
type adapter interface {
	Adapt(body []byte, options map[string]any) ([]byte, []warning.Warning, error)
}

func (c *cli) adaptCommand() *cobra.Command {
	var path, name string
	var validate bool
	cmd := &cobra.Command{
		Use:   "adapt [FILE]",
		Short: "Makes a JSON configuration of one in another format, such as YAML",
		Long: `adapt prints the JSON configuration that one in another format stands for:

  xnode adapt node.yaml | xnode run -c -

The format is that of the file's name, or what --adapter says; 'xnode
list-modules' lists those of this binary as ` + adapters + `.NAME.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				path = args[0]
			}
			if path == "" {
				return fmt.Errorf("name the file")
			}
			from, err := c.read(path)
			if err != nil {
				return err
			}
			a, err := adapterFor(name, path)
			if err != nil {
				return err
			}
			text, warnings, err := a.Adapt(from.text, map[string]any{"filename": path})
			if err != nil {
				return fmt.Errorf("%s: %w", from.name, err)
			}
			for _, w := range warnings {
				fmt.Fprintln(c.err, "warning:", escapeLines(w.String()))
			}
			if validate {
				if err := host.ValidateDocument(text); err != nil {
					return mistaken(from.name+" as JSON", err)
				}
			}
			_, err = c.out.Write(format(text))
			return err
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "the file, or - for standard input")
	cmd.Flags().StringVarP(&name, "adapter", "a", "", "the format, such as yaml")
	cmd.Flags().BoolVar(&validate, "validate", false, "check the configuration too, as 'xnode validate' does")
	return cmd
}

// adapterFor finds the adapter of a name or, without one, of a file's ending.
func adapterFor(name, path string) (adapter, error) {
	if name == "" {
		name = strings.TrimPrefix(filepath.Ext(path), ".")
		if name == "yml" {
			name = "yaml"
		}
	}
	var names []string
	for _, m := range caddy.GetModules(adapters) {
		if a, ok := m.New().(adapter); ok && m.ID.Name() == name {
			return a, nil
		}
		names = append(names, m.ID.Name())
	}
	return nil, fmt.Errorf("there is no adapter for %q in this binary; name one of [%s] with --adapter", name, strings.Join(names, ", "))
}
