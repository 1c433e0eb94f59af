//! Builtins to call, with what they take and give, and the constants that only they understand.

use std::sync::LazyLock;

use crate::rng::Rng;
use crate::shape::{Flavor, Shape};

/// A builtin.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) name: &'static str,
    pub(super) operands: Vec<Operand>,
    pub(super) result: Shape,
    /// Only for modules in v0.
    pub(super) old: bool,
}

/// What an operand may be.
#[derive(Debug, Clone)]
pub(super) enum Operand {
    /// A term.
    Term(Shape),
    /// One of these texts.
    OneOf(&'static [&'static str]),
}

/// All of them.
pub(super) fn calls() -> &'static [Call] {
    static CALLS: LazyLock<Vec<Call>> = LazyLock::new(|| TABLE.lines().filter_map(parsed).collect());
    &CALLS
}

/// One whose result can stand where `want` is wanted.
pub(super) fn call_for(rng: &mut Rng, want: &Shape, old: bool) -> Option<&'static Call> {
    let fitting: Vec<&Call> = calls().iter().filter(|call| (old || !call.old) && call.result.fits(want)).collect();
    rng.pick(&fitting).copied()
}

fn parsed(line: &'static str) -> Option<Call> {
    let (call, result) = line.split_once(" -> ")?;
    let mut words = call.split(' ');
    let name = words.next()?;
    let operands = words.map(operand).collect();
    Some(Call { name: name.trim_start_matches('!'), operands, result: shape(result), old: name.starts_with('!') })
}

fn operand(code: &'static str) -> Operand {
    match code {
        "$re" => Operand::OneOf(&REGEXES),
        "$glob" => Operand::OneOf(&GLOBS),
        "$delims" => {
            Operand::OneOf(&["[]", "null", "[\":\"]", "[\".\"]", "[\"/\"]", "[\":\", \"/\"]", "[\"é\"]", "[\"ab\"]"])
        }
        "$layout" => Operand::OneOf(&LAYOUTS),
        "$small" => Operand::OneOf(&["0", "1", "2", "3", "-1", "4", "1.0", "0.5", "100"]),
        "$bits" => Operand::OneOf(&["0", "1", "5", "8", "63", "64", "-1", "1.5"]),
        "$base" => Operand::OneOf(&["2", "8", "10", "16", "3"]),
        "$dur" => Operand::OneOf(&DURATIONS),
        "$bytes" => Operand::OneOf(&BYTES),
        "$semver" => Operand::OneOf(&SEMVERS),
        "$paths" => Operand::OneOf(&PATHS),
        "$patch" => Operand::OneOf(&PATCHES),
        "$uri" => Operand::OneOf(&URIS),
        "$json" => Operand::OneOf(&JSON),
        "$yaml" => Operand::OneOf(&YAML),
        "$coded" => Operand::OneOf(&CODED),
        "$query" => {
            Operand::OneOf(&["\"a=1&b=2\"", "\"a=%20\"", "\"a=1&a=2\"", "\"%zz\"", "\"a;b\"", "\"\"", "\"é=%C3%A9\""])
        }
        "$zone" => Operand::OneOf(&ZONED),
        "$format" => Operand::OneOf(&[
            "{\"indent\": \"  \"}",
            "{\"prefix\": \">\"}",
            "{\"pretty\": true}",
            "{\"pretty\": false, \"indent\": \"x\"}",
            "{}",
        ]),
        "$graph" => Operand::OneOf(&[
            "{\"a\": [\"b\"], \"b\": [\"c\", \"a\"], \"c\": []}",
            "{\"a\": {\"b\"}, \"b\": set()}",
            "{}",
            "{\"a\": [\"a\"]}",
        ]),
        "$schema" => Operand::OneOf(&[
            "{\"type\": \"string\"}",
            "{\"type\": \"object\", \"required\": [\"a\"]}",
            "{\"enum\": [1, \"a\"]}",
            "{\"minimum\": 2}",
            "`{\"type\": \"array\"}`",
        ]),
        "$template" => Operand::OneOf(&[
            "`{{.a}}`",
            "`x {{.b}} y`",
            "`{{range .l}}{{.}},{{end}}`",
            "`{{if .a}}1{{else}}2{{end}}`",
            "`{{`",
        ]),
        "$uuid" => Operand::OneOf(&[
            "\"6ba7b810-9dad-11d1-80b4-00c04fd430c8\"",
            "\"00000000-0000-4000-8000-000000000000\"",
            "\"x\"",
        ]),
        "$hmac" => Operand::OneOf(&["\"key\"", "\"\"", "\"é\""]),
        "$cidr" => Operand::OneOf(&[
            "\"10.0.0.0/30\"",
            "\"10.0.0.7/29\"",
            "\"::1/127\"",
            "\"1.2.3.4/32\"",
            "\"x\"",
            "\"10.0.0.0/33\"",
        ]),
        "$fmt" => Operand::OneOf(&FORMATS),
        "$jwt" => Operand::OneOf(&TOKENS),
        _ => Operand::Term(shape(code)),
    }
}

