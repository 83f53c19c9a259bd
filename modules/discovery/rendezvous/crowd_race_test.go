// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build race

package rendezvous_test

// crowd is how many nodes meet: the race detector is slow.
const crowd = 50
