# METADATA
# title: Databases
# description: |
#   `database.query` and `database.execute` with `context.database` and `context.statement`. Reading SQL with regular expressions
#   can't prove a statement harmless: the agent's database role has to say the same thing. What stands here stops the usual
#   accidents and injections before they reach the server, and says why.
package meshguard.database

import data.meshguard.agent
import data.meshguard.verdict

decision := answer if {
	answer := verdict.denied(deny)
}

decision := answer if {
	count(deny) == 0
	answer := verdict.needs_approval(approval, data.approvers.database)
}

decision := answer if {
	count(deny) + count(approval) == 0
	answer := verdict.allowed_with(allow, obligations)
}

database := data.databases[input.context.database]

statement := text if {
	is_string(input.context.statement)
	text := lower(input.context.statement)
}

# === Never ===

deny contains {
	"id": "database.unknown",
	"reason": "The database isn't registered.",
} if {
	not database
}

# Without the list nobody knows what to redact.
deny contains {
	"id": "database.unclassified",
	"reason": "Nobody has listed this database's personal columns yet.",
} if {
	database
	not database.personal_columns
}

deny contains {
	"id": "database.foreign",
	"reason": "The agent's team doesn't use this database.",
} if {
	database
	not own_database
}

deny contains {
	"id": "database.schema",
	"reason": "Schemas and rights change through migrations, not through agents.",
} if {
	regex.match(`(^|[^a-z_])(drop|truncate|alter|create|grant|revoke)[ \t\n]+(table|database|schema|index|view|role|user|all|select)`, statement)
}

deny contains {
	"id": "database.no_filter",
	"reason": "An update or delete without a condition changes every row.",
} if {
	input.action == "database.execute"
	regex.match(`^[ \t\n]*(update|delete)[ \t\n]`, statement)
	not filtered
}

deny contains {
	"id": "database.hidden_write",
	"reason": "A query that writes.",
} if {
	input.action == "database.query"
	regex.match(`insert[ \t\n]+into|delete[ \t\n]+from|update[ \t\n]+[a-z0-9_.]+[ \t\n]+set|[ \t\n]into[ \t\n]+[a-z0-9_.]+[ \t\n]+from`, statement)
}

deny contains {
	"id": "database.injection",
	"reason": "Several statements, comments or a condition that is always true: the marks of an injection.",
} if {
	regex.match(`;[ \t\n]*[^ \t\n]|--|/[*]|[ \t\n]or[ \t\n]+'?1'?[ \t\n]*=[ \t\n]*'?1|union[ \t\n]+(all[ \t\n]+)?select`, statement)
}

deny contains {
	"id": "database.credentials",
	"reason": "Password hashes, tokens and keys aren't read or written by agents.",
} if {
	regex.match(`(^|[^a-z])(password(_hash)?|passwd|api_keys?|secrets?|(access|refresh)_tokens?|pg_(shadow|authid))([^a-z_]|$)`, statement)
}

deny contains {
	"id": "database.server_files",
	"reason": "Statements don't read or write files, or run programs, on the server.",
} if {
	regex.match(`(^|;)[ \t\n]*copy[ \t\n]|[ \t\n]into[ \t\n]+(out|dump)file|load_file|pg_read_file|xp_cmdshell|lo_import`, statement)
}

# === Only with a human ===

approval contains {
	"id": "database.production_write",
	"reason": "This changes production data.",
} if {
	input.action == "database.execute"
	agent.is_trusted
	database.environment == "production"
}

# === Allowed ===

allow contains {
	"id": "database.read",
	"reason": "Reading a database that the team uses.",
} if {
	input.action == "database.query"
	agent.is_verified
	regex.match(`^[ \t\n]*(select|explain[ \t\n]+select)[ \t\n]`, statement)
}

allow contains {
	"id": "database.write",
	"reason": "Changing rows outside production.",
} if {
	input.action == "database.execute"
	agent.is_trusted
	database.environment != "production"
	regex.match(`^[ \t\n]*(insert[ \t\n]+into|update|delete[ \t\n]+from)[ \t\n]`, statement)
}

# === Obligations ===

obligations contains {"id": "redact", "fields": columns} if {
	input.action == "database.query"
	columns := database.personal_columns
	count(columns) > 0
}

obligations contains {"id": "max_rows", "rows": 1000} if {
	input.action == "database.query"
	not agent.is_trusted
}

# === Words ===

own_database if input.context.database in agent.team.databases

filtered if regex.match(`[ \t\n]where[ \t\n]`, statement)
