//! `json.match_schema` and `json.verify_schema`: JSON Schema, drafts 4, 6 and 7, as OPA's copy of gojsonschema has it.
//!
//! Nothing is ever fetched: a reference to another document is an error, unless that is the meta-schema of a draft. Where
//! gojsonschema goes through a Go map, and so reports errors in an order that differs from call to call, they come in the
//! order of the keys here.

mod canonical;
mod compile;
mod decimal;
mod documents;
mod formats;
mod mail;
mod validate;

use self::compile::Compiler;
use self::validate::Validator;
use super::encoding::go_json;
use super::{Budget, Context, Failure, Function, Limit, operand};
use crate::eval::value::Value;
use crate::eval::value::json::{GO, read};

pub(super) const FUNCTIONS: &[(&str, Function)] =
    &[("json.match_schema", match_schema), ("json.verify_schema", verify_schema)];

fn match_schema(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let document = document(ctx.budget, operand::operand(args, 1)?)?;
    let schema = document_of_schema(ctx, args, 2)?;
    let schemas = Compiler::compile(ctx.budget, ctx.patterns, schema)?;
    let reports = Validator::validate(ctx.budget, &schemas, &document)?;
    let described = |report: &validate::Report| {
        Value::object(vec![
            (Value::from("error"), Value::from(format!("{}: {}", report.field(), report.description))),
            (Value::from("type"), Value::from(report.kind)),
            (Value::from("field"), Value::from(report.field())),
            (Value::from("desc"), Value::from(report.description.as_str())),
        ])
    };
    let valid = Value::Bool(reports.is_empty());
    Ok(Value::array(vec![valid, Value::array(reports.iter().map(described).collect())]))
}

fn verify_schema(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let compiled = document_of_schema(ctx, args, 1)
        .and_then(|schema| Compiler::compile(ctx.budget, ctx.patterns, schema).map(|_| ()));
    match compiled {
        Ok(()) => Ok(Value::array(vec![Value::Bool(true), Value::Null])),
        Err(Failure::Error(what)) => {
            Ok(Value::array(vec![Value::Bool(false), Value::from(format!("jsonschema: {what}"))]))
        }
        Err(other) => Err(other),
    }
}

fn document_of_schema(ctx: &mut Context<'_>, args: &[&Value], position: usize) -> Result<Value, Failure> {
    document(ctx.budget, operand::operand(args, position)?)
}

/// What an operand is in JSON: the document that a string holds, or the operand itself.
fn document(budget: &mut Budget, value: &Value) -> Result<Value, Failure> {
    /// Bytes of a value for each byte of JSON, at most.
    const EXPANSION: usize = 40;
    match value {
        Value::String(text) => {
            budget.read(text.len())?;
            if !go_json::is_valid(text) {
                return Err(Failure::error("invalid JSON string"));
            }
            budget.alloc(text.len().saturating_mul(EXPANSION))?;
            // What Go reads and this doesn't is too deep, or has too many digits.
            read(text, GO).map_err(|_| Failure::Limit(Limit::Size))
        }
        Value::Array(_) | Value::Object(_) if is_json(budget, value)? => Ok(value.clone()),
        Value::Array(_) | Value::Object(_) => {
            let text = value.to_json();
            budget.alloc(text.len().saturating_mul(EXPANSION))?;
            read(&text, GO).map_err(|_| Failure::Limit(Limit::Size))
        }
        _ => Err(Failure::error("wrong type, expected string or object")),
    }
}

