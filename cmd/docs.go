// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	_ "embed"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/xnode-p2p/xnode/cmd/internal/reference"
)

//go:generate go run ./internal/docgen -o docs.json ./xnode
//go:generate go run ./xnode docs --md ../docs/modules

// Docs is what is written in the source about the modules of this repository, for
// [Main]. A binary that 'xnode build' makes has that of its own modules instead.
//
//go:embed docs.json
var Docs []byte

// reference is the manual of the modules in this binary.
func (c *cli) reference() (*reference.Reference, error) {
	return reference.New(c.docs...)
}

func (c *cli) docsCommand() *cobra.Command {
	var html, man, md string
	cmd := &cobra.Command{
		Use:   "docs [ID]",
		Short: "The manual of the modules in this binary: every key, its unit and its default",
		Long: `docs prints what the modules in this binary are and what keys they have: all
that a configuration may say to them. It is written in their source and embedded
when the binary is built, so it is that of exactly these versions, of modules of
one's own too, and needs no network.

Without an ID, as 'xnode list-modules' prints them, it lists the modules. The ID
xnode is that of the node itself: its keys are those of a document below
apps.xnode. A name that only one module has, such as kad, is enough.

JSON: [{"id", "package", "doc", "fields": [{"key", "type", "what", "default",
"namespace", "fields"}]}]`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := c.reference()
			if err != nil {
				return err
			}
			modules := r.Modules()
			if len(args) > 0 {
				id, err := moduleID(args[0], modules)
				if err != nil {
					return err
				}
				modules = slices.DeleteFunc(modules, func(m reference.Module) bool { return m.ID != id })
			}
			written := false
			for _, to := range []struct {
				dir   string
				write func(dir string) error
			}{
				{html, func(dir string) error { return reference.WriteHTML(dir, modules) }},
				{man, func(dir string) error { return reference.WriteMan(dir, version(), modules) }},
				{md, func(dir string) error { return reference.WriteMarkdown(dir, modules) }},
			} {
				if to.dir == "" {
					continue
				}
				written = true
				if err := to.write(to.dir); err != nil {
					return err
				}
			}
			switch {
			case c.json:
				return c.printJSON(modules, false)
			case written:
				return nil
			case len(args) > 0:
				return modules[0].WriteText(c.out)
			}
			return c.table(func(row func(string, ...any)) {
				for _, m := range modules {
					row("%s\t%s", m.ID, m.Summary())
				}
			})
		},
	}
	cmd.Flags().StringVar(&html, "html", "", "write web pages into this folder")
	cmd.Flags().StringVar(&man, "man", "", "write manual pages of section 5 into this folder")
	cmd.Flags().StringVar(&md, "md", "", "write Markdown into this folder")
	return c.reads(cmd)
}

// moduleID finds the module that somebody means by a name: its ID, or the end of
// only one.
func moduleID(name string, modules []reference.Module) (string, error) {
	var found []string
	for _, m := range modules {
		if m.ID == name {
			return name, nil
		}
		if len(m.ID) > len(name) && m.ID[len(m.ID)-len(name)-1:] == "."+name {
			found = append(found, m.ID)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("there is no module %q in this binary; 'xnode list-modules' lists those there are", name)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%q is the name of %d modules; say which of %v", name, len(found), found)
}
