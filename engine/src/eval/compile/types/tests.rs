use proptest::prelude::*;

use super::*;
use crate::eval::builtins::table;

fn kind(text: &str) -> Type {
    parse(text).unwrap_or_else(|| panic!("{text}"))
}

fn unbounded() -> Types {
    Types::within(1 << 28)
}

fn keys() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::from("a")),
        Just(Value::from("b")),
        Just(Value::from(1_i64)),
        Just(Value::from(true)),
        Just(Value::Null),
        Just(Value::array(vec![Value::from(1_i64)])),
    ]
}

fn types() -> impl Strategy<Value = Type> {
    let leaf = prop_oneof![
        Just(Type::Unknown),
        Just(Type::Null),
        Just(Type::Boolean),
        Just(Type::Number),
        Just(Type::String),
        Just(Type::Any),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        let entries = prop::collection::btree_map(keys(), inner.clone(), 0..3);
        prop_oneof![
            (prop::collection::vec(inner.clone(), 0..3), inner.clone())
                .prop_map(|(items, rest)| Type::array(items, rest)),
            (entries, prop::option::of((inner.clone(), inner.clone())))
                .prop_map(|(entries, rest)| Type::object(entries.into_iter().collect(), rest)),
            inner.clone().prop_map(Type::set),
            prop::collection::vec(inner.clone(), 0..4).prop_map(|types| unbounded().union(types)),
            (prop::collection::vec(inner.clone(), 0..2), inner).prop_map(|(operands, result)| Type::function(
                operands,
                Type::Unknown,
                result
            )),
        ]
    })
}

/// The same type, sharing nothing.
fn copy(kind: &Type) -> Type {
    match kind {
        Type::Array(array) => Type::array(array.items.iter().map(copy).collect(), copy(&array.rest)),
        Type::Object(object) => Type::object(
            object.properties.iter().map(|(key, value)| (key.clone(), copy(value))).collect(),
            object.rest().map(|(key, value)| (copy(&key), copy(&value))),
        ),
        Type::Set(set) => Type::set(copy(&set.members)),
        Type::OneOf(union) => Type::one_of(union.types.iter().map(copy).collect()),
        Type::Function(function) => {
            let operands = function.operands.iter().map(copy).collect();
            Type::function(operands, copy(&function.variadic), copy(&function.result))
        }
        other => other.clone(),
    }
}

fn same(types: &Types, a: &Type, b: &Type) -> bool {
    // The order doesn't tell a union of one from a union of that and nothing else, printing does.
    types.compare(a, b).is_eq() && a.to_string() == b.to_string()
}

proptest! {
    #[test]
    fn the_order_of_types_is_one(a in types(), b in types(), c in types()) {
        let types = unbounded();
        prop_assert_eq!(types.compare(&a, &b), types.compare(&b, &a).reverse());
        prop_assert!(types.compare(&a, &a).is_eq());
        if types.compare(&a, &b).is_le() && types.compare(&b, &c).is_le() {
            prop_assert!(types.compare(&a, &c).is_le());
        }
    }

    #[test]
    fn a_union_in_one_go_is_one_by_one(all in prop::collection::vec(types(), 0..6)) {
        let types = unbounded();
        let one_by_one = all.iter().fold(Type::Unknown, |union, kind| types.or(union, kind.clone()));
        let in_one_go = types.union(all);
        prop_assert!(same(&types, &one_by_one, &in_one_go), "{one_by_one} {in_one_go}");
    }

    #[test]
    fn merging_in_one_go_is_one_by_one(all in prop::collection::vec(types(), 0..6)) {
        let types = unbounded();
        // Merging changes what is merged.
        let one_by_one = all.iter().fold(Type::Unknown, |merged, kind| types.merge(merged, copy(kind)));
        let in_one_go = types.add(Type::Unknown, all.into_iter().map(Addition::Here).collect());
        prop_assert!(same(&types, &one_by_one, &in_one_go), "{one_by_one} {in_one_go}");
    }

    #[test]
    fn unifying_has_no_direction(a in types(), b in types()) {
        let types = unbounded();
        prop_assert_eq!(types.unifies(&a, &b), types.unifies(&b, &a));
    }
}

#[test]
fn the_table_of_builtins_is_read_and_printed() {
    for builtin in table::all() {
        for text in builtin.operands.iter().chain(&builtin.variadic).chain(&builtin.result) {
            assert_eq!(kind(text).to_string(), *text, "{}", builtin.name);
        }
    }
    for text in ["", "strings", "array<", "array<string", "any<>", "object[string]", "set[string] ", "object<a>"] {
        assert!(parse(text).is_none(), "{text}");
    }
}

