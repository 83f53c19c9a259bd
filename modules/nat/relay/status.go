// SPDX-License-Identifier: Apache-2.0 OR MIT

package relay

import (
	"fmt"

	"github.com/xnode-p2p/xnode/core"
)

// Status is how a relay, or the peer behind it, answers.
type Status int32

// The statuses of the specification.
const (
	StatusOK                    Status = 100
	StatusReservationRefused    Status = 200
	StatusResourceLimitExceeded Status = 201
	StatusPermissionDenied      Status = 202
	StatusConnectionFailed      Status = 203
	StatusNoReservation         Status = 204
	StatusMalformedMessage      Status = 400
	StatusUnexpectedMessage     Status = 401
)

var statusNames = map[Status]string{
	StatusOK:                    "OK",
	StatusReservationRefused:    "RESERVATION_REFUSED",
	StatusResourceLimitExceeded: "RESOURCE_LIMIT_EXCEEDED",
	StatusPermissionDenied:      "PERMISSION_DENIED",
	StatusConnectionFailed:      "CONNECTION_FAILED",
	StatusNoReservation:         "NO_RESERVATION",
	StatusMalformedMessage:      "MALFORMED_MESSAGE",
	StatusUnexpectedMessage:     "UNEXPECTED_MESSAGE",
}

// String returns the name that the specification gives a status, or its number.
func (s Status) String() string {
	if name, ok := statusNames[s]; ok {
		return name
	}
	return fmt.Sprintf("status %d", int32(s))
}

// StatusError is an answer that is not OK.
type StatusError struct {
	Status Status
	// Reason is why, if that is known here.
	Reason string
}

// Error implements error.
func (e *StatusError) Error() string {
	if e.Reason == "" {
		return e.Status.String()
	}
	return e.Status.String() + ": " + e.Reason
}

// Is has [errors.Is] find [core.ErrNoReservation].
func (e *StatusError) Is(target error) bool {
	return target == core.ErrNoReservation && e.Status == StatusNoReservation
}

func refused(s Status, format string, args ...any) *StatusError {
	return &StatusError{s, fmt.Sprintf(format, args...)}
}
