package node

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"
)

// EnvPrefix begins the environment variables that set flags: --data-dir is
// QUORATE_DATA_DIR.
const EnvPrefix = "QUORATE_"

// foreignEnv are variables with the prefix that are not for a node.
var foreignEnv = []string{"QUORATE_ENDPOINTS", "QUORATE_CACERT", "QUORATE_CERT", "QUORATE_KEY", "QUORATE_CONFIG_FILE"}

// setting is one thing that can be said in a flag, a variable or a file.
type setting struct {
	name, def, usage string
	set              func(c *Config, value string) error
}

var settings = []setting{
	{"name", "default", "name of this member, unique in its cluster",
		func(c *Config, v string) error { c.Name = v; return nil }},
	{"data-dir", "", "directory of this member's data (default NAME.quorate)",
		func(c *Config, v string) error { c.DataDir = v; return nil }},
	{"listen-client-urls", "http://127.0.0.1:2379", "where clients are heard; several with commas",
		func(c *Config, v string) error { c.Client.Listen = list(v); return nil }},
	{"advertise-client-urls", "", "where clients reach this member (default: as listened)",
		func(c *Config, v string) error { c.Client.Advertise = list(v); return nil }},
	{"listen-peer-urls", "http://127.0.0.1:2380", "where other members are heard; http means plain TCP, https TLS",
		func(c *Config, v string) error { c.Peer.Listen = list(v); return nil }},
	{"initial-advertise-peer-urls", "", "where other members reach this one (default: as listened)",
		func(c *Config, v string) error { c.Peer.Advertise = list(v); return nil }},
	{"cert-file", "", "certificate that clients are shown, in PEM; https needs it",
		func(c *Config, v string) error { c.Client.Certs.Cert = v; return nil }},
	{"key-file", "", "its private key",
		func(c *Config, v string) error { c.Client.Certs.Key = v; return nil }},
	{"trusted-ca-file", "", "clients must show a certificate that a CA in this file has signed",
		func(c *Config, v string) error { c.Client.Certs.CA = v; return nil }},
	{"client-cert-auth", "false", "insist that there is a --trusted-ca-file",
		func(c *Config, v string) error { return truth(&c.Client.CertAuth, v) }},
	{"peer-cert-file", "", "certificate that other members are shown, in PEM; https needs it",
		func(c *Config, v string) error { c.Peer.Certs.Cert = v; return nil }},
	{"peer-key-file", "", "its private key",
		func(c *Config, v string) error { c.Peer.Certs.Key = v; return nil }},
	{"peer-trusted-ca-file", "", "other members must show a certificate that a CA in this file has signed; https needs it",
		func(c *Config, v string) error { c.Peer.Certs.CA = v; return nil }},
	{"peer-client-cert-auth", "false", "insist that there is a --peer-trusted-ca-file",
		func(c *Config, v string) error { return truth(&c.Peer.CertAuth, v) }},
	{"initial-cluster", "", "members that begin the cluster: a=http://HOST:PORT,b=... (default: this one alone)",
		func(c *Config, v string) (err error) { c.Bootstrap.Cluster, err = seeds(v); return err }},
	{"initial-cluster-state", StateNew, "new, or existing for a member added beforehand (needs --join)",
		func(c *Config, v string) error { c.Bootstrap.State = v; return nil }},
	{"initial-cluster-token", "", "keeps clusters with equal members apart (default " + defaultToken + ")",
		func(c *Config, v string) error { c.Bootstrap.Token = v; return nil }},
	{"join", "", "client URL of any member of the cluster to join",
		func(c *Config, v string) error { c.Bootstrap.Join = v; return nil }},
	{"heartbeat-interval", "100", "milliseconds between heartbeats of a leader",
		func(c *Config, v string) error { return millis(&c.Heartbeat, v) }},
	{"election-timeout", "1000", "milliseconds without a leader before a member stands",
		func(c *Config, v string) error { return millis(&c.Election, v) }},
	{"snapshot-count", "10000", "compact the log every so many entries",
		func(c *Config, v string) error { return number(&c.SnapshotCount, v) }},
	{"request-timeout", "5s", "how long a request may wait for the cluster",
		func(c *Config, v string) error { return duration(&c.Limits.RequestTimeout, v) }},
	{"max-key-bytes", "4096", "largest key",
		func(c *Config, v string) error { return number(&c.Limits.KeyBytes, v) }},
	{"max-value-bytes", "1572864", "largest value",
		func(c *Config, v string) error { return number(&c.Limits.ValueBytes, v) }},
	{"max-requests", "1024", "requests in progress at a time; more are answered 429",
		func(c *Config, v string) error { return number(&c.Limits.Requests, v) }},
	{"max-request-bytes", "1572864", "largest request of an etcd client that writes",
		func(c *Config, v string) error { return number(&c.RequestBytes, v) }},
	{"max-txn-ops", "128", "operations of an etcd client's transaction",
		func(c *Config, v string) error { return number(&c.TxnOps, v) }},
	{"watch-progress-notify-interval", "10m", "how often an etcd client's watcher that asks for it hears that nothing happened",
		func(c *Config, v string) error { return duration(&c.WatchProgress, v) }},
	{"session-ttl", "10m", "how long a session lives without a write",
		func(c *Config, v string) error { return duration(&c.SessionTTL, v) }},
}

