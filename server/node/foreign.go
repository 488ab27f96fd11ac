package node

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// foreign are flags of etcd that decide nothing here. They are taken all the same,
// so that what was written for etcd starts a node: with a warning, or, where who
// wrote it relies on what would not be there, with a refusal.
type foreign struct {
	names string // with spaces between them

	// plain are the values that say nothing which is not so here anyway, besides
	// the empty one. They are not even warned of.
	plain []string

	says    string // what is the case instead, or what to do
	refused bool
}

var (
	no     = []string{"false"}
	yes    = []string{"true"}
	either = []string{"true", "false"}
	never  = []string{"0", "0s"}
)

// foreigners are etcd's flags of this kind, those of version 3.5 among them that
// later lost the prefix "experimental".
var foreigners = []foreign{
	{names: "wal-dir", says: "the log is in --data-dir"},
	{names: "initial-election-tick-advance", plain: yes, says: "the first election is not waited for anyway"},
	{names: "max-snapshots max-wals", says: "what is no longer needed is removed or used again"},
	{names: "memory-mlock experimental-memory-mlock", plain: no, says: "the store is not mapped into memory"},
	{names: "backend-bbolt-freelist-type", says: "the store is not bbolt"},
	{names: "backend-batch-interval backend-batch-limit", says: "what is applied together is written together"},
	{names: "socket-reuse-port", plain: no, says: "two processes never share a port"},
	{names: "socket-reuse-address", plain: either, says: "it is always so"},
	{names: "raft-read-timeout raft-write-timeout", says: "members find silent connections by heartbeats"},
	{names: "feature-gates", says: "nothing here depends on etcd's features"},
	{names: "strict-reconfig-check", plain: yes, says: "a change that would lose the majority is always refused"},
	{names: "pre-vote", plain: yes, says: "members always ask for pre-votes"},
	{names: "v2-deprecation", says: "there is no v2 store"},
	{names: "self-signed-cert-validity", says: "no certificate is made here"},
	{names: "client-cert-file client-key-file", says: "members ask each other with --cert-file"},
	{names: "peer-client-cert-file peer-client-key-file", says: "a member shows --peer-cert-file also when it calls"},
	{names: "peer-skip-client-san-verification experimental-peer-skip-client-san-verification", plain: no,
		says: "a caller's address is not compared with its certificate anyway"},
	{names: "cors", says: "pages of other sites may not call the API"},
	{names: "logger", plain: []string{"zap"}, says: "there is one kind of log"},
	{names: "enable-log-rotation", plain: no, says: "the files of --log-outputs are left to whoever rotates files on this machine"},
	{names: "log-rotation-config-json", says: "the files of --log-outputs are left to whoever rotates files on this machine"},
	{names: "warning-apply-duration warning-unary-request-duration experimental-warning-apply-duration experimental-warning-unary-request-duration",
		says: "the time of requests is in /metrics"},
	{names: "enable-distributed-tracing experimental-enable-distributed-tracing", plain: no, says: "there is no tracing"},
	{names: "distributed-tracing-address distributed-tracing-service-name distributed-tracing-instance-id distributed-tracing-sampling-rate " +
		"experimental-distributed-tracing-address experimental-distributed-tracing-service-name experimental-distributed-tracing-instance-id " +
		"experimental-distributed-tracing-sampling-rate", says: "there is no tracing"},
	{names: "experimental-initial-corrupt-check experimental-compact-hash-check-enabled", plain: no, says: "quorate status --hash compares members"},
	{names: "corrupt-check-time experimental-corrupt-check-time", plain: never, says: "quorate status --hash compares members"},
	{names: "compact-hash-check-time experimental-compact-hash-check-time", says: "quorate status --hash compares members"},
	{names: "compaction-batch-limit compaction-sleep-interval experimental-compaction-batch-limit experimental-compaction-sleep-interval",
		says: "compacted history is cleared away by a fixed share with each write"},
	{names: "bootstrap-defrag-threshold-megabytes experimental-bootstrap-defrag-threshold-megabytes", says: "there is nothing to defragment"},
	{names: "experimental-stop-grpc-service-on-defrag", plain: either, says: "there is nothing to defragment"},
	{names: "downgrade-check-time experimental-downgrade-check-time", says: "downgrades are not supported"},
	{names: "snapshot-catchup-entries experimental-snapshot-catchup-entries", says: "half of --snapshot-count entries are kept for slow members"},
	{names: "experimental-enable-lease-checkpoint experimental-enable-lease-checkpoint-persist", plain: no,
		says: "a new leader gives each lease its whole time again"},
	{names: "experimental-txn-mode-write-with-shared-buffer", plain: either, says: "transactions read what is committed"},
	{names: "experimental-wait-cluster-ready-timeout", says: "members wait for each other as long as it takes"},
	{names: "unsafe-no-fsync", plain: no, says: "what is acknowledged is always on disk"},

	{names: "discovery discovery-token discovery-endpoints discovery-dial-timeout discovery-request-timeout discovery-keepalive-time " +
		"discovery-keepalive-timeout discovery-insecure-transport discovery-insecure-skip-tls-verify discovery-cert discovery-key discovery-cacert " +
		"discovery-user discovery-password discovery-fallback discovery-proxy discovery-srv discovery-srv-name",
		refused: true, says: "name the members with --initial-cluster, or one of them with --join"},
	{names: "client-crl-file peer-crl-file", refused: true, says: "revoked certificates are not told from others; let another CA sign those that are good"},
	{names: "client-cert-allowed-hostname", refused: true,
		says: "every client is let in that --trusted-ca-file has signed for; let a CA of its own sign for those that may"},
	{names: "peer-cert-allowed-cn peer-cert-allowed-hostname", refused: true,
		says: "every member is let in that --peer-trusted-ca-file has signed for; let a CA of its own sign for members"},
	{names: "auto-tls peer-auto-tls", plain: no, refused: true, says: "no certificate is made here; name one's file"},
	{names: "host-whitelist", plain: []string{"*"}, refused: true,
		says: "requests are not told apart by the host that they name; use https, which such a list is a substitute for"},
	{names: "force-new-cluster", plain: no, refused: true, says: "a member cannot leave the others behind; restore a snapshot as a new cluster"},
}

