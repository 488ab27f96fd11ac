package node

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/client"
	"github.com/quorate-db/quorate/transport/certs"
)

// Asker is on whose behalf a node asks a cluster that it is to join: root's, where
// rights are enforced. Nothing of it is needed once the node is a member.
type Asker struct {
	Token        string
	User         string // instead, name or name:password
	PasswordFile string // its first line, if the password is not in User
}

// check looks at no file: who has joined may have no such file any more.
func (a *Asker) check() error {
	name, _, said := strings.Cut(a.User, ":")
	switch {
	case a.User == "" && a.PasswordFile == "":
		return nil
	case name == "":
		return errors.New("--join-user: it begins with a name, as in --join-user root; --join-password-file is the file with its password")
	case a.Token != "":
		return errors.New("--join-token and --join-user: one says who asks, leave the other out")
	case said == (a.PasswordFile != ""):
		return fmt.Errorf("--join-user %s: say its password once, in the file that --join-password-file names or as %s:PASSWORD, which other processes may see", name, name)
	}
	return nil
}

// client is how to ask these members.
func (a *Asker) client(endpoints []string, asking *certs.Source) (client.Config, error) {
	c := client.Config{Endpoints: endpoints, Certs: asking, Token: a.Token}
	if a.User == "" {
		return c, nil
	}
	c.User, c.Password, _ = strings.Cut(a.User, ":")
	if a.PasswordFile != "" {
		text, err := os.ReadFile(a.PasswordFile)
		if err != nil {
			return c, fmt.Errorf("--join-password-file: %w", err)
		}
		line, _, _ := strings.Cut(string(text), "\n")
		c.Password = strings.TrimSuffix(line, "\r")
	}
	return c, nil
}

// explain says what to do about a refusal for want of rights.
func (a *Asker) explain(err error) error {
	problem, ok := errors.AsType[*client.Error](err)
	switch {
	case ok && problem.Code == wire.Unauthenticated && a.Token == "" && a.User == "":
		return errors.New("rights are enforced there: say who asks, with --join-user root and --join-password-file, or with --join-token")
	case ok && problem.Code == wire.Forbidden:
		return errors.New("rights are enforced there, and who asks is not root: name a user with that role with --join-user")
	}
	return err
}
