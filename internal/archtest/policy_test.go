package archtest

// zone is what the packages of a row may do apart from importing each other.
type zone int

const (
	// above the line nothing waits and nothing is left to chance: no clock, disk,
	// network, goroutine, lock, global randomness, logger, and no map iteration
	// whose order can be seen.
	above zone = iota
	// below it, whatever waits does so through env, vfs or an interface of the
	// transport, so that a simulator can be all three.
	below
	// seam is where the real clock, disk and randomness are.
	seam
	// free is everything that no simulated world has to run.
	free
)

// row is one wall of the floor plan.
type row struct {
	dir  string // from the root of the repository; /... takes in what is below it
	zone zone
	may  []string // directories (or /...) and modules that it may import
	why  string
}

// policy is the floor plan. Every package matches the longest row that names it;
// a package that matches none is refused, so that a new one is a decision.
// Rooms that are planned and not yet built have their rows already. Whatever a
// row says, only the server imports the server.
var policy = []row{
	{"raft/quorum", above, nil, "a set that decides knows no log and no term"},
	{"raft/archive", above, nil, "values and bytes, whatever they mean"},
	{"raft/progress", above, []string{"raft/archive", "raft/quorum"}, "one follower, seen without the log it is sent"},
	{"raft/membership", above, []string{"raft/quorum"}, "which configurations are legal does not depend on who leads"},
	{"raft", above, []string{"raft/archive", "raft/quorum", "raft/progress", "raft/membership"}, "the core decides; the browser downloads it"},
	{"raft/rafttest", above, []string{"raft/..."}, "it plays scripts to real cores, and to nothing else"},
	{"raft/explore", below, []string{"raft/..."}, "it searches the states of the real core on all processors; what it searches waits for nothing"},
	{"raft/explore/explorer", free, []string{"raft/explore", "internal/goal"}, "it prints what a search comes to, and how fast"},
	{"codec", above, []string{"raft/..."}, "bytes of raft types, whoever writes or sends them"},
	{"engine", above, []string{"raft/...", "codec"}, "many groups as one synchronous heart"},
	{"flight", above, []string{"raft/..."}, "what is remembered of cores, and how it is played again"},
	{"check", above, []string{"raft/...", "codec"}, "properties of many nodes, judged from what they did"},
	{"check/linear", below, []string{"github.com/anishathalye/porcupine"}, "porcupine searches on all processors and until its time is up; what is ours waits for nothing"},

	{"env", seam, nil, "the one place that reads the clock and draws random numbers"},
	{"vfs", seam, []string{"golang.org/x/sys"}, "the one place that touches files"},
	{"timing", below, nil, "durations that were measured; it reads no clock"},
	{"wal", below, []string{"raft/...", "codec", "env", "vfs"}, "a log on files, and no more of Raft than its types"},
	{"snap", below, []string{"raft/...", "codec", "env", "vfs"}, "snapshots in files"},
	{"transport", below, []string{"raft/...", "codec", "env", "timing", "vfs"}, "frames between nodes, whatever they say"},
	{"transport/certs/...", free, []string{"transport/certs"}, "operators' certificates, as the machine has them; no simulated world has any, and who needs none does not link it"},
	{".", below, []string{"raft/...", "codec", "engine", "flight", "env", "timing", "vfs", "wal", "snap", "transport"}, "Host ferries between all of these and decides nothing"},

	{"sim", free, []string{"..."}, "the world in one thread drives whatever a process would"},
	{"fsmtest", free, []string{".", "raft/...", "vfs"}, "it plays commands to a state machine, and has no cluster"},
	{"quoratetest", free, []string{".", "raft/...", "codec", "transport", "vfs"}, "hosts in one process, on a disk and a network in memory"},
	{"typed", below, []string{".", "raft"}, "a thin cover over a group; it waits where the group does"},
	{"session", free, []string{".", "raft"}, "commands that count once; its clients wait for one another as callers do"},
	{"lab/...", free, []string{"..."}, "the simulator behind a page"},
	{"examples/...", free, []string{".", "raft/...", "engine", "sim"}, "programs to copy use what is public"},
	{"internal/goal", free, nil, "lines that measurements print for programs"},
	{"internal/cputime", free, nil, "what benchmarks count: the time on processors, which only the system knows"},
	{"internal/freeport", free, nil, "ports for tests and measurements, which only the system knows to be free"},
	{"internal/mutants", free, []string{"internal/goal"}, "it builds broken copies of the core and imports none"},
	{"internal/mutants/trial", free, []string{"sim"}, "the simulator as a program, for a broken copy to be built of"},
	{"internal/mutants/seeds", free, []string{"internal/mutants/trial", "sim"}, "that program, with what the library itself has to replicate"},
	{"internal/archtest/...", free, []string{"internal/archtest"}, "it reads sources and imports none of them"},

	{"server/kv/...", above, []string{".", "raft/...", "server/kv/..."}, "Apply must give the same answer on every node"},
	{"server/kv/store/...", below, []string{
		"vfs", "server/kv/...", "github.com/cockroachdb/pebble/v2", "github.com/google/btree", "github.com/tidwall/btree",
	}, "an adapter: it waits for Pebble and lets readers in from other goroutines; files go through Pebble's vfs"},
	{"server/shard/...", above, []string{".", "raft/...", "server/kv/..."}, "moves of key ranges are data, decided the same everywhere"},
	{"server/watch", below, []string{"env", "server/kv"}, "it hands on what the machine has applied, whichever door asks; it waits for nothing but channels"},
	{"server/...", free, []string{"..."}, "the server puts everything together"},
	{"bench/...", free, []string{"..."}, "what is measured is imported, or started as a process"},
}

