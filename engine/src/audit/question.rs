//! What was asked, on its way to the writer: copied as bytes, because to clone a request costs a dozen allocations.

use std::borrow::Cow;

use crate::bundle::AtLeast;
use crate::request::{Context, Request};

/// A question, as whoever decides holds it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Question<'a> {
    /// A request that the host built.
    Built(&'a Request),
    /// A request's bytes as the host sent them. They were read once already, so they can be read.
    Json(&'a [u8]),
}

/// What is left of a buffer that a record's texts are copied to, one after the other.
pub(super) struct Place<'b>(pub(super) &'b mut [u8]);

/// How a question was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Built,
    Json,
}

/// Bits of a copied request that stand after those of the names.
const HAS_SCORE: u32 = 1 << 18;
const HAS_REVISION: u32 = 1 << 19;
const HAS_TAGS: u32 = 1 << 20;

impl<'a> Question<'a> {
    /// Copies it to `place`, so that [`read`] makes the same request of it again. None if there is no room for it.
    pub(super) fn copy(self, place: &mut Place<'_>) -> Option<Form> {
        match self {
            Self::Built(request) => {
                copy_request(request, place)?;
                Some(Form::Built)
            }
            Self::Json(json) => {
                place.put(json)?;
                Some(Form::Json)
            }
        }
    }

    /// The request; none if it can't be read.
    pub(super) fn request(self) -> Option<Cow<'a, Request>> {
        match self {
            Self::Built(request) => Some(Cow::Borrowed(request)),
            Self::Json(json) => Request::from_json(json).ok().map(Cow::Owned),
        }
    }

    /// Its bytes, if it came as bytes.
    pub(super) fn json(self) -> &'a [u8] {
        match self {
            Self::Built(_) => &[],
            Self::Json(json) => json,
        }
    }
}

impl<'b> Place<'b> {
    /// Appends a part. None if there is no room for it.
    #[inline]
    pub(super) fn put(&mut self, part: &[u8]) -> Option<()> {
        self.take(part.len())?.copy_from_slice(part);
        Some(())
    }

    /// Appends a part after its length.
    #[inline]
    fn put_sized(&mut self, part: &str) -> Option<()> {
        let length = u16::try_from(part.len()).ok()?.to_le_bytes();
        let (first, rest) = self.take(length.len() + part.len())?.split_first_chunk_mut()?;
        *first = length;
        rest.copy_from_slice(part.as_bytes());
        Some(())
    }

