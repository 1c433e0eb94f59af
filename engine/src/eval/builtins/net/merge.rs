//! `net.cidr_merge`: networks that touch or overlap made into as few as cover the same addresses.
//!
//! The algorithm is OPA's (`internal/cidr/merge`, from Cilium), byte for byte, because its results for overlapping and
//! for IPv4-mapped networks follow from how it goes about it. Where it would index beyond an address and panic, there is
//! an error instead.

use num_bigint::BigUint;

use super::Address;
use crate::eval::builtins::{Context, Failure, operand};
use crate::eval::value::Value;

const V4: u32 = 32;
const V6: u32 = 128;
/// What an IPv4 address begins with in 16 bytes.
const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

pub(super) fn merge(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    /// What a network takes while it is merged.
    const NETWORK: usize = 256;
    let elements = match operand::operand(args, 1)? {
        Value::Array(array) => array.as_slice(),
        Value::Set(set) => set.as_slice(),
        _ => return Err(Failure::error("operand must be an array")),
    };
    ctx.budget.alloc(elements.len().saturating_mul(NETWORK))?;
    let networks: Vec<Network> = elements.iter().map(|element| network(ctx, element)).collect::<Result<_, _>>()?;
    let mut merged = vec![];
    for range in Range::merged(networks)? {
        let networks = match range.network {
            Some(network) => vec![network],
            None => cover(&range.first, &range.last).ok_or_else(|| Failure::error("networks that can't be merged"))?,
        };
        ctx.budget.alloc(networks.len().saturating_mul(NETWORK))?;
        merged.extend(networks.iter().map(|network| Value::from(network.to_text())));
    }
    Ok(Value::set(merged))
}

fn network(ctx: &mut Context<'_>, element: &Value) -> Result<Network, Failure> {
    let Value::String(text) = element else { return Err(Failure::error("element must be string")) };
    ctx.budget.read(text.len())?;
    if let Some(address) = Address::parse(text) {
        let v4 = address.to_v4().ok_or_else(|| Failure::error("IPv6 invalid: needs prefix length"))?;
        // By class, as before CIDR; and what is below the mask stays.
        let ones = match v4.leading_ones() {
            0 => 8,
            1 => 16,
            _ => 24,
        };
        return Ok(Network { address: [&MAPPED, v4.to_be_bytes().as_slice()].concat(), ones, width: V4 });
    }
    let network = super::Network::parse(text);
    let network = network.ok_or_else(|| Failure::Error(format!("invalid CIDR address: {text}")))?;
    let width = network.address.width;
    let bytes = network.address.bits.to_be_bytes();
    let skipped = if width == V4 { 12 } else { 0 };
    Ok(Network { address: bytes.into_iter().skip(skipped).collect(), ones: network.prefix, width })
}

/// Go's `net.IPNet`: an address of any length, and a mask of `width` bits, the first `ones` set.
#[derive(Debug, Clone)]
struct Network {
    address: Vec<u8>,
    ones: u32,
    width: u32,
}

struct Range {
    first: Vec<u8>,
    last: Vec<u8>,
    /// The network this is, unless it was merged from several.
    network: Option<Network>,
}

// === impl Range ===

impl Range {
    fn merged(networks: Vec<Network>) -> Result<Vec<Self>, Failure> {
        let range = |network: Network| {
            let (first, last) = network.bounds()?;
            Some(Self { first, last, network: Some(network) })
        };
        let ranges: Option<Vec<Self>> = networks.into_iter().map(range).collect();
        let mut ranges = ranges.ok_or_else(|| Failure::error("a network that can't be merged"))?;
        ranges.sort_by(|a, b| a.last.cmp(&b.last).then_with(|| a.first.cmp(&b.first)));
        let mut merged: Vec<Self> = vec![];
        // From the end, each into the one before it.
        while let Some(range) = ranges.pop() {
            match merged.last_mut() {
                Some(later) if previous(&later.first) <= range.last => {
                    later.network = None;
                    if range.first < later.first {
                        later.first = range.first;
                    }
                }
                _ => merged.push(range),
            }
        }
        Ok(merged)
    }
}

// === impl Network ===

