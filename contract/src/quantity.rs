//! Amounts as Kubernetes writes them: `500m`, `2`, `4Gi`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// What the text of an amount must look like. Amounts below zero mean nothing here.
pub const PATTERN: &str = "^([0-9]{1,18}(\\.[0-9]{0,9})?|\\.[0-9]{1,9})([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]{1,2})?$";

/// An amount of a resource, kept as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Quantity(String);

impl Quantity {
    /// The amount `text`, unchecked: for amounts that stand in the program.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The amount as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Amount;
        impl Visitor<'_> for Amount {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount like 500m, 2 or 4Gi")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
                Ok(Quantity(text.to_owned()))
            }

            fn visit_u64<E: de::Error>(self, amount: u64) -> Result<Quantity, E> {
                Ok(Quantity(amount.to_string()))
            }

            fn visit_i64<E: de::Error>(self, amount: i64) -> Result<Quantity, E> {
                u64::try_from(amount)
                    .map(|amount| Quantity(amount.to_string()))
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(amount), &self))
            }
        }
        deserializer.deserialize_any(Amount)
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // Said outright, or kube takes every amount that may be absent for one that may be null.
        json_schema!({
            "x-kubernetes-int-or-string": true, "nullable": false, "pattern": PATTERN, "maxLength": 32
        })
    }

    fn inline_schema() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_amount_is_a_text_or_a_whole_number() {
        for (json, expected) in [("\"500m\"", "500m"), ("2", "2"), ("\"4Gi\"", "4Gi")] {
            assert_eq!(serde_json::from_str::<Quantity>(json).unwrap().as_str(), expected);
        }
        for json in ["-1", "1.5", "true", "[]"] {
            assert!(serde_json::from_str::<Quantity>(json).is_err(), "{json}");
        }
    }
}
