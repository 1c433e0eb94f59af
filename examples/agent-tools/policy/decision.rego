# METADATA
# title: What an AI agent may do
# description: |
#   The entrypoint. It checks who is asking, hands the action to the package that knows it, and denies whatever no package
#   allows. Every package has three sets of findings, `deny`, `approval` and `allow`, and the same order between them:
#   deny overrides approval, approval overrides allow.
package meshguard

import data.meshguard.agent
import data.meshguard.database
import data.meshguard.delegation
import data.meshguard.email
import data.meshguard.files
import data.meshguard.git
import data.meshguard.mcp
import data.meshguard.payments
import data.meshguard.shell
import data.meshguard.web

# METADATA
# entrypoint: true
default decision := {
	"effect": "deny",
	"rule": "default",
	"reason": "No rule allows this action for this agent.",
}

decision := {
	"effect": "deny",
	"rule": "agent.unknown",
	"reason": "This agent isn't registered.",
} if {
	agent.status == "unknown"
}

decision := {
	"effect": "deny",
	"rule": "agent.suspended",
	"reason": "This agent is suspended.",
} if {
	agent.status == "suspended"
}

decision := answer if {
	agent.status == "active"
	answer := judged
}

# Every action that exists, and the package that judges it. A package is asked only when its test holds, so a shell command
# never pays for the rules about payments. An action that isn't here is denied.
judged := answer if {
	input.action == "shell.exec"
	answer := shell.decision
}

judged := answer if {
	input.action in {"file.read", "file.write", "file.delete"}
	answer := files.decision
}

judged := answer if {
	input.action == "email.send"
	answer := email.decision
}

judged := answer if {
	input.action in {"payments.transfer", "payments.refund", "payments.release"}
	answer := payments.decision
}

judged := answer if {
	input.action in {"web.search", "web.fetch", "web.download", "web.submit"}
	answer := web.decision
}

judged := answer if {
	input.action in {"git.clone", "git.push", "git.open_pull_request", "git.merge", "git.tag"}
	answer := git.decision
}

judged := answer if {
	input.action in {"database.query", "database.execute"}
	answer := database.decision
}

judged := answer if {
	input.action == "mcp.call"
	answer := mcp.decision
}

judged := answer if {
	input.action in {"agent.message", "agent.delegate"}
	answer := delegation.decision
}