impl Network {
    fn mask(&self) -> Vec<u8> {
        let mask = if self.width == V4 {
            u128::from(u32::MAX.checked_shl(V4 - self.ones).unwrap_or(0)) << 96
        } else {
            u128::MAX.checked_shl(V6 - self.ones).unwrap_or(0)
        };
        mask.to_be_bytes().into_iter().take(self.width as usize / 8).collect()
    }

    /// The first and the last address. An IPv4 address gets 12 bytes before it even if it has them already.
    fn bounds(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let mask = self.mask();
        let mut first = masked(&self.address, &mask)?;
        if is_v4(&first) {
            first = [&MAPPED, first.as_slice()].concat();
        }
        let mut last = first.clone();
        for (i, byte) in mask.iter().rev().enumerate() {
            *last.get_mut(15_usize.checked_sub(i)?)? |= !byte;
        }
        Some((first, last))
    }

    fn to_text(&self) -> String {
        let bits = <[u8; 16]>::try_from(self.address.as_slice()).map(u128::from_be_bytes).ok();
        let v4 = <[u8; 4]>::try_from(self.address.as_slice()).map(|bytes| u128::from(u32::from_be_bytes(bytes))).ok();
        let address = match (bits, v4) {
            (Some(bits), _) => Address { bits, width: V6 },
            (_, Some(bits)) => Address { bits, width: V4 },
            _ => return "<nil>".to_owned(),
        };
        match (address.to_v4(), self.width) {
            (Some(_), V6) => format!("{address}/{}", self.ones.saturating_sub(96)),
            (None, V4) => "<nil>".to_owned(),
            _ => format!("{address}/{}", self.ones),
        }
    }
}

/// Go's `IP.To4() != nil`.
fn is_v4(address: &[u8]) -> bool {
    address.len() == 4 || address.len() == 16 && address.starts_with(&MAPPED)
}

/// Go's `IP.Mask`.
fn masked(address: &[u8], mask: &[u8]) -> Option<Vec<u8>> {
    let (address, mask) = match (address.len(), mask.len()) {
        (16, 4) => (address.strip_prefix(&MAPPED)?, mask),
        (4, 16) => (address, mask.strip_prefix(&[0xff; 12])?),
        _ => (address, mask),
    };
    (address.len() == mask.len()).then(|| address.iter().zip(mask).map(|(a, b)| a & b).collect())
}

/// One less, but for the first address of either family. An IPv4 address borrows within its last 4 bytes.
fn previous(address: &[u8]) -> Vec<u8> {
    let is_first = address.len() == 16 && address.iter().all(|byte| *byte == 0)
        || is_v4(address) && address.iter().rev().take(4).all(|byte| *byte == 0);
    let mut previous = address.to_vec();
    if is_first {
        return previous;
    }
    let kept = if is_v4(address) { 12 } else { 0 };
    for byte in previous.iter_mut().skip(kept).rev() {
        let borrow = *byte == 0;
        *byte = byte.wrapping_sub(1);
        if !borrow {
            break;
        }
    }
    previous
}

/// One more, but for the last address of either family.
fn next(address: &[u8]) -> Option<Vec<u8>> {
    let bits = u128::from_be_bytes(address.try_into().ok()?);
    let is_last = bits == u128::MAX || bits == 0xffff_ffff_ffff;
    Some(if is_last { bits } else { bits + 1 }.to_be_bytes().to_vec())
}

/// The networks that hold the addresses from `first` to `last`.
fn cover(first: &[u8], last: &[u8]) -> Option<Vec<Network>> {
    let mut spanning = spanning(first, last);
    let (spanning_first, spanning_last) = spanning.bounds()?;
    let mut networks = vec![];
    if spanning_first.as_slice() < first {
        let (_, right) = partition(&spanning, &host(previous(first)))?;
        let mut right = right.into_iter();
        // The first of them goes up to the end, and is cut next.
        spanning = right.next()?;
        networks.extend(right);
    }
    if spanning_last.as_slice() > last {
        let (left, _) = partition(&spanning, &host(next(last)?))?;
        networks.extend(left);
    } else {
        networks.push(spanning);
    }
    Some(networks)
}

fn host(address: Vec<u8>) -> Network {
    let width = if is_v4(&address) { V4 } else { V6 };
    Network { address, ones: width, width }
}

