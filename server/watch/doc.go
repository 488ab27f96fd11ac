// Package watch tells many watchers what happens to the keys that they watch:
// every event from the revision on where each begins, once, in order, and those of
// one revision together. It knows no protocol; a door has one [Stream] for each
// client and asks it for the next [Delivery].
//
// # How events come
//
// The goroutine that applies tells the [Hub] what each batch has changed; that is
// put into a bounded queue, and nothing more is asked of it. One goroutine, of an [env.Runner], takes it
// from there and hands each event to the watchers that match, found by an index.
// They share the event.
//
// A watcher is either up to date, which is to say that it has been handed all that
// concerns it up to the hub's revision, or behind. One that is behind is handed
// nothing: its stream, on its own goroutine, reads what it lacks from the history in
// the store, a bounded part at a time and for all its watchers that lack about the
// same, until it has come as far as the hub.
//
// Behind is who begins in the past; whose stream holds too much that its client
// has not taken; and everybody when the queue was full, when one batch was too
// large to be handed over, or when a snapshot has replaced the store. So the memory
// that a stream holds is bounded, and a client that takes nothing costs nobody else
// anything.
//
// A watcher that needs what has been compacted away ends, and is told from which
// revision on there is more.
//
// Reading order: hub.go, queue.go, index.go, watcher.go, stream.go, pass.go.
package watch
