//! What the statuses of all kinds share: the schema of conditions.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::schema::list::Typed;

/// Conditions of a status: at most 32, one of each type.
pub type Conditions = Typed<ConditionSchema, 32>;

/// The schema of a Kubernetes condition, with bounds.
pub struct ConditionSchema;

impl JsonSchema for ConditionSchema {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Condition".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "One thing that is so or not.",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {
                    "type": "string", "maxLength": 63, "pattern": "^[A-Za-z]+$",
                    "description": "What it is about: Ready, Stalled, KafkaReady and so on."
                },
                "status": {
                    "type": "string", "enum": ["True", "False", "Unknown"],
                    "description": "Whether it is so."
                },
                "observedGeneration": {
                    "type": "integer", "format": "int64", "minimum": 0,
                    "description": "Generation of the spec that it speaks of."
                },
                "lastTransitionTime": {
                    "type": "string", "format": "date-time", "maxLength": 64,
                    "description": "When the status last changed."
                },
                "reason": {
                    "type": "string", "minLength": 1, "maxLength": 63, "pattern": "^[A-Za-z]+$",
                    "description": "Why, in one word from a closed list."
                },
                "message": {
                    "type": "string", "maxLength": 32768,
                    "description": "Why, in a sentence with the next step."
                }
            }
        })
    }

    fn inline_schema() -> bool {
        true
    }
}
