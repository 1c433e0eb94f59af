# METADATA
# title: Shell commands
# description: |
#   `shell.exec` with `context.command` and `context.cwd`. Agents run plain commands (no pipes, redirections, substitutions) from
#   short lists, inside their team's directories. The deny rules bind everyone, operators with the `privileged` tier included:
#   they say what no agent may do. They search the whole command, so they also see what stands behind `&&` or inside `sh -c`.
#   Text can't be searched for everything, though: what protects is that only plain commands are allowed at all.
package meshguard.shell

import data.meshguard.agent
import data.meshguard.paths
import data.meshguard.verdict

decision := answer if {
	answer := verdict.denied(deny)
}

decision := answer if {
	count(deny) == 0
	answer := verdict.needs_approval(approval, data.approvers.shell)
}

decision := answer if {
	count(deny) + count(approval) == 0
	answer := verdict.allowed(allow)
}

# === Never ===

deny contains {
	"id": "shell.escalation",
	"reason": "Agents don't change user.",
} if {
	regex.match(`(^|[ \t\n;&|(/"'])(sudo|su|doas|pkexec)([ \t\n]|$)`, input.context.command)
}

deny contains {
	"id": "shell.recursive_delete",
	"reason": "Deleting directory trees needs a human.",
} if {
	regex.match(`(^|[ \t\n;&|(/"'])rm[ \t]([^;&|]*[ \t])?(-[a-zA-Z]*[rR]|--recursive)`, input.context.command)
}

deny contains {
	"id": "shell.disk",
	"reason": "Agents don't write to disk devices or make file systems.",
} if {
	regex.match(`(^|[ \t\n;&|(/"'])(mkfs|wipefs|fdisk|parted)|(of=|>[ \t]*)/dev/(sd|nvme|vd|disk|mapper)`, input.context.command)
}

deny contains {
	"id": "shell.remote_code",
	"reason": "Downloaded text must not be run unseen.",
} if {
	runs_download
}

deny contains {
	"id": "shell.reverse_shell",
	"reason": "This opens a shell to another machine.",
} if {
	regex.match(`/dev/(tcp|udp)/|(^|[ \t\n;&|(/])(nc|ncat|netcat)[ \t]([^;|]*[ \t])?-[a-z]*[ec]([ \t]|$)|socat[ \t][^;]*exec:`, input.context.command)
}

deny contains {
	"id": "shell.obfuscated",
	"reason": "Commands must be readable: no decoding into a shell, no eval.",
} if {
	regex.match(`(base64|xxd)[ \t]+-(d|D|r|-decode)([ \t][^;]*)?[|]|(^|[ \t\n;&|(])eval[ \t]`, input.context.command)
}

deny contains {
	"id": "shell.secrets",
	"reason": "This command reads credentials.",
} if {
	reads_credentials
}

deny contains {
	"id": "shell.permissions",
	"reason": "This opens files to every user of the machine.",
} if {
	regex.match(`chmod[ \t]([^;&|]*[ \t])?([0-7]?777|[ao]?[+]rwx|u[+]s)([ \t,]|$)`, input.context.command)
}

deny contains {
	"id": "shell.cover_tracks",
	"reason": "Agents don't touch histories, logs or the services that record them.",
} if {
	covers_tracks
}

# === Only with a human ===

approval contains {
	"id": "shell.install",
	"reason": "New packages are somebody else's code: a human confirms the name and the source.",
} if {
	agent.is_trusted
	agent.team.builds
	plain
	regex.match(`^(pip3?|npm|pnpm|yarn|cargo|gem|apt|apt-get|brew|go) (install|add|get) `, input.context.command)
}

approval contains {
	"id": "shell.infrastructure",
	"reason": "This changes running infrastructure.",
} if {
	agent.is_privileged
	agent.team.operates
	plain
	changes_infrastructure
}

# === Allowed ===

allow contains {
	"id": "shell.read_only",
	"reason": "A plain command that only reads, inside the team's directories.",
} if {
	agent.is_verified
	plain
	split(input.context.command, " ")[0] in data.shell.read_only
	in_workspace
	not leaves_workspace
}

