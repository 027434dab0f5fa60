//! Users of a cluster: their passwords, what they may do, and how fast.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use bytes::Bytes;
use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::alter_user_scram_credentials_request::ScramCredentialUpsertion;
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::{
    AlterClientQuotasRequest, AlterUserScramCredentialsRequest, CreateAclsRequest, DeleteAclsRequest,
    DescribeAclsRequest,
};
use kafka_protocol::protocol::StrBytes;
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretString};

use super::cluster::Cluster;
use super::error::KafkaError;
use super::scram::{Hash, salted};

/// An access rule: its user may do that.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccessRule {
    /// With what.
    pub resource: Resource,
    /// Its name, or what names begin with.
    pub name: String,
    /// Whether it is for all names that begin so.
    pub is_prefix: bool,
    /// What.
    pub operation: Operation,
}

/// What access is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// A topic.
    Topic,
    /// A consumer group.
    Group,
    /// The cluster.
    Cluster,
    /// A transactional id.
    TransactionalId,
}

/// What may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Anything.
    All,
    /// Reading; of a group, being in it.
    Read,
    /// Writing.
    Write,
    /// Making.
    Create,
    /// Looking at what it is.
    Describe,
    /// Looking at what it is set to.
    DescribeConfigs,
    /// Writing without duplicates.
    IdempotentWrite,
}

impl Resource {
    const fn code(self) -> i8 {
        match self {
            Self::Topic => 2,
            Self::Group => 3,
            Self::Cluster => 4,
            Self::TransactionalId => 5,
        }
    }

    fn of(code: i8) -> Option<Self> {
        [Self::Topic, Self::Group, Self::Cluster, Self::TransactionalId]
            .into_iter()
            .find(|resource| resource.code() == code)
    }
}

impl Operation {
    const ALL: [Self; 7] = [
        Self::All,
        Self::Read,
        Self::Write,
        Self::Create,
        Self::Describe,
        Self::DescribeConfigs,
        Self::IdempotentWrite,
    ];

    const fn code(self) -> i8 {
        match self {
            Self::All => 2,
            Self::Read => 3,
            Self::Write => 4,
            Self::Create => 5,
            Self::Describe => 8,
            Self::DescribeConfigs => 10,
            Self::IdempotentWrite => 12,
        }
    }

    fn of(code: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.code() == code)
    }
}

const LITERAL: i8 = 3;
const PREFIXED: i8 = 4;
const ANY: i8 = 1;
const ALLOW: i8 = 3;
const FROM_ANYWHERE: &str = "*";

/// SCRAM-SHA-512, by its number.
const SCRAM_SHA_512: i8 = 2;
/// As many as Kafka's own tools take.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(8_192).unwrap();
const SALT: usize = 32;

const ALTER_USERS: i16 = 0;
const ACLS: i16 = 3;
const QUOTAS: i16 = 1;

impl Cluster {
    /// Sets the password of a user, who logs in by SCRAM-SHA-512; makes the user, if there is none.
    ///
    /// # Errors
    /// If the cluster refuses that.
    pub fn set_password(&mut self, user: &str, password: &SecretString) -> Result<(), KafkaError> {
        let mut salt = vec![0; SALT];
        SystemRandom::new()
            .fill(&mut salt)
            .map_err(|_| self.has_no_login("random numbers"))?;
        let salted = salted(Hash::Sha512, password.expose_secret(), &salt, ITERATIONS);
        let upsertion = ScramCredentialUpsertion::default()
            .with_name(text(user))
            .with_mechanism(SCRAM_SHA_512)
            .with_iterations(ITERATIONS.get() as i32)
            .with_salt(Bytes::from(salt))
            .with_salted_password(Bytes::from(salted));
        self.alter_users(AlterUserScramCredentialsRequest::default().with_upsertions(vec![upsertion]))
    }

    fn alter_users(&mut self, request: AlterUserScramCredentialsRequest) -> Result<(), KafkaError> {
        let what = "AlterUserScramCredentials";
        self.needs_own_client(what)?;
        let connection = self.any()?;
        let response = connection.call(what, &request, ALTER_USERS)?;
        for result in &response.results {
            connection.check(what, result.error_code)?;
        }
        Ok(())
    }

