// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package process runs interop peers as processes: programs that write one JSON
// object a line to stdout, and diagnostics to stderr.
package process
