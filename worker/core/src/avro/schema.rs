//! Avro schemas, as far as a reader needs them: how values are laid out, and what their fields are called.
//!
//! Read here and not by the crate apache-avro, which forgets whether a `uuid` is a string or 16 bytes, and would bring
//! random numbers into the core. The tests hold this against it.

use hashbrown::HashMap;
use serde_json::{Map, Value};
use tocsin_contract::pipeline::source::TimeUnit;

/// Number of a type in a schema.
pub(super) type NodeId = usize;

/// A schema: types that refer to one another by number.
#[derive(Debug, Default)]
pub(super) struct Schema {
    nodes: Vec<Node>,
    pub(super) root: NodeId,
}

/// A type.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Null,
    Boolean,
    /// `int` and `long`, which are written alike.
    Long,
    Float,
    Double,
    Bytes,
    String,
    /// So many bytes.
    Fixed(usize),
    Enum(Vec<String>),
    Array(NodeId),
    Map(NodeId),
    Union(Vec<NodeId>),
    Record(Vec<(String, NodeId)>),
    /// Days since 1970.
    Date,
    /// A `long` in this unit since 1970.
    Timestamp(TimeUnit),
    /// Units of `10^-scale`, in so many bytes; without a number, the bytes say how many they are.
    Decimal {
        scale: u32,
        size: Option<usize>,
    },
}

/// Why a schema cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SchemaError {
    #[error("it is no JSON: {0}")]
    NoJson(String),
    #[error("`{0}` is no type")]
    NoType(String),
    #[error("a type has no `{0}`")]
    Lacks(&'static str),
    #[error("two types are called `{0}`")]
    Twice(String),
    #[error("records are no objects: the outermost type is {0}")]
    NoRecord(&'static str),
}

impl Schema {
    /// Reads a schema. `references` are the texts of schemas that it names, each behind those that it names itself.
    pub(super) fn parse(text: &str, references: &[String]) -> Result<Self, SchemaError> {
        let mut parser = Parser::default();
        for reference in references {
            parser.text(reference)?;
        }
        let root = parser.text(text)?;
        let schema = Self {
            nodes: parser.nodes,
            root,
        };
        match schema.node(root) {
            Node::Record(_) => Ok(schema),
            other => Err(SchemaError::NoRecord(other.name())),
        }
    }

    /// A type by its number.
    pub(super) fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(id).unwrap_or(&Node::Null)
    }
}

impl Node {
    /// What a message calls it.
    fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Long | Self::Float | Self::Double | Self::Decimal { .. } => "a number",
            Self::Bytes | Self::Fixed(_) => "bytes",
            Self::String | Self::Enum(_) => "a string",
            Self::Array(_) => "an array",
            Self::Map(_) => "a map",
            Self::Union(_) => "a union",
            Self::Record(_) => "a record",
            Self::Date | Self::Timestamp(_) => "a time",
        }
    }
}

#[derive(Default)]
struct Parser {
    nodes: Vec<Node>,
    /// By full name.
    names: HashMap<String, NodeId>,
}

impl Parser {
    fn text(&mut self, text: &str) -> Result<NodeId, SchemaError> {
        let value: Value = serde_json::from_str(text).map_err(|error| SchemaError::NoJson(error.to_string()))?;
        self.parse(&value, "")
    }

    fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// serde_json reads only so deep, and this goes no deeper.
    fn parse(&mut self, value: &Value, namespace: &str) -> Result<NodeId, SchemaError> {
        match value {
            Value::String(name) => match primitive(name) {
                Some(node) => Ok(self.add(node)),
                None => self.named(name, namespace),
            },
            Value::Array(branches) => {
                let branches = branches.iter().map(|branch| self.parse(branch, namespace));
                let branches = branches.collect::<Result<Vec<_>, _>>()?;
                Ok(self.add(Node::Union(branches)))
            }
            Value::Object(object) => self.object(object, namespace),
            other => Err(SchemaError::NoType(other.to_string())),
        }
    }

    fn named(&self, name: &str, namespace: &str) -> Result<NodeId, SchemaError> {
        let inside = (!namespace.is_empty() && !name.contains('.')).then(|| format!("{namespace}.{name}"));
        let found = inside
            .and_then(|name| self.names.get(&name))
            .or_else(|| self.names.get(name));
        found.copied().ok_or_else(|| SchemaError::NoType(name.to_owned()))
    }

    fn object(&mut self, object: &Map<String, Value>, namespace: &str) -> Result<NodeId, SchemaError> {
        let kind = object.get("type").ok_or(SchemaError::Lacks("type"))?;
        let Value::String(kind) = kind else {
            return self.parse(kind, namespace);
        };
        match kind.as_str() {
            "record" | "error" => {
                let (id, namespace) = self.define(object, namespace)?;
                let Some(Value::Array(fields)) = object.get("fields") else {
                    return Err(SchemaError::Lacks("fields"));
                };
                let mut all = Vec::new();
                for field in fields {
                    let name = field
                        .get("name")
                        .and_then(Value::as_str)
                        .ok_or(SchemaError::Lacks("name"))?;
                    let ty = field.get("type").ok_or(SchemaError::Lacks("type"))?;
                    all.push((name.to_owned(), self.parse(ty, &namespace)?));
                }
                self.nodes[id] = Node::Record(all);
                Ok(id)
            }
            "enum" => {
                let (id, _) = self.define(object, namespace)?;
                let Some(Value::Array(symbols)) = object.get("symbols") else {
                    return Err(SchemaError::Lacks("symbols"));
                };
                let symbols = symbols
                    .iter()
                    .map(|symbol| symbol.as_str().unwrap_or_default().to_owned());
                self.nodes[id] = Node::Enum(symbols.collect());
                Ok(id)
            }
            "fixed" => {
                let (id, _) = self.define(object, namespace)?;
                let size = object.get("size").and_then(Value::as_u64);
                let size = size
                    .and_then(|size| usize::try_from(size).ok())
                    .ok_or(SchemaError::Lacks("size"))?;
                self.nodes[id] = logical(object, Node::Fixed(size));
                Ok(id)
            }
            "array" => {
                let items = object.get("items").ok_or(SchemaError::Lacks("items"))?;
                let items = self.parse(items, namespace)?;
                Ok(self.add(Node::Array(items)))
            }
            "map" => {
                let values = object.get("values").ok_or(SchemaError::Lacks("values"))?;
                let values = self.parse(values, namespace)?;
                Ok(self.add(Node::Map(values)))
            }
            name => match primitive(name) {
                Some(node) => {
                    let node = logical(object, node);
                    Ok(self.add(node))
                }
                None => self.named(name, namespace),
            },
        }
    }

