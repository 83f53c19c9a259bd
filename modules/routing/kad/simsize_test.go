// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build !race

package kad

// simSize is how many nodes a simulation has.
const simSize = 1000
