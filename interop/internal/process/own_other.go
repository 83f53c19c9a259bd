// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build !unix

package process

import "time"

// OwnCPU is not known here.
func OwnCPU() time.Duration { return 0 }

// ChildrenCPU is not known here.
func ChildrenCPU() time.Duration { return 0 }
