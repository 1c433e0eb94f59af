# METADATA
# title: MCP tools
# description: |
#   `mcp.call` with `context.server`, `context.tool` and the digest of the description that the model was shown. Only reviewed
#   servers, only reviewed tools, only as they were reviewed: a tool whose description changes later is the oldest trick.
package meshguard.mcp

import data.meshguard.agent
import data.meshguard.verdict

decision := answer if {
	answer := verdict.denied(deny)
}

decision := answer if {
	count(deny) == 0
	answer := verdict.needs_approval(approval, data.approvers.mcp)
}

decision := answer if {
	count(deny) + count(approval) == 0
	answer := verdict.allowed_with(allow, obligations)
}

server := data.mcp.servers[input.context.server]

tool := server.tools[input.context.tool]

# === Never ===

deny contains {
	"id": "mcp.unknown_server",
	"reason": "Nobody has reviewed this server; mind names that only look familiar.",
} if {
	not server
}

deny contains {
	"id": "mcp.unknown_tool",
	"reason": "Nobody has reviewed this tool.",
} if {
	server
	not tool
}

deny contains {
	"id": "mcp.changed_tool",
	"reason": "The tool's description isn't the one that was reviewed.",
} if {
	tool
	not as_reviewed
}

deny contains {
	"id": "mcp.foreign_server",
	"reason": "The server is for another team.",
} if {
	server.teams
	not for_this_team
}

# === Only with a human ===

approval contains {
	"id": "mcp.high_risk",
	"reason": "What this tool does can't be undone.",
} if {
	input.action == "mcp.call"
	agent.is_trusted
	tool.risk == "high"
}

# === Allowed ===

allow contains {
	"id": "mcp.public",
	"reason": "The tool only reads public knowledge.",
} if {
	input.action == "mcp.call"
	tool.risk == "none"
}

allow contains {
	"id": "mcp.low_risk",
	"reason": "The tool only reads.",
} if {
	input.action == "mcp.call"
	agent.is_verified
	tool.risk == "low"
}

allow contains {
	"id": "mcp.medium_risk",
	"reason": "What the tool changes can be undone.",
} if {
	input.action == "mcp.call"
	agent.is_trusted
	tool.risk == "medium"
}

# === Obligations ===

obligations contains {"id": "redact", "fields": ["email", "phone", "address"]} if {
	input.action == "mcp.call"
	server.personal
}

# === Words ===

as_reviewed if input.context.description_digest == tool.digest

for_this_team if agent.record.team in server.teams
