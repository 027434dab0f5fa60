//! `from` and `emit`: fields that take a plain word or something longer.
//!
//! A structural schema cannot say "text or list", so the API server keeps these two as they are
//! (`x-kubernetes-preserve-unknown-fields`) and the compiler checks them.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::stage::{Emit, Inputs};
use crate::duration::Duration;

impl Inputs {
    /// Whether no input is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Inputs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => serializer.serialize_str(one),
            several => several.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Inputs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Inputs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a stream, or a list of names")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Inputs, E> {
                Ok(Inputs(vec![name.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Inputs, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = seq.next_element()? {
                    names.push(name);
                }
                Ok(Inputs(names))
            }
        }
        deserializer.deserialize_any(Names)
    }
}

impl JsonSchema for Inputs {
    fn schema_name() -> Cow<'static, str> {
        "Inputs".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
    }

    fn inline_schema() -> bool {
        true
    }
}

impl Serialize for Emit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::OnClose => serializer.serialize_str("OnClose"),
            Self::OnChange => serializer.serialize_str("OnChange"),
            Self::Final => serializer.serialize_str("Final"),
            Self::Every(period) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("every", period)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Emit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Mode;
        impl<'de> Visitor<'de> for Mode {
            type Value = Emit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("OnClose, OnChange, Final or {every: 1s}")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Emit, E> {
                match word {
                    "OnClose" => Ok(Emit::OnClose),
                    "OnChange" => Ok(Emit::OnChange),
                    "Final" => Ok(Emit::Final),
                    _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Emit, A::Error> {
                let mut every: Option<Duration> = None;
                while let Some(key) = map.next_key::<String>()? {
                    if key != "every" {
                        return Err(de::Error::unknown_field(&key, &["every"]));
                    }
                    every = Some(map.next_value()?);
                }
                every.map(Emit::Every).ok_or_else(|| de::Error::missing_field("every"))
            }
        }
        deserializer.deserialize_any(Mode)
    }
}

impl JsonSchema for Emit {
    fn schema_name() -> Cow<'static, str> {
        "Emit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
    }

    fn inline_schema() -> bool {
        true
    }
}
