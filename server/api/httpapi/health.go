package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/kv"
)

// The paths that probes ask are etcd's, in all but how a mistake is told. Like
// etcd, and unlike the rest of this API, they take parameters that they do not
// know: probes outlive the version that they were written for.

// check is one condition of health; it returns why it does not hold.
type check struct {
	name  string
	holds func(context.Context) error
}

func (s *Server) live() []check { return []check{{"serializable_read", s.local}} }

func (s *Server) ready() []check {
	return append([]check{{"data_corruption", s.sound}},
		append(s.live(), check{"linearizable_read", s.agreed}, check{"non_learner", s.votes})...)
}

// all answers whether all checks hold that are not excluded.
func (s *Server) all(checks []check) answer {
	return func(w http.ResponseWriter, r *http.Request) error {
		excluded := r.URL.Query()["exclude"]
		return s.examine(w, r, slices.DeleteFunc(slices.Clone(checks), func(c check) bool { return slices.Contains(excluded, c.name) }))
	}
}

// one answers whether the check holds that the path names.
func (s *Server) one(checks []check) answer {
	return func(w http.ResponseWriter, r *http.Request) error {
		i := slices.IndexFunc(checks, func(c check) bool { return c.name == r.PathValue("check") })
		if i < 0 {
			return s.nothing(w, r)
		}
		return s.examine(w, r, checks[i:i+1])
	}
}

func (s *Server) examine(w http.ResponseWriter, r *http.Request, checks []check) error {
	query := r.URL.Query()
	ctx, cancel, err := s.deadline(r, query)
	if err != nil {
		return err
	}
	defer cancel()
	var found strings.Builder
	failed := false
	for _, c := range checks {
		if err := c.holds(ctx); err != nil {
			failed = true
			fmt.Fprintf(&found, "[-]%s failed: %s\n", c.name, oneLine(err.Error()))
		} else {
			fmt.Fprintf(&found, "[+]%s ok\n", c.name)
		}
	}
	if failed {
		http.Error(w, found.String(), http.StatusServiceUnavailable)
		return nil
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	text := "ok\n"
	if query.Has("verbose") {
		text = found.String() + text
	}
	return write(w, text)
}

// health answers GET /health: the cluster serves, seen from here or, if it is asked
// to be serializable, this node does. An alarm makes it fail unless it is excluded.
func (s *Server) health(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	ctx, cancel, err := s.deadline(r, query)
	if err != nil {
		return err
	}
	defer cancel()
	answer := wire.Health{Health: "true"}
	if reason := s.unhealthy(ctx, query); reason != "" {
		answer = wire.Health{Health: "false", Reason: reason}
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	if answer.Reason != "" {
		s.metrics.unhealthy.Inc()
		http.Error(w, string(body), http.StatusServiceUnavailable)
		return nil
	}
	s.metrics.healthy.Inc()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8") // as etcd's probes know it
	return write(w, string(body))
}

func (s *Server) unhealthy(ctx context.Context, query url.Values) string {
	alarms, err := s.alarms()
	if err != nil {
		return "ALARM ERROR:" + oneLine(err.Error())
	}
	for _, a := range alarms {
		if !slices.Contains(query["exclude"], a) {
			return "ALARM " + a
		}
	}
	read := s.local
	if query.Get("serializable") != "true" {
		if s.Cluster.Status().Leader == 0 {
			return "RAFT NO LEADER"
		}
		read = s.read
	}
	if err := read(ctx); err != nil {
		return "RANGE ERROR:" + oneLine(err.Error())
	}
	return ""
}

// alarms are the kinds of those that stand.
func (o *Options) alarms() (kinds []string, err error) {
	state, err := o.Machine.State()
	if err != nil {
		return nil, err
	}
	raised, err := o.Machine.Alarms()
	if slices.ContainsFunc(raised, func(a kv.Alarm) bool { return a.Kind == kv.Corrupt }) {
		kinds = append(kinds, "CORRUPT")
	}
	if state.Full || slices.ContainsFunc(raised, func(a kv.Alarm) bool { return a.Kind == kv.NoSpace }) {
		kinds = append(kinds, "NOSPACE")
	}
	return kinds, err
}

func write(w http.ResponseWriter, text string) error {
	// The client may be gone; there is nobody left to tell.
	_, _ = w.Write([]byte(text))
	return nil
}

// sound: a group stops when it finds that it cannot go on from what it has; and
// nobody has said that a member's state is wrong.
func (s *Server) sound(context.Context) error {
	alarms, err := s.alarms()
	if slices.Contains(alarms, "CORRUPT") {
		err = errors.New("alarm activated: CORRUPT")
	}
	return cmp.Or(s.Cluster.Status().Err, err)
}

// local: this node can be read. If not, restarting the process could help.
func (s *Server) local(context.Context) error {
	_, err := s.Machine.State()
	return cmp.Or(s.Cluster.Status().Err, err)
}

// read: a majority answers.
func (s *Server) read(ctx context.Context) error {
	_, err := s.Log.Read(ctx)
	return err
}

// agreed: clients may be sent here.
func (s *Server) agreed(ctx context.Context) error {
	if err := s.Ready(); err != nil {
		return err
	}
	return s.read(ctx)
}

var errLearner = errors.New("not supported for learner")

// votes: a learner answers little of what clients ask.
func (s *Server) votes(context.Context) error {
	if isLearner(s.Cluster.Status()) {
		return errLearner
	}
	return nil
}

func isLearner(s quorate.Status) bool {
	self, known := s.Config.Find(s.ID)
	return known && self.Role == membership.Learner
}
