package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate-db/quorate/server/client"
	"github.com/quorate-db/quorate/transport/certs"
)

// remote is what every command that calls a cluster can be told.
type remote struct {
	endpoints []string
	output    string
	timeout   time.Duration
	files     certs.Files
	certs     *certs.Source
	token     string
	user      string // with its password, once checked
	password  string
	secret    string // file of the password
}

// flags defines them on a command.
func (r *remote) flags(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringSliceVar(&r.endpoints, "endpoints", nil,
		"client URLs of one or more nodes, with commas (default $QUORATE_ENDPOINTS, else "+client.DefaultEndpoint+")")
	fs.StringVar(&r.files.CA, "cacert", "", "for https: certificate of the CA that has signed the nodes' (default $QUORATE_CACERT, else this machine's CAs)")
	fs.StringVar(&r.files.Cert, "cert", "", "certificate to show to nodes that demand one (default $QUORATE_CERT)")
	fs.StringVar(&r.files.Key, "key", "", "its private key (default $QUORATE_KEY)")
	fs.StringVar(&r.token, "token", "", "token of a user, where rights are enforced (default $QUORATE_TOKEN)")
	fs.StringVar(&r.user, "user", "", "instead, name[:password] of a user (default $QUORATE_USER); without it the password is $QUORATE_PASSWORD, or asked for")
	fs.StringVar(&r.secret, "password-file", "", "file with the password of --user in its first line")
	fs.StringVarP(&r.output, "output", "o", "table", "table, for people, or json, for programs")
	fs.DurationVar(&r.timeout, "timeout", client.DefaultTimeout, "how long to try")
}

// run calls do with a client, and a context that ends when the time is up.
func (r *remote) run(cmd *cobra.Command, do func(ctx context.Context, c *client.Client) error) error {
	if err := r.check(); err != nil {
		return err
	}
	c, err := client.New(r.config(r.endpoints))
	if err != nil {
		return usageError{fmt.Errorf("--endpoints: %w", err)}
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), r.timeout)
	defer cancel()
	return do(ctx, c)
}

func (r *remote) check() error {
	if r.output != "table" && r.output != "json" {
		return usagef("--output %q: it is table or json", r.output)
	}
	if r.timeout <= 0 {
		return usagef("--timeout %v: it must be positive", r.timeout)
	}
	if env := os.Getenv("QUORATE_ENDPOINTS"); len(r.endpoints) == 0 && env != "" {
		r.endpoints = strings.Split(env, ",")
	}
	r.files.CA = cmp.Or(r.files.CA, os.Getenv("QUORATE_CACERT"))
	r.files.Cert = cmp.Or(r.files.Cert, os.Getenv("QUORATE_CERT"))
	r.files.Key = cmp.Or(r.files.Key, os.Getenv("QUORATE_KEY"))
	var err error
	if r.certs, err = certs.Load(r.files, nil); err != nil {
		return usageError{fmt.Errorf("--cacert, --cert, --key: %w", err)}
	}
	return r.identify()
}

// config gives a call all the time that the user allowed.
func (r *remote) config(endpoints []string) client.Config {
	return client.Config{Endpoints: endpoints, Timeout: r.timeout, FailFast: true, Certs: r.certs, Token: r.token, User: r.user, Password: r.password}
}

// show writes the value as JSON, or calls table for lines to be aligned.
func (r *remote) show(out io.Writer, value any, table func(w io.Writer)) error {
	if r.output == "json" {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(value)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	table(w)
	return w.Flush()
}

// row writes cells of a table.
func row(w io.Writer, cells ...any) {
	for i, cell := range cells {
		if i > 0 {
			fmt.Fprint(w, "\t")
		}
		fmt.Fprint(w, cell)
	}
	fmt.Fprintln(w)
}