/// The smallest network that holds both.
fn spanning(first: &[u8], last: &[u8]) -> Network {
    let width = if is_v4(first) { V4 } else { V6 };
    let lowest = BigUint::from_bytes_be(first);
    let mut highest = BigUint::from_bytes_be(last);
    let mut ones = width;
    while ones > 0 && lowest < highest {
        ones -= 1;
        let host_bits = width - ones;
        highest = highest >> host_bits << host_bits;
    }
    let mut address = bytes(&highest);
    if width == V4 {
        address = [&[0; 10], address.as_slice()].concat();
    }
    if address.is_empty() {
        address = vec![0; 16];
    }
    Network { address, ones, width }
}

/// Without leading zeros; empty for zero.
fn bytes(value: &BigUint) -> Vec<u8> {
    if *value == BigUint::ZERO { vec![] } else { value.to_bytes_be() }
}

/// `target` without `excluded`: what is left of it, and what is right of it.
fn partition(target: &Network, excluded: &Network) -> Option<(Vec<Network>, Vec<Network>)> {
    let is_v4 = is_v4(&target.address);
    let (target_first, target_last) = target.bounds()?;
    let (excluded_first, excluded_last) = excluded.bounds()?;
    if excluded_last < target_first {
        return Some((vec![], vec![target.clone()]));
    }
    if target_last < excluded_first {
        return Some((vec![target.clone()], vec![]));
    }
    let (mut left, mut right) = (vec![], vec![]);
    if target.ones >= excluded.ones {
        return Some((left, right));
    }
    let width = if is_v4 { V4 } else { V6 };
    let padded = |value: &BigUint| {
        let bytes = bytes(value);
        let zeros = if is_v4 { 10 } else { 16_usize.checked_sub(bytes.len())? };
        Some([vec![0; zeros], bytes].concat())
    };
    let half = |ones: u32| Some(BigUint::from(1_u32) << width.checked_sub(ones)?);
    let mut ones = target.ones + 1;
    let mut lower = BigUint::from_bytes_be(&target_first);
    let mut upper = &lower + half(ones)?;
    while excluded.ones >= ones {
        let (lower_bytes, upper_bytes) = (padded(&lower)?, padded(&upper)?);
        if excluded_first >= upper_bytes {
            left.push(Network { address: lower_bytes, ones, width });
            lower = upper;
        } else {
            right.push(Network { address: upper_bytes, ones, width });
        }
        ones += 1;
        if ones > width {
            break;
        }
        upper = &lower + half(ones)?;
    }
    Some((left, right))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::builtins::budget::{Budget, Limits};
    use crate::eval::builtins::patterns::Patterns;
    use std::collections::HashMap;
    use std::time::Duration;

    fn merged(networks: &[&str]) -> Result<String, Failure> {
        let mut budget = Budget::new(Limits { steps: 1 << 20, bytes: 1 << 20, time: Duration::from_secs(60) });
        let mut memo = HashMap::new();
        let mut ctx = Context { budget: &mut budget, now_ns: 0, memo: &mut memo, patterns: &Patterns::default() };
        let networks = Value::array(networks.iter().map(|text| Value::from(*text)).collect());
        merge(&mut ctx, &[&networks]).map(|value| value.to_string())
    }

    #[test]
    fn as_opa_merges() {
        for (networks, expected) in [
            (vec![], "set()"),
            (vec!["192.0.128.0/24", "192.0.129.0/24"], r#"{"192.0.128.0/23"}"#),
            (vec!["192.168.1.5"], r#"{"192.168.1.5/24"}"#),
            (vec!["10.0.0.0/8", "10.1.0.0/16"], r#"{"10.0.0.0/8"}"#),
            (vec!["::/1", "8000::/1"], r#"{"::/0"}"#),
            (vec!["10.0.0.0/24", "10.0.1.0/25"], r#"{"10.0.0.0/24", "10.0.1.0/25"}"#),
            (vec!["2001:db8::/33", "2001:db8:8000::/33", "1.2.3.4/32"], r#"{"1.2.3.4/32", "2001:db8::/32"}"#),
        ] {
            assert_eq!(merged(&networks).as_deref(), Ok(expected), "{networks:?}");
        }
        assert!(merged(&["::1"]).is_err());
        assert!(merged(&["1.2.3.4/33"]).is_err());
    }
}
