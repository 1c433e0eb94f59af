//! Every builtin OPA has, deprecated ones included: its operands' types, its result's, and whether it is here.
//!
//! Types are written as error messages print them: `array<number, string>` has just these items and `array[string]` any
//! number of them, `object<op: string>[any: any]` has a property `op` and any others, `any<null, string>` is one of the
//! two and `any` is everything. The type checker reads them.

/// A builtin as a policy sees it.
#[derive(Debug)]
pub(crate) struct Builtin {
    pub(crate) name: &'static str,
    /// Types of the operands it must have.
    pub(crate) operands: &'static [&'static str],
    /// The type of operands after these, if there may be any.
    pub(crate) variadic: Option<&'static str>,
    /// The result's type, unless there is none.
    pub(crate) result: Option<&'static str>,
    /// The operator that stands for it.
    pub(crate) infix: Option<&'static str>,
    /// Whether it gives any number of results for the same operands.
    pub(crate) relation: bool,
    /// Whether modules in Rego v1 may not call it.
    pub(crate) deprecated: bool,
    /// Whether equal operands give equal results, in any evaluation.
    pub(crate) deterministic: bool,
    pub(crate) status: Status,
}

/// Who answers for a builtin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// There is a function for it.
    Ours,
    /// The planner replaces its calls.
    Planner,
    /// A policy that calls it isn't served, and why.
    Refused(&'static str),
}

/// The builtin of this dotted name.
pub(crate) fn builtin(name: &str) -> Option<&'static Builtin> {
    TABLE.binary_search_by(|builtin| builtin.name.cmp(name)).ok().and_then(|at| TABLE.get(at))
}

/// All of them, by name.
pub(crate) fn all() -> impl Iterator<Item = &'static Builtin> {
    TABLE.iter()
}

// === impl Builtin ===

impl Builtin {
    /// How many operands it must have. A call may have one more, which takes the result.
    pub(crate) const fn arity(&self) -> usize {
        self.operands.len()
    }

    const fn variadic(mut self, kind: &'static str) -> Self {
        self.variadic = Some(kind);
        self
    }

    const fn infix(mut self, operator: &'static str) -> Self {
        self.infix = Some(operator);
        self
    }

    const fn relation(mut self) -> Self {
        self.relation = true;
        self
    }

    const fn deprecated(mut self) -> Self {
        self.deprecated = true;
        self
    }

    const fn nondeterministic(mut self) -> Self {
        self.deterministic = false;
        self
    }
}

const fn row(
    name: &'static str,
    operands: &'static [&'static str],
    result: Option<&'static str>,
    status: Status,
) -> Builtin {
    Builtin {
        name,
        operands,
        variadic: None,
        result,
        infix: None,
        relation: false,
        deprecated: false,
        deterministic: true,
        status,
    }
}

