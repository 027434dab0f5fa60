//! What goes wrong with snapshots.

use tocsin_worker_core::snapshot::{InvalidManifest, RestoreError};

/// An object store that cannot be used, or a snapshot that cannot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The address leads nowhere.
    #[error("snapshots cannot be kept at {address}: {reason}")]
    Address {
        /// The address.
        address: String,
        /// Why not.
        reason: String,
    },
    /// The store failed.
    #[error("{what} {name}: {source}")]
    Store {
        /// What was tried.
        what: &'static str,
        /// With which object.
        name: String,
        /// Why not.
        source: object_store::Error,
    },
    /// A snapshot cannot be used. None that is older is taken in its place.
    #[error("snapshot {name} {reason}; give it back, or remove it to go back to the one before")]
    Invalid {
        /// The manifest.
        name: String,
        /// What is wrong with it.
        reason: InvalidManifest,
    },
    /// There is none of that name.
    #[error("there is no snapshot {0}; `tocsin snapshot list` names all")]
    Unknown(String),
    /// A pipeline cannot begin with it.
    #[error("there is no savepoint {0}; `tocsin snapshot list` names all, as PIPELINE/savepoints/ID")]
    NotSavepoint(String),
    /// It was given up before it was complete.
    #[error("savepoint {0} was given up before it was complete; `tocsin snapshot list` names those that are")]
    GivenUp(String),
    /// A pipeline cannot be resumed from it.
    #[error(
        "the pipeline cannot be resumed from savepoint {name}: {why}; wind it back instead (--restore-from, --rewind-to-epoch)"
    )]
    NotResumed {
        /// Name of the savepoint.
        name: String,
        /// Why not.
        why: String,
    },
    /// Rows that it does not hold were on their way between shards when it was taken.
    #[error(
        "savepoint {name} cannot begin a pipeline: shards sent rows to one another ({input}), and some may have been on their way; take one that drains them (`\"drain\": true`), and begin with that"
    )]
    OnTheWay {
        /// Name of the savepoint.
        name: String,
        /// Name of the input.
        input: String,
    },
    /// A restore ended before it was done.
    #[error("a restore ended unexpectedly")]
    Interrupted,
    /// The state of a snapshot cannot be taken back.
    #[error("snapshot {name}: {reason}")]
    Restore {
        /// The manifest.
        name: String,
        /// Why not.
        reason: RestoreError,
    },
}

impl SnapshotError {
    /// Whether the snapshot itself is at fault, and not whoever should give it.
    pub fn is_of_the_snapshot(&self) -> bool {
        match self {
            Self::Store { source, .. } => matches!(source, object_store::Error::NotFound { .. }),
            Self::Address { .. } | Self::Interrupted => false,
            Self::Invalid { .. }
            | Self::Unknown(_)
            | Self::NotSavepoint(_)
            | Self::GivenUp(_)
            | Self::OnTheWay { .. }
            | Self::NotResumed { .. }
            | Self::Restore { .. } => true,
        }
    }

    /// Whether another try may do: the store could not be reached, or failed.
    pub fn may_pass(&self) -> bool {
        use object_store::Error;
        match self {
            Self::Store { source, .. } => !matches!(
                source,
                Error::NotFound { .. }
                    | Error::AlreadyExists { .. }
                    | Error::PermissionDenied { .. }
                    | Error::Unauthenticated { .. }
                    | Error::NotSupported { .. }
                    | Error::UnknownConfigurationKey { .. }
            ),
            Self::Address { .. }
            | Self::Invalid { .. }
            | Self::Unknown(_)
            | Self::NotSavepoint(_)
            | Self::GivenUp(_)
            | Self::OnTheWay { .. }
            | Self::NotResumed { .. }
            | Self::Restore { .. }
            | Self::Interrupted => false,
        }
    }
}
