// Package linear decides whether clients of a key-value store saw one store: one
// in which every operation took effect at a single moment between its call and
// its return. The search is porcupine's; the model, which is what quorate's HTTP
// API promises for a key, is here, as is the search for the smallest history that
// still contradicts it.
//
// Every key is judged for itself, which loses nothing: a history is linearizable
// if and only if it is for each key. Revisions are held against each other per
// key: each change of a key has a greater one than whatever was known of the
// store before.
//
// An operation whose outcome nobody knows is open: it may have taken effect at
// any moment after its call, or never. The search has a time limit; when it is
// up, the verdict is Unknown and never a guess.
//
// Reading order: operation.go, model.go, check.go, shrink.go (why what it leaves
// out is no part of the contradiction).
package linear