/// Reads a shape: `s` word, `p` path, `c` address, `t` time, `d` digits, `n` number, `b` boolean, `x` anything, `0` null,
/// `[..]` array, `<..>` set, `{..}` object of words.
fn shape(code: &str) -> Shape {
    let inner = |open: char, close: char| code.strip_prefix(open).and_then(|rest| rest.strip_suffix(close)).map(shape);
    match code {
        "s" => Shape::word(),
        "p" => Shape::Str(Flavor::Path),
        "c" => Shape::Str(Flavor::Net),
        "t" => Shape::Str(Flavor::Time),
        "d" => Shape::Str(Flavor::Digits),
        "n" => Shape::Num,
        "b" => Shape::Bool,
        "0" => Shape::Null,
        _ => {
            let array = inner('[', ']').map(Shape::array);
            let set = || inner('<', '>').map(Shape::set);
            let map = || inner('{', '}').map(Shape::map);
            array.or_else(set).or_else(map).unwrap_or(Shape::Any)
        }
    }
}

/// `name operand… -> result`; `!` before a name that v1 refuses.
const TABLE: &str = "\
startswith s s -> b
startswith p p -> b
endswith p s -> b
contains s s -> b
contains p s -> b
indexof s s -> n
indexof_n s s -> [n]
lower s -> s
upper s -> s
trim s s -> s
trim_left s s -> s
trim_right p s -> s
trim_prefix p s -> s
trim_suffix s s -> s
trim_space s -> s
replace s s s -> s
replace p s s -> p
split p s -> [s]
split s s -> [s]
strings.split_n p s $small -> [s]
concat s [s] -> s
concat s <s> -> s
substring s $small $small -> s
substring p $small n -> s
strings.reverse s -> s
strings.count s s -> n
strings.replace_n {s} s -> s
strings.any_prefix_match p [p] -> b
strings.any_prefix_match [s] <s> -> b
strings.any_suffix_match s [s] -> b
strings.render_template $template {x} -> s
format_int n $base -> s
sprintf $fmt [n] -> s
sprintf $fmt [s] -> s
sprintf $fmt [x] -> s
count s -> n
count [x] -> n
count <x> -> n
count {x} -> n
sum [n] -> n
sum <n> -> n
product [n] -> n
max [n] -> n
max <x> -> x
min [x] -> x
min <n> -> n
sort [x] -> [x]
sort <s> -> [s]
abs n -> n
ceil n -> n
floor n -> n
round n -> n
numbers.range $small $small -> [n]
numbers.range_step $small $small $small -> [n]
bits.and $bits n -> n
bits.or n $bits -> n
bits.xor $bits $bits -> n
bits.negate n -> n
bits.lsh n $bits -> n
bits.rsh n $bits -> n
to_number d -> n
to_number x -> n
to_number b -> n
to_number 0 -> n
is_string x -> b
is_number x -> b
is_boolean x -> b
is_array x -> b
is_object x -> b
is_set x -> b
is_null x -> b
type_name x -> s
array.concat [x] [x] -> [x]
array.concat [s] [s] -> [s]
array.slice [x] $small $small -> [x]
array.reverse [s] -> [s]
array.flatten [x] -> [x]
object.get {x} s x -> x
object.get {x} [s] x -> x
object.get {s} s s -> s
object.keys {x} -> <s>
object.remove {x} [s] -> {x}
object.remove {n} <s> -> {n}
object.filter {x} [s] -> {x}
object.union {x} {x} -> {x}
object.union_n [{x}] -> {x}
object.subset {x} {x} -> b
object.subset [x] [x] -> b
object.subset <s> <s> -> b
union <<s>> -> <s>
intersection <<x>> -> <x>
glob.match $glob $delims p -> b
glob.match $glob $delims s -> b
glob.quote_meta s -> s
regex.match $re s -> b
regex.match $re p -> b
regex.match s s -> b
regex.is_valid $re -> b
regex.is_valid s -> b
regex.split $re s -> [s]
regex.find_n $re s $small -> [s]
regex.find_all_string_submatch_n $re p $small -> [[s]]
regex.replace s $re s -> s
regex.replace p $re s -> s
net.cidr_contains c c -> b
net.cidr_contains c c -> b
net.cidr_intersects c c -> b
net.cidr_is_valid c -> b
net.cidr_merge [c] -> <c>
net.cidr_expand $cidr -> <c>
net.cidr_contains_matches c c -> <[c]>
net.cidr_contains_matches [c] <c> -> <[n]>
semver.compare $semver $semver -> n
semver.is_valid $semver -> b
units.parse $bytes -> n
units.parse_bytes $bytes -> n
units.parse_bytes d -> n
time.parse_rfc3339_ns t -> n
time.parse_ns $layout t -> n
time.parse_duration_ns $dur -> n
time.date n -> [n]
time.clock $zone -> [n]
time.weekday n -> s
time.add_date n $small $small $small -> n
time.diff n n -> [n]
time.format n -> s
time.format $zone -> s
time.now_ns -> n
json.marshal x -> s
json.marshal_with_options x $format -> s
json.unmarshal $json -> x
json.is_valid $json -> b
json.is_valid s -> b
json.filter {x} $paths -> {x}
json.remove {x} $paths -> {x}
json.patch {x} $patch -> x
json.match_schema $json $schema -> [x]
yaml.marshal x -> s
yaml.unmarshal $yaml -> x
yaml.is_valid $yaml -> b
base64.encode s -> s
base64.decode $coded -> s
base64.is_valid s -> b
base64url.encode s -> s
base64url.encode_no_pad s -> s
base64url.decode $coded -> s
hex.encode s -> s
hex.decode $coded -> s
urlquery.encode s -> s
urlquery.decode $query -> s
urlquery.encode_object {s} -> s
urlquery.decode_object $query -> {[s]}
uri.is_valid $uri -> b
uri.parse $uri -> {s}
uuid.parse $uuid -> {x}
crypto.md5 s -> s
crypto.sha1 s -> s
crypto.sha256 s -> s
crypto.hmac.sha256 s $hmac -> s
crypto.hmac.equal s s -> b
io.jwt.decode $jwt -> [x]
io.jwt.verify_hs256 $jwt $hmac -> b
graph.reachable $graph [s] -> <s>
graph.reachable_paths $graph <s> -> <[s]>
!any [b] -> b
!all [b] -> b
!re_match $re s -> b
!net.cidr_overlap c c -> b
!cast_array x -> [x]
!cast_set x -> <x>
!cast_string x -> s
!cast_boolean x -> b
!cast_object x -> {x}
!set_diff <s> <s> -> <s>";

