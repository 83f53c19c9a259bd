// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build !linux

package netmon

import "errors"

// listen has nothing to offer on this system.
func listen() (source, error) { return nil, errors.ErrUnsupported }
