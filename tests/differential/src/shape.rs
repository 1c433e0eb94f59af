//! What a generated expression is meant to be, so that most policies make sense.

/// A type, as the generator thinks of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Anything.
    Any,
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A number.
    Num,
    /// A string, and what it looks like.
    Str(Flavor),
    /// An array of one kind of items.
    Array(Box<Shape>),
    /// A set of one kind of items; an array in JSON.
    Set(Box<Shape>),
    /// An object with any keys.
    Map(Box<Shape>, Box<Shape>),
    /// An object with these keys.
    Record(Vec<(&'static str, Shape)>),
}

/// What a string looks like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Flavor {
    /// A name or any other word.
    #[default]
    Word,
    /// Parts with separators, as globs and prefixes are used on.
    Path,
    /// An address or a block of them.
    Net,
    /// A time in RFC 3339.
    Time,
    /// A number.
    Digits,
}

impl Shape {
    /// A word.
    pub const fn word() -> Self {
        Self::Str(Flavor::Word)
    }

    /// An array of `item`.
    pub fn array(item: Self) -> Self {
        Self::Array(Box::new(item))
    }

    /// A set of `item`.
    pub fn set(item: Self) -> Self {
        Self::Set(Box::new(item))
    }

    /// An object from words to `value`.
    pub fn map(value: Self) -> Self {
        Self::Map(Box::new(Self::word()), Box::new(value))
    }

    /// Whether a term of this shape can stand where `want` is wanted.
    pub fn fits(&self, want: &Self) -> bool {
        match (self, want) {
            (_, Self::Any)
            | (Self::Null, Self::Null)
            | (Self::Bool, Self::Bool)
            | (Self::Num, Self::Num)
            | (Self::Str(_), Self::Str(_)) => true,
            (Self::Array(item), Self::Array(wanted)) | (Self::Set(item), Self::Set(wanted)) => item.fits(wanted),
            (Self::Map(key, value), Self::Map(wanted_key, wanted)) => key.fits(wanted_key) && value.fits(wanted),
            (Self::Record(fields), Self::Map(key, wanted)) => {
                Self::word().fits(key) && fields.iter().all(|(_, field)| field.fits(wanted))
            }
            (Self::Record(fields), Self::Record(wanted)) => {
                wanted.iter().all(|(name, want)| fields.iter().any(|(other, field)| name == other && field.fits(want)))
            }
            _ => false,
        }
    }

    /// What iterating over it gives, if it is a collection: keys and values.
    pub fn entries(&self) -> Option<(Self, Self)> {
        match self {
            Self::Array(item) => Some((Self::Num, (**item).clone())),
            Self::Set(item) => Some(((**item).clone(), (**item).clone())),
            Self::Map(key, value) => Some(((**key).clone(), (**value).clone())),
            Self::Record(fields) => {
                let mut shapes = fields.iter().map(|(_, shape)| shape);
                let first = shapes.next()?;
                let value = if shapes.all(|shape| shape == first) { first.clone() } else { Self::Any };
                Some((Self::word(), value))
            }
            Self::Any => Some((Self::Any, Self::Any)),
            _ => None,
        }
    }

    /// Whether it can be iterated over, for all that is known.
    pub const fn is_collection(&self) -> bool {
        matches!(self, Self::Array(_) | Self::Set(_) | Self::Map(..) | Self::Record(_))
    }
}
