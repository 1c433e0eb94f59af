//! What a rule must be and what it must not, so far as that is seen in the rule alone.

use std::collections::HashSet;

use super::ast::{Body, Expr, ExprKind, Head, Rule, TemplatePart, Term, TermKind, Var};
use super::parser::{RegoVersion, SyntaxError};
use super::parser_statement::is_keyword;

/// What is wrong with a default rule's head.
pub(super) fn default_rule(head: &Head) -> Vec<String> {
    let Some(value) = &head.value else { return vec!["illegal default rule (must have a value)".into()] };
    let mut problems = vec![];
    default_value(value, &mut problems);
    if problems.is_empty() {
        default_args(&head.args, &mut problems);
    }
    problems
}

fn default_args(args: &[Term], problems: &mut Vec<String>) {
    let mut names = HashSet::new();
    for arg in args {
        match arg.as_var() {
            None => problems.push(format!("illegal default rule (arguments cannot contain {})", arg.type_name())),
            Some(var) if !names.insert(var) => {
                problems.push(format!("illegal default rule (arguments cannot be repeated {var})"));
            }
            Some(_) => {}
        }
    }
}

/// A constant, except within comprehensions.
fn default_value(term: &Term, problems: &mut Vec<String>) {
    match &term.kind {
        TermKind::Null | TermKind::Bool(_) | TermKind::Number(_) | TermKind::String(_) => {}
        TermKind::ArrayComprehension(..) | TermKind::SetComprehension(..) | TermKind::ObjectComprehension(..) => {}
        TermKind::Var(_) | TermKind::Ref(_) | TermKind::Call(_) => {
            problems.push(format!("illegal default rule (value cannot contain {})", term.type_name()));
        }
        TermKind::Array(terms) | TermKind::Set(terms) => terms.iter().for_each(|term| default_value(term, problems)),
        TermKind::Object(entries) => {
            for (key, value) in entries {
                default_value(key, problems);
                default_value(value, problems);
            }
        }
        TermKind::Template(parts) => {
            for part in parts {
                if let TemplatePart::Expr(expr) = part {
                    default_statement(expr, problems);
                }
            }
        }
    }
}

fn default_statement(expr: &Expr, problems: &mut Vec<String>) {
    let mut all = |body: &Body| body.iter().for_each(|expr| default_statement(expr, problems));
    match &expr.kind {
        ExprKind::Not(operand) => all(&operand.body),
        ExprKind::And(left, right) | ExprKind::Or(left, right) => {
            all(&left.body);
            all(&right.body);
        }
        ExprKind::Every(every) => all(&every.body),
        ExprKind::Term(term) => default_value(term, problems),
        ExprKind::Call(terms) | ExprKind::Some(terms) => terms.iter().for_each(|term| default_value(term, problems)),
    }
    for with in &expr.with {
        default_value(&with.target, problems);
        default_value(&with.value, problems);
    }
}

/// What Rego v1 requires of a rule.
pub(super) fn v1_rule(rule: &Rule) -> Vec<SyntaxError> {
    let head = &rule.head;
    let what = if head.args.is_empty() { "rule" } else { "function" };
    let mut errors = vec![];
    let mut error = |message: String| errors.push(SyntaxError::new(rule.location, message));
    if let [name] = head.reference.as_slice()
        && let Some(name) = name.as_var().map(Var::as_str).filter(|name| is_keyword(name, RegoVersion::V1))
    {
        error(format!("{name} keyword cannot be used for rule name"));
    }
    if rule.generated_body && head.generated_value {
        error(format!("{what} must have value assignment and/or body declaration"));
    }
    if !rule.generated_body && !head.has_if && !rule.default {
        error(format!("`if` keyword is required before {what} body"));
    }
    if head.value.is_none() && !head.contains {
        error("`contains` keyword is required for partial set rules".into());
    }
    errors
}

/// Whether a builtin of OPA's has this name, which a statement `name(…)` can't define then.
pub(super) fn is_builtin(name: &str) -> bool {
    BUILTINS.binary_search(&name).is_ok()
}

