// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package configs has configurations to begin with; each file is one.
package configs

import "embed"

// Files are the configurations.
//
//go:embed *.json
var Files embed.FS
