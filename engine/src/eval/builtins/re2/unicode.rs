//! Unicode as Go 1.26 knows it: version 15.0, with `unicode`'s tables by the names that `regexp/syntax` finds them
//! under, and `unicode.SimpleFold`.
//!
//! The tables are regex-syntax's, of a later version, restricted to what Unicode 15.0 had assigned and mended where a
//! property has changed since. A test holds them against digests of Go's.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

/// Code points, both ends included. May hold surrogates, which no text does.
pub(super) type Range = (u32, u32);

pub(super) const MAX_RUNE: u32 = 0x10_FFFF;

/// The surrogates, which `char` can't be.
const SURROGATES: Range = (0xD800, 0xDFFF);

/// General categories, by Go's canonical spelling.
const CATEGORIES: &[&str] = &[
    "C", "Cc", "Cf", "Cn", "Co", "Cs", "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd", "Nl", "No",
    "P", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So", "Z", "Zl", "Zp", "Zs",
];

/// Long names of categories, in the canonical spelling.
const ALIASES: &[(&str, &str)] = &[
    ("Casedletter", "Lc"),
    ("Closepunctuation", "Pe"),
    ("Cntrl", "Cc"),
    ("Combiningmark", "M"),
    ("Connectorpunctuation", "Pc"),
    ("Control", "Cc"),
    ("Currencysymbol", "Sc"),
    ("Dashpunctuation", "Pd"),
    ("Decimalnumber", "Nd"),
    ("Digit", "Nd"),
    ("Enclosingmark", "Me"),
    ("Finalpunctuation", "Pf"),
    ("Format", "Cf"),
    ("Initialpunctuation", "Pi"),
    ("Letter", "L"),
    ("Letternumber", "Nl"),
    ("Lineseparator", "Zl"),
    ("Lowercaseletter", "Ll"),
    ("Mark", "M"),
    ("Mathsymbol", "Sm"),
    ("Modifierletter", "Lm"),
    ("Modifiersymbol", "Sk"),
    ("Nonspacingmark", "Mn"),
    ("Number", "N"),
    ("Openpunctuation", "Ps"),
    ("Other", "C"),
    ("Otherletter", "Lo"),
    ("Othernumber", "No"),
    ("Otherpunctuation", "Po"),
    ("Othersymbol", "So"),
    ("Paragraphseparator", "Zp"),
    ("Privateuse", "Co"),
    ("Punct", "P"),
    ("Punctuation", "P"),
    ("Separator", "Z"),
    ("Spaceseparator", "Zs"),
    ("Spacingmark", "Mc"),
    ("Surrogate", "Cs"),
    ("Symbol", "S"),
    ("Titlecaseletter", "Lt"),
    ("Unassigned", "Cn"),
    ("Uppercaseletter", "Lu"),
];

/// Scripts. Go 1.26 looks for a script without the underscores of its name, so it doesn't find the ones that have some,
/// nor `SignWriting`.
const SCRIPTS: &[&str] = &[
    "Adlam",
    "Ahom",
    "Arabic",
    "Armenian",
    "Avestan",
    "Balinese",
    "Bamum",
    "Batak",
    "Bengali",
    "Bhaiksuki",
    "Bopomofo",
    "Brahmi",
    "Braille",
    "Buginese",
    "Buhid",
    "Carian",
    "Chakma",
    "Cham",
    "Cherokee",
    "Chorasmian",
    "Common",
    "Coptic",
    "Cuneiform",
    "Cypriot",
    "Cyrillic",
    "Deseret",
    "Devanagari",
    "Dogra",
    "Duployan",
    "Elbasan",
    "Elymaic",
    "Ethiopic",
    "Georgian",
    "Glagolitic",
    "Gothic",
    "Grantha",
    "Greek",
    "Gujarati",
    "Gurmukhi",
    "Han",
    "Hangul",
    "Hanunoo",
    "Hatran",
    "Hebrew",
    "Hiragana",
    "Inherited",
    "Javanese",
    "Kaithi",
    "Kannada",
    "Katakana",
    "Kawi",
    "Kharoshthi",
    "Khmer",
    "Khojki",
    "Khudawadi",
    "Lao",
    "Latin",
    "Lepcha",
    "Limbu",
    "Lisu",
    "Lycian",
    "Lydian",
    "Mahajani",
    "Makasar",
    "Malayalam",
    "Mandaic",
    "Manichaean",
    "Marchen",
    "Medefaidrin",
    "Miao",
    "Modi",
    "Mongolian",
    "Mro",
    "Multani",
    "Myanmar",
    "Nabataean",
    "Nandinagari",
    "Newa",
    "Nko",
    "Nushu",
    "Ogham",
    "Oriya",
    "Osage",
    "Osmanya",
    "Palmyrene",
    "Phoenician",
    "Rejang",
    "Runic",
    "Samaritan",
    "Saurashtra",
    "Sharada",
    "Shavian",
    "Siddham",
    "Sinhala",
    "Sogdian",
    "Soyombo",
    "Sundanese",
    "Syriac",
    "Tagalog",
    "Tagbanwa",
    "Takri",
    "Tamil",
    "Tangsa",
    "Tangut",
    "Telugu",
    "Thaana",
    "Thai",
    "Tibetan",
    "Tifinagh",
    "Tirhuta",
    "Toto",
    "Ugaritic",
    "Vai",
    "Vithkuqi",
    "Wancho",
    "Yezidi",
    "Yi",
];

