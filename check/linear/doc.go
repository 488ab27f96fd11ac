// Package linear decides whether clients of a key-value store saw one store: one
// in which every operation took effect at a single moment between its call and
// its return. The search is porcupine's; the model, which is what quorate's HTTP
// API promises for a key, is here, as is the search for the smallest history that
// still contradicts it.
//
// Every key is judged for itself, which loses nothing: a history is linearizable
// if and only if it is for each key. Keys that transactions tie together are judged
// together; histories that are to be judged soon tie few. Revisions are held against
// each other per key or such a set of keys: each change has a greater one than
// whatever was known of the store before.
//
// An operation whose outcome nobody knows is open: it may have taken effect at
// any moment after its call, or never. The search has a limit, of time or of
// steps; when it is reached, the verdict is Undecided and never a guess.
//
// Reading order: operation.go, split.go, model.go, check.go, shrink.go (why what it leaves
// out is no part of the contradiction).
package linear