/// All of OPA's, sorted; `in` for `internal.member_2` as well.
const BUILTINS: &[&str] = &[
    "abs",
    "all",
    "and",
    "any",
    "array.concat",
    "array.flatten",
    "array.reverse",
    "array.slice",
    "assign",
    "base64.decode",
    "base64.encode",
    "base64.is_valid",
    "base64url.decode",
    "base64url.encode",
    "base64url.encode_no_pad",
    "bits.and",
    "bits.lsh",
    "bits.negate",
    "bits.or",
    "bits.rsh",
    "bits.xor",
    "cast_array",
    "cast_boolean",
    "cast_null",
    "cast_object",
    "cast_set",
    "cast_string",
    "ceil",
    "concat",
    "contains",
    "count",
    "crypto.hmac.equal",
    "crypto.hmac.md5",
    "crypto.hmac.sha1",
    "crypto.hmac.sha256",
    "crypto.hmac.sha512",
    "crypto.md5",
    "crypto.parse_private_keys",
    "crypto.sha1",
    "crypto.sha256",
    "crypto.x509.parse_and_verify_certificates",
    "crypto.x509.parse_and_verify_certificates_with_options",
    "crypto.x509.parse_certificate_request",
    "crypto.x509.parse_certificates",
    "crypto.x509.parse_keypair",
    "crypto.x509.parse_rsa_private_key",
    "div",
    "endswith",
    "eq",
    "equal",
    "floor",
    "format_int",
    "glob.match",
    "glob.quote_meta",
    "graph.reachable",
    "graph.reachable_paths",
    "graphql.is_valid",
    "graphql.parse",
    "graphql.parse_and_verify",
    "graphql.parse_query",
    "graphql.parse_schema",
    "graphql.schema_is_valid",
    "gt",
    "gte",
    "hex.decode",
    "hex.encode",
    "http.send",
    "in",
    "indexof",
    "indexof_n",
    "internal.member_2",
    "internal.member_3",
    "internal.print",
    "internal.template_string",
    "internal.test_case",
    "intersection",
    "io.jwt.decode",
    "io.jwt.decode_verify",
    "io.jwt.encode_sign",
    "io.jwt.encode_sign_raw",
    "io.jwt.verify_eddsa",
    "io.jwt.verify_es256",
    "io.jwt.verify_es384",
    "io.jwt.verify_es512",
    "io.jwt.verify_hs256",
    "io.jwt.verify_hs384",
    "io.jwt.verify_hs512",
    "io.jwt.verify_ps256",
    "io.jwt.verify_ps384",
    "io.jwt.verify_ps512",
    "io.jwt.verify_rs256",
    "io.jwt.verify_rs384",
    "io.jwt.verify_rs512",
    "is_array",
    "is_boolean",
    "is_null",
    "is_number",
    "is_object",
    "is_set",
    "is_string",
    "json.filter",
    "json.is_valid",
    "json.marshal",
    "json.marshal_with_options",
    "json.match_schema",
    "json.patch",
    "json.remove",
    "json.unmarshal",
    "json.verify_schema",
    "lower",
    "lt",
    "lte",
    "max",
    "min",
    "minus",
    "mul",
    "neq",
    "net.cidr_contains",
    "net.cidr_contains_matches",
    "net.cidr_expand",
    "net.cidr_intersects",
    "net.cidr_is_valid",
    "net.cidr_merge",
    "net.cidr_overlap",
    "net.lookup_ip_addr",
    "numbers.range",
    "numbers.range_step",
    "object.filter",
    "object.get",
    "object.keys",
    "object.remove",
    "object.subset",
    "object.union",
    "object.union_n",
    "opa.runtime",
    "or",
    "plus",
    "print",
    "product",
    "providers.aws.sign_req",
    "rand.intn",
    "re_match",
    "regex.find_all_string_submatch_n",
    "regex.find_n",
    "regex.globs_match",
    "regex.is_valid",
    "regex.match",
    "regex.replace",
    "regex.split",
    "regex.template_match",
    "rego.metadata.chain",
    "rego.metadata.rule",
    "rego.parse_module",
    "rem",
    "replace",
    "round",
    "semver.compare",
    "semver.is_valid",
    "set_diff",
    "sort",
    "split",
    "sprintf",
    "startswith",
    "strings.any_prefix_match",
    "strings.any_suffix_match",
    "strings.count",
    "strings.render_template",
    "strings.replace_n",
    "strings.reverse",
    "strings.split_n",
    "substring",
    "sum",
    "time.add_date",
    "time.clock",
    "time.date",
    "time.diff",
    "time.format",
    "time.now_ns",
    "time.parse_duration_ns",
    "time.parse_ns",
    "time.parse_rfc3339_ns",
    "time.weekday",
    "to_number",
    "trace",
    "trim",
    "trim_left",
    "trim_prefix",
    "trim_right",
    "trim_space",
    "trim_suffix",
    "type_name",
    "union",
    "units.parse",
    "units.parse_bytes",
    "upper",
    "uri.is_valid",
    "uri.parse",
    "urlquery.decode",
    "urlquery.decode_object",
    "urlquery.encode",
    "urlquery.encode_object",
    "uuid.parse",
    "uuid.rfc4122",
    "walk",
    "yaml.is_valid",
    "yaml.marshal",
    "yaml.unmarshal",
];
