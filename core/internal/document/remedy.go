// SPDX-License-Identifier: Apache-2.0 OR MIT

package document

import "regexp"

// remedies are for errors that do not bring any: those of the operating system,
// of Caddy, and those whose text says what is wanted in another way. The first
// that matches is taken.
var remedies = []struct {
	problem *regexp.Regexp
	remedy  string
}{
	{regexp.MustCompile(`address already in use`), "stop the program that uses it (ss -ltnp names it), or choose another one"},
	{regexp.MustCompile(`cannot assign requested address`), "listen on an address that this machine has, or on 0.0.0.0 for all of them"},
	{regexp.MustCompile(`: run (.+)$`), "run $1"},
	{regexp.MustCompile(`permission denied`), "choose a place, or a port above 1023, that this user may use"},
	{regexp.MustCompile(`bind: invalid argument`), "a unix socket's path has at most 107 bytes: choose a shorter one"},
	{regexp.MustCompile(`placeholder \{env\.([^}]+)\} is empty`), "set the environment variable $1, or write the value itself"},
	{regexp.MustCompile(`placeholder (\{[^}]+\}) is empty`), "see that there is something at $1, or write the value itself"},
	{regexp.MustCompile(`unrecognized placeholder`), "write one that Caddy has, such as {env.NAME}, or {xnode.data}"},
	{regexp.MustCompile(`unrecognized log level`), "write debug, info, warn or error"},
	{regexp.MustCompile(`unknown module: `), "remove it, or build the module in: 'xnode list-modules' shows what there is"},
	{regexp.MustCompile(`the least is (\S+)`), "write $1 or more"},
	{regexp.MustCompile(`the most is (\S+)`), "write $1 or less"},
	{regexp.MustCompile(` is (more|less) than `), "change one of the two"},
	{regexp.MustCompile(`is neither (.+) nor (.+)$`), "write $1 or $2"},
	{regexp.MustCompile(`need at least `), "add them"},
	{regexp.MustCompile(`[:,] want (.+?)(: [^:]+)?$`), "write $1"},
	{regexp.MustCompile(`not done within|panic: `), "this is a fault of the module: see its log"},
}

// remedyFor finds the remedy of a problem.
func remedyFor(problem string) string {
	for _, r := range remedies {
		if m := r.problem.FindStringSubmatchIndex(problem); m != nil {
			return string(r.problem.ExpandString(nil, r.remedy, problem, m))
		}
	}
	return ""
}
