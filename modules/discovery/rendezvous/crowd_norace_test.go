// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build !race

package rendezvous_test

// crowd is how many nodes meet.
const crowd = 500