#[test]
fn types_unify_if_a_value_could_have_both() {
    let types = unbounded();
    for (a, b, expected) in [
        ("number", "number", true),
        ("number", "string", false),
        ("any", "array", true),
        ("any<number, string>", "any<boolean, string>", true),
        ("any<number, string>", "any<boolean, null>", false),
        ("array<number, string>", "array[any<number, string>]", true),
        ("array<number>", "array<number, number>", false),
        ("array<number>", "array<number>[number]", true),
        ("array<number>", "array<number, string>[any]", false),
        ("object<a: number>", "object[string: number]", true),
        ("object<a: number>", "object[string: string]", false),
        // Its keys aren't of the type, so it may be among other properties, of which nothing is said.
        ("object<a: number>", "object[number: string]", true),
        ("object<a: number>", "object<a: number, b: number>", false),
        ("object<a: number>", "object<a: number>[string: any]", true),
        ("set[number]", "set", true),
        ("set[number]", "set[string]", false),
        ("set", "array", false),
    ] {
        assert_eq!(types.unifies(&kind(a), &kind(b)), expected, "{a} {b}");
    }
}

#[test]
fn what_lies_under_a_key() {
    let types = unbounded();
    let text = |key: &str| Value::from(key);
    let number = |key: i64| Value::from(key);
    for (of, key, expected) in [
        ("array<number, string>", number(1), "string"),
        ("array<number, string>", number(2), "???"),
        ("array<number>[boolean]", number(2), "boolean"),
        ("array[any]", text("0"), "???"),
        ("array[number]", number(-1), "???"),
        ("object<a: number>[string: boolean]", text("a"), "number"),
        ("object<a: number>[string: boolean]", text("b"), "boolean"),
        ("object<a: number>[string: boolean]", number(1), "???"),
        ("object[any<number, string>: null]", number(1), "null"),
        ("set[any<number, string>]", number(1), "number"),
        ("set[number]", text("a"), "???"),
        ("set", text("a"), "???"),
        ("any<array[number], object[string: string]>", text("a"), "string"),
        ("number", text("a"), "???"),
        ("any", text("a"), "any"),
    ] {
        assert_eq!(types.select(&kind(of), &key).to_string(), expected, "{of} {key}");
    }
    assert_eq!(types.keys(&kind("object<a: number>[number: string]")).to_string(), "any<number, string>");
    assert_eq!(types.values(&kind("object<a: number>[number: string]")).to_string(), "any<number, string>");
    assert_eq!(types.values(&kind("array<number, number>")).to_string(), "number");
}

#[test]
fn keys_are_json() {
    let set = Value::set(vec![Value::from(1_i64), Value::from(2_i64)]);
    assert_eq!(json_key(&set), Value::array(vec![Value::from(1_i64), Value::from(2_i64)]));
    let object = Value::object(vec![(Value::array(vec![Value::from(1_i64)]), Value::Null)]);
    assert_eq!(json_key(&object), Value::object(vec![(Value::from("[1]"), Value::Null)]));
}

#[test]
fn merging_into_alternatives_changes_what_shares_them() {
    let types = unbounded();
    let shared = kind("object[number: string]");
    let alternatives = types.or(shared.clone(), Type::Null);
    assert_eq!(types.keys(&shared).to_string(), "number");
    let merged = types.merge(alternatives, kind("object[string: boolean]"));
    assert_eq!(merged.to_string(), "any<null, object[any<number, string>: any<boolean, string>]>");
    assert_eq!(shared.to_string(), "object[any<number, string>: any<boolean, string>]");
    assert_eq!(types.keys(&shared).to_string(), "any<number, string>");
    assert!(!types.is_spent());
    // It doesn't become part of itself.
    let of_itself = Type::object(vec![], Some((Type::String, Type::set(shared.clone()))));
    let merged = types.merge(types.or(shared.clone(), Type::Null), of_itself);
    let before = "object[any<number, string>: any<boolean, string>]";
    assert_eq!(shared.to_string(), before);
    assert_eq!(
        merged.to_string(),
        format!("any<null, object[any<number, string>: any<boolean, string, set[{before}]>]>")
    );
}

#[test]
fn what_is_too_large_isnt_kept() {
    let types = unbounded();
    let mut kind = Type::Number;
    for _ in 0..20 {
        kind = types.admit(Type::array(vec![kind.clone(), kind], Type::Unknown));
    }
    assert!(!types.is_spent());
    for _ in 0..20 {
        kind = types.admit(Type::array(vec![kind.clone(), kind], Type::Unknown));
    }
    assert!(types.is_spent());

    let types = unbounded();
    let mut kind = Type::Number;
    for _ in 0..MAX_DEPTH {
        kind = types.admit(Type::set(kind));
    }
    assert!(!types.is_spent());
    types.admit(Type::set(kind));
    assert!(types.is_spent());
}

#[test]
fn a_message_shows_types_as_far_as_it_goes() {
    let show = |kind: &Type| line("have: ", |out, depth| kind.write(out, depth));
    assert_eq!(show(&kind("any<number, array[string]>")), "have: any<number, array[string]>");
    let deep =
        kind("array<object<a: array<number, number, number, number, number, number>>, set[array[string]], string>");
    let wide = Type::array(vec![deep.clone(), deep], Type::Any);
    assert_eq!(show(&wide), "have: array<array<...>, array<...>>[any]");
    let long = Type::array(vec![Type::String; 1_000], Type::Unknown);
    let text = show(&long);
    assert!(text.ends_with("...") && text.len() < 500, "{text}");
}
