//! A strict walk over JSON that two parsers cannot read differently: no duplicate members (compared after unescaping),
//! no lone surrogates, bounded depth. Keeps nothing but the member names of the objects that are open.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Nesting beyond this is no sane message; parsers differ in where they give up.
const MAX_DEPTH: usize = 64;
/// Objects up to this size compare names one by one; a set costs more there. Beyond, the set is keyed at random, so
/// that a sender cannot choose names that collide.
const FEW: usize = 16;

/// What is remembered during a walk.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    /// Names seen in the objects that are open, outermost first.
    names: Vec<Cow<'a, str>>,
    depth: usize,
    /// The rule that was broken, when it was not JSON's own grammar.
    pub(super) broken: Option<&'static str>,
}

impl<'a> Walk<'a> {
    pub(super) fn new() -> Self {
        // As many names as an ordinary message has open at a time.
        Self { names: Vec::with_capacity(FEW), depth: 0, broken: None }
    }

    /// Ends the walk because a rule is broken.
    pub(super) fn fail<E: Error>(&mut self, rule: &'static str) -> E {
        self.broken.get_or_insert(rule);
        E::custom(rule)
    }

    /// Visits an object: `members` is told of each name, and consumes its value.
    pub(super) fn object<M: MapAccess<'a>>(
        &mut self,
        mut map: M,
        members: &mut impl Members<'a>,
    ) -> Result<(), M::Error> {
        self.enter()?;
        let open = self.names.len();
        let mut many: Option<HashSet<Cow<'a, str>>> = None;
        while let Some(name) = map.next_key_seed(Text)? {
            let seen = self.names.get(open..).unwrap_or_default();
            let repeated = match &mut many {
                Some(set) => !set.insert(name.clone()),
                None if seen.len() < FEW => seen.contains(&name),
                None => {
                    let set = many.insert(seen.iter().cloned().collect());
                    !set.insert(name.clone())
                }
            };
            if repeated {
                return Err(self.fail("a member name occurs twice"));
            }
            members.member(self, &name, &mut map)?;
            if many.is_none() {
                self.names.push(name);
            }
        }
        self.names.truncate(open);
        self.depth = self.depth.saturating_sub(1);
        Ok(())
    }

    /// Visits an array of anything.
    fn array<S: SeqAccess<'a>>(&mut self, mut seq: S) -> Result<(), S::Error> {
        self.enter()?;
        while seq.next_element_seed(Value::skip(self))?.is_some() {}
        self.depth = self.depth.saturating_sub(1);
        Ok(())
    }

    fn enter<E: Error>(&mut self) -> Result<(), E> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > MAX_DEPTH { Err(self.fail("nested too deeply")) } else { Ok(()) }
    }
}

/// What is done with the members of an object.
pub(super) trait Members<'a> {
    /// Consumes the value of the member `name`; unless something else is done with it, it is checked and forgotten.
    fn member<M: MapAccess<'a>>(&mut self, walk: &mut Walk<'a>, _name: &str, map: &mut M) -> Result<(), M::Error> {
        map.next_value_seed(Value::skip(walk)).map(drop)
    }
}

/// No member matters.
pub(super) struct Skip;

impl Members<'_> for Skip {}

/// Any value: an object's members go to a [`Members`], a string is given back if it is to be kept.
pub(super) struct Value<'w, 'a, H> {
    walk: &'w mut Walk<'a>,
    members: H,
    keep: bool,
}

impl<'w, 'a> Value<'w, 'a, Skip> {
    /// Checks a value and forgets it.
    pub(super) fn skip(walk: &'w mut Walk<'a>) -> Self {
        Self { walk, members: Skip, keep: false }
    }
    /// Checks a value and keeps it if it is a string.
    pub(super) fn text(walk: &'w mut Walk<'a>) -> Self {
        Self { walk, members: Skip, keep: true }
    }
}

impl<'w, 'a, H: Members<'a>> Value<'w, 'a, H> {
    /// Checks a value; if it is an object, its members go to `members`.
    pub(super) fn object(walk: &'w mut Walk<'a>, members: H) -> Self {
        Self { walk, members, keep: false }
    }
}

impl<'a, H: Members<'a>> DeserializeSeed<'a> for Value<'_, 'a, H> {
    type Value = Option<Cow<'a, str>>;
    fn deserialize<D: Deserializer<'a>>(self, value: D) -> Result<Self::Value, D::Error> {
        value.deserialize_any(self)
    }
}

impl<'a, H: Members<'a>> Visitor<'a> for Value<'_, 'a, H> {
    type Value = Option<Cow<'a, str>>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Self::Value, E> {
        Ok(self.keep.then_some(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.keep.then(|| Cow::Owned(text.to_owned())))
    }
    fn visit_seq<S: SeqAccess<'a>>(self, seq: S) -> Result<Self::Value, S::Error> {
        self.walk.array(seq).map(|()| None)
    }
    fn visit_map<M: MapAccess<'a>>(mut self, map: M) -> Result<Self::Value, M::Error> {
        self.walk.object(map, &mut self.members).map(|()| None)
    }
}

/// A string, borrowed from the text where it has no escapes.
pub(super) struct Text;

impl<'a> DeserializeSeed<'a> for Text {
    type Value = Cow<'a, str>;
    fn deserialize<D: Deserializer<'a>>(self, value: D) -> Result<Cow<'a, str>, D::Error> {
        value.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for Text {
    type Value = Cow<'a, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }
    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Cow<'a, str>, E> {
        Ok(Cow::Borrowed(text))
    }
    fn visit_str<E>(self, text: &str) -> Result<Cow<'a, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}
