//! Lists and maps with a largest size, and how server-side apply merges them.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// A list that is replaced as a whole.
pub struct List<T, const MAX: u32>(PhantomData<T>);

/// A list whose items have a `name` each: names are unique, and items merge by them.
pub struct Named<T, const MAX: u32>(PhantomData<T>);

/// A list whose items have an `id` each.
pub struct Identified<T, const MAX: u32>(PhantomData<T>);

/// A list whose items have a `type` each: conditions.
pub struct Typed<T, const MAX: u32>(PhantomData<T>);

/// A map from text to `T`.
pub struct Map<T, const MAX: u32>(PhantomData<T>);

macro_rules! lists {
    ($($name:ident $key:expr;)*) => {
        $(impl<T: JsonSchema, const MAX: u32> JsonSchema for $name<T, MAX> {
            fn schema_name() -> Cow<'static, str> {
                format!("{}{}Max{}", stringify!($name), T::schema_name(), MAX).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                list(generator.subschema_for::<T>(), MAX, $key)
            }

            fn inline_schema() -> bool {
                true
            }
        })*
    };
}

lists! {
    List None;
    Named Some("name");
    Identified Some("id");
    Typed Some("type");
}

fn list(items: Schema, max: u32, key: Option<&str>) -> Schema {
    let mut schema = json_schema!({ "type": "array", "items": items, "maxItems": max });
    match key {
        None => {
            schema.insert("x-kubernetes-list-type".into(), "atomic".into());
        }
        Some(key) => {
            schema.insert("x-kubernetes-list-type".into(), "map".into());
            schema.insert("x-kubernetes-list-map-keys".into(), vec![key].into());
        }
    }
    schema
}

impl<T: JsonSchema, const MAX: u32> JsonSchema for Map<T, MAX> {
    fn schema_name() -> Cow<'static, str> {
        format!("Map{}Max{MAX}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let values = generator.subschema_for::<T>();
        json_schema!({ "type": "object", "additionalProperties": values, "maxProperties": MAX })
    }

    fn inline_schema() -> bool {
        true
    }
}
