//! Leading: the Lease by which one of several operators does the work.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease as LeaseObject, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::core::Request;
use kube::{Api, Client, Resource};
use tocsin_operator_core::lease::{Act, Election, Lease, Moment, Terms};

use crate::api::error::Kind;
use crate::api::gate::{self, Gate};
use crate::api::{ApiError, ApiServer};
use crate::canary::Canary;
use crate::clock::Clock;

/// Name of the lease.
pub const NAME: &str = "tocsin-operator";

/// Behind a request about the lease that failed.
const AGAIN: Duration = Duration::from_millis(500);

/// Takes part in the election, and tells the gate.
pub struct Candidate {
    api: ApiServer,
    clock: Clock,
    gate: Arc<Gate>,
    canary: Arc<Canary>,
    namespace: String,
    identity: String,
    terms: Terms,
    election: Election,
}

impl Candidate {
    /// One that has not looked yet.
    pub fn new(
        api: ApiServer,
        clock: Clock,
        (gate, canary): (Arc<Gate>, Arc<Canary>),
        (namespace, identity): (String, String),
        terms: Terms,
    ) -> Self {
        Self {
            election: Election::new(identity.clone(), terms),
            api,
            clock,
            gate,
            canary,
            namespace,
            identity,
            terms,
        }
    }

    /// Does what is to be done about the lease now, and says how long there is nothing to do.
    pub async fn step(&mut self) -> Duration {
        let now = self.clock.moment();
        let done = match self.election.next(now) {
            Act::Look(at) if at > now => {
                self.tell();
                return at.saturating_sub(now);
            }
            Act::Look(_) => self.look().await,
            Act::Create => self.write(None, 0).await,
            Act::Take { version, transitions } | Act::Renew { version, transitions } => {
                self.write(Some(version), transitions).await
            }
        };
        self.tell();
        match done {
            Ok(()) => Duration::ZERO,
            Err(error) => {
                tracing::warn!(%error, "the lease cannot be seen to");
                AGAIN
            }
        }
    }

    /// Gives the lease up, so that the next operator need not wait.
    pub async fn give_up(&mut self) {
        self.gate.set(None);
        if let Some(lease) = self.election.give_up()
            && let Err(error) = self.send(Some(lease.version), lease.holder, lease.transitions).await
        {
            tracing::warn!(%error, "the lease was not given up: the next operator waits until it has run out");
        }
    }

    fn tell(&self) {
        let leads = self.gate.is_open();
        self.gate.set(self.election.may_write_until());
        match (leads, self.gate.is_open()) {
            (false, true) => tracing::info!(identity = self.identity, "this operator leads"),
            (true, false) => tracing::warn!(identity = self.identity, "this operator no longer leads"),
            _ => {}
        }
    }

    async fn look(&mut self) -> Result<(), ApiError> {
        let api: Api<LeaseObject> = Api::namespaced(self.api.client(), &self.namespace);
        let found = self.api.ask(|| self.what("get"), api.get_opt(NAME)).await?;
        let found = found.as_ref().map(read);
        if let Some(lease) = &found {
            self.canary.asked(&lease.version);
        }
        self.election.saw(found, self.clock.moment());
        Ok(())
    }

    async fn write(&mut self, version: Option<String>, transitions: u32) -> Result<(), ApiError> {
        let sent = self.clock.moment();
        match self.send(version, self.identity.clone(), transitions).await {
            Ok(written) => {
                let written = read(&written);
                self.canary.asked(&written.version);
                self.election.wrote(written, sent, self.clock.moment());
                Ok(())
            }
            // Somebody was faster.
            Err(error) if matches!(error.kind, Kind::Conflict | Kind::NotFound) => self.look().await,
            Err(error) => Err(error),
        }
    }

    /// Writes the lease: a new one, or one that still has this version.
    async fn send(&self, version: Option<String>, holder: String, transitions: u32) -> Result<LeaseObject, ApiError> {
        let now = Some(MicroTime(Timestamp::now()));
        let is_new = version.is_none();
        let lease = LeaseObject {
            metadata: ObjectMeta {
                name: Some(NAME.to_owned()),
                namespace: Some(self.namespace.clone()),
                resource_version: version,
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                acquire_time: now.clone(),
                renew_time: now,
                holder_identity: Some(holder),
                // Rounded up: nobody else begins too early.
                lease_duration_seconds: i32::try_from(self.terms.duration.as_millis().div_ceil(1_000)).ok(),
                lease_transitions: i32::try_from(transitions).ok(),
                ..LeaseSpec::default()
            }),
        };
        let client = self.api.client();
        let verb = if is_new { "create" } else { "update" };
        self.api.ask(|| self.what(verb), put(client, lease, is_new)).await
    }

    fn what(&self, verb: &str) -> String {
        format!("{verb} Lease {}/{NAME}", self.namespace)
    }
}

/// Sends it through the gate as one that must be sent also by who does not lead.
async fn put(client: Client, lease: LeaseObject, is_new: bool) -> kube::Result<LeaseObject> {
    let namespace = lease.metadata.namespace.as_deref();
    let request = Request::new(LeaseObject::url_path(&(), namespace));
    let body = serde_json::to_vec(&lease).map_err(kube::Error::SerdeError)?;
    let how = PostParams::default();
    let request = if is_new {
        request.create(&how, body)
    } else {
        request.replace(NAME, &how, body)
    };
    let mut request = request.map_err(kube::Error::BuildRequest)?;
    request.extensions_mut().insert(gate::AsAnybody);
    client.request(request).await
}

fn read(object: &LeaseObject) -> Lease {
    let spec = object.spec.clone().unwrap_or_default();
    Lease {
        holder: spec.holder_identity.unwrap_or_default(),
        version: object.metadata.resource_version.clone().unwrap_or_default(),
        transitions: spec.lease_transitions.map_or(0, |n| u32::try_from(n).unwrap_or(0)),
        duration: Moment::from_secs(spec.lease_duration_seconds.map_or(0, |n| u64::try_from(n).unwrap_or(0))),
    }
}
