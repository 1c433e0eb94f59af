# METADATA
# title: Files
# description: |
#   `file.read`, `file.write` and `file.delete` with `context.path`; a write also says `context.bytes`. Teams have directories
#   they read and directories they write. Secrets are nobody's, and what governs agents isn't theirs to change.
package meshguard.files

import data.meshguard.agent
import data.meshguard.paths
import data.meshguard.verdict

decision := answer if {
	answer := verdict.denied(deny)
}

decision := answer if {
	count(deny) == 0
	answer := verdict.needs_approval(approval, data.approvers.files)
}

decision := answer if {
	count(deny) + count(approval) == 0
	answer := verdict.allowed_with(allow, obligations)
}

# Undefined unless it is a path that means one place: every rule but the first needs it.
path := input.context.path if {
	is_string(input.context.path)
	paths.canonical(input.context.path)
}

# === Never ===

deny contains {
	"id": "file.traversal",
	"reason": "The path must be absolute, without `.`, `..`, `//` or backslashes.",
} if {
	not path
}

deny contains {
	"id": "file.secret",
	"reason": "Keys, tokens and environment files are off limits, wherever they are.",
} if {
	secret
}

deny contains {
	"id": "file.repository_internals",
	"reason": "Hooks and settings under .git run code on other people's machines.",
} if {
	input.action in {"file.write", "file.delete"}
	contains(lowered, "/.git/")
}

deny contains {
	"id": "file.governance",
	"reason": "An agent doesn't change the policies, instructions or tool lists that govern it.",
} if {
	input.action in {"file.write", "file.delete"}
	regex.match(`/(agents[.]md|claude[.]md|[.]mcp[.]json|[.]cursorrules|[.]meshguard(/.*)?|[^/]+[.]rego)$`, lowered)
}

deny contains {
	"id": "file.too_large",
	"reason": "The file is larger than agents may write.",
} if {
	input.action == "file.write"
	input.context.bytes > data.files.max_write_bytes
}

# === Only with a human ===

approval contains {
	"id": "file.pipeline",
	"reason": "Build and deployment files run with the pipeline's credentials.",
} if {
	input.action in {"file.write", "file.delete"}
	agent.is_verified
	paths.under(path, agent.team.write)
	regex.match(`/([.]github/workflows/[^/]+|[.]gitlab-ci[.]yml|jenkinsfile|dockerfile|[^/]+[.]tf)$`, lowered)
}

approval contains {
	"id": "file.delete_shared",
	"reason": "Other teams read this file.",
} if {
	input.action == "file.delete"
	agent.is_trusted
	paths.under(path, data.files.shared)
}

# === Allowed ===

allow contains {
	"id": "file.read_public",
	"reason": "Public documents are for every registered agent.",
} if {
	input.action == "file.read"
	paths.under(path, data.files.public)
}

allow contains {
	"id": "file.read_shared",
	"reason": "Shared documents are for every verified agent.",
} if {
	input.action == "file.read"
	agent.is_verified
	paths.under(path, data.files.shared)
}

allow contains {
	"id": "file.read_team",
	"reason": "The file is in a directory that the agent's team reads.",
} if {
	input.action == "file.read"
	agent.is_verified
	paths.under(path, agent.team.read)
}

allow contains {
	"id": "file.write_team",
	"reason": "The file is in a directory that the agent's team writes.",
} if {
	input.action == "file.write"
	agent.is_verified
	is_number(input.context.bytes)
	paths.under(path, agent.team.write)
}

allow contains {
	"id": "file.delete_scratch",
	"reason": "Scratch files are the agent's own.",
} if {
	input.action == "file.delete"
	agent.is_verified
	paths.under(path, data.files.scratch)
}

allow contains {
	"id": "file.delete_team",
	"reason": "A trusted agent may delete its team's files one by one.",
} if {
	input.action == "file.delete"
	agent.is_trusted
	paths.under(path, agent.team.write)
}

# === Obligations ===

obligations contains {"id": "redact", "fields": ["name", "email", "phone", "iban", "national_id"]} if {
	input.action == "file.read"
	paths.under(path, data.files.personal)
}

# === Words ===

lowered := text if text := lower(path)

secret if regex.match(`/([.]env([.](local|dev|development|test|staging|prod|production))?|[^/]*[.](pem|key|p12|pfx|jks|kdbx))$`, lowered)

secret if regex.match(`/([.](netrc|pgpass|npmrc|git-credentials)|credentials([.]json)?|id_(rsa|dsa|ecdsa|ed25519))$`, lowered)

secret if regex.match(`/[.](ssh|aws|azure|gnupg|kube|docker)(/|$)`, lowered)
