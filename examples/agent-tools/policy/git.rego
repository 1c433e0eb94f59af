# METADATA
# title: Code
# description: |
#   `git.clone`, `git.push`, `git.open_pull_request`, `git.merge` and `git.tag` with `context.repo` and `context.branch`. An
#   agent's work reaches a protected branch through a review by somebody else, or past a human.
package meshguard.git

import data.meshguard.agent
import data.meshguard.verdict

decision := answer if {
	answer := verdict.denied(deny)
}

decision := answer if {
	count(deny) == 0
	answer := verdict.needs_approval(approval, data.approvers.code)
}

decision := answer if {
	count(deny) + count(approval) == 0
	answer := verdict.allowed(allow)
}

# === Never ===

deny contains {
	"id": "git.foreign_repository",
	"reason": "The repository isn't one of the team's.",
} if {
	input.action != "git.clone"
	not own_repository
}

deny contains {
	"id": "git.rewrite_history",
	"reason": "Force pushes to a protected branch destroy other people's work.",
} if {
	input.action == "git.push"
	input.context.force
	protected
}

deny contains {
	"id": "git.secret_scan",
	"reason": "What would be published hasn't passed the scan for secrets.",
} if {
	input.action in {"git.push", "git.open_pull_request"}
	not scan_passed
}

deny contains {
	"id": "git.own_work",
	"reason": "Nobody merges their own work.",
} if {
	input.action == "git.merge"
	input.context.author == agent.id
}

deny contains {
	"id": "git.checks",
	"reason": "Checks must have passed before a merge.",
} if {
	input.action == "git.merge"
	not checks_passed
}

# === Only with a human ===

approval contains {
	"id": "git.push_protected",
	"reason": "A push to a protected branch skips review.",
} if {
	input.action == "git.push"
	agent.is_verified
	protected
}

approval contains {
	"id": "git.release",
	"reason": "A version tag starts a release.",
} if {
	input.action == "git.tag"
	agent.is_trusted
	regex.match(`^v[0-9]+[.][0-9]+[.][0-9]+$`, input.context.tag)
}

# === Allowed ===

allow contains {
	"id": "git.clone",
	"reason": "Open repositories are for every verified agent.",
} if {
	input.action == "git.clone"
	agent.is_verified
	input.context.repo in data.code.open_repositories
}

allow contains {
	"id": "git.clone",
	"reason": "The repository is one of the team's.",
} if {
	input.action == "git.clone"
	agent.is_verified
	own_repository
}

# Names that are allowed, not names that aren't protected: `refs/heads/main` and `+main` also reach main.
allow contains {
	"id": "git.push_agent_branch",
	"reason": "Branches under agent/ are for agents.",
} if {
	input.action == "git.push"
	agent.is_verified
	regex.match(`^agent/[A-Za-z0-9._/-]+$`, input.context.branch)
}

allow contains {
	"id": "git.push_branch",
	"reason": "Trusted agents push to branches of work in progress.",
} if {
	input.action == "git.push"
	agent.is_trusted
	regex.match(`^(feature|fix|docs|chore|deps)/[A-Za-z0-9._/-]+$`, input.context.branch)
}

allow contains {
	"id": "git.open_pull_request",
	"reason": "A pull request asks, it doesn't change.",
} if {
	input.action == "git.open_pull_request"
	agent.is_verified
}

allow contains {
	"id": "git.merge",
	"reason": "Somebody else's work, reviewed, with passed checks.",
} if {
	input.action == "git.merge"
	agent.is_trusted
	is_string(input.context.author)
	is_number(input.context.reviews)
	input.context.reviews >= data.code.min_reviews
}

# === Words ===

own_repository if input.context.repo in agent.team.repositories

protected if input.context.branch in data.code.protected_branches

protected if startswith(input.context.branch, "release/")

checks_passed if input.context.checks == "passed"

scan_passed if input.context.secret_scan == "passed"
