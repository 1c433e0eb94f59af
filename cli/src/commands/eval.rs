//! `meshguard eval`: ask a bundle, offline, as `opa eval` would.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use meshguard_engine::bundle::BuiltinErrors;
use meshguard_engine::{Bundle, DEFAULT_ENTRYPOINT, Engine, Request, SignedBundle};
use serde_json::{Value, json};

use super::read;
use crate::Global;
use crate::failure::Failure;
use crate::output::{duration, note, print_line};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A folder of Rego and data, an OPA archive, or a signed bundle
    #[arg(short, long, value_name = "BUNDLE")]
    bundle: PathBuf,
    /// The input document, whole, as the policy sees it (`-` for standard input)
    #[arg(short, long, value_name = "FILE", required_unless_present = "request", conflicts_with = "request")]
    input: Option<PathBuf>,
    /// A request, from which the input document is made as an edge makes it
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// The rule to ask
    #[arg(default_value = DEFAULT_ENTRYPOINT)]
    entrypoint: String,
    /// The tenant that the input document names; for --request
    #[arg(long, env = "MESHGUARD_TENANT_ID", default_value = "local")]
    tenant: String,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
    /// Fail where OPA's default makes a failing builtin undefined
    #[arg(long)]
    strict_builtin_errors: bool,
    /// Evaluate N times, from the JSON bytes, each recorded; adds the times
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    bench: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Json,
    Pretty,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<(), Failure> {
    if args.bundle.is_file() && SignedBundle::from_tar_gz(&std::fs::read(&args.bundle)?).is_ok() {
        note(global, "the bundle is signed; its signature isn't checked here, but by `meshguard bundle verify`");
    }
    let engine = Engine::builder(args.tenant.as_str()).unsigned_bundle(Bundle::from_path(&args.bundle)?).open()?;
    let engine = Arc::new(engine);
    let question = Question::read(args)?;
    let mut result = question.ask(&engine, args)?;
    if let (Some(n), Some(fields)) = (args.bench, result.as_object_mut()) {
        let Value::Object(times) = question.bench(&engine, args, n)? else {
            return Ok(());
        };
        fields.extend(times);
    }
    let pretty = args.format == Format::Pretty && !global.json;
    print_line(&if pretty { people(&result) } else { result.to_string() })
}

/// What is asked: a request, or a whole input document.
enum Question {
    Request(Vec<u8>),
    Input(String),
}

impl Question {
    fn read(args: &Args) -> Result<Self, Failure> {
        match (&args.request, &args.input) {
            (Some(path), _) => Ok(Self::Request(read(path)?.into_bytes())),
            (None, Some(path)) if path.as_os_str() == "-" => {
                Ok(Self::Input(std::io::read_to_string(std::io::stdin())?))
            }
            (None, Some(path)) => Ok(Self::Input(read(path)?)),
            (None, None) => Err(Failure::arguments("name the input: -i FILE, or --request FILE")),
        }
    }

    /// The value as OPA gives it, and the decision that an edge would make of it.
    fn ask(&self, engine: &Engine, args: &Args) -> Result<Value, Failure> {
        let errors = if args.strict_builtin_errors { BuiltinErrors::Deny } else { BuiltinErrors::Opa };
        let (input, asked) = match self {
            Self::Request(json) => {
                let mut request = Request::from_json(json).map_err(Failure::arguments)?;
                request.entrypoint.clone_from(&args.entrypoint);
                let outcome = engine.outcome(&request);
                let input = engine.input_document(&request).map_err(Failure::arguments)?;
                (input, Some((outcome.verdict().clone(), outcome.is_certain())))
            }
            Self::Input(json) => (json.clone(), None),
        };
        let evaluation = engine.evaluate(&args.entrypoint, &input, errors)?;
        let (verdict, certain) = asked.unwrap_or((evaluation.verdict, evaluation.verdict_certain));
        Ok(json!({
            "result": evaluation.value,
            "defined": evaluation.value.is_some(),
            "effect": verdict.effect,
            "reasons": verdict.reasons,
            "rule": verdict.rule,
            "obligations": verdict.obligations,
            "deferred": !certain,
            "tier": "planned",
            "revision": evaluation.revision,
            "ns": evaluation.ns,
        }))
    }

    /// Times the whole path: JSON bytes in, decision recorded. Records are acknowledged as a control plane would, so that
    /// the journal doesn't grow.
    fn bench(&self, engine: &Arc<Engine>, args: &Args, n: u32) -> Result<Value, Failure> {
        let mut times = Vec::with_capacity(n as usize);
        for i in 0..n {
            let start = Instant::now();
            match self {
                Self::Request(json) => {
                    let _ = engine.decide_json(json);
                }
                Self::Input(json) => {
                    engine.evaluate(&args.entrypoint, json, BuiltinErrors::Deny)?;
                }
            }
            times.push(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
            if i % 1024 == 1023 {
                let progress = engine.journal().progress();
                engine.journal().ack(progress.chain, progress.next_seq)?;
            }
        }
        times.sort_unstable();
        let at = |part: f64| percentile(&times, part);
        let mean = times.iter().sum::<u64>() / u64::from(n);
        Ok(json!({ "p50_ns": at(0.50), "p99_ns": at(0.99), "mean_ns": mean, "n": n }))
    }
}

/// The value below which `part` of the sorted `times` lie.
pub(crate) fn percentile(times: &[u64], part: f64) -> u64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index into times, which are far fewer than 2^52"
    )]
    let at = (times.len().saturating_sub(1) as f64 * part).round() as usize;
    times.get(at).copied().unwrap_or(0)
}

fn people(result: &Value) -> String {
    let text = |pointer: &str| super::policy::plain(result.pointer(pointer));
    let mut lines = vec![text("/effect")];
    for reason in result.pointer("/reasons").and_then(Value::as_array).into_iter().flatten() {
        let message = reason.pointer("/message").and_then(Value::as_str).unwrap_or_default();
        lines.push(format!("  {}  {message}", super::policy::plain(reason.pointer("/code"))));
    }
    if result.pointer("/rule").is_some_and(|rule| !rule.is_null()) {
        lines.push(format!("  rule  {}", text("/rule")));
    }
    if result.pointer("/deferred") == Some(&Value::Bool(true)) {
        lines.push("  not certain here: an edge would ask the control plane".to_owned());
    }
    lines.push(format!("  value  {}", text("/result")));
    if let Some(p50) = result.pointer("/p50_ns").and_then(Value::as_u64) {
        let p99 = result.pointer("/p99_ns").and_then(Value::as_u64).unwrap_or(0);
        lines.push(format!("  p50 {}, p99 {}, {} times", duration(p50), duration(p99), text("/n")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles() {
        let times: Vec<u64> = (0..=100).collect();
        assert_eq!((percentile(&times, 0.5), percentile(&times, 0.99), percentile(&times, 1.0)), (50, 99, 100));
        assert_eq!(percentile(&[], 0.5), 0);
    }
}
