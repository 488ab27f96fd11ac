package raft

// AE3, AE3 §5.3: twice on a line is once in the index. REQ-AE3 is no tag.
const said = "AE5: a string is no comment"

/* AE9 is no rule; AE3 is. xAE3
and an AE3x is neither. */