    #[inline]
    fn take(&mut self, length: usize) -> Option<&'b mut [u8]> {
        let (taken, rest) = std::mem::take(&mut self.0).split_at_mut_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

/// The request that was copied as `text`; none if it is none.
pub(super) fn read(form: Form, text: &[u8]) -> Option<Request> {
    match form {
        Form::Built => read_request(text),
        Form::Json => Request::from_json(text).ok(),
    }
}

/// Which parts there are, as bits; each part that isn't empty, with its length before it where that varies; the context.
fn copy_request(request: &Request, place: &mut Place<'_>) -> Option<()> {
    let which = place.take(size_of::<u32>())?;
    let mut parts = 0_u32;
    let mut bit = 1;
    for name in &request.names() {
        if !name.is_empty() {
            parts |= bit;
            place.put_sized(name)?;
        }
        bit <<= 1;
    }
    if let Some(score) = request.actor.trust_score {
        parts |= HAS_SCORE;
        place.put(&score.to_le_bytes())?;
    }
    if let Some(revision) = request.at_least_revision {
        parts |= HAS_REVISION;
        place.put(&revision.key_epoch.to_le_bytes())?;
        place.put(&revision.version.to_le_bytes())?;
    }
    let tags = &request.actor.tags;
    if !tags.is_empty() {
        parts |= HAS_TAGS;
        place.put(&u16::try_from(tags.len()).ok()?.to_le_bytes())?;
        tags.iter().try_for_each(|tag| place.put_sized(tag))?;
    }
    which.copy_from_slice(&parts.to_le_bytes());
    place.put(request.context.as_json().as_bytes())
}

fn read_request(mut text: &[u8]) -> Option<Request> {
    let mut request = Request::default();
    let parts = u32::from_le_bytes(take(&mut text)?);
    for (at, name) in request.names_mut().into_iter().enumerate() {
        if parts & 1 << at != 0 {
            *name = take_sized(&mut text)?;
        }
    }
    if parts & HAS_SCORE != 0 {
        request.actor.trust_score = Some(f64::from_le_bytes(take(&mut text)?));
    }
    if parts & HAS_REVISION != 0 {
        let key_epoch = u64::from_le_bytes(take(&mut text)?);
        let version = u64::from_le_bytes(take(&mut text)?);
        request.at_least_revision = Some(AtLeast { key_epoch, version });
    }
    if parts & HAS_TAGS != 0 {
        let count = u16::from_le_bytes(take(&mut text)?);
        request.actor.tags = (0..count).map(|_| take_sized(&mut text)).collect::<Option<_>>()?;
    }
    request.context = Context::from_kept(std::str::from_utf8(text).ok()?);
    Some(request)
}

fn take<const N: usize>(text: &mut &[u8]) -> Option<[u8; N]> {
    let (part, rest) = text.split_first_chunk()?;
    *text = rest;
    Some(*part)
}

fn take_sized(text: &mut &[u8]) -> Option<String> {
    let length = u16::from_le_bytes(take(text)?);
    let (part, rest) = text.split_at_checked(usize::from(length))?;
    *text = rest;
    String::from_utf8(part.to_vec()).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::request::Actor;

    /// Any request, each of its parts often missing.
    pub(in crate::audit) fn requests() -> impl Strategy<Value = Request> {
        let name = || prop_oneof![Just(String::new()), "\\PC{0,12}"];
        let context = prop_oneof![
            Just("{}".to_owned()),
            Just(r#"{"n": 1.0, "a":[1,2],"password":"hunter2"}"#.to_owned()),
            "[a-z]{0,6000}".prop_map(|text| format!(r#"{{"text":"{text}"}}"#)),
        ];
        let score = prop::option::of(prop_oneof![0.0..1.0, Just(f64::NAN), Just(-0.0)]);
        let revision = prop::option::of((any::<u64>(), any::<u64>()));
        let revision = revision.prop_map(|order| order.map(|(key_epoch, version)| AtLeast { key_epoch, version }));
        let tags = prop::collection::vec(name(), 0..4);
        (prop::collection::vec(name(), 18), context, score, revision, tags).prop_map(
            |(names, context, trust_score, at_least_revision, tags)| {
                let mut request = Request {
                    actor: Actor { trust_score, tags, ..Actor::default() },
                    at_least_revision,
                    ..Request::default()
                };
                for (place, name) in request.names_mut().into_iter().zip(names) {
                    *place = name;
                }
                request.context(&context).unwrap()
            },
        )
    }

    fn json(request: &Request) -> String {
        serde_json::to_string(request).unwrap()
    }

    /// A copy, if it fits into `room` bytes.
    fn copied(question: Question<'_>, room: usize) -> Option<(Form, Vec<u8>)> {
        let mut buffer = vec![0xaa; room];
        let mut place = Place(&mut buffer);
        let form = question.copy(&mut place)?;
        let left = place.0.len();
        buffer.truncate(room - left);
        Some((form, buffer))
    }

    proptest! {
        #[test]
        fn a_copy_reads_as_the_original(request in requests()) {
            let (form, text) = copied(Question::Built(&request), 1 << 16).unwrap();
            let read = read(form, &text).unwrap();
            prop_assert_eq!(json(&read), json(&request));
            let bits = |request: &Request| request.actor.trust_score.map(f64::to_bits);
            prop_assert_eq!(bits(&read), bits(&request));
        }

        #[test]
        fn what_does_not_fit_is_not_copied(request in requests(), room in 0_usize..600) {
            let whole = copied(Question::Built(&request), 1 << 16).unwrap();
            let fits = whole.1.len() <= room;
            prop_assert_eq!(copied(Question::Built(&request), room), fits.then_some(whole));
        }

        #[test]
        fn nothing_that_is_read_panics(text in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(Form::Built, &text);
        }
    }

    #[test]
    fn json_is_copied_as_it_is() {
        let json = br#"{"actor":{"id":"a"},"action":"b", "context":{"n": 1.0}}"#;
        let (form, text) = copied(Question::Json(json), json.len()).unwrap();
        assert_eq!((form, text.as_slice()), (Form::Json, json.as_slice()));
        assert_eq!(copied(Question::Json(json), json.len() - 1), None);
        assert_eq!(read(form, &text).unwrap(), Request::from_json(json).unwrap());
    }
}
