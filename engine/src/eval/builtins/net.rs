//! `net.cidr_*`: addresses and networks as Go's `net` package reads, compares and writes them.
//!
//! In Go an address is 4 or 16 bytes long, and 16 bytes that begin with `::ffff` are taken for the 4 bytes that they end
//! in. A network keeps the length it was written with, and so can differ from what it looks like: `::ffff:0:0/96` contains
//! `1.2.3.4`, and `::/0` doesn't.

mod merge;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Context, Failure, Function, Limit, operand};
use crate::eval::value::Value;

pub(super) const FUNCTIONS: &[(&str, Function)] = &[
    ("net.cidr_contains", contains),
    ("net.cidr_contains_matches", contains_matches),
    ("net.cidr_expand", expand),
    ("net.cidr_intersects", intersects),
    ("net.cidr_is_valid", is_valid),
    ("net.cidr_merge", merge::merge),
    ("net.cidr_overlap", contains),
];

fn contains(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let (a, b) = (operand::operand(args, 1)?, operand::operand(args, 2)?);
    let network = Network::of(ctx, a)?;
    Ok(Value::Bool(network.contains_target(&Target::of(ctx, b)?)))
}

fn intersects(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let (a, b) = (operand::operand(args, 1)?, operand::operand(args, 2)?);
    let (a, b) = (Network::of(ctx, a)?, Network::of(ctx, b)?);
    Ok(Value::Bool(a.contains(b.address()) || b.contains(a.address())))
}

fn is_valid(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let Value::String(text) = operand::operand(args, 1)? else { return Ok(Value::Bool(false)) };
    ctx.budget.read(text.len())?;
    Ok(Value::Bool(Network::parse(text).is_some()))
}

fn expand(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    /// What a member of the set takes: its value, its text and the counters before it.
    const MEMBER: usize = size_of::<Value>() + 16 + 48;
    let network = Network::of(ctx, operand::operand(args, 1)?)?;
    // Beyond 32 bits OPA would never return either; and there the addresses that look like IPv4 would end the count.
    let count = 1_usize.checked_shl(network.host_bits()).filter(|_| network.host_bits() < 32);
    let count = count.ok_or(Failure::Limit(Limit::Memory))?;
    ctx.budget.alloc(count.saturating_mul(MEMBER))?;
    let first = network.address;
    let members = (0..count as u128).map(|n| Value::from(Address { bits: first.bits | n, ..first }.to_string()));
    Ok(Value::set(members.collect()))
}

fn contains_matches(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    /// A pair in the result.
    const PAIR: usize = 4 * size_of::<Value>() + 48;
    let (networks, targets) = (operand::operand(args, 1)?, operand::operand(args, 2)?);
    let targets: Vec<(Option<&Value>, Value)> = candidates(ctx, targets)?;
    let mut parsed_targets: Vec<Option<Target>> = Vec::new();
    let mut pairs = vec![];
    for (network, network_index) in candidates(ctx, networks)? {
        let network = network.ok_or_else(|| wrong_element(1))?;
        let mut parsed_network = None;
        for (at, (target, target_index)) in targets.iter().enumerate() {
            ctx.budget.step(1)?;
            // In OPA's order: what is wrong first is what is reported.
            let target = target.ok_or_else(|| wrong_element(2))?;
            let network = match parsed_network {
                Some(network) => network,
                None => *parsed_network.insert(Network::of(ctx, network)?),
            };
            if at >= parsed_targets.len() {
                parsed_targets.push(Some(Target::of(ctx, target)?));
            }
            let contained =
                parsed_targets.get(at).and_then(Option::as_ref).is_some_and(|target| network.contains_target(target));
            if contained {
                ctx.budget.alloc(PAIR)?;
                pairs.push(Value::array(vec![network_index.clone(), target_index.clone()]));
            }
        }
    }
    Ok(Value::set(pairs))
}

/// What is to be compared, with what names it in the result; none where the element is neither a string nor an array
/// that begins with one. An operand of another type has no elements.
fn candidates<'a>(ctx: &mut Context<'_>, operand: &'a Value) -> Result<Vec<(Option<&'a Value>, Value)>, Failure> {
    ctx.budget.alloc(operand.shallow_bytes().saturating_mul(2))?;
    let candidate = |element: &'a Value| match element {
        Value::String(_) => Some(element),
        Value::Array(array) => array.get(0),
        _ => None,
    };
    Ok(match operand {
        Value::String(_) => vec![(Some(operand), operand.clone())],
        Value::Array(array) => array.iter().enumerate().map(|(i, item)| (candidate(item), Value::from(i))).collect(),
        Value::Set(set) => set.iter().map(|item| (candidate(item), item.clone())).collect(),
        Value::Object(object) => object.iter().map(|(key, item)| (candidate(item), key.clone())).collect(),
        _ => vec![],
    })
}

fn wrong_element(position: usize) -> Failure {
    Failure::Error(format!("operand {position}: element must be string or non-empty array"))
}

/// An address of 4 or 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address {
    bits: u128,
    /// 32 or 128.
    width: u32,
}

/// A network: its first address, and how many bits of it are fixed.
#[derive(Debug, Clone, Copy)]
struct Network {
    address: Address,
    prefix: u32,
}

/// What a network may contain.
enum Target {
    Address(Address),
    Network(Network),
}

const MAPPED: u128 = 0xffff_0000_0000;

// === impl Address ===

