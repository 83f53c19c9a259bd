// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import "context"

// Commander is a module that has commands of its own: 'xnode NAME' has the
// running node do what it says.
type Commander interface {
	// Commands lists them. It is called on modules that were only made too, to
	// know what there is.
	Commands() []Command
}

// Command is a command of a module.
type Command struct {
	// Name has two words: "greeting ask" is called as 'xnode greeting ask'.
	Name string
	// Usage names the arguments, Short says what it does, Long says more.
	Usage, Short, Long string
	// Run does it in the running node, after Start and before Close, and
	// returns what is shown: text if it is a [fmt.Stringer] or a string, or
	// else its JSON. It ends with ctx. The arguments are a user's.
	Run func(ctx context.Context, args []string) (any, error)
}