/// What Unicode 15.0 had assigned.
static ASSIGNED: LazyLock<ClassUnicode> = LazyLock::new(|| property("age=15.0"));

/// The code points that `\p{name}` stands for, sorted; none if there is no such name.
pub(super) fn table(name: &str) -> Option<Vec<Range>> {
    named(actual(&canonical(name)))
}

/// The code points that `(?i)\p{name}` stands for.
pub(super) fn folded_table(name: &str) -> Option<Vec<Range>> {
    let name = canonical(name);
    let ranges = named(actual(&name))?;
    // Go has no folding table for the cased letters.
    Some(if actual(&name) == "Lc" { ranges } else { folded(&ranges) })
}

/// What a canonical name is an alias of.
fn actual(name: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, category)| category)
}

fn named(name: &str) -> Option<Vec<Range>> {
    match name {
        "Any" => Some(vec![(0, MAX_RUNE)]),
        "Ascii" => Some(vec![(0, 0x7F)]),
        "Assigned" => Some(negated(&unassigned())),
        "Cn" => Some(unassigned()),
        "Cs" => Some(vec![SURROGATES]),
        "C" => {
            let mut ranges = unassigned();
            ranges.push(SURROGATES);
            ranges.extend(["gc=Cc", "gc=Cf", "gc=Co"].into_iter().flat_map(|name| ranges_of(&current(name))));
            clean(&mut ranges);
            Some(ranges)
        }
        "Lc" => {
            let mut ranges: Vec<Range> =
                ["gc=Lu", "gc=Ll", "gc=Lt"].into_iter().flat_map(|name| ranges_of(&current(name))).collect();
            clean(&mut ranges);
            Some(ranges)
        }
        name if CATEGORIES.contains(&name) => Some(ranges_of(&current(&format!("gc={name}")))),
        name if SCRIPTS.contains(&name) => Some(ranges_of(&current(&format!("sc={name}")))),
        _ => None,
    }
}

/// Go's `unicode.IsLetter` and `IsDigit`, and the underscore.
pub(super) fn is_name(c: char) -> bool {
    static NAMES: LazyLock<ClassUnicode> = LazyLock::new(|| {
        let mut names = current("gc=L");
        names.union(&current("gc=Nd"));
        names
    });
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || c == '_';
    }
    let ranges = NAMES.ranges();
    ranges.binary_search_by(|range| in_order(range, c)).is_ok()
}

fn in_order(range: &ClassUnicodeRange, c: char) -> std::cmp::Ordering {
    if range.end() < c {
        std::cmp::Ordering::Less
    } else if range.start() > c {
        std::cmp::Ordering::Greater
    } else {
        std::cmp::Ordering::Equal
    }
}

/// All that equal `rune` but for case, itself among them, in order.
pub(super) fn orbit(rune: u32) -> Vec<u32> {
    match u8::try_from(rune).map(char::from) {
        // These two have relatives outside of ASCII.
        Ok('K' | 'k') => vec![0x4B, 0x6B, 0x212A],
        Ok('S' | 's') => vec![0x53, 0x73, 0x17F],
        Ok(c) if c.is_ascii_alphabetic() => vec![u32::from(c.to_ascii_uppercase()), u32::from(c.to_ascii_lowercase())],
        Ok(c) if c.is_ascii() => vec![rune],
        _ => folded(&[(rune, rune)]).into_iter().flat_map(|(low, high)| low..=high).collect(),
    }
}

/// `ranges` and all that equal one of them but for case, sorted.
pub(super) fn folded(ranges: &[Range]) -> Vec<Range> {
    /// These fold since Unicode 15.1.
    const LATER: [char; 6] = ['\u{390}', '\u{3B0}', '\u{1FD3}', '\u{1FE3}', '\u{FB05}', '\u{FB06}'];
    let mut related = class(ranges);
    related.intersect(&ASSIGNED);
    related.case_fold_simple();
    related.intersect(&ASSIGNED);
    related.difference(&ClassUnicode::new(LATER.map(|c| ClassUnicodeRange::new(c, c))));
    let mut all = ranges_of(&related);
    all.extend_from_slice(ranges);
    clean(&mut all);
    all
}

/// Sorts and merges.
pub(super) fn clean(ranges: &mut Vec<Range>) {
    ranges.sort_unstable();
    ranges.dedup_by(|next, kept| {
        let joins = next.0 <= kept.1.saturating_add(1);
        if joins {
            kept.1 = kept.1.max(next.1);
        }
        joins
    });
}

