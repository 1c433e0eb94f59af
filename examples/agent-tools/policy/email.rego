# METADATA
# title: E-mail
# description: |
#   `email.send` with `context.to`, `cc`, `bcc` (lists of addresses), `from`, `attachments` (`name`, `label`) and, for an answer
#   to a customer, `ticket`. Mail inside the house is cheap; mail that leaves it can't be called back.
package meshguard.email

import data.meshguard.agent
import data.meshguard.verdict

decision := answer if {
	answer := verdict.denied(deny)
}

decision := answer if {
	count(deny) == 0
	answer := verdict.needs_approval(approval, data.approvers.email)
}

decision := answer if {
	count(deny) + count(approval) == 0
	answer := verdict.allowed_with(allow, obligations)
}

# Blind copies count: they are the first thing an exfiltrating agent would use.
recipients := [address |
	input.action == "email.send"
	some field in ["to", "cc", "bcc"]
	addresses := input.context[field]
	is_array(addresses)
	some address in addresses
]

# What the recipients are to the house: "colleague", "partner", "blocked" by data.json, else "stranger". Text that isn't one
# plain address, as "a@acme.example, b@evil.example", has no domain and makes the mail malformed.
kinds := {kind |
	some address in recipients
	parts := split(address, "@")
	count(parts) == 2
	kind := object.get(data.email.domains, lower(parts[1]), "stranger")
}

# === Never ===

deny contains {
	"id": "email.malformed",
	"reason": "Recipients must be lists of plain addresses, at least one; attachments a list.",
} if {
	not well_formed
}

deny contains {
	"id": "email.sender",
	"reason": "An agent sends from its own mailbox only.",
} if {
	input.context.from
	not own_mailbox
}

deny contains {
	"id": "email.too_many",
	"reason": "More recipients than any agent may address at once.",
} if {
	count(recipients) > data.email.max_recipients
}

deny contains {
	"id": "email.blocked_domain",
	"reason": "The recipient's domain is on the block list.",
} if {
	"blocked" in kinds
}

deny contains {
	"id": "email.attachment_type",
	"reason": "Programs, disk images, dumps and keys aren't sent by agents.",
} if {
	some attachment in input.context.attachments
	regex.match(`[.](exe|msi|scr|js|vbs|bat|cmd|ps1|sh|iso|pem|key|p12|kdbx|env|sql)$`, lower(attachment.name))
}

deny contains {
	"id": "email.confidential",
	"reason": "Labelled documents don't leave the house.",
} if {
	leaves_house
	some attachment in input.context.attachments
	attachment.label in {"confidential", "restricted"}
}

# An unlabelled document may be anything.
deny contains {
	"id": "email.unlabelled",
	"reason": "Documents that leave the house need a label.",
} if {
	leaves_house
	some attachment in input.context.attachments
	not attachment.label
}

# === Only with a human ===

approval contains {
	"id": "email.bulk",
	"reason": "Many recipients: a human reads it first.",
} if {
	count(recipients) > data.email.bulk_recipients
	agent.is_verified
}

approval contains {
	"id": "email.external",
	"reason": "A recipient is neither a colleague nor a partner.",
} if {
	"stranger" in kinds
	agent.is_trusted
	not customer_reply
}

# === Allowed ===

allow contains {
	"id": "email.internal",
	"reason": "All recipients are colleagues.",
} if {
	kinds == {"colleague"}
	agent.is_verified
}

allow contains {
	"id": "email.partner",
	"reason": "All recipients are partners, or colleagues in copy.",
} if {
	kinds - {"colleague"} == {"partner"}
	agent.is_trusted
}

allow contains {
	"id": "email.customer_reply",
	"reason": "An answer to one customer about an open ticket.",
} if {
	customer_reply
	agent.is_verified
}

# === Obligations ===

obligations contains {"id": "redact", "fields": ["iban", "card_number", "national_id"]} if leaves_house

# === Words ===

leaves_house if kinds != {"colleague"}

well_formed if {
	count(recipients) > 0
	not loose_list
	is_array(object.get(input.context, "attachments", []))
	every address in recipients {
		regex.match(`^[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+$`, address)
	}
}

# A tool that also takes one string with several addresses would deliver what an iteration over a list never saw.
loose_list if {
	some field in ["to", "cc", "bcc"]
	value := input.context[field]
	not is_array(value)
}

own_mailbox if input.context.from == agent.record.mailbox

customer_reply if {
	regex.match(`^SUP-[0-9]+$`, input.context.ticket)
	agent.record.team == "support"
	count(recipients) == 1
	count(object.get(input.context, "attachments", [])) == 0
}
