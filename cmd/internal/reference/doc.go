// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package reference is the manual of a binary's modules: what keys there are it
// learns from their Go types, as the check of documents does, and what is
// written about them from the comments in their source, which command docgen
// has read and the binary has embedded. A module without prose is described all
// the same.
package reference