allow contains {
	"id": "shell.git_read",
	"reason": "Looking at a repository's state and history.",
} if {
	agent.is_verified
	plain
	regex.match(`^git (status|log|diff|show|blame|ls-files|rev-parse|describe)( |$)`, input.context.command)
	in_workspace
	not leaves_workspace
	not writes_or_executes
}

allow contains {
	"id": "shell.build",
	"reason": "Building and testing the team's own code.",
} if {
	agent.is_verified
	agent.team.builds
	plain
	builds_or_tests
	in_workspace
	not leaves_workspace
}

allow contains {
	"id": "shell.cluster_read",
	"reason": "Looking at the state of the cluster.",
} if {
	agent.is_trusted
	agent.team.operates
	plain
	regex.match(`^kubectl (get|describe|logs|top)( |$)`, input.context.command)
}

allow contains {
	"id": "shell.operator",
	"reason": "Operators with the privileged tier may run any plain command that no rule forbids.",
} if {
	agent.is_privileged
	agent.team.operates
	plain
}

# === Words ===

# One command with its arguments: a list of harmless characters, not of harmful ones. So no ; & | < > $ ( ) { } ! # \ ~, no
# backquote and no line end.
plain if {
	input.action == "shell.exec"
	regex.match(`^[A-Za-z0-9 _./:=,@%+'"*?^-]+$`, input.context.command)
}

in_workspace if {
	paths.canonical(input.context.cwd)
	paths.under(input.context.cwd, agent.team.write)
}

# An argument that is an absolute path, or climbs out of the working directory.
leaves_workspace if regex.match(`[ ='":]/| -[A-Za-z]+/|[.][.]/|[ /='":][.][.]([ '"]|$)`, input.context.command)

# Options by which a tool that reads can be made to write a file or to start a program.
writes_or_executes if regex.match(` (--output|--ext-diff|--textconv|--exec|-O)`, input.context.command)

# curl ... | sh, wget -O- ... | sudo bash
runs_download if regex.match(`(?s)(curl|wget)[ \t][^;]*[|](.*[^a-z])?(sh|bash|zsh|python3?|perl|ruby|node)([^a-z]|$)`, input.context.command)

# bash <(curl ...), sh -c "$(wget ...)"; \x60 is the backquote
runs_download if regex.match(`(?s)(sh|source|eval)[ \t].*([$<][(]|\x60)[ \t]*(curl|wget)`, input.context.command)

reads_credentials if regex.match(`[.](ssh|aws|gnupg|kube)/|id_(rsa|ecdsa|ed25519)|/etc/(shadow|sudoers)|/proc/[^ ]*/environ`, input.context.command)

reads_credentials if regex.match(`(^|[ \t\n/@="'])[.](env|netrc|pgpass)([ \t\n./"']|$)|^(printenv|env)[ \t]*([|>;]|$)`, input.context.command)

reads_credentials if regex.match(`kubectl[ \t].*[ \t]secrets?([ \t/,]|$)`, input.context.command)

covers_tracks if regex.match(`history[ \t]+-[cw]|HISTFILE|[ \t]--vacuum|truncate[ \t].*/var/log/`, input.context.command)

covers_tracks if regex.match(`(stop|disable|mask|kill)[ \t].*(auditd|rsyslog|journald|meshguard)`, input.context.command)

changes_infrastructure if regex.match(`^kubectl (apply|create|delete|drain|exec|patch|rollout|scale)( |$)`, input.context.command)

changes_infrastructure if regex.match(`^(terraform (apply|destroy|import)|helm (install|upgrade|rollback|uninstall))( |$)`, input.context.command)

builds_or_tests if regex.match(`^(cargo (build|check|test|clippy|fmt)|go (build|test|vet))( |$)`, input.context.command)

builds_or_tests if regex.match(`^(npm (test|run (build|lint|test))|pytest|ruff check|make (build|lint|test))( |$)`, input.context.command)
