# METADATA
# title: The web
# description: |
#   `web.search`, `web.fetch`, `web.download` and `web.submit` with `context.url`. Reading is open to trusted agents and limited
#   to known sites for the others; sending data out is limited for all. Nobody reaches inside the house's network this way.
package meshguard.web

import data.meshguard.agent
import data.meshguard.verdict

decision := answer if {
	answer := verdict.denied(deny)
}

decision := answer if {
	count(deny) == 0
	answer := verdict.needs_approval(approval, data.approvers.web)
}

decision := answer if {
	count(deny) + count(approval) == 0
	answer := verdict.allowed(allow)
}

# Host of an https URL, without user, port or brackets: `https://docs.python.org@evil.example/` has none, and is refused.
host := name if {
	parts := split(input.context.url, "/")
	parts[0] == "https:"
	parts[1] == ""
	name := lower(parts[2])
	regex.match(`^[a-z0-9-]+([.][a-z0-9-]+)*$`, name)
}

# === Never ===

deny contains {
	"id": "web.url",
	"reason": "Only plain https addresses.",
} if {
	input.action != "web.search"
	not host
}

# Addresses instead of names, names without a dot, and the endings that only resolve inside: cloud metadata services and the
# house's own consoles trust whoever can reach them.
deny contains {
	"id": "web.inside",
	"reason": "The address is inside the network.",
} if {
	regex.match(`^([0-9.]+|0x[0-9a-f.]+|[a-z0-9-]+|.*[.](internal|local|localhost|lan|corp|svc|nip[.]io|sslip[.]io))$`, host)
}

deny contains {
	"id": "web.blocked_site",
	"reason": "The site is on the block list.",
} if {
	listed(data.web.blocked)
}

deny contains {
	"id": "web.secret_in_url",
	"reason": "Credentials in an address end up in logs.",
} if {
	input.action != "web.search"
	regex.match(`[?&](access_token|api_?key|auth|password|passwd|secret|token)=`, lower(input.context.url))
}

deny contains {
	"id": "web.program",
	"reason": "Agents don't download programs.",
} if {
	input.action == "web.download"
	regex.match(`[.](exe|msi|dmg|pkg|deb|rpm|appimage|sh|ps1|bat|jar|apk)([?#]|$)`, lower(input.context.url))
}

deny contains {
	"id": "web.search_personal",
	"reason": "The search holds a card number or an account number.",
} if {
	input.action == "web.search"
	regex.match(`[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}|[A-Z]{2}[0-9]{2}[ ]?([A-Z0-9]{4}[ ]?){3}`, input.context.query)
}

# === Only with a human ===

approval contains {
	"id": "web.submit_unlisted",
	"reason": "Data would go to a site that nobody has vetted.",
} if {
	input.action == "web.submit"
	agent.is_trusted
	not listed(data.web.services)
}

# === Allowed ===

allow contains {
	"id": "web.search",
	"reason": "Searching is for every registered agent.",
} if {
	input.action == "web.search"
	is_string(input.context.query)
}

allow contains {
	"id": "web.fetch_listed",
	"reason": "The site is on the reading list.",
} if {
	input.action == "web.fetch"
	agent.is_verified
	listed(data.web.reading)
}

allow contains {
	"id": "web.fetch_open",
	"reason": "Trusted agents read the open web.",
} if {
	input.action == "web.fetch"
	agent.is_trusted
	host
}

allow contains {
	"id": "web.download",
	"reason": "A file of known size from a site on the reading list.",
} if {
	input.action == "web.download"
	agent.is_verified
	is_number(input.context.bytes)
	input.context.bytes <= data.web.max_download_bytes
	listed(data.web.reading)
}

allow contains {
	"id": "web.submit",
	"reason": "The site is a service that the house has a contract with.",
} if {
	input.action == "web.submit"
	agent.is_trusted
	listed(data.web.services)
}

# === Words ===

# Domains are written with a leading dot and stand for themselves and everything below them.
listed(domains) if {
	name := concat("", [".", host])
	some domain in domains
	endswith(name, domain)
}
