// SPDX-License-Identifier: Apache-2.0 OR MIT

package admin

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

// CommandRequest is a command of a module.
type CommandRequest struct {
	// Command is its name, of two words, and Args are its arguments.
	Command string   `json:"command"`
	Args    []string `json:"args,omitempty"`
	// Timeout bounds it. Default: 1m.
	Timeout core.Duration `json:"timeout,omitempty"`
}

// CommandResult is what it returned.
type CommandResult struct {
	// Text is what is shown, if the module says that itself.
	Text   *string `json:"text,omitempty"`
	Result any     `json:"result"`
}

func serveCommand(w http.ResponseWriter, r *http.Request) error {
	request := CommandRequest{Timeout: core.Duration(defaultTimeout)}
	if err := readRequest(r, &request); err != nil {
		return err
	}
	h, err := running()
	if err != nil {
		return err
	}
	for _, module := range h.Modules() {
		commander, ok := module.(core.Commander)
		if !ok {
			continue
		}
		for _, c := range commander.Commands() {
			if c.Name == request.Command {
				return runCommand(w, r, c, request)
			}
		}
	}
	return fail(http.StatusNotFound, fmt.Errorf("no module of the running node has the command %.100q; add the module to its configuration", request.Command))
}

func runCommand(w http.ResponseWriter, r *http.Request, c core.Command, request CommandRequest) (err error) {
	ctx, cancel := context.WithTimeout(r.Context(), min(time.Duration(request.Timeout), maxTimeout))
	defer cancel()
	result, err := c.Run(ctx, request.Args)
	if err != nil {
		return fail(http.StatusBadRequest, err)
	}
	answer := CommandResult{Result: result}
	switch v := result.(type) {
	case fmt.Stringer:
		answer.Text = new(v.String())
	case string:
		answer.Text = &v
	}
	return reply(w, http.StatusOK, answer)
}
