//! The machines under the workers: which cloud, whose identity, how far the operator may go.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::node_pool::NodePool;
use super::rules;
use super::stage::ObjectRef;
use crate::duration::Duration;
use crate::rule::validations;
use crate::schema::list::{List, Map, Named};
use crate::schema::text::{ObjectName, Report, Text};

/// The infrastructure of a pipeline. Only the cluster reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = validations(&rules::INFRASTRUCTURE)))]
pub struct Infrastructure {
    /// What makes the machines. It can change from None to another, and from that no more.
    #[schemars(extend("x-kubernetes-validations" = validations(&rules::PROVIDER)))]
    pub provider: Provider,
    /// Who the operator is to the cloud.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_ref: Option<IdentityRef>,
    /// Whether the operator changes what it finds.
    pub management_policy: ManagementPolicy,
    /// What happens when machines are not as they were made.
    pub drift_policy: DriftPolicy,
    /// Time between two looks at the cloud when nothing happens.
    pub resync_period: Duration,
    /// Tags of everything that is made, besides the operator's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "List<Text<60>, 32>")]
    pub tags: Vec<String>,
    /// Groups of machines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Named<NodePool, 16>")]
    pub node_pools: Vec<NodePool>,
    /// The Heat stack. Provider Heat only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heat: Option<Heat>,
}

impl Default for Infrastructure {
    fn default() -> Self {
        Self {
            provider: Provider::default(),
            identity_ref: None,
            management_policy: ManagementPolicy::default(),
            drift_policy: DriftPolicy::default(),
            resync_period: Duration::from_mins(10),
            tags: Vec::new(),
            node_pools: Vec::new(),
            heat: None,
        }
    }
}

/// What makes machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Provider {
    /// OpenStack Heat: one stack for each pipeline.
    Heat,
    /// OpenStack Nova, Neutron and Cinder, without Heat.
    Nova,
    /// Nothing: the workers run on the nodes that are there.
    #[default]
    None,
}

/// Who the operator is to the cloud.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdentityRef {
    /// Kind of the object.
    #[serde(default)]
    pub kind: IdentityKind,
    /// Name of the object.
    #[schemars(with = "ObjectName")]
    pub name: String,
    /// Name of the cloud in `clouds.yaml`.
    #[serde(default = "openstack")]
    #[schemars(with = "Text<253>")]
    pub cloud_name: String,
    /// Region; by default the one of `clouds.yaml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text<253>", extend("x-kubernetes-validations" = validations(&rules::REGION)))]
    pub region: Option<String>,
}

pub(crate) fn openstack() -> String {
    "openstack".to_owned()
}

/// Kinds of object that hold an identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IdentityKind {
    /// A Secret of the pipeline's namespace with `clouds.yaml`, and `cacert` where it is needed.
    #[default]
    Secret,
    /// An OpenStackIdentity, which belongs to the cluster.
    OpenStackIdentity,
}

/// Whether the operator changes what it finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ManagementPolicy {
    /// It makes, changes and deletes.
    #[default]
    Managed,
    /// It only looks.
    Unmanaged,
}

/// What happens when machines are not as they were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DriftPolicy {
    /// Nothing.
    Ignore,
    /// The status says so.
    #[default]
    Report,
    /// They are put right.
    Correct,
}

/// The Heat stack of a pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Heat {
    /// A template of your own instead of the operator's: a ConfigMap with `template.yaml`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_config_map_ref: Option<ObjectRef>,
    /// Time that Heat has to make or change the stack.
    pub timeout: Duration,
    /// Whether a stack that failed is left as it is, to look at.
    pub disable_rollback: bool,
    /// Parameters of a template of your own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Map<Report<4096>, 64>")]
    pub parameters: BTreeMap<String, String>,
}

impl Default for Heat {
    fn default() -> Self {
        Self {
            template_config_map_ref: None,
            timeout: Duration::from_mins(60),
            disable_rollback: false,
            parameters: BTreeMap::new(),
        }
    }
}
