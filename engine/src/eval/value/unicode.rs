//! Classes of characters, as Go has them: by the tables of Unicode 15.

use std::cmp::Ordering;
use std::sync::LazyLock;

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind};

/// Go's `unicode.IsLetter`.
pub(crate) fn is_letter(char: char) -> bool {
    static LETTERS: LazyLock<ClassUnicode> = LazyLock::new(|| class(r"[\pL&&\p{Age=15.0}]"));
    if char.is_ascii() { char.is_ascii_alphabetic() } else { is_in(&LETTERS, char) }
}

/// Go's `unicode.IsDigit`.
pub(crate) fn is_digit(char: char) -> bool {
    static DIGITS: LazyLock<ClassUnicode> = LazyLock::new(|| class(r"[\p{Nd}&&\p{Age=15.0}]"));
    if char.is_ascii() { char.is_ascii_digit() } else { is_in(&DIGITS, char) }
}

/// Go's `strconv.IsPrint`: letters, marks, numbers, punctuation, symbols, and the blank.
pub(crate) fn is_print(char: char) -> bool {
    static PRINT: LazyLock<ClassUnicode> = LazyLock::new(|| class(r"[[\pL\pM\pN\pP\pS]&&\p{Age=15.0}]"));
    if char.is_ascii() { matches!(char, ' '..='~') } else { is_in(&PRINT, char) }
}

fn is_in(class: &ClassUnicode, char: char) -> bool {
    let place = |range: &ClassUnicodeRange| {
        if range.end() < char { Ordering::Less } else { range.start().cmp(&char).max(Ordering::Equal) }
    };
    class.ranges().binary_search_by(place).is_ok()
}

/// A class's table. To compile a pattern with it would take more stack than a host's thread may have.
fn class(pattern: &str) -> ClassUnicode {
    match regex_syntax::parse(pattern).map(Hir::into_kind) {
        Ok(HirKind::Class(Class::Unicode(class))) => class,
        _ => ClassUnicode::empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        assert!(is_letter('é') && is_letter('汉') && !is_letter('٣') && !is_letter('_'));
        assert!(is_digit('٣') && is_digit('7') && !is_digit('½'));
        assert!(is_print('é') && is_print('😀') && is_print(' ') && !is_print('\u{a0}') && !is_print('\u{200b}'));
        // Since Unicode 16.
        assert!(!is_letter('\u{105c0}') && !is_print('\u{105c0}'));
    }
}
