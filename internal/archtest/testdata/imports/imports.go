// Package imports imports what it may not. A want comment says what the check has
// to say about its line.
package imports

import (
	_ "fmt"
	_ "log/slog"     // want "the host logs"
	_ "sync"         // want "hand over values"
	_ "text/scanner" // want "not known to be calm"
	_ "time"         // want "time arrives as an input"

	_ "example.org/allowed/sub"
	_ "example.org/other" // want "each module is an exception"

	_ "github.com/quorate-db/quorate"             // want "imports may not import the root package: because"
	_ "github.com/quorate-db/quorate/raft"        // want "imports may not import raft: because"
	_ "github.com/quorate-db/quorate/raft/quorum" // the row allows it
	_ "github.com/quorate-db/quorate/server/kv"   // want "only the server"
)
