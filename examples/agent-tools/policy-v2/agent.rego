# METADATA
# title: Who is asking
# description: |
#   Facts about the agent, from the tenant's own register in data.json. What a request says about its own tier is never read:
#   an agent can't promote itself.
package meshguard.agent

id := input.actor.id

record := data.agents[id]

team := data.teams[record.team]

# "unknown" is every agent that isn't registered.
default status := "unknown"

status := record.status

# Tiers are a ladder: unverified < verified < trusted < privileged. `is_trusted` means "trusted or higher".
default tier := "unverified"

tier := record.tier

is_verified if tier in {"verified", "trusted", "privileged"}

is_trusted if tier in {"trusted", "privileged"}

is_privileged if tier == "privileged"