// older are names that flags had in earlier versions of etcd.
var older = map[string]string{
	"experimental-watch-progress-notify-interval": "watch-progress-notify-interval",
	"experimental-max-learners":                   "max-learners",
}

// foreignFlags defines a flag for each of them. None is in the help: they are there
// for command lines that exist.
func foreignFlags(fs *pflag.FlagSet) {
	hidden := func(name, usage string, truth bool) {
		fs.String(name, "", usage)
		f := fs.Lookup(name)
		f.Hidden = true
		if truth {
			f.NoOptDefVal = "true"
		}
	}
	for _, f := range foreigners {
		usage := f.says
		if f.refused {
			usage = "refused: " + f.says
		}
		for name := range strings.FieldsSeq(f.names) {
			hidden(name, usage, slices.Contains(f.plain, "true") || slices.Contains(f.plain, "false"))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(older)) {
		hidden(name, "means --"+older[name], false)
	}
}

// isForeign reports whether a setting has this name only in etcd.
func isForeign(name string) bool {
	return older[name] != "" || slices.ContainsFunc(foreigners, func(f foreign) bool {
		return slices.Contains(strings.Fields(f.names), name)
	})
}

// foreign returns what is to be warned of etcd's flags among the words, or why one
// of them is refused.
func (w *words) foreign() (warnings []string, err error) {
	for _, f := range foreigners {
		for name := range strings.FieldsSeq(f.names) {
			value, origin, said := w.said(name)
			switch {
			case !said || value == "" || slices.Contains(f.plain, strings.ToLower(value)):
			case f.refused:
				return nil, fmt.Errorf("%s is etcd's and cannot be heeded here: %s", origin, f.says)
			default:
				warnings = append(warnings, fmt.Sprintf("%s is etcd's and decides nothing here: %s", origin, f.says))
			}
		}
	}
	return warnings, nil
}
