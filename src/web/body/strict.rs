//! Reads JSON as serde does, but for three things: a list is not taken for an object by the order of its entries,
//! what does not fit is reported with its place, and what is too much is not read to its end.

use std::cell::RefCell;
use std::fmt;

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, Visitor,
};

use super::limits::{self, Limits};

/// What does not fit, and where.
#[derive(Debug)]
pub(super) struct StrictError {
    /// The place, such as `routes[0].fields.thing1`; empty for the body itself.
    pub(super) path: String,
    pub(super) error: serde_json::Error,
}

/// Reads a whole body, of which no list may have more entries than so many.
pub(super) fn from_slice<T: DeserializeOwned>(
    body: &[u8],
    entries: usize,
) -> Result<T, StrictError> {
    let state = ReadState {
        steps: RefCell::default(),
        limits: Limits::new(entries),
    };
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = T::deserialize(StrictDeserializer {
        inner: &mut json,
        state: &state,
    });
    read.and_then(|value| json.end().map(|()| value))
        .map_err(|error| StrictError {
            path: state.path(),
            error,
        })
}

#[derive(Debug)]
enum PathStep {
    Member(String),
    Entry(usize),
}

/// The path from the body to what is being read, and how much more there may be.
#[derive(Debug)]
struct ReadState {
    steps: RefCell<Vec<PathStep>>,
    limits: Limits,
}

impl ReadState {
    fn enter(&self, step: PathStep) {
        self.steps.borrow_mut().push(step);
    }

    fn leave(&self) {
        self.steps.borrow_mut().pop();
    }

    /// A member, whose name is of a length that one may have.
    fn enter_member<E: de::Error>(&self, name: &str) -> Result<(), E> {
        limits::name(name)?;
        self.limits.piece()?;
        self.enter(PathStep::Member(name.to_owned()));
        Ok(())
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for step in self.steps.borrow().iter() {
            match step {
                PathStep::Entry(at) => path.push_str(&format!("[{at}]")),
                PathStep::Member(name) => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(name);
                }
            }
        }
        path
    }
}

struct StrictDeserializer<'t, D> {
    inner: D,
    state: &'t ReadState,
}

/// A visitor that sees what is inside through [`StrictDeserializer`].
struct StrictVisitor<'t, V> {
    inner: V,
    state: &'t ReadState,
    /// Whether it reads an object, so that a list is none.
    is_object: bool,
}

impl<'t, D> StrictDeserializer<'t, D> {
    fn visitor<V>(&self, inner: V) -> StrictVisitor<'t, V> {
        StrictVisitor {
            inner,
            state: self.state,
            is_object: false,
        }
    }
}

macro_rules! forward {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            let visitor = self.visitor(visitor);
            self.inner.$method(visitor)
        }
    )*};
}

// Asked for one type, serde_json quotes whatever else it finds in its error, however long that is. Asked for
// any, it hands it to the visitor, where a text has its limit.
macro_rules! any {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            let visitor = self.visitor(visitor);
            self.inner.deserialize_any(visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for StrictDeserializer<'_, D> {
    type Error = D::Error;

    forward! {
        deserialize_any deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf
        deserialize_option deserialize_identifier deserialize_ignored_any
    }

    any! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16
        deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64 deserialize_unit deserialize_seq deserialize_map
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = StrictVisitor {
            is_object: true,
            ..self.visitor(visitor)
        };
        self.inner.deserialize_any(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_unit_struct(name, visitor)
    }

    // Also what serde_json keeps as it came: nothing is to be seen inside.
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_newtype_struct(name, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = self.visitor(visitor);
        self.inner.deserialize_tuple(len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = self.visitor(visitor);
        self.inner.deserialize_tuple_struct(name, len, visitor)
    }

    // All choices are words. Asked for one, serde_json would take anything else for a fault of syntax.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_any(Choice(visitor))
    }
}

/// Reads one of several words.
struct Choice<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for Choice<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<V::Value, E> {
        limits::text(word)?;
        self.0.visit_enum(word.into_deserializer())
    }
}

macro_rules! visit {
    ($($method:ident: $type:ty;)*) => {$(
        fn $method<E: de::Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for StrictVisitor<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    visit! {
        visit_bool: bool;
        visit_i64: i64;
        visit_i128: i128;
        visit_u64: u64;
        visit_u128: u128;
        visit_f64: f64;
        visit_bytes: &[u8];
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<V::Value, E> {
        limits::text(text)?;
        self.inner.visit_str(text)
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<V::Value, E> {
        limits::text(text)?;
        self.inner.visit_borrowed_str(text)
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<V::Value, E> {
        limits::text(&text)?;
        self.inner.visit_string(text)
    }

    fn visit_none<E: de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(StrictDeserializer {
            inner,
            state: self.state,
        })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_newtype_struct(StrictDeserializer {
            inner,
            state: self.state,
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        if self.is_object {
            return Err(de::Error::invalid_type(Unexpected::Seq, &self.inner));
        }
        self.inner.visit_seq(StrictEntries {
            inner,
            state: self.state,
            next: 0,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(StrictMembers {
            inner,
            state: self.state,
        })
    }
}

struct StrictEntries<'t, A> {
    inner: A,
    state: &'t ReadState,
    next: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for StrictEntries<'_, A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, A::Error> {
        if self.next >= self.state.limits.entries() {
            let beyond = self.inner.next_element::<IgnoredAny>()?;
            return beyond.map_or(Ok(None), |_| Err(self.state.limits.too_many()));
        }
        self.state.enter(PathStep::Entry(self.next));
        self.state.limits.piece()?;
        self.next += 1;
        let seed = StrictSeed {
            seed,
            state: self.state,
        };
        let element = self.inner.next_element_seed(seed)?;
        self.state.leave();
        Ok(element)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

struct StrictMembers<'t, A> {
    inner: A,
    state: &'t ReadState,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for StrictMembers<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        // The key is noted when it is read, and stays noted until its value has been.
        self.inner.next_key_seed(MemberName {
            inner: seed,
            state: self.state,
        })
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        let value = self.inner.next_value_seed(StrictSeed {
            seed,
            state: self.state,
        })?;
        self.state.leave();
        Ok(value)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

struct StrictSeed<'t, T> {
    seed: T,
    state: &'t ReadState,
}

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for StrictSeed<'_, T> {
    type Value = T::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<T::Value, D::Error> {
        self.seed.deserialize(StrictDeserializer {
            inner,
            state: self.state,
        })
    }
}

/// The name of a member, as seed, as deserializer and as visitor.
struct MemberName<'t, I> {
    inner: I,
    state: &'t ReadState,
}

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for MemberName<'_, K> {
    type Value = K::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<K::Value, D::Error> {
        self.inner.deserialize(MemberName {
            inner,
            state: self.state,
        })
    }
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for MemberName<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_any(MemberName {
            inner: visitor,
            state: self.state,
        })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for MemberName<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<V::Value, E> {
        self.state.enter_member(name)?;
        self.inner.visit_str(name)
    }

    fn visit_borrowed_str<E: de::Error>(self, name: &'de str) -> Result<V::Value, E> {
        self.state.enter_member(name)?;
        self.inner.visit_borrowed_str(name)
    }

    fn visit_string<E: de::Error>(self, name: String) -> Result<V::Value, E> {
        self.state.enter_member(&name)?;
        self.inner.visit_string(name)
    }
}
