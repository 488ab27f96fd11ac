package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

// identify finds out on whose behalf the cluster is called. What the command line
// says counts before the environment.
func (r *remote) identify() error {
	switch {
	case r.token != "" && r.user != "":
		return usagef("--token and --user: one says who it is, leave the other out")
	case r.token == "" && r.user == "":
		if r.token = os.Getenv("QUORATE_TOKEN"); r.token == "" {
			r.user = os.Getenv("QUORATE_USER")
		}
	}
	if r.user == "" {
		if r.secret != "" {
			return usagef("--password-file %s: say whose password it is with --user", r.secret)
		}
		return nil
	}
	name, password, said := strings.Cut(r.user, ":")
	if name == "" {
		return usagef("--user: it begins with a name, as in --user ann")
	}
	if said && r.secret != "" {
		return usagef("--password-file %s: the password stands in --user already", r.secret)
	}
	if !said {
		var err error
		if password, err = r.askPassword(name); err != nil {
			return usageError{err}
		}
	}
	r.user, r.password = name, password
	return nil
}

// askPassword finds a password where other processes of this machine do not see it.
func (r *remote) askPassword(name string) (string, error) {
	if r.secret != "" {
		text, err := os.ReadFile(r.secret)
		if err != nil {
			return "", fmt.Errorf("--password-file: %w", err)
		}
		line, _, _ := strings.Cut(string(text), "\n")
		return strings.TrimSuffix(line, "\r"), nil
	}
	if password, set := os.LookupEnv("QUORATE_PASSWORD"); set {
		return password, nil
	}
	in := int(os.Stdin.Fd())
	if !term.IsTerminal(in) {
		return "", errors.New("--user " + name + ": there is nobody to ask for the password; say it in $QUORATE_PASSWORD or --password-file")
	}
	fmt.Fprintf(os.Stderr, "Password of %s: ", name)
	password, err := term.ReadPassword(in)
	fmt.Fprintln(os.Stderr)
	return string(password), err
}