/// Whether there are no sets in a value, and no keys but strings.
fn is_json(budget: &mut Budget, value: &Value) -> Result<bool, Limit> {
    let mut rest = vec![value];
    while let Some(value) = rest.pop() {
        budget.step(1)?;
        match value {
            Value::Set(_) => return Ok(false),
            Value::Array(array) => rest.extend(array.iter()),
            Value::Object(object) if object.keys().all(|key| matches!(key, Value::String(_))) => {
                rest.extend(object.values());
            }
            Value::Object(_) => return Ok(false),
            _ => {}
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::builtins::budget::Limits;
    use crate::eval::builtins::patterns::Patterns;
    use std::collections::HashMap;
    use std::time::Duration;

    const LIMITS: Limits = Limits { steps: 2_000_000, bytes: 32 << 20, time: Duration::from_secs(60) };

    fn call(function: Function, args: &[Value]) -> Result<Value, Failure> {
        let mut budget = Budget::new(LIMITS);
        let mut memo = HashMap::new();
        let mut ctx = Context { budget: &mut budget, now_ns: 0, memo: &mut memo, patterns: &Patterns::default() };
        function(&mut ctx, &args.iter().collect::<Vec<_>>())
    }

    /// Type and text of each error.
    fn errors(document: &str, schema: &str) -> String {
        let result = call(match_schema, &[Value::from(document), Value::from(schema)]).unwrap();
        let Value::Array(errors) = result.get(&Value::from(1_i64)).unwrap() else { panic!() };
        let text = |error: &Value, key: &str| error.get_str(key).and_then(Value::as_str).unwrap().to_owned();
        let shown = errors.iter().map(|error| format!("{} {}", text(error, "type"), text(error, "error")));
        shown.collect::<Vec<_>>().join("; ")
    }

    fn mistake(schema: &str) -> String {
        let result = call(verify_schema, &[Value::from(schema)]).unwrap();
        result.get(&Value::from(1_i64)).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    #[test]
    fn errors_as_opa_reports_them() {
        for (document, schema, expected) in [
            ("1", r#"{"type":"integer"}"#, ""),
            ("1", r#"{"type":"string"}"#, "invalid_type (Root): Invalid type. Expected: string, given: integer"),
            ("[1,1.0]", r#"{"uniqueItems":true}"#, "unique (Root): array items[0,1] must be unique"),
            (
                r#"{"a":{"b":[1]}}"#,
                r#"{"properties":{"a":{"properties":{"b":{"items":{"minimum":2}}}}}}"#,
                "number_gte a.b.0: Must be greater than or equal to 2",
            ),
            (
                r#"{"a":1,"b":2}"#,
                r#"{"additionalProperties":false,"properties":{"a":{}}}"#,
                "additional_property_not_allowed (Root): Additional property b is not allowed",
            ),
            (
                r#"{"x":1}"#,
                r#"{"required":["y"],"dependencies":{"x":["z"]},"patternProperties":{"^x":{"multipleOf":0.3}}}"#,
                "missing_dependency (Root): Has a dependency on z; required (Root): y is required; \
                 multiple_of x: Must be a multiple of 0.3",
            ),
            (
                "5",
                r#"{"anyOf":[{"type":"string"},{"minimum":10,"multipleOf":5}]}"#,
                "number_any_of (Root): Must validate at least one schema (anyOf); \
                 number_gte (Root): Must be greater than or equal to 10",
            ),
            (
                "5",
                r#"{"oneOf":[{"minimum":1},{"maximum":10}]}"#,
                "number_one_of (Root): Must validate one and only one schema (oneOf)",
            ),
            (
                "1",
                r#"{"if":{"const":1},"then":{"enum":["<",2e0]},"else":false}"#,
                "condition_then (Root): Must validate \"then\" as \"if\" was valid; \
                 enum (Root): (Root) must be one of the following: \"\\u003c\", 2",
            ),
            (
                r#"{"ab":1}"#,
                r#"{"propertyNames":{"maxLength":1}}"#,
                "invalid_property_name (Root): Property name of \"ab\" does not match; \
                 string_lte (Root): String length must be less than or equal to 1",
            ),
            (
                "3",
                r#"{"$schema":"http://json-schema.org/draft-04/schema#","minimum":3,"exclusiveMinimum":true}"#,
                "number_gt (Root): Must be greater than 3",
            ),
            (
                r#"{"p":{"p":1}}"#,
                r##"{"properties":{"p":{"$ref":"#"}},"type":"object"}"##,
                "invalid_type p.p: Invalid type. Expected: object, given: integer",
            ),
            ("1e7", r#"{"maximum":1000000}"#, "number_lte (Root): Must be less than or equal to 1e+06"),
            (
                r#"{"minLength":-1}"#,
                r#"{"$ref":"http://json-schema.org/draft-07/schema#"}"#,
                "number_gte minLength: Must be greater than or equal to 0; \
                 number_all_of minLength: Must validate all the schemas (allOf)",
            ),
            (
                "[1,2]",
                r#"{"items":[true],"additionalItems":false}"#,
                "array_no_additional_items (Root): No additional items allowed on array",
            ),
            ("1", "false", "false (Root): False always fails validation"),
        ] {
            assert_eq!(errors(document, schema), expected, "{document} {schema}");
        }
    }

    #[test]
    fn mistakes_in_schemas_as_opa_names_them() {
        for (schema, expected) in [
            ("{}", ""),
            ("{", "jsonschema: invalid JSON string"),
            ("[]", "jsonschema: schema is invalid"),
            (r##"{"$ref":"#/x"}"##, "jsonschema: Object has no key 'x'"),
            (r#"{"$ref":"b.json"}"#, "jsonschema: Reference /b.json must be canonical"),
            (r#"{"properties":[]}"#, "jsonschema: Properties must be of type object"),
            (r#"{"minimum":"1"}"#, "jsonschema: minimum must be of a Number"),
            (r#"{"enum":[1,1.0]}"#, "jsonschema: enum items must be unique"),
            (r#"{"pattern":"("}"#, "jsonschema: pattern must be a valid regex"),
            (r#"{"minLength":2,"maxLength":1}"#, "jsonschema: minLength cannot be greater than maxLength"),
            (r#"{"id":"a","items":{"id":"a"}}"#, "jsonschema: Reference already exists: \"/a\""),
            (r#"{"exclusiveMaximum":true}"#, "jsonschema: exclusiveMaximum cannot be used without maximum"),
            (r#"{"const":1e400}"#, "jsonschema: json: cannot unmarshal number 1e400 into Go value of type float64"),
            // OPA would read these.
            (r#"{"$ref":"http://a.example/b#c"}"#, "jsonschema: remote reference loading disabled: http://a.example/b"),
            (r#"{"$ref":"file:///etc/x"}"#, "jsonschema: remote reference loading disabled: file:///etc/x"),
        ] {
            assert_eq!(mistake(schema), expected, "{schema}");
        }
        let result = call(verify_schema, &[Value::Null]).unwrap().to_string();
        assert_eq!(result, r#"[false, "jsonschema: wrong type, expected string or object"]"#);
        let wrong = call(match_schema, &[Value::Null, Value::from("{}")]);
        assert_eq!(wrong, Err(Failure::error("wrong type, expected string or object")));
    }

    #[test]
    fn sets_and_other_keys_are_json() {
        let set = Value::set(vec![Value::from(2_i64), Value::from(1_i64)]);
        let document = Value::object(vec![(Value::from(1_i64), set)]);
        let schema = Value::from(r#"{"properties":{"1":{"const":[1,2]}}}"#);
        assert_eq!(call(match_schema, &[document, schema]).unwrap().to_string(), "[true, []]");
    }

    /// On a stack of the size that a caller's thread may have.
    fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
        std::thread::Builder::new().stack_size(128 << 10).spawn(test).unwrap().join().unwrap();
    }

    #[test]
    fn hostile_schemas_end() {
        on_a_small_stack(|| {
            let nested = |n: usize, open: &str, inner: &str, close: &str| open.repeat(n) + inner + &close.repeat(n);
            // Ends by itself.
            let deep = nested(120, "[", "1", "]");
            assert_eq!(errors(&deep, r##"{"items":{"$ref":"#"}}"##), "");
            assert!(errors(&deep, &nested(120, r#"{"items":"#, r#"{"type":"null"}"#, "}")).ends_with("given: integer"));
            assert_eq!(errors(&deep, &format!(r#"{{"enum":[{deep}]}}"#)), "");
            let chain = (0..1_000).map(|i| format!(r##""d{i}":{{"allOf":[{{"$ref":"#/definitions/d{}"}}]}}"##, i + 1));
            let chain = chain.collect::<Vec<_>>().join(",");
            let chain =
                format!(r##"{{"$ref":"#/definitions/d0","definitions":{{{chain},"d1000":{{"type":"null"}}}}}}"##);
            assert!(errors("1", &chain).starts_with("invalid_type"));
            // Ends by the budget.
            for (document, schema) in [
                ("1", r##"{"$ref":"#"}"##.to_owned()),
                ("1", r##"{"anyOf":[{"$ref":"#"}]}"##.to_owned()),
                ("1", r##"{"allOf":[{"$ref":"#"},{"$ref":"#"}]}"##.to_owned()),
                (deep.as_str(), r##"{"allOf":[{"items":{"$ref":"#"}},{"items":{"$ref":"#"}}]}"##.to_owned()),
                (&format!("[{}1]", "1,".repeat(5_000)), format!(r#"{{"items":{{"enum":["{}"]}}}}"#, "x".repeat(5_000))),
                (
                    "{}",
                    format!(r#"{{"$id":"{}","items":[{}1]}}"#, "b/".repeat(1 << 16), r#"{"$ref":"x"},"#.repeat(1_000)),
                ),
            ] {
                let result = call(match_schema, &[Value::from(document), Value::from(schema.as_str())]);
                let schema = schema.get(..80).unwrap_or(&schema);
                assert!(matches!(result, Err(Failure::Limit(_))), "{schema}");
            }
        });
    }
}