impl Address {
    /// Go's `net.ParseIP`, which gives IPv4 addresses in 4 bytes here. An address with a zone is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text.parse().ok()? {
            IpAddr::V4(address) => Self { bits: u128::from(address.to_bits()), width: 32 },
            IpAddr::V6(address) => Self { bits: address.to_bits(), width: 128 },
        })
    }

    /// In 4 bytes, if it can be.
    fn to_v4(self) -> Option<u32> {
        let mapped = self.width == 32 || self.bits >> 32 == MAPPED >> 32;
        mapped.then(|| u32::try_from(self.bits & 0xffff_ffff).ok())?
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_v4() {
            Some(v4) => Ipv4Addr::from_bits(v4).fmt(f),
            None => Ipv6Addr::from_bits(self.bits).fmt(f),
        }
    }
}

// === impl Network ===

impl Network {
    /// OPA counts each operand as the first one.
    fn of(ctx: &mut Context<'_>, value: &Value) -> Result<Self, Failure> {
        let text = operand::string(&[value], 1)?;
        ctx.budget.read(text.len())?;
        Self::parse(text).ok_or_else(|| Failure::Error(format!("invalid CIDR address: {text}")))
    }

    /// Go's `net.ParseCIDR`.
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address = Address::parse(address)?;
        // Leading zeros are allowed, a sign isn't.
        let prefix: u32 = prefix.bytes().all(|byte| byte.is_ascii_digit()).then(|| prefix.parse().ok())??;
        if prefix > address.width {
            return None;
        }
        let host_bits = address.width - prefix;
        let bits = address.bits.checked_shr(host_bits).and_then(|bits| bits.checked_shl(host_bits)).unwrap_or(0);
        Some(Self { address: Address { bits, ..address }, prefix })
    }

    fn address(&self) -> Address {
        self.address
    }

    fn host_bits(&self) -> u32 {
        self.address.width - self.prefix
    }

    fn last_address(&self) -> Address {
        let bits = self.address.bits | low_bits(self.host_bits());
        Address { bits, ..self.address }
    }

    /// Neither is IPv4, nor taken for it.
    fn is_plain_v6(&self) -> bool {
        self.address.to_v4().is_none()
    }

    /// Go's `IPNet.Contains`.
    fn contains(&self, address: Address) -> bool {
        match (self.address.to_v4(), address.to_v4()) {
            // Of a mask of 16 bytes the last 4 count.
            (Some(ours), Some(theirs)) => u128::from(ours ^ theirs) & 0xffff_ffff & !low_bits(self.host_bits()) == 0,
            (None, None) => (self.address.bits ^ address.bits) & !low_bits(self.host_bits()) == 0,
            _ => false,
        }
    }

    fn contains_target(&self, target: &Target) -> bool {
        match target {
            Target::Address(address) => self.contains(*address),
            Target::Network(other) if self.is_plain_v6() && other.is_plain_v6() => {
                let differing = (self.address.bits ^ other.address.bits) & !low_bits(self.host_bits());
                self.prefix <= other.prefix && differing == 0
            }
            Target::Network(other) => self.contains(other.address) && self.contains(other.last_address()),
        }
    }
}

fn low_bits(count: u32) -> u128 {
    1_u128.checked_shl(count).map_or(u128::MAX, |bit| bit - 1)
}

// === impl Target ===

impl Target {
    /// An address, or else a network.
    fn of(ctx: &mut Context<'_>, value: &Value) -> Result<Self, Failure> {
        let text = operand::string(&[value], 1)?;
        ctx.budget.read(text.len())?;
        if let Some(address) = Address::parse(text) {
            return Ok(Self::Address(address));
        }
        Network::parse(text).map(Self::Network).ok_or_else(|| {
            Failure::Error(format!("not a valid textual representation of an IP address or CIDR: {text}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, target: &str) -> bool {
        let target = match Address::parse(target) {
            Some(address) => Target::Address(address),
            None => Target::Network(Network::parse(target).unwrap()),
        };
        Network::parse(network).unwrap().contains_target(&target)
    }

    #[test]
    fn networks_read_as_in_go() {
        for text in ["0.0.0.0/0", "1.2.3.4/32", "1.2.3.4/008", "::/0", "::FFFF:1.2.3.4/128", "1::1/64"] {
            assert!(Network::parse(text).is_some(), "{text}");
        }
        for text in [
            "",
            "/",
            "1.2.3.4",
            "1.2.3.4/",
            "1.2.3.4/33",
            "1.2.3.4/+8",
            "1.2.3.4/8 ",
            "01.2.3.4/8",
            "1.2.3/8",
            "fe80::1%eth0/64",
            "::/129",
            "1.2.3.4/8/8",
            "::/-0",
            "1.2.3.4/99999999999",
        ] {
            assert!(Network::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn contained_as_in_go() {
        for (network, target) in [
            ("10.0.0.0/8", "10.1.2.3"),
            ("10.0.0.0/8", "::ffff:10.1.2.3"),
            ("10.0.0.0/8", "10.4.0.0/14"),
            ("::/80", "::/80"),
            ("::ffff:0:0/96", "1.2.3.4"),
            ("::ffff:1.2.3.0/120", "1.2.3.4/31"),
        ] {
            assert!(contains(network, target), "{network} {target}");
        }
        for (network, target) in
            [("10.0.0.0/8", "11.0.0.0"), ("::/0", "1.2.3.4"), ("::/0", "::ffff:1.2.3.4"), ("10.0.0.0/16", "10.0.0.0/8")]
        {
            assert!(!contains(network, target), "{network} {target}");
        }
    }
}