const REGEXES: [&str; 30] = [
    r#""^a""#,
    r#""a$""#,
    r#""^\\w+$""#,
    r#""\\d""#,
    r#""\\bb\\b""#,
    r#""(?i)K""#,
    r#""[[:alpha:]]+""#,
    r#""^\\s*$""#,
    r#""\\W""#,
    r#""^[a-z]+:[a-z]+$""#,
    r#""(a|b)+""#,
    r#""(a)(b)?""#,
    r#"".*""#,
    r#""^/v1/""#,
    r#""\\p{L}""#,
    r#""[""#,
    r#""a**""#,
    r#""{""#,
    r#""a{2,}""#,
    r#""[^a]""#,
    r#""(?s).""#,
    r#""(?m)^b""#,
    r#""\\x{e9}""#,
    r#""\\Qa.b\\E""#,
    r#""[a&&b]""#,
    r#""(?P<n>a)""#,
    r#""""#,
    r#""é""#,
    r#""\\S+""#,
    r#""^(alice|bob)$""#,
];
const GLOBS: [&str; 26] = [
    r#""*""#,
    r#""**""#,
    r#""read:*""#,
    r#""read:**""#,
    r#""tool.*""#,
    r#""tool.**""#,
    r#""a/*/c""#,
    r#""a/**/c""#,
    r#""a/**""#,
    r#""?""#,
    r#""a?c""#,
    r#""[a-c]*""#,
    r#""[!a]*""#,
    r#""[^a]""#,
    r#""{read,write}*""#,
    r#""{a,b/*}""#,
    r#""a\\*""#,
    r#""[""#,
    r#""[a-]""#,
    r#""""#,
    r#""*e*""#,
    r#""/v1/*""#,
    r#""*:*""#,
    r#""*.exec""#,
    r#""é*""#,
    r#""a*c*""#,
];
const LAYOUTS: [&str; 6] = [
    r#""2006-01-02T15:04:05Z07:00""#,
    r#""2006-01-02""#,
    r#""RFC3339""#,
    r#""Jan _2 2006""#,
    r#""x""#,
    r#""2006-01-02T15:04:05.000Z""#,
];
const DURATIONS: [&str; 8] =
    [r#""1h""#, r#""1h30m""#, r#""-5s""#, r#""1.5h""#, r#""x""#, r#""""#, r#""1us""#, r#""300000h""#];
const BYTES: [&str; 13] = [
    r#""1""#,
    r#""1KB""#,
    r#""1KiB""#,
    r#""1.5Mi""#,
    r#""2g""#,
    r#""10 MB""#,
    r#""""#,
    r#""x""#,
    r#""1e3""#,
    r#""100m""#,
    r#""-1k""#,
    r#""1E""#,
    r#""0.1""#,
];
const SEMVERS: [&str; 7] =
    [r#""1.2.3""#, r#""1.2.3-alpha.1""#, r#""1.2.3+b""#, r#""1.10.0""#, r#""v1.2.3""#, r#""1.2""#, r#""x""#];
const PATHS: [&str; 6] =
    [r#"["a"]"#, r#"["a/b", "x"]"#, r#"{"/a"}"#, r#"[["a", "b"]]"#, "[]", r#"["method", "user/0"]"#];
const PATCHES: [&str; 7] = [
    r#"[{"op": "add", "path": "/a", "value": 1}]"#,
    r#"[{"op": "remove", "path": "/a"}]"#,
    r#"[{"op": "replace", "path": "a", "value": [1]}]"#,
    r#"[{"op": "test", "path": "/a", "value": 1}]"#,
    r#"[{"op": "copy", "from": "a", "path": "b"}, {"op": "move", "from": "b", "path": "c"}]"#,
    r#"[{"op": "nope", "path": "/a"}]"#,
    "[]",
];
const URIS: [&str; 6] = [
    r#""https://a.b/c?d=e&f=%20#g""#,
    r#""mailto:a@b.c""#,
    r#""/a/b""#,
    r#""http://[::1]:80/""#,
    r#""%zz""#,
    r#""http://u:p@h:99999/""#,
];
const JSON: [&str; 12] = [
    r#""{\"a\": 1}""#,
    r#""[1, 2.0, 1e2]""#,
    r#""null""#,
    r#""{\"a\": 1, \"a\": 2}""#,
    r#""x""#,
    r#""1 2""#,
    r#""\"s\"""#,
    r#""9007199254740993""#,
    r#""{\"a\": {\"b\": [true]}}""#,
    r#""""#,
    r#"" true ""#,
    r#""01""#,
];
const YAML: [&str; 8] = [
    r#""a: 1""#,
    r#""- 1\n- x\n""#,
    r#""a: {b: [1, 2]}""#,
    r#""yes""#,
    r#""a: b: c""#,
    r#""x: 1.0""#,
    r#""""#,
    r#""a: 2024-01-02""#,
];
const CODED: [&str; 8] =
    [r#""YQ==""#, r#""YQ""#, r#""YWxpY2U=""#, r#""61""#, r#""6""#, r#""zz""#, r#""""#, r#""w6k=""#];
const FORMATS: [&str; 20] = [
    r#""%s""#,
    r#""%v""#,
    r#""%d""#,
    r#""%5d|%-5d""#,
    r#""%05.2f""#,
    r#""%x""#,
    r#""%q""#,
    r#""%t""#,
    r#""%s-%s""#,
    r#""%%""#,
    r#""%""#,
    r#""%z""#,
    r#""x""#,
    r#""%[2]v %[1]v""#,
    r#""%e""#,
    r#""%g""#,
    r#""%T""#,
    r#""%+v""#,
    r#""%#v""#,
    r#""%c""#,
];
const ZONED: [&str; 5] = [
    r#"[1704164645000000000, "UTC"]"#,
    r#"[1704164645000000000, "Europe/Berlin"]"#,
    r#"[0, ""]"#,
    r#"[1719748800000000000, "America/New_York"]"#,
    r#"[1, "Nowhere/Land"]"#,
];
const TOKENS: [&str; 3] = [
    r#""eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9.XnTnIbIWRNnDGMYNWNoMhP0X8q6K6CNzGSqJHKmYQ6w""#,
    r#""x.y.z""#,
    r#""""#,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read() {
        assert_eq!(calls().len(), TABLE.lines().count());
        let contains = calls().iter().find(|call| call.name == "net.cidr_contains").unwrap();
        assert!(matches!(contains.operands.first(), Some(Operand::Term(Shape::Str(Flavor::Net)))));
        assert!(calls().iter().any(|call| call.old) && calls().iter().any(|call| call.result == Shape::Num));
        assert_eq!(shape("<[s]>"), Shape::set(Shape::array(Shape::word())));
    }
}
