// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build !race

package coretest

// scale divides the amounts of the stress cases.
const scale = 1
