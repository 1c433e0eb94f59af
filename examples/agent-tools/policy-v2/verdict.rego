# METADATA
# title: From findings to a decision
# description: |
#   A finding is `{"id": ..., "reason": ...}`. Where several rules of one kind hold, the decision names the one whose id sorts
#   first, so that every evaluator names the same one.
package meshguard.verdict

denied(findings) := {
	"effect": "deny",
	"rule": first.id,
	"reason": first.reason,
} if {
	first := min(findings)
}

needs_approval(findings, approvers) := {
	"effect": "require_approval",
	"rule": first.id,
	"reason": first.reason,
	"approval": {"approvers": approvers},
} if {
	first := min(findings)
}

allowed(findings) := {
	"effect": "allow",
	"rule": first.id,
	"reason": first.reason,
} if {
	first := min(findings)
}

# An allow with conditions: the host must fulfil every obligation, and treats one it doesn't know as a deny.
allowed_with(findings, obligations) := {
	"effect": "allow",
	"rule": first.id,
	"reason": first.reason,
	"obligations": list,
} if {
	first := min(findings)
	list := sort(obligations)
}
