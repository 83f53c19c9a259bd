// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

// Stability says how far a module is. docs/COMPATIBILITY.md says what each
// promises.
type Stability string

// The stabilities.
const (
	Development  Stability = "development"  // may change or go at any time
	Alpha        Stability = "alpha"        // works; keys may change
	Beta         Stability = "beta"         // keys that change are taken under their old names for a while
	Stable       Stability = "stable"       // keys do not change before the next major version
	Deprecated   Stability = "deprecated"   // works, and will go
	Unmaintained Stability = "unmaintained" // works, and nobody looks after it
)

// stabilities holds those that [Register] was told, by module ID. It is filled
// while the program's packages initialise and does not change after that.
var stabilities = make(map[string]Stability)

// StabilityOf is how far a module is, by its ID: Development if it did not say,
// and empty for modules that [Register] does not know.
func StabilityOf(id string) Stability { return stabilities[id] }

// Warns reports whether somebody who runs a module should be told how far it is.
func (s Stability) Warns() bool {
	switch s {
	case Development, Alpha, Deprecated, Unmaintained:
		return true
	}
	return false
}

func (s Stability) known() bool {
	switch s {
	case Development, Alpha, Beta, Stable, Deprecated, Unmaintained:
		return true
	}
	return false
}