// calm is the standard library above the line: what neither waits, nor is shared,
// nor gives two runs of a program different answers.
var calm = set(
	"bufio", "bytes", "cmp", "container/heap", "container/list", "container/ring", "crypto/sha256",
	"encoding/base64", "encoding/binary", "encoding/hex", "errors", "fmt", "hash", "hash/adler32", "hash/crc32",
	"hash/crc64", "hash/fnv", "io", "iter", "maps", "math", "math/big", "math/bits", "math/cmplx", "slices", "sort",
	"strconv", "strings", "text/tabwriter", "unicode", "unicode/utf16", "unicode/utf8", "unique",
)

// instead says what to do above the line for what a standard package would give;
// a path speaks for those below it too.
var instead = map[string]string{
	"context":       "deadlines belong to whoever waits, which is the host",
	"crypto/rand":   "take a seed; the generator is part of the state",
	"encoding/gob":  "write the bytes with codec or encoding/binary: the browser downloads this",
	"encoding/json": "write the bytes with codec or encoding/binary: the browser downloads this",
	"hash/maphash":  "its seed differs between runs; take hash/fnv or hash/crc64",
	"log":           "return an error or an effect; the host logs",
	"math/rand":     "take a seed; the generator is part of the state",
	"net":           "return messages as effects; the transport sends them",
	"os":            "return what to write as an effect; wal and snap write it through vfs",
	"reflect":       "name the types; the browser downloads this",
	"runtime":       "what a machine has must not change what is decided",
	"sync":          "nothing here is shared; hand over values",
	"time":          "time arrives as an input: a tick, or a number in the command",
	"unsafe":        "bytes become values through codec",
}

// seams says which standard packages (and what is below them) only env and vfs
// use, so that the simulator can stand in. syscall is not among them: its error
// numbers are how a full disk or a refused connection is told apart.
var seams = map[string]string{
	"os":          "files go through vfs",
	"io/ioutil":   "files go through vfs",
	"math/rand":   "randomness comes from env",
	"crypto/rand": "randomness comes from env",
}

// clock is what reads a clock or waits for it; everywhere but in env it would
// run on while simulated time stands still. time.Duration and its kin are free.
var clock = map[string]map[string]bool{
	"time":    set("Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"),
	"context": set("WithTimeout", "WithTimeoutCause", "WithDeadline", "WithDeadlineCause"),
}

// prints is what of fmt writes to, or reads from, the process's own streams.
var prints = set("Print", "Printf", "Println", "Scan", "Scanf", "Scanln")

// maxModules is how many modules besides the standard library a program that
// embeds the library may have to link.
const maxModules = 2

func set(names ...string) map[string]bool {
	s := make(map[string]bool, len(names))
	for _, name := range names {
		s[name] = true
	}
	return s
}