/// All that isn't in `ranges`, which are clean.
pub(super) fn negated(ranges: &[Range]) -> Vec<Range> {
    let mut others = Vec::with_capacity(ranges.len() + 1);
    let mut next = 0;
    for &(low, high) in ranges {
        if next < low {
            others.push((next, low - 1));
        }
        next = high + 1;
    }
    if next <= MAX_RUNE {
        others.push((next, MAX_RUNE));
    }
    others
}

/// The characters in `ranges`.
pub(super) fn class(ranges: &[Range]) -> ClassUnicode {
    let halves = ranges.iter().flat_map(|&(low, high)| {
        [(low, high.min(SURROGATES.0 - 1)), (low.max(SURROGATES.1 + 1), high)]
            .into_iter()
            .filter(|(low, high)| low <= high)
    });
    ClassUnicode::new(
        halves.filter_map(|(low, high)| Some(ClassUnicodeRange::new(char::from_u32(low)?, char::from_u32(high)?))),
    )
}

fn ranges_of(class: &ClassUnicode) -> Vec<Range> {
    class.iter().map(|range| (u32::from(range.start()), u32::from(range.end()))).collect()
}

fn unassigned() -> Vec<Range> {
    let mut ranges = ranges_of(&property("gc=Cn"));
    ranges.extend(negated(&ranges_of(&ASSIGNED)));
    clean(&mut ranges);
    let mut others = negated(&ranges);
    others.push(SURROGATES);
    clean(&mut others);
    negated(&others)
}

/// A property's table in Unicode 15.0.
fn current(name: &str) -> ClassUnicode {
    let mut class = property(name);
    class.intersect(&ASSIGNED);
    // The one character whose category has changed.
    let moved = ClassUnicode::new([ClassUnicodeRange::new('\u{1171E}', '\u{1171E}')]);
    match name {
        "gc=Mc" => class.difference(&moved),
        "gc=Mn" => class.union(&moved),
        _ => {}
    }
    class
}

/// A property's table in regex-syntax's version.
fn property(name: &str) -> ClassUnicode {
    match regex_syntax::parse(&format!(r"\p{{{name}}}")).map(regex_syntax::hir::Hir::into_kind) {
        Ok(HirKind::Class(Class::Unicode(class))) => class,
        // Of one character.
        Ok(HirKind::Literal(literal)) => {
            let chars = std::str::from_utf8(&literal.0).unwrap_or_default().chars();
            ClassUnicode::new(chars.map(|c| ClassUnicodeRange::new(c, c)))
        }
        _ => ClassUnicode::empty(),
    }
}

/// A name as Go looks it up: without spaces, hyphens and underscores, the first letter a capital.
fn canonical(name: &str) -> String {
    let mut canonical: String = name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).collect();
    canonical.make_ascii_lowercase();
    if let Some(first) = canonical.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    canonical
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FNV-1a of numbers of four bytes each.
    struct Digest(u64);

    impl Digest {
        const EMPTY: Self = Self(0xCBF2_9CE4_8422_2325);

        fn add(&mut self, number: u32) {
            for byte in number.to_le_bytes() {
                self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
            }
        }
    }

    /// The digests are of what Go 1.26's `regexp/syntax` and `unicode` have.
    #[test]
    fn tables_are_gos() {
        let mut digest = Digest::EMPTY;
        let aliases = ALIASES.iter().map(|(alias, _)| alias);
        let others = ["Any", "Ascii", "Assigned", "Lc", "no such name"];
        for name in CATEGORIES.iter().chain(SCRIPTS).chain(aliases).chain(&others) {
            for table in [table(name), folded_table(name)] {
                let table = table.unwrap_or_default();
                digest.add(table.len() as u32);
                table.iter().for_each(|(low, high)| {
                    digest.add(*low);
                    digest.add(*high);
                });
            }
        }
        assert_eq!(digest.0, 0xE102_887D_42A2_DF21);
    }

    #[test]
    fn folding_is_gos() {
        let mut digest = Digest::EMPTY;
        // Looking at all characters would take long.
        let mut folding: Vec<_> = ["Lc", "Mn", "Nl", "So"].into_iter().filter_map(table).flatten().collect();
        clean(&mut folding);
        for rune in folding.into_iter().flat_map(|(low, high)| low..=high) {
            let orbit = orbit(rune);
            if orbit.len() > 1 {
                orbit.into_iter().for_each(|rune| digest.add(rune));
            }
        }
        assert_eq!(digest.0, 0x501D_74F1_D6CF_BDA1);
    }

    #[test]
    fn names_are_gos() {
        let mut digest = Digest::EMPTY;
        ('\0'..=char::MAX).filter(|c| is_name(*c)).for_each(|c| digest.add(u32::from(c)));
        assert_eq!(digest.0, 0x733B_C981_D370_1B6E);
    }
}
