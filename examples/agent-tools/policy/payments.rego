# METADATA
# title: Payments
# description: |
#   `payments.transfer`, `payments.refund` and `payments.release` with `context.amount`, `currency` and `payee`; a refund says
#   `order_total` instead of the payee. data.json has two limits per tier and currency: up to `auto` the agent pays alone, up to
#   `hard` with a human, never above. A payment that a human has approved is paid by `payments.release`, the one action that needs
#   data which the edge doesn't hold.
package meshguard.payments

import data.meshguard.agent
import data.meshguard.verdict

decision := answer if {
	answer := verdict.denied(deny)
}

decision := answer if {
	count(deny) == 0
	answer := verdict.needs_approval(approval, data.approvers.payments)
}

decision := answer if {
	count(deny) + count(approval) == 0
	answer := verdict.allowed(allow)
}

# The type is checked first: in Rego every string is larger than every number, and null is smaller.
amount := input.context.amount if {
	is_number(input.context.amount)
	input.context.amount > 0
}

limits := data.payments.limits[agent.tier][input.context.currency]

payee := data.payments.payees[input.context.payee]

# === Never ===

deny contains {
	"id": "payments.amount",
	"reason": "The amount must be a positive number.",
} if {
	not amount
}

deny contains {
	"id": "payments.no_mandate",
	"reason": "This tier has no mandate in this currency.",
} if {
	not limits
}

deny contains {
	"id": "payments.hard_limit",
	"reason": "The amount is above what this tier may ever pay.",
} if {
	amount > limits.hard
}

deny contains {
	"id": "payments.unknown_payee",
	"reason": "The payee isn't on the list; finance adds payees, agents don't.",
} if {
	input.action in {"payments.transfer", "payments.release"}
	not payee
}

deny contains {
	"id": "payments.frozen_payee",
	"reason": "Payments to this payee are frozen.",
} if {
	input.action in {"payments.transfer", "payments.release"}
	payee.frozen
}

deny contains {
	"id": "payments.payee_currency",
	"reason": "This payee isn't paid in this currency: often a sign of a changed invoice.",
} if {
	input.action in {"payments.transfer", "payments.release"}
	payee
	not payees_currency
}

deny contains {
	"id": "payments.duty",
	"reason": "Moving the house's money is finance's work.",
} if {
	input.action in {"payments.transfer", "payments.release"}
	not finance
}

deny contains {
	"id": "payments.refund_too_high",
	"reason": "A refund can't be higher than the order was.",
} if {
	input.action == "payments.refund"
	amount > input.context.order_total
}

# === Only with a human ===

approval contains {
	"id": "payments.above_limit",
	"reason": "The amount is above what this tier pays alone.",
} if {
	input.action == "payments.transfer"
	amount > limits.auto
}

approval contains {
	"id": "payments.refund_above_limit",
	"reason": "The refund is above what this tier pays back alone.",
} if {
	input.action == "payments.refund"
	refund_of_order
	amount > limits.auto
}

approval contains {
	"id": "payments.first_payment",
	"reason": "Nobody has paid this payee before.",
} if {
	input.action == "payments.transfer"
	payee.new
}

# === Allowed ===

allow contains {
	"id": "payments.within_limit",
	"reason": "A listed payee, and an amount that this tier pays alone.",
} if {
	input.action == "payments.transfer"
	agent.is_verified
	payee
	amount <= limits.auto
}

allow contains {
	"id": "payments.refund",
	"reason": "A refund of an order, within the tier's limit.",
} if {
	input.action == "payments.refund"
	agent.is_verified
	refund_of_order
	amount <= limits.auto
}

# The approval lives in the control plane, which also removes what is used or expired. So the edge can't be certain here, and
# asks; every test that it can make by itself stands before that.
allow contains {
	"id": "payments.release",
	"reason": "A human approved exactly this payment by this agent.",
} if {
	input.action == "payments.release"
	agent.is_trusted
	payee
	grant := data.approvals[input.approval.id]
	grant.status == "granted"
	grant.action == input.action
	grant.actor == agent.id
	grant.resource == input.resource
	grant.payee == input.context.payee
	grant.currency == input.context.currency
	amount <= grant.max_amount
}

# === Words ===

finance if agent.record.team == "finance"

payees_currency if input.context.currency in payee.currencies

refund_of_order if {
	agent.record.team in data.payments.refund_teams
	regex.match(`^ORD-[0-9]{6}$`, input.context.order)
	is_number(input.context.order_total)
}
