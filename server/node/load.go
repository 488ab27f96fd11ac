package node

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"log/slog"
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

// etcdPrefix begins etcd's own. Those of its flags count as ours where ours say nothing.
const etcdPrefix = "ETCD_"

// foreignEnv are variables with the prefix that are not for a node.
var foreignEnv = []string{"QUORATE_ENDPOINTS", "QUORATE_CACERT", "QUORATE_CERT", "QUORATE_KEY", "QUORATE_TOKEN", "QUORATE_USER", "QUORATE_PASSWORD"}

// Flags defines the flags of a node, --config-file among them.
func Flags(fs *pflag.FlagSet) {
	for _, s := range settings {
		fs.String(s.name, s.def, s.usage)
		if s.def == "false" || s.def == "true" {
			fs.Lookup(s.name).NoOptDefVal = "true"
		}
	}
	fs.String("config-file", "", "YAML file whose keys are the names of these flags")
	foreignFlags(fs)
}

// Load returns the configuration that flags, environment and file say together:
// a flag prevails over a variable, ours over etcd's, a variable over the file, the file
// over the default. The set must have been made by Flags and parsed; environ is as from
// os.Environ. The error, one sentence, names where the wrong word stands.
func Load(fs *pflag.FlagSet, environ []string) (Config, error) {
	w := words{flags: fs, env: environment(environ)}
	w.path = w.env["QUORATE_CONFIG_FILE"].value
	if f := fs.Lookup("config-file"); f.Changed {
		w.path = f.Value.String()
	}
	var err error
	if w.file, err = readFile(w.path); err != nil {
		return Config{}, err
	}
	var c Config
	for _, s := range settings {
		value, origin := w.of(s)
		if err := s.set(&c, value); err != nil {
			return Config{}, fmt.Errorf("%s: %w", origin, err)
		}
	}
	c.derive()
	if c.Warnings, err = w.foreign(); err != nil {
		return c, err
	}
	c.Warnings = slices.Concat(c.Warnings, strangers(w.env), c.unused(), c.lowered())
	return c, c.Check()
}

// words are all that a node is told.
type words struct {
	flags *pflag.FlagSet
	env   map[string]spoken
	file  map[string]string
	path  string // of the file
}

// said returns what is said under a name, and where.
func (w *words) said(name string) (value, origin string, said bool) {
	if v, ok := w.file[name]; ok {
		value, origin = v, name+" in "+w.path
	}
	if v, ok := w.env[variable(name)]; ok {
		value, origin = v.value, v.name
	}
	if f := w.flags.Lookup(name); f.Changed {
		value, origin = f.Value.String(), "--"+name
	}
	return value, origin, origin != ""
}

// of returns what a setting is to be, and where that is said.
func (w *words) of(s setting) (value, origin string) {
	if value, origin, said := w.said(s.name); said {
		return value, origin
	}
	for name, now := range older {
		if value, origin, said := w.said(name); said && now == s.name {
			return value, origin
		}
	}
	return s.def, "the default of --" + s.name
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

// spoken is a variable as it stands in the environment.
type spoken struct{ name, value string }

// environment returns our variables by their names, and etcd's by the names that ours
// would have. An empty one counts as not set, because a unit file or a manifest often
// cannot leave one out.
func environment(environ []string) map[string]spoken {
	env := make(map[string]spoken)
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		own, etcds := strings.CutPrefix(name, etcdPrefix)
		own = EnvPrefix + own
		switch {
		case value == "":
		case strings.HasPrefix(name, EnvPrefix):
			env[name] = spoken{name, value}
		case etcds && env[own].value == "" && setsFlag(own):
			env[own] = spoken{name, value}
		}
	}
	return env
}

// setsFlag reports whether a variable, named as ours are, sets a flag. Others of etcd's
// are not warned of: images say ETCD_VERSION, and an orchestrator ETCD_SERVICE_HOST.
func setsFlag(name string) bool {
	flag := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, EnvPrefix), "_", "-"))
	return name == variable("config-file") || isForeign(flag) || slices.ContainsFunc(settings, func(s setting) bool { return s.name == flag })
}

// strangers warns of variables that look like ours. They are no error: who names
// a service "quorate" in an orchestrator gets QUORATE_SERVICE_HOST and more.
func strangers(env map[string]spoken) []string {
	var warnings []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if !setsFlag(name) && !slices.Contains(foreignEnv, name) {
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
		if !slices.ContainsFunc(settings, func(s setting) bool { return s.name == key }) && !isForeign(key) {
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

func seconds(to *time.Duration, value string) error {
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return fmt.Errorf("%q is not a whole number of seconds", value)
	}
	*to = time.Duration(n) * time.Second
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

func number[N int | uint32 | uint64](to *N, value string) error {
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil || uint64(N(n)) != n {
		return fmt.Errorf("%q is not a whole number below 4 billion", value)
	}
	*to = N(n)
	return nil
}

// snapshotCount takes zero for the default, as etcd does.
func snapshotCount(to *uint64, value string) error {
	err := number(to, value)
	*to = cmp.Or(*to, 10_000)
	return err
}

func likeEtcd(value string) (bool, error) {
	if value != "" && value != "etcd" {
		return false, fmt.Errorf("%q is not known: it is etcd, or empty", value)
	}
	return value == "etcd", nil
}

func extensive(value string) (bool, error) {
	if value != "" && value != "basic" && value != "extensive" {
		return false, fmt.Errorf("%q is not known: it is basic or extensive", value)
	}
	return value == "extensive", nil
}

func level(value string) (slog.Level, error) {
	switch value {
	case "debug":
		return slog.LevelDebug, nil
	case "info", "":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error", "dpanic", "panic", "fatal":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("%q is no level: it is debug, info, warn or error", value)
}

func tlsVersion(value string) (uint16, error) {
	switch value {
	case "":
		return 0, nil
	case "TLS1.2":
		return tls.VersionTLS12, nil
	case "TLS1.3":
		return tls.VersionTLS13, nil
	}
	return 0, fmt.Errorf("%q is not spoken: it is TLS1.2 or TLS1.3", value)
}

// suites are cipher suites by their names. Those that are no longer safe can be
// named too: etcd takes them, and who names them knows a client that needs them.
func suites(value string) (ids []uint16, err error) {
	known := slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites())
	for _, name := range list(value) {
		i := slices.IndexFunc(known, func(s *tls.CipherSuite) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("%q is no cipher suite that is known here", name)
		}
		ids = append(ids, known[i].ID)
	}
	return ids, nil
}
