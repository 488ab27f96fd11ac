package wire

import "net/http"

// Code names a kind of problem. Codes never change their meaning.
type Code string

// The codes; Kinds has a row for each.
const (
	Malformed          Code = "malformed"
	UnknownPath        Code = "unknown-path"
	MethodNotAllowed   Code = "method-not-allowed"
	NotFound           Code = "not-found"
	PreconditionFailed Code = "precondition-failed"
	KeyTooLarge        Code = "key-too-large"
	ValueTooLarge      Code = "value-too-large"
	FutureRevision     Code = "future-revision"
	Compacted          Code = "compacted"
	SessionExpired     Code = "session-expired"
	SequenceTooOld     Code = "sequence-too-old"
	MemberUnknown      Code = "member-unknown"
	MemberExists       Code = "member-exists"
	NameUsed           Code = "name-in-use"
	AddressUsed        Code = "address-in-use"
	LastVoter          Code = "last-voter"
	NotLearner         Code = "not-a-learner"
	NotCaughtUp        Code = "not-caught-up"
	TooManyLearners    Code = "too-many-learners"
	TooFewVoters       Code = "too-few-voters"
	ChangePending      Code = "change-pending"
	TransferFailed     Code = "transfer-failed"
	Unauthenticated    Code = "unauthenticated"
	Forbidden          Code = "forbidden"
	Busy               Code = "busy"
	NoSpace            Code = "no-space"
	Corrupt            Code = "corrupt"
	DiskFull           Code = "disk-full"
	NoLeader           Code = "no-leader"
	Unavailable        Code = "unavailable"
	Timeout            Code = "timeout"
	OutcomeUnknown     Code = "outcome-unknown"
	Internal           Code = "internal"
)

// Retry says what a client may do with a write that met a problem.
type Retry string

// The advice. All but RetryInSession mean that the write was certainly not done.
const (
	RetryNever     Retry = "no"                // the same request meets the same problem
	RetrySafe      Retry = "yes"               // it was not done; send it again after a pause
	RetryInSession Retry = "only in a session" // it may have been done: only the same session and sequence make it safe
)

// Kind is one row of the table of problems.
type Kind struct {
	Code   Code
	Status int // of the HTTP answer
	Retry  Retry
	Title  string // what the code means, the same for every problem of the kind
}

// Kinds is every problem that this API answers with.
var Kinds = []Kind{
	{Malformed, http.StatusBadRequest, RetryNever, "The request is not well formed"},
	{UnknownPath, http.StatusNotFound, RetryNever, "There is nothing at this path"},
	{MethodNotAllowed, http.StatusMethodNotAllowed, RetryNever, "This path does not take this method"},
	{NotFound, http.StatusNotFound, RetryNever, "The key does not exist"},
	{PreconditionFailed, http.StatusPreconditionFailed, RetryNever, "If-Match or If-None-Match does not hold"},
	{KeyTooLarge, http.StatusRequestEntityTooLarge, RetryNever, "The key is too large"},
	{ValueTooLarge, http.StatusRequestEntityTooLarge, RetryNever, "The value is too large"},
	{FutureRevision, http.StatusBadRequest, RetryNever, "The store has not come to this revision yet"},
	{Compacted, http.StatusGone, RetryNever, "The history at this revision was compacted away"},
	{SessionExpired, http.StatusGone, RetryNever, "The session does not exist or has expired"},
	{SequenceTooOld, http.StatusConflict, RetryNever, "The session has forgotten this sequence number"},
	{MemberUnknown, http.StatusNotFound, RetryNever, "The cluster has no such member"},
	{MemberExists, http.StatusConflict, RetryNever, "The cluster has this member already"},
	{NameUsed, http.StatusConflict, RetryNever, "Another member has this name"},
	{AddressUsed, http.StatusConflict, RetryNever, "Another member has this peer address"},
	{LastVoter, http.StatusConflict, RetryNever, "The cluster needs at least one voter"},
	{NotLearner, http.StatusConflict, RetryNever, "The member is a voter already"},
	{NotCaughtUp, http.StatusConflict, RetrySafe, "The learner has not caught up yet"},
	{TooManyLearners, http.StatusConflict, RetryNever, "As many members as may are there to stay learners"},
	{TooFewVoters, http.StatusConflict, RetrySafe, "Too few of the voters that would be left keep up"},
	{ChangePending, http.StatusConflict, RetrySafe, "Another membership change is under way"},
	{TransferFailed, http.StatusConflict, RetryNever, "Leadership could not be handed over"},
	{NoSpace, http.StatusInsufficientStorage, RetryNever, "Keys and their history take more than the quota allows"},
	{Corrupt, http.StatusServiceUnavailable, RetryNever, "An alarm says that the store is corrupt"},
	{Unauthenticated, http.StatusUnauthorized, RetryNever, "Nobody said who asks, or not well"},
	{Forbidden, http.StatusForbidden, RetryNever, "The user may not do this"},
	{Busy, http.StatusTooManyRequests, RetrySafe, "Too many requests are waiting"},
	{DiskFull, http.StatusInsufficientStorage, RetrySafe, "The disk of the leader, or of this node, has too little room left"},
	{NoLeader, http.StatusServiceUnavailable, RetrySafe, "No leader could be reached in time"},
	{Unavailable, http.StatusServiceUnavailable, RetrySafe, "This node cannot serve"},
	{Timeout, http.StatusGatewayTimeout, RetrySafe, "No answer in time; nothing was written"},
	{OutcomeUnknown, http.StatusGatewayTimeout, RetryInSession, "The write may or may not be carried out"},
	{Internal, http.StatusInternalServerError, RetryInSession, "A fault in this node"},
}

// KindOf returns the row of a code; of an unknown code, that of Internal.
func KindOf(code Code) Kind {
	for _, k := range Kinds {
		if k.Code == code {
			return k
		}
	}
	return KindOf(Internal)
}

// ProblemType is the content type of every answer that is a problem.
const ProblemType = "application/problem+json"

// Problem is the body of every answer that is not a success (RFC 9457).
type Problem struct {
	Type   string `json:"type"` // "urn:quorate:problem:" and the code
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"` // one sentence: what is wrong here and what to do
	Code   Code   `json:"code"`
}

// Error is the problem in one line.
func (p *Problem) Error() string { return p.Detail }
