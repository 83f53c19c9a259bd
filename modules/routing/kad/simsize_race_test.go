// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build race

package kad

// simSize is how many nodes a simulation has: fewer, since the race detector is
// slow.
const simSize = 100
