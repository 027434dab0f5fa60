//! Types and reasons of conditions: closed lists. What is not here is in no status.
//!
//! A condition's message says more; its reason is what tools wait for, so a reason once released keeps its name.

/// Declares the conditions of a kind: constants of types, and each type with its reasons.
macro_rules! conditions {
    ($($(#[$doc:meta])* $name:ident = $kind:literal { $($(#[$why:meta])* $reason:ident)* })*) => {
        $($(#[$doc])* pub const $name: &str = $kind;)*

        /// Every type of condition with the reasons that it can have.
        pub const ALL: &[(&str, &[&str])] = &[$(($kind, &[$(stringify!($reason)),*])),*];
    };
}

conditions! {
    /// Whether the pipeline does all that its spec asks for. The one to wait for.
    READY = "Ready" { AllComponentsReady ComponentNotReady Suspended Reconciling Stalled }
    /// Whether the operator is at work to bring the pipeline there. True at once when a spec is new.
    RECONCILING = "Reconciling" {
        SpecChanged Provisioning Deploying Upgrading RollingBack Scaling Deleting Waiting Paused Done
    }
    /// Whether the operator cannot go on until somebody changes something.
    STALLED = "Stalled" { InvalidConfiguration UnrecoverableError NotBuilt TimedOut NotStalled }
    /// Whether the cloud takes the identity.
    CREDENTIALS_VALID = "CredentialsValid" {
        AuthenticationSucceeded AuthenticationFailed SecretMissing Expired NamespaceNotAllowed NotNeeded
    }
    /// Whether all machines are there.
    INFRASTRUCTURE_READY = "InfrastructureReady" {
        ServersActive Provisioning QuotaExceeded NoValidHost StackFailed ServerError DriftDetected NotManaged NotNeeded
    }
    /// Whether Kafka answers.
    KAFKA_READY = "KafkaReady" { BrokersReady Deploying Unreachable AuthenticationFailed OperatorMissing VersionUnsupported }
    /// Whether all topics are there as they must be.
    TOPICS_READY = "TopicsReady" { TopicsPresent Creating TopicMissing PartitionsChanged NotAuthorized RetentionTooShort }
    /// Whether all workers are ready.
    WORKERS_READY = "WorkersReady" { WorkersReady RollingOut ImagePullFailed CrashLooping Unschedulable ScaledToZero }
    /// Whether snapshots succeed.
    STATE_HEALTHY = "StateHealthy" { CheckpointingOk CheckpointStalled SnapshotFailed StorageUnreachable VolumeOnly }
    /// Whether there is a snapshot to go back to.
    SNAPSHOT_AVAILABLE = "SnapshotAvailable" { SavepointTaken CheckpointOnly NoSnapshot Unreadable }
    /// Whether the running version has shown that it is good.
    UPGRADE_STABLE = "UpgradeStable" { Stable Verifying RolledBack StateIncompatible SavepointFailed }
    /// Whether the autoscaler decides.
    SCALING_ACTIVE = "ScalingActive" { Active Recommending Disabled MetricsMissing Excluded }
    /// Whether something keeps the autoscaler from what it wants.
    SCALING_LIMITED = "ScalingLimited" {
        WithinLimits MinReplicas MaxReplicas Partitions CloudQuota ResourceQuota PolicyStep Ineffective
    }
    /// Whether somebody sets `workers.replicas` while the autoscaler decides.
    MANUAL_SCALE_IGNORED = "ManualScaleIgnored" { AutoscalerActive NotScaled }
    /// Whether the pipeline keeps up.
    LAG_WITHIN_TARGET = "LagWithinTarget" { WithinTarget AboveTarget Unknown }
    /// Whether something is wrong that does not stop the pipeline.
    DEGRADED = "Degraded" {
        AsExpected Restarting PoisonPartition SinkUnavailable SourceStalled KeyMisplaced KeySkew SchemaDrift TypeMismatch
        RetentionNear
    }
    /// Whether all workers have the newest rules and models.
    RULES_APPLIED = "RulesApplied" { Applied Applying RuleRefused RuleSetMissing RolledBack NotSupportedByWorker }
    /// Whether a model is loaded. Of an IncidentModel.
    LOADED = "Loaded" { Loaded Loading ArtifactMissing ChecksumMismatch ArtifactInvalid NotReferenced RolledBack }
    /// Whether a snapshot is complete. Of a PipelineSnapshot.
    COMPLETE = "Complete" { Completed Pending InProgress Failed Abandoned PipelineMissing }
}

/// `reason` as it stands in the list of the condition type `kind`, if it does.
pub fn known(kind: &str, reason: &str) -> Option<&'static str> {
    let (_, reasons) = ALL.iter().find(|(name, _)| *name == kind)?;
    reasons.iter().find(|known| **known == reason).copied()
}

/// Whether `reason` is one of the condition type `kind`.
pub fn is_known(kind: &str, reason: &str) -> bool {
    known(kind, reason).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_stands_once_and_has_a_reason_for_good_and_bad() {
        for (at, (kind, reasons)) in ALL.iter().enumerate() {
            assert!(!ALL[..at].iter().any(|(other, _)| other == kind), "{kind} stands twice");
            assert!(reasons.len() >= 2, "{kind} says the same whatever happens");
        }
    }

    #[test]
    fn types_and_reasons_fit_what_the_api_server_takes() {
        let fits = |name: &str| name.len() <= 63 && name.chars().all(|c| c.is_ascii_alphanumeric());
        for (kind, reasons) in ALL {
            assert!(fits(kind), "{kind}");
            for (at, reason) in reasons.iter().enumerate() {
                assert!(
                    fits(reason) && reason.starts_with(|c: char| c.is_ascii_uppercase()),
                    "{kind}: {reason}"
                );
                assert!(!reasons[..at].contains(reason), "{kind}: {reason} stands twice");
            }
        }
    }

    #[test]
    fn a_reason_belongs_to_its_type_alone() {
        assert!(is_known(READY, "AllComponentsReady"));
        assert!(!is_known(READY, "QuotaExceeded"));
        assert!(!is_known("Progressing", "Success"));
    }
}
