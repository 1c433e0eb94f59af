//! Documents that policies are about: the input, the data, and data that isn't held.

use crate::rng::Rng;
use crate::shape::{Flavor, Shape};

type Fields = Vec<(&'static str, Shape)>;

/// An input's shape.
pub(super) fn input(rng: &mut Rng) -> Shape {
    let path = || Shape::Str(Flavor::Path);
    let request = Shape::Record(vec![
        ("method", Shape::word()),
        ("path", path()),
        ("size", Shape::Num),
        ("headers", Shape::map(Shape::array(Shape::word()))),
    ]);
    let item = Shape::Record(vec![("id", Shape::word()), ("n", Shape::Num), ("tags", Shape::array(Shape::word()))]);
    let deep = Shape::Record(vec![("a", Shape::Record(vec![("b", Shape::Num), ("c", Shape::Any)]))]);
    let fields = vec![
        ("user", Shape::word()),
        ("role", Shape::word()),
        ("roles", Shape::array(Shape::word())),
        ("action", path()),
        ("path", path()),
        ("ip", Shape::Str(Flavor::Net)),
        ("at", Shape::Str(Flavor::Time)),
        ("digits", Shape::Str(Flavor::Digits)),
        ("n", Shape::Num),
        ("m", Shape::Num),
        ("trust", Shape::Num),
        ("ok", Shape::Bool),
        ("x", Shape::Any),
        ("y", Shape::Any),
        ("tags", Shape::map(Shape::word())),
        ("flags", Shape::map(Shape::Bool)),
        ("counts", Shape::map(Shape::Num)),
        ("req", request),
        ("items", Shape::array(item)),
        ("nums", Shape::array(Shape::Num)),
        ("matrix", Shape::array(Shape::array(Shape::Num))),
        ("deep", deep),
        ("a b", Shape::word()),
        ("nets", Shape::array(Shape::Str(Flavor::Net))),
    ];
    some_of(rng, fields, 4, 8)
}

/// The shape of base data.
pub(super) fn data(rng: &mut Rng) -> Shape {
    let role = Shape::Record(vec![("actions", Shape::array(Shape::Str(Flavor::Path))), ("level", Shape::Num)]);
    let fields = vec![
        ("roles", Shape::map(role)),
        ("users", Shape::map(Shape::array(Shape::word()))),
        ("denied", Shape::array(Shape::word())),
        ("limits", Shape::map(Shape::Num)),
        ("by_digits", Shape::Map(Box::new(Shape::Str(Flavor::Digits)), Box::new(Shape::word()))),
        ("nets", Shape::array(Shape::Str(Flavor::Net))),
        ("cfg", Shape::Record(vec![("mode", Shape::word()), ("max", Shape::Num), ("on", Shape::Bool)])),
        ("any", Shape::Any),
        ("table", Shape::array(Shape::array(Shape::word()))),
        ("seven", Shape::Num),
    ];
    some_of(rng, fields, 2, 5)
}

/// Where data isn't held, and what it would be.
pub(super) fn remote(rng: &mut Rng) -> (Vec<String>, Shape) {
    let approval = Shape::Record(vec![("by", Shape::word()), ("ok", Shape::Bool), ("n", Shape::Num)]);
    let fields = vec![
        ("trust", Shape::map(Shape::Num)),
        ("approvals", Shape::map(approval)),
        ("revoked", Shape::array(Shape::word())),
        ("quota", Shape::Num),
        ("flags", Shape::map(Shape::Bool)),
        ("mode", Shape::word()),
        ("on", Shape::Bool),
        ("any", Shape::Any),
    ];
    let root: &[&str] = if rng.percent(75) { &["data", "live"] } else { &["data", "ext", "live"] };
    let shape = if rng.percent(85) { some_of(rng, fields, 1, 4) } else { crate::words::any_shape(rng, 2) };
    (root.iter().map(|part| (*part).to_owned()).collect(), shape)
}

fn some_of(rng: &mut Rng, mut fields: Fields, fewest: usize, most: usize) -> Shape {
    rng.shuffle(&mut fields);
    fields.truncate(rng.between(fewest, most));
    Shape::Record(fields)
}