    /// What a user may do.
    ///
    /// # Errors
    /// If the cluster does not say.
    pub fn access_rules(&mut self, user: &str) -> Result<BTreeSet<AccessRule>, KafkaError> {
        let what = "DescribeAcls";
        self.needs_own_client(what)?;
        let request = DescribeAclsRequest::default()
            .with_resource_type_filter(ANY)
            .with_resource_name_filter(None)
            .with_pattern_type_filter(ANY)
            .with_principal_filter(Some(principal(user)))
            .with_host_filter(None)
            .with_operation(ANY)
            .with_permission_type(ALLOW);
        let connection = self.any()?;
        let response = connection.call(what, &request, ACLS)?;
        connection.check(what, response.error_code)?;
        let rules = response.resources.iter().flat_map(|resource| {
            resource.acls.iter().filter_map(|acl| {
                Some(AccessRule {
                    resource: Resource::of(resource.resource_type)?,
                    name: resource.resource_name.to_string(),
                    is_prefix: resource.pattern_type == PREFIXED,
                    operation: Operation::of(acl.operation)?,
                })
            })
        });
        Ok(rules.collect())
    }

    /// Lets a user do that, besides what it may already.
    ///
    /// # Errors
    /// If the cluster refuses that.
    pub fn allow(&mut self, user: &str, rules: &[AccessRule]) -> Result<(), KafkaError> {
        let what = "CreateAcls";
        self.needs_own_client(what)?;
        let creation = |rule: &AccessRule| {
            AclCreation::default()
                .with_resource_type(rule.resource.code())
                .with_resource_name(text(&rule.name))
                .with_resource_pattern_type(if rule.is_prefix { PREFIXED } else { LITERAL })
                .with_principal(principal(user))
                .with_host(StrBytes::from_static_str(FROM_ANYWHERE))
                .with_operation(rule.operation.code())
                .with_permission_type(ALLOW)
        };
        let request = CreateAclsRequest::default().with_creations(rules.iter().map(creation).collect());
        let connection = self.any()?;
        let response = connection.call(what, &request, ACLS)?;
        for result in &response.results {
            connection.check(what, result.error_code)?;
        }
        Ok(())
    }

    /// Lets a user no longer do that.
    ///
    /// # Errors
    /// If the cluster refuses that.
    pub fn disallow(&mut self, user: &str, rules: &[AccessRule]) -> Result<(), KafkaError> {
        let what = "DeleteAcls";
        self.needs_own_client(what)?;
        let filter = |rule: &AccessRule| {
            DeleteAclsFilter::default()
                .with_resource_type_filter(rule.resource.code())
                .with_resource_name_filter(Some(text(&rule.name)))
                .with_pattern_type_filter(if rule.is_prefix { PREFIXED } else { LITERAL })
                .with_principal_filter(Some(principal(user)))
                .with_host_filter(None)
                .with_operation(rule.operation.code())
                .with_permission_type(ALLOW)
        };
        let request = DeleteAclsRequest::default().with_filters(rules.iter().map(filter).collect());
        let connection = self.any()?;
        let response = connection.call(what, &request, ACLS)?;
        for result in &response.filter_results {
            connection.check(what, result.error_code)?;
        }
        Ok(())
    }

    /// Limits how fast a user writes and reads, in bytes a second and broker; without a number it is not limited.
    ///
    /// # Errors
    /// If the cluster refuses that.
    pub fn set_quotas(&mut self, user: &str, writes: Option<u64>, reads: Option<u64>) -> Result<(), KafkaError> {
        let what = "AlterClientQuotas";
        self.needs_own_client(what)?;
        let op = |key: &'static str, limit: Option<u64>| {
            OpData::default()
                .with_key(StrBytes::from_static_str(key))
                .with_value(limit.unwrap_or(0) as f64)
                .with_remove(limit.is_none())
        };
        let entity = EntityData::default()
            .with_entity_type(StrBytes::from_static_str("user"))
            .with_entity_name(Some(text(user)));
        let entry = EntryData::default()
            .with_entity(vec![entity])
            .with_ops(vec![op("producer_byte_rate", writes), op("consumer_byte_rate", reads)]);
        let request = AlterClientQuotasRequest::default().with_entries(vec![entry]);
        let connection = self.any()?;
        let response = connection.call(what, &request, QUOTAS)?;
        for entry in &response.entries {
            connection.check(what, entry.error_code)?;
        }
        Ok(())
    }

    /// librdkafka knows nothing of users: where logins need it, they are somebody else's to see to.
    pub(super) fn needs_own_client(&self, what: &'static str) -> Result<(), KafkaError> {
        if self.other.is_none() {
            return Ok(());
        }
        Err(KafkaError::Version {
            broker: self.settings().brokers.to_string(),
            what,
        })
    }

    fn has_no_login(&self, what: &str) -> KafkaError {
        KafkaError::Protocol {
            broker: self.settings().brokers.to_string(),
            what: format!("a password cannot be set without {what}"),
        }
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn principal(user: &str) -> StrBytes {
    StrBytes::from_string(format!("User:{user}"))
}
