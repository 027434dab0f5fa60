//! A group of machines that are alike.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;
use super::stage::ObjectRef;
use crate::duration::Duration;
use crate::rule::validations;
use crate::schema::list::{List, Named};
use crate::schema::text::{Cidr, Label, Text, Uuid};

/// A group of machines that are alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = validations(&rules::NODE_POOL)))]
pub struct NodePool {
    /// Name of the group.
    #[schemars(with = "Label")]
    pub name: String,
    /// Number of machines. While the autoscaler is Active it decides, and this is where it begins.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: u32,
    /// Fewest machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub min_replicas: Option<u32>,
    /// Most machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: Option<u32>,
    /// Flavors, the best first: when the cloud has no room for one, the next is tried.
    #[schemars(with = "Named<Flavor, 8>", extend("minItems" = 1))]
    pub flavors: Vec<Flavor>,
    /// Image of the machines.
    pub image: CloudRef,
    /// Name of the SSH key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text<255>")]
    pub key_name: Option<String>,
    /// Availability zones that the machines are spread over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "List<Text<255>, 16>")]
    pub availability_zones: Vec<String>,
    /// How machines are spread over hosts.
    #[serde(default)]
    pub server_group: ServerGroup,
    /// The disk that a machine boots from; without it the flavor's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_volume: Option<RootVolume>,
    /// Further disks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Named<Volume, 8>")]
    pub volumes: Vec<Volume>,
    /// Ways into networks, the first for the cluster's own traffic.
    #[schemars(with = "List<Port, 8>", extend("minItems" = 1))]
    pub ports: Vec<Port>,
    /// Security groups that are made for the machines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Named<SecurityGroup, 8>")]
    pub security_groups: Vec<SecurityGroup>,
    /// Secret with `user-data`: cloud-init that makes a machine join the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_data_secret_ref: Option<ObjectRef>,
    /// How a machine says that it is ready.
    #[serde(default)]
    pub ready_signal: ReadySignal,
    /// How machines are replaced.
    #[serde(default)]
    pub update_strategy: UpdateStrategy,
}

fn one() -> u32 {
    1
}

/// A flavor of the cloud.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Flavor {
    /// Name of the flavor.
    #[schemars(with = "Text<255>")]
    pub name: String,
}

/// Something that the cloud has: by its id, or by what it is called; exactly one of the two.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = validations(&rules::CLOUD_REF)))]
pub struct CloudRef {
    /// Its id in the cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Uuid")]
    pub id: Option<String>,
    /// What it is called. Exactly one thing must fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<CloudFilter>,
}

/// What a thing of the cloud is called.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudFilter {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text<255>")]
    pub name: Option<String>,
    /// Tags that it has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "List<Text<60>, 16>")]
    pub tags: Vec<String>,
}

/// How machines are spread over hosts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = validations(&rules::SERVER_GROUP)))]
pub struct ServerGroup {
    /// The rule of the server group.
    pub policy: ServerGroupPolicy,
    /// Most machines on one host. With AntiAffinity only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_server_per_host: Option<u32>,
}

/// Rules of server groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServerGroupPolicy {
    /// On different hosts while there are any.
    #[default]
    SoftAntiAffinity,
    /// On different hosts, or not at all.
    AntiAffinity,
    /// No server group.
    None,
}

/// The disk that a machine boots from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RootVolume {
    /// Size in GiB.
    #[serde(rename = "sizeGiB")]
    #[schemars(range(min = 1, max = 65536))]
    pub size_gib: u32,
    /// Type of the volume; by default the cloud's own.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text<255>")]
    pub kind: Option<String>,
}

/// A further disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Name of the disk.
    #[schemars(with = "Label")]
    pub name: String,
    /// Size in GiB.
    #[serde(rename = "sizeGiB")]
    #[schemars(range(min = 1, max = 65536))]
    pub size_gib: u32,
    /// Type of the volume; by default the cloud's own.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text<255>")]
    pub kind: Option<String>,
}

/// A way into a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// The network.
    pub network: CloudRef,
    /// Fixed addresses; by default one that the network gives.
    #[serde(default, rename = "fixedIPs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "List<FixedIp, 8>")]
    pub fixed_ips: Vec<FixedIp>,
    /// Security groups that are there already.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "List<CloudRef, 16>")]
    pub security_groups: Vec<CloudRef>,
    /// Whether the port has no security groups at all.
    #[serde(default)]
    pub disable_port_security: bool,
}

/// Where a port gets its address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FixedIp {
    /// The subnet.
    pub subnet: CloudRef,
}

/// A security group that is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecurityGroup {
    /// Name of the group.
    #[schemars(with = "Label")]
    pub name: String,
    /// What it lets through.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "List<SecurityRule, 64>")]
    pub rules: Vec<SecurityRule>,
}

/// Something that a security group lets through.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = validations(&rules::SECURITY_RULE)))]
pub struct SecurityRule {
    /// Which way.
    #[serde(default)]
    pub direction: Direction,
    /// Which protocol; without it all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// First port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port_range_min: Option<u16>,
    /// Last port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port_range_max: Option<u16>,
    /// Who is on the other side; without it anybody.
    #[serde(default, rename = "remoteIPPrefix", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Cidr")]
    pub remote_ip_prefix: Option<String>,
}

/// Which way traffic goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Direction {
    /// In.
    #[default]
    Ingress,
    /// Out.
    Egress,
}

/// Protocols of security rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP.
    Icmp,
}

/// How a machine says that it is ready.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReadySignal {
    /// What the operator waits for.
    #[serde(rename = "type")]
    pub kind: ReadySignalKind,
    /// How long it waits.
    pub timeout: Duration,
}

impl Default for ReadySignal {
    fn default() -> Self {
        Self {
            kind: ReadySignalKind::default(),
            timeout: Duration::from_mins(15),
        }
    }
}

/// What the operator waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReadySignalKind {
    /// The machine's node is Ready in the cluster.
    #[default]
    NodeReady,
    /// The machine's own signal to Heat. Provider Heat only.
    HeatWaitCondition,
    /// Nothing but that the machine runs.
    None,
}

/// How machines are replaced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UpdateStrategy {
    /// Most machines at once.
    #[schemars(range(min = 1, max = 1000))]
    pub max_batch_size: u32,
    /// Fewest machines that stay in service meanwhile.
    #[schemars(range(min = 0, max = 1000))]
    pub min_in_service: u32,
    /// Rest between two batches.
    pub pause_time: Duration,
    /// Whether a change may replace machines at all. False stops and says which change asks for it.
    pub allow_replacement: bool,
}

impl Default for UpdateStrategy {
    fn default() -> Self {
        Self {
            max_batch_size: 1,
            min_in_service: 0,
            pause_time: Duration::from_secs(30),
            allow_replacement: false,
        }
    }
}