// Flags defines the flags of a node, --config-file among them.
func Flags(fs *pflag.FlagSet) {
	for _, s := range settings {
		fs.String(s.name, s.def, s.usage)
		if s.def == "false" {
			fs.Lookup(s.name).NoOptDefVal = "true"
		}
	}
	fs.String("config-file", "", "YAML file whose keys are the names of these flags")
}

// Load returns the configuration that flags, environment and file say together:
// a flag prevails over a variable, a variable over the file, the file over the
// default. The set must have been made by Flags and parsed; environ is as from
// os.Environ. The error, one sentence, names where the wrong word stands.
func Load(fs *pflag.FlagSet, environ []string) (Config, error) {
	env := environment(environ)
	path := env["QUORATE_CONFIG_FILE"]
	if f := fs.Lookup("config-file"); f.Changed {
		path = f.Value.String()
	}
	file, err := readFile(path)
	if err != nil {
		return Config{}, err
	}
	var c Config
	for _, s := range settings {
		value, origin := s.def, "the default of --"+s.name
		if v, ok := file[s.name]; ok {
			value, origin = v, s.name+" in "+path
		}
		if v, ok := env[variable(s.name)]; ok {
			value, origin = v, variable(s.name)
		}
		if f := fs.Lookup(s.name); f.Changed {
			value, origin = f.Value.String(), "--"+s.name
		}
		if err := s.set(&c, value); err != nil {
			return Config{}, fmt.Errorf("%s: %w", origin, err)
		}
	}
	c.derive()
	c.Warnings = append(strangers(env), c.unused()...)
	return c, c.Check()
}

// derive fills in what follows from the rest.
func (c *Config) derive() {
	if c.DataDir == "" {
		c.DataDir = c.Name + ".quorate"
	}
	if len(c.Client.Advertise) == 0 {
		c.Client.Advertise = c.Client.Listen
	}
	if len(c.Peer.Advertise) == 0 {
		c.Peer.Advertise = c.Peer.Listen
	}
}

func variable(flag string) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// environment returns our variables. An empty one counts as not set, because
// a unit file or a manifest often cannot leave one out.
func environment(environ []string) map[string]string {
	env := make(map[string]string)
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, EnvPrefix) && value != "" {
			env[name] = value
		}
	}
	return env
}

// strangers warns of variables that look like ours. They are no error: who names
// a service "quorate" in an orchestrator gets QUORATE_SERVICE_HOST and more.
func strangers(env map[string]string) []string {
	known := slices.Clone(foreignEnv)
	for _, s := range settings {
		known = append(known, variable(s.name))
	}
	var warnings []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if !slices.Contains(known, name) {
			warnings = append(warnings, fmt.Sprintf("the environment variable %s sets nothing: no flag has this name", name))
		}
	}
	return warnings
}

// readFile returns the settings in a file, as text; none if path is empty.
func readFile(path string) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--config-file: %w", err)
	}
	var raw map[string]any
	if err := yaml.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("--config-file %s is not YAML of the form \"name: value\": %s", path, oneLine(err))
	}
	values := make(map[string]string)
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		if !slices.ContainsFunc(settings, func(s setting) bool { return s.name == key }) {
			return nil, fmt.Errorf("--config-file %s: %q is no setting: the keys are the names of the flags of serve", path, key)
		}
		if values[key], err = text(raw[key]); err != nil {
			return nil, fmt.Errorf("--config-file %s: %s %w", path, key, err)
		}
	}
	return values, nil
}

// text returns a value as a flag would have it; a list becomes one with commas.
func text(value any) (string, error) {
	switch v := value.(type) {
	case nil:
		return "", nil
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			var err error
			if parts[i], err = text(v[i]); err != nil {
				return "", err
			}
		}
		return strings.Join(parts, ","), nil
	case map[string]any, map[any]any:
		return "", fmt.Errorf("takes a value or a list, not a map")
	default:
		return fmt.Sprint(v), nil
	}
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func list(value string) []string {
	var parts []string
	for part := range strings.SplitSeq(value, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, strings.TrimSuffix(part, "/"))
		}
	}
	return parts
}

func seeds(value string) ([]Seed, error) {
	var all []Seed
	for _, part := range list(value) {
		name, peer, ok := strings.Cut(part, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("%q is not a member: write name=http://HOST:PORT", part)
		}
		all = append(all, Seed{name, peer})
	}
	return all, nil
}

func millis(to *time.Duration, value string) error {
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return fmt.Errorf("%q is not a whole number of milliseconds", value)
	}
	*to = time.Duration(n) * time.Millisecond
	return nil
}

func duration(to *time.Duration, value string) (err error) {
	if *to, err = time.ParseDuration(value); err != nil {
		return fmt.Errorf("%q is not a duration: write it like 5s or 500ms", value)
	}
	return nil
}

func truth(to *bool, value string) (err error) {
	if *to, err = strconv.ParseBool(value); err != nil {
		return fmt.Errorf("%q is neither true nor false", value)
	}
	return nil
}

func number[N int | uint64](to *N, value string) error {
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return fmt.Errorf("%q is not a whole number below 2 billion", value)
	}
	*to = N(n)
	return nil
}
