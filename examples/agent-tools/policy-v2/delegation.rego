# METADATA
# title: Agents among themselves
# description: |
#   `agent.message` and `agent.delegate` with `context.to`; a delegation also says `context.actions` and `context.minutes`. Work
#   may be handed on, power may not grow on the way.
package meshguard.delegation

import data.meshguard.agent
import data.meshguard.verdict

decision := answer if {
	answer := verdict.denied(deny)
}

decision := answer if {
	count(deny) == 0
	answer := verdict.needs_approval(approval, data.approvers.delegation)
}

decision := answer if {
	count(deny) + count(approval) == 0
	answer := verdict.allowed(allow)
}

target := data.agents[input.context.to]

# === Never ===

deny contains {
	"id": "agent.unknown_target",
	"reason": "The other agent isn't registered, or isn't active.",
} if {
	not target_active
}

deny contains {
	"id": "agent.upward",
	"reason": "Handing work to a more powerful agent would borrow its power.",
} if {
	input.action == "agent.delegate"
	target
	not within_rank
}

deny contains {
	"id": "agent.not_delegable",
	"reason": "These actions stay with the agent that was given them.",
} if {
	input.action == "agent.delegate"
	some action in input.context.actions
	some family in data.delegation.never
	startswith(action, family)
}

# === Only with a human ===

approval contains {
	"id": "agent.other_team",
	"reason": "The work would leave the team.",
} if {
	input.action == "agent.delegate"
	agent.is_trusted
	not same_team
}

# === Allowed ===

allow contains {
	"id": "agent.message",
	"reason": "Verified agents may talk to each other.",
} if {
	input.action == "agent.message"
	agent.is_verified
}

allow contains {
	"id": "agent.delegate",
	"reason": "Within the team, for a short time, and not upward.",
} if {
	input.action == "agent.delegate"
	agent.is_trusted
	is_array(input.context.actions)
	every action in input.context.actions {
		is_string(action)
	}
	is_number(input.context.minutes)
	input.context.minutes <= data.delegation.max_minutes
}

# === Words ===

target_active if target.status == "active"

within_rank if data.tiers[target.tier] <= data.tiers[agent.tier]

same_team if target.team == agent.record.team
