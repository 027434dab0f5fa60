//! Lists and maps with a largest size, and how server-side apply merges them.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// A list that is replaced as a whole.
pub struct List<T, const MAX: u32>(PhantomData<T>);

/// A list of texts of which each stands once.
pub struct Unique<T, const MAX: u32>(PhantomData<T>);

/// A list whose items have a `name` each: names are unique, and items merge by them.
pub struct Named<T, const MAX: u32>(PhantomData<T>);

/// A list whose items have an `id` each.
pub struct Identified<T, const MAX: u32>(PhantomData<T>);

/// A list whose items have a `type` each: conditions.
pub struct Typed<T, const MAX: u32>(PhantomData<T>);

/// A map from text to `T`.
pub struct Map<T, const MAX: u32>(PhantomData<T>);

macro_rules! lists {
    ($($name:ident $merge:expr;)*) => {
        $(impl<T: JsonSchema, const MAX: u32> JsonSchema for $name<T, MAX> {
            fn schema_name() -> Cow<'static, str> {
                format!("{}{}Max{}", stringify!($name), T::schema_name(), MAX).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                list(generator.subschema_for::<T>(), MAX, &$merge)
            }

            fn inline_schema() -> bool {
                true
            }
        })*
    };
}

lists! {
    List Merge::Whole;
    Unique Merge::Set;
    Named Merge::By("name");
    Identified Merge::By("id");
    Typed Merge::By("type");
}

/// How the items of two appliers become one list.
enum Merge {
    /// The later list counts.
    Whole,
    /// Items are equal or different.
    Set,
    /// Items are the same if this field is.
    By(&'static str),
}

fn list(items: Schema, max: u32, merge: &Merge) -> Schema {
    let mut schema = json_schema!({ "type": "array", "items": items, "maxItems": max });
    let kind = match merge {
        Merge::Whole => "atomic",
        Merge::Set => "set",
        Merge::By(key) => {
            schema.insert("x-kubernetes-list-map-keys".into(), vec![*key].into());
            "map"
        }
    };
    schema.insert("x-kubernetes-list-type".into(), kind.into());
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
