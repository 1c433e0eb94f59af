//! `rand.intn`: a random number, the same for the same operands within an evaluation.

use super::{Context, Failure, Function, operand};
use crate::eval::value::Value;

pub(super) const FUNCTIONS: &[(&str, Function)] = &[(INTN, intn)];

const INTN: &str = "rand.intn";

fn intn(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let name = operand::string(args, 1)?;
    let n = operand::int(args, 2)?;
    if n == 0 {
        return Ok(Value::from(0_i64));
    }
    // OPA panics: the smallest integer has no positive counterpart.
    let n = n.checked_abs().ok_or_else(|| Failure::error("invalid argument to Intn"))?;
    ctx.budget.read(name.len())?;
    let key = (INTN, Value::array(vec![Value::String(name.clone()), Value::from(n)]));
    if let Some(known) = ctx.memo.get(&key) {
        return Ok(known.clone());
    }
    let value = Value::from(below(n)?);
    ctx.budget.alloc(size_of_val(&key) + 128)?;
    ctx.memo.insert(key, value.clone());
    Ok(value)
}

/// Uniform in `0..n`; `n` is positive.
fn below(n: i64) -> Result<i64, Failure> {
    // The largest multiple of `n` that an i64 holds, so that each remainder is as likely as another.
    let bound = i64::MAX - i64::MAX % n;
    loop {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|error| Failure::Error(error.to_string()))?;
        let random = i64::from_le_bytes(bytes) & i64::MAX;
        if random < bound {
            return Ok(random % n);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::builtins::budget::{Budget, Limits};
    use crate::eval::builtins::patterns::Patterns;
    use std::collections::HashMap;
    use std::time::Duration;

    #[test]
    fn in_range_and_the_same_within_an_evaluation() {
        let limits = Limits { steps: 1 << 20, bytes: 1 << 20, time: Duration::from_secs(60) };
        let mut budget = Budget::new(limits);
        let mut memo = HashMap::new();
        let mut ctx = Context { budget: &mut budget, now_ns: 0, memo: &mut memo, patterns: &Patterns::default() };
        for n in [1_i64, 2, 7, 1 << 40, i64::MAX, -5] {
            let args = [&Value::from("x"), &Value::from(n)];
            let first = intn(&mut ctx, &args).unwrap();
            assert!((Value::from(0_i64)..Value::from(n.abs())).contains(&first), "{n} {first}");
            assert_eq!(intn(&mut ctx, &args), Ok(first));
        }
        assert_eq!(intn(&mut ctx, &[&Value::from("x"), &Value::from(0_i64)]), Ok(Value::from(0_i64)));
        assert!(intn(&mut ctx, &[&Value::from("x"), &Value::from(i64::MIN)]).is_err());
        let minus = intn(&mut ctx, &[&Value::from("x"), &Value::from(-7_i64)]);
        assert_eq!(intn(&mut ctx, &[&Value::from("x"), &Value::from(7_i64)]), minus);
    }
}