    /// Gives a type its name, before what it holds is read: that may name it. Answers with its namespace too.
    fn define(&mut self, object: &Map<String, Value>, enclosing: &str) -> Result<(NodeId, String), SchemaError> {
        let name = object
            .get("name")
            .and_then(Value::as_str)
            .ok_or(SchemaError::Lacks("name"))?;
        let (namespace, full) = match name.rsplit_once('.') {
            Some((namespace, _)) => (namespace, name.to_owned()),
            None => match object.get("namespace").and_then(Value::as_str).unwrap_or(enclosing) {
                "" => ("", name.to_owned()),
                namespace => (namespace, format!("{namespace}.{name}")),
            },
        };
        let id = self.add(Node::Null);
        match self.names.insert(full.clone(), id) {
            None => Ok((id, namespace.to_owned())),
            Some(_) => Err(SchemaError::Twice(full)),
        }
    }
}

fn primitive(name: &str) -> Option<Node> {
    Some(match name {
        "null" => Node::Null,
        "boolean" => Node::Boolean,
        "int" | "long" => Node::Long,
        "float" => Node::Float,
        "double" => Node::Double,
        "bytes" => Node::Bytes,
        "string" => Node::String,
        _ => return None,
    })
}

/// A type with its `logicalType`. One that is not known, or not of this type, says nothing.
fn logical(object: &Map<String, Value>, node: Node) -> Node {
    let is_int = object.get("type").and_then(Value::as_str) == Some("int");
    let scale = || match object.get("scale") {
        None => Some(0),
        Some(scale) => scale.as_u64().and_then(|scale| u32::try_from(scale).ok()),
    };
    let name = object.get("logicalType").and_then(Value::as_str).unwrap_or_default();
    match (name, &node) {
        ("date", Node::Long) if is_int => Node::Date,
        ("timestamp-millis" | "local-timestamp-millis", Node::Long) if !is_int => {
            Node::Timestamp(TimeUnit::Milliseconds)
        }
        ("timestamp-micros" | "local-timestamp-micros", Node::Long) if !is_int => {
            Node::Timestamp(TimeUnit::Microseconds)
        }
        ("timestamp-nanos" | "local-timestamp-nanos", Node::Long) if !is_int => Node::Timestamp(TimeUnit::Nanoseconds),
        ("decimal", Node::Bytes) => scale().map_or(node, |scale| Node::Decimal { scale, size: None }),
        ("decimal", Node::Fixed(size)) => {
            let size = Some(*size);
            scale().map_or(node, |scale| Node::Decimal { scale, size })
        }
        _ => node,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let found = Schema::parse(text, &[]).map(|_| ()).map_err(|error| error.to_string());
        let expected = if expected.is_empty() {
            Ok(())
        } else {
            Err(expected.to_owned())
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn what_is_no_schema_is_refused_with_its_fault() {
        check("{", "it is no JSON: EOF while parsing an object at line 1 column 1");
        check("\"string\"", "records are no objects: the outermost type is a string");
        check("[\"null\"]", "records are no objects: the outermost type is a union");
        check("{}", "a type has no `type`");
        check("7", "`7` is no type");
        check(r#"{"type": "record", "name": "R"}"#, "a type has no `fields`");
        check(r#"{"type": "record", "fields": []}"#, "a type has no `name`");
        check(
            r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": "Other"}]}"#,
            "`Other` is no type",
        );
        check(
            r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": {"type": "fixed", "name": "R", "size": 1}}]}"#,
            "two types are called `R`",
        );
    }

    #[test]
    fn a_type_is_found_by_its_name_in_its_namespace() {
        let fields = |ty: &str| {
            format!(
                r#"{{"type": "record", "name": "R", "namespace": "a.b", "fields": [
                    {{"name": "x", "type": {{"type": "enum", "name": "E", "symbols": ["A"]}}}}, {{"name": "y", "type": "{ty}"}}]}}"#
            )
        };
        check(&fields("E"), "");
        check(&fields("a.b.E"), "");
        check(&fields("R"), "");
        check(&fields("b.E"), "`b.E` is no type");
    }

    #[test]
    fn references_are_known_to_what_comes_behind_them() {
        let host = r#"{"type": "record", "name": "Host", "namespace": "x", "fields": []}"#.to_owned();
        let text = r#"{"type": "record", "name": "R", "fields": [{"name": "host", "type": "x.Host"}]}"#;
        assert!(Schema::parse(text, &[host]).is_ok());
        assert_eq!(
            Schema::parse(text, &[]).map(|_| ()),
            Err(SchemaError::NoType("x.Host".into()))
        );
    }
}
