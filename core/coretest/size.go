// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import "os"

// FullSize reports whether simulations are to be as large as what they are to show
// is promised for, as make sims has them. Otherwise they are small, and show the
// same in a few seconds.
func FullSize() bool { return os.Getenv("XNODE_SIMS") != "" }
