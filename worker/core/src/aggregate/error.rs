//! Why an aggregate call cannot be built: said so that the user can mend the query.

use arrow_schema::DataType;

/// An aggregate call that cannot be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AggregateError {
    /// No function has this name.
    #[error("no aggregate function `{name}`{}", nearest.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    Unknown {
        /// The name.
        name: String,
        /// The function with the most similar name.
        nearest: Option<String>,
    },
    /// A function of SQL that a stream cannot have.
    #[error("`{name}` is not available: {reason}")]
    Refused {
        /// The function.
        name: String,
        /// Why, and what to use in its place.
        reason: &'static str,
    },
    /// Too few or too many arguments.
    #[error("`{name}` takes {expected}, found {found}")]
    ArgumentCount {
        /// The function.
        name: String,
        /// How many it takes.
        expected: &'static str,
        /// How many there are.
        found: usize,
    },
    /// An argument of a type that the function cannot work on.
    #[error("`{name}` cannot work on {found}; it takes {expected}")]
    ArgumentType {
        /// The function.
        name: String,
        /// Types that it takes.
        expected: &'static str,
        /// Type of the argument.
        found: DataType,
    },
    /// An argument that must be a constant of a certain kind.
    #[error("`{name}`: {what}")]
    Constant {
        /// The function.
        name: String,
        /// What the argument must be.
        what: &'static str,
    },
    /// A clause that the function does not have.
    #[error("`{name}` does not take {clause}")]
    Clause {
        /// The function.
        name: String,
        /// The clause.
        clause: &'static str,
    },
    /// What DataFusion says against it.
    #[error("`{name}`: {message}")]
    Planning {
        /// The function.
        name: String,
        /// DataFusion's message.
        message: String,
    },
}