const fn ours(name: &'static str, operands: &'static [&'static str], result: &'static str) -> Builtin {
    row(name, operands, Some(result), Status::Ours)
}

const fn planner(name: &'static str, operands: &'static [&'static str], result: &'static str) -> Builtin {
    row(name, operands, Some(result), Status::Planner)
}

/// One of the planner's that gives no result.
const fn statement(name: &'static str, operands: &'static [&'static str]) -> Builtin {
    row(name, operands, None, Status::Planner)
}

const fn refused(
    name: &'static str,
    operands: &'static [&'static str],
    result: &'static str,
    why: &'static str,
) -> Builtin {
    row(name, operands, Some(result), Status::Refused(why))
}

const NETWORK: &str = "deciding doesn't use the network";
const RUNTIME: &str = "decisions don't depend on the process they are made in";
const PARSE: &str = "policies aren't parsed while deciding";
const AWS: &str = "requests aren't signed while deciding";
const GRAPHQL: &str = "GraphQL isn't supported";

// What several of them take.
const CIDRS: &str = "any<string, array[any<string, array[any]>], object[string: any<string, array[any]>], \
                     set[any<string, array[any]>]>";
const PATHS: &str = "any<array[any<string, array[any]>], set[any<string, array[any]>]>";
const KEYS: &str = "any<array[any], object[any: any], set[any]>";
const STRINGS: &str = "any<string, array[string], set[string]>";
const EDGES: &str = "object[any: any<array[any], set[any]>]";
const JSON: &str = "any<string, object[any: any]>";
const TIME: &str = "any<number, array<number, string>>";
const LIST: &str = "any<array[any], set[any]>";
const NUMBERS: &str = "any<array[number], set[number]>";
const OBJECT: &str = "object[any: any]";
const RECORD: &str = "object[string: any]";

/// Sorted by name.
static TABLE: &[Builtin] = &[
    ours("abs", &["number"], "number"),
    ours("all", &[LIST], "boolean").deprecated(),
    ours("and", &["set[any]", "set[any]"], "set[any]").infix("&"),
    ours("any", &[LIST], "boolean").deprecated(),
    ours("array.concat", &["array[any]", "array[any]"], "array[any]"),
    ours("array.flatten", &["array[any]"], "array[any]"),
    ours("array.reverse", &["array[any]"], "array[any]"),
    ours("array.slice", &["array[any]", "number", "number"], "array[any]"),
    planner("assign", &["any", "any"], "boolean").infix(":="),
    ours("base64.decode", &["string"], "string"),
    ours("base64.encode", &["string"], "string"),
    ours("base64.is_valid", &["string"], "boolean"),
    ours("base64url.decode", &["string"], "string"),
    ours("base64url.encode", &["string"], "string"),
    ours("base64url.encode_no_pad", &["string"], "string"),
    ours("bits.and", &["number", "number"], "number"),
    ours("bits.lsh", &["number", "number"], "number"),
    ours("bits.negate", &["number"], "number"),
    ours("bits.or", &["number", "number"], "number"),
    ours("bits.rsh", &["number", "number"], "number"),
    ours("bits.xor", &["number", "number"], "number"),
    ours("cast_array", &["any"], "array[any]").deprecated(),
    ours("cast_boolean", &["any"], "boolean").deprecated(),
    ours("cast_null", &["any"], "null").deprecated(),
    ours("cast_object", &["any"], OBJECT).deprecated(),
    ours("cast_set", &["any"], "set[any]").deprecated(),
    ours("cast_string", &["any"], "string").deprecated(),
    ours("ceil", &["number"], "number"),
    ours("concat", &["string", "any<array[string], set[string]>"], "string"),
    ours("contains", &["string", "string"], "boolean"),
    ours("count", &["any<string, array[any], object[any: any], set[any]>"], "number"),
    ours("crypto.hmac.equal", &["string", "string"], "boolean"),
    ours("crypto.hmac.md5", &["string", "string"], "string"),
    ours("crypto.hmac.sha1", &["string", "string"], "string"),
    ours("crypto.hmac.sha256", &["string", "string"], "string"),
    ours("crypto.hmac.sha512", &["string", "string"], "string"),
    ours("crypto.md5", &["string"], "string"),
    ours("crypto.parse_private_keys", &["string"], "array[object[string: any]]"),
    ours("crypto.sha1", &["string"], "string"),
    ours("crypto.sha256", &["string"], "string"),
    ours("crypto.x509.parse_and_verify_certificates", &["string"], "array<boolean, array[object[string: any]]>"),
    ours(
        "crypto.x509.parse_and_verify_certificates_with_options",
        &["string", RECORD],
        "array<boolean, array[object[string: any]]>",
    ),
    ours("crypto.x509.parse_certificate_request", &["string"], RECORD),
    ours("crypto.x509.parse_certificates", &["string"], "array[object[string: any]]"),
    ours("crypto.x509.parse_keypair", &["string", "string"], RECORD),
    ours("crypto.x509.parse_rsa_private_key", &["string"], RECORD),
    ours("div", &["number", "number"], "number").infix("/"),
    ours("endswith", &["string", "string"], "boolean"),
    planner("eq", &["any", "any"], "boolean").infix("="),
    ours("equal", &["any", "any"], "boolean").infix("=="),
    ours("floor", &["number"], "number"),
    ours("format_int", &["number", "number"], "string"),
    ours("glob.match", &["string", "any<null, array[string]>", "string"], "boolean"),
    ours("glob.quote_meta", &["string"], "string"),
    ours("graph.reachable", &[EDGES, LIST], "set[any]"),
    ours("graph.reachable_paths", &[EDGES, LIST], "set[array[any]]"),
    refused("graphql.is_valid", &[JSON, JSON], "boolean", GRAPHQL),
    refused("graphql.parse", &[JSON, JSON], "array<object[any: any], object[any: any]>", GRAPHQL),
    refused("graphql.parse_and_verify", &[JSON, JSON], "array<boolean, object[any: any], object[any: any]>", GRAPHQL),
    refused("graphql.parse_query", &["string"], OBJECT, GRAPHQL),
    refused("graphql.parse_schema", &["string"], OBJECT, GRAPHQL),
    refused("graphql.schema_is_valid", &[JSON], "boolean", GRAPHQL),
    ours("gt", &["any", "any"], "boolean").infix(">"),
    ours("gte", &["any", "any"], "boolean").infix(">="),
    ours("hex.decode", &["string"], "string"),
    ours("hex.encode", &["string"], "string"),
    refused("http.send", &[RECORD], OBJECT, NETWORK).nondeterministic(),
    ours("indexof", &["string", "string"], "number"),
    ours("indexof_n", &["string", "string"], "array[number]"),
    ours("internal.member_2", &["any", "any"], "boolean").infix("in"),
    ours("internal.member_3", &["any", "any", "any"], "boolean").infix("in"),
    statement("internal.print", &["array[set[any]]"]),
    ours("internal.template_string", &["array[any]"], "string"),
    statement("internal.test_case", &["array[any]"]),
    ours("intersection", &["set[set[any]]"], "set[any]"),
    ours("io.jwt.decode", &["string"], "array<object[any: any], object[any: any], string>"),
    ours("io.jwt.decode_verify", &["string", RECORD], "array<boolean, object[any: any], object[any: any]>")
        .nondeterministic(),
    ours("io.jwt.encode_sign", &[RECORD, RECORD, RECORD], "string").nondeterministic(),
    ours("io.jwt.encode_sign_raw", &["string", "string", "string"], "string").nondeterministic(),
    ours("io.jwt.verify_eddsa", &["string", "string"], "boolean"),
    ours("io.jwt.verify_es256", &["string", "string"], "boolean"),
    ours("io.jwt.verify_es384", &["string", "string"], "boolean"),
    ours("io.jwt.verify_es512", &["string", "string"], "boolean"),
    ours("io.jwt.verify_hs256", &["string", "string"], "boolean"),
    ours("io.jwt.verify_hs384", &["string", "string"], "boolean"),
    ours("io.jwt.verify_hs512", &["string", "string"], "boolean"),
    ours("io.jwt.verify_ps256", &["string", "string"], "boolean"),
    ours("io.jwt.verify_ps384", &["string", "string"], "boolean"),
    ours("io.jwt.verify_ps512", &["string", "string"], "boolean"),
    ours("io.jwt.verify_rs256", &["string", "string"], "boolean"),
    ours("io.jwt.verify_rs384", &["string", "string"], "boolean"),
    ours("io.jwt.verify_rs512", &["string", "string"], "boolean"),
    ours("is_array", &["any"], "boolean"),
    ours("is_boolean", &["any"], "boolean"),
    ours("is_null", &["any"], "boolean"),
    ours("is_number", &["any"], "boolean"),
    ours("is_object", &["any"], "boolean"),
    ours("is_set", &["any"], "boolean"),
    ours("is_string", &["any"], "boolean"),
    ours("json.filter", &[OBJECT, PATHS], OBJECT),
    ours("json.is_valid", &["string"], "boolean"),
    ours("json.marshal", &["any"], "string"),
    ours(
        "json.marshal_with_options",
        &["any", "object<indent: string, prefix: string, pretty: boolean>[string: any]"],
        "string",
    ),
    ours(
        "json.match_schema",
        &[JSON, JSON],
        "array<boolean, array[object<desc: string, error: string, field: string, type: string>]>",
    )
    .nondeterministic(),
    ours("json.patch", &["any", "array[object<op: string, path: any>[any: any]]"], "any"),
    ours("json.remove", &[OBJECT, PATHS], OBJECT),
    ours("json.unmarshal", &["string"], "any"),
    ours("json.verify_schema", &[JSON], "array<boolean, any<null, string>>").nondeterministic(),
    ours("lower", &["string"], "string"),
    ours("lt", &["any", "any"], "boolean").infix("<"),
    ours("lte", &["any", "any"], "boolean").infix("<="),
    ours("max", &[LIST], "any"),
    ours("min", &[LIST], "any"),
    ours("minus", &["any<number, set[any]>", "any<number, set[any]>"], "any<number, set[any]>").infix("-"),
    ours("mul", &["number", "number"], "number").infix("*"),
    ours("neq", &["any", "any"], "boolean").infix("!="),
    ours("net.cidr_contains", &["string", "string"], "boolean"),
    ours("net.cidr_contains_matches", &[CIDRS, CIDRS], "set[array<any, any>]"),
    ours("net.cidr_expand", &["string"], "set[string]"),
    ours("net.cidr_intersects", &["string", "string"], "boolean"),
    ours("net.cidr_is_valid", &["string"], "boolean"),
    ours("net.cidr_merge", &["any<array[any<string>], set[string]>"], "set[string]"),
    ours("net.cidr_overlap", &["string", "string"], "boolean").deprecated(),
    refused("net.lookup_ip_addr", &["string"], "set[string]", NETWORK).nondeterministic(),
    ours("numbers.range", &["number", "number"], "array[number]"),
    ours("numbers.range_step", &["number", "number", "number"], "array[number]"),
    ours("object.filter", &[OBJECT, KEYS], OBJECT),
    ours("object.get", &[OBJECT, "any", "any"], "any"),
    ours("object.keys", &[OBJECT], "set[any]"),
    ours("object.remove", &[OBJECT, KEYS], OBJECT),
    ours("object.subset", &[KEYS, KEYS], "boolean"),
    ours("object.union", &[OBJECT, OBJECT], OBJECT),
    ours("object.union_n", &["array[object[any: any]]"], OBJECT),
    refused("opa.runtime", &[], RECORD, RUNTIME).nondeterministic(),
    ours("or", &["set[any]", "set[any]"], "set[any]").infix("|"),
    ours("plus", &["number", "number"], "number").infix("+"),
    statement("print", &[]).variadic("any"),
    ours("product", &[NUMBERS], "number"),
    refused("providers.aws.sign_req", &[RECORD, RECORD, "number"], OBJECT, AWS),
    ours("rand.intn", &["string", "number"], "number").nondeterministic(),
    ours("re_match", &["string", "string"], "boolean").deprecated(),
    ours("regex.find_all_string_submatch_n", &["string", "string", "number"], "array[array[string]]"),
    ours("regex.find_n", &["string", "string", "number"], "array[string]"),
    ours("regex.globs_match", &["string", "string"], "boolean"),
    ours("regex.is_valid", &["string"], "boolean"),
    ours("regex.match", &["string", "string"], "boolean"),
    ours("regex.replace", &["string", "string", "string"], "string"),
    ours("regex.split", &["string", "string"], "array[string]"),
    ours("regex.template_match", &["string", "string", "string", "string"], "boolean"),
    planner("rego.metadata.chain", &[], "array[any]"),
    planner("rego.metadata.rule", &[], "any"),
    refused("rego.parse_module", &["string", "string"], RECORD, PARSE),
    ours("rem", &["number", "number"], "number").infix("%"),
    ours("replace", &["string", "string", "string"], "string"),
    ours("round", &["number"], "number"),
    ours("semver.compare", &["string", "string"], "number"),
    ours("semver.is_valid", &["any"], "boolean"),
    ours("set_diff", &["set[any]", "set[any]"], "set[any]").deprecated(),
    ours("sort", &[LIST], "array[any]"),
    ours("split", &["string", "string"], "array[string]"),
    ours("sprintf", &["string", "array[any]"], "string"),
    ours("startswith", &["string", "string"], "boolean"),
    ours("strings.any_prefix_match", &[STRINGS, STRINGS], "boolean"),
    ours("strings.any_suffix_match", &[STRINGS, STRINGS], "boolean"),
    ours("strings.count", &["string", "string"], "number"),
    ours("strings.render_template", &["string", RECORD], "string"),
    ours("strings.replace_n", &["object[string: string]", "string"], "string"),
    ours("strings.reverse", &["string"], "string"),
    ours("strings.split_n", &["string", "string", "number"], "array[string]"),
    ours("substring", &["string", "number", "number"], "string"),
    ours("sum", &[NUMBERS], "number"),
    ours("time.add_date", &["number", "number", "number", "number"], "number"),
    ours("time.clock", &[TIME], "array<number, number, number>"),
    ours("time.date", &[TIME], "array<number, number, number>"),
    ours("time.diff", &[TIME, TIME], "array<number, number, number, number, number, number>"),
    ours("time.format", &["any<number, array<number, string>, array<number, string, string>>"], "string"),
    ours("time.now_ns", &[], "number").nondeterministic(),
    ours("time.parse_duration_ns", &["string"], "number"),
    ours("time.parse_ns", &["string", "string"], "number"),
    ours("time.parse_rfc3339_ns", &["string"], "number"),
    ours("time.weekday", &[TIME], "string"),
    ours("to_number", &["any<null, boolean, number, string>"], "number"),
    planner("trace", &["string"], "boolean"),
    ours("trim", &["string", "string"], "string"),
    ours("trim_left", &["string", "string"], "string"),
    ours("trim_prefix", &["string", "string"], "string"),
    ours("trim_right", &["string", "string"], "string"),
    ours("trim_space", &["string"], "string"),
    ours("trim_suffix", &["string", "string"], "string"),
    ours("type_name", &["any"], "string"),
    ours("union", &["set[set[any]]"], "set[any]"),
    ours("units.parse", &["string"], "number"),
    ours("units.parse_bytes", &["string"], "number"),
    ours("upper", &["string"], "string"),
    ours("uri.is_valid", &["string"], "boolean"),
    ours("uri.parse", &["string"], "object[string: string]"),
    ours("urlquery.decode", &["string"], "string"),
    ours("urlquery.decode_object", &["string"], "object[string: array[string]]"),
    ours("urlquery.encode", &["string"], "string"),
    ours("urlquery.encode_object", &["object[string: any<string, array[string], set[string]>]"], "string"),
    ours("uuid.parse", &["string"], RECORD),
    ours("uuid.rfc4122", &["string"], "string").nondeterministic(),
    ours("walk", &["any"], "array<array[any], any>").relation(),
    ours("yaml.is_valid", &["string"], "boolean"),
    ours("yaml.marshal", &["any"], "string"),
    ours("yaml.unmarshal", &["string"], "any"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_one_is_found_by_its_name() {
        assert!(TABLE.is_sorted_by(|a, b| a.name < b.name));
        assert!(all().all(|listed| builtin(listed.name).is_some_and(|found| std::ptr::eq(found, listed))));
        for name in ["", "a", "json", "json.", "walk2", "zzz"] {
            assert!(builtin(name).is_none(), "{name}");
        }
    }

    /// `REGO.md` ends with this table.
    #[test]
    fn the_document_has_all() {
        let row = |builtin: &Builtin| match builtin.status {
            Status::Ours => format!("| `{}` | ours |\n", builtin.name),
            Status::Planner => format!("| `{}` | planner |\n", builtin.name),
            Status::Refused(why) => format!("| `{}` | refused: {why} |\n", builtin.name),
        };
        let table = all().fold("| builtin | whose |\n|---|---|\n".to_owned(), |table, builtin| table + &row(builtin));
        let document = include_str!("../../../REGO.md");
        assert!(document.ends_with(&table), "replace the table at the end of engine/REGO.md:\n{table}");
    }

    #[test]
    fn what_opa_has_is_here() {
        assert_eq!(all().count(), 206);
        let count = |has: fn(&Builtin) -> bool| all().filter(|builtin| has(builtin)).count();
        assert_eq!(count(|builtin| builtin.deprecated), 11);
        assert_eq!(count(|builtin| !builtin.deterministic), 11);
        assert_eq!(count(|builtin| builtin.infix.is_some()), 17);
        assert_eq!(count(|builtin| builtin.relation), 1);
        assert_eq!(count(|builtin| builtin.result.is_none()), 3);
        assert_eq!(count(|builtin| builtin.variadic.is_some()), 1);
        assert_eq!(count(|builtin| matches!(builtin.status, Status::Refused(_))), 11);
    }
}
