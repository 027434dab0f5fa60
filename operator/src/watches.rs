//! What is watched, and who hears of it.

use std::sync::Arc;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, watcher};
use serde::de::DeserializeOwned;
use tocsin_contract::labels::{FIELD_MANAGER, MANAGED_BY};
use tocsin_contract::model::IncidentModel;
use tocsin_contract::pipeline::IncidentPipeline;
use tocsin_contract::rule_set::IncidentRuleSet;
use tocsin_contract::snapshot::PipelineSnapshot;

use crate::api::ApiServer;
use crate::api::stored::Stored;
use crate::cache::takers::{OfOperator, OfPods, OfStatefulSets, OfUsers, Shared};
use crate::cache::watch::{Relist, Taker, Unlisted, follow};
use crate::cache::{Cache, Kept, Key, Store};
use crate::canary::{Canary, OfLease};
use crate::lead;
use crate::metrics::Metrics;
use crate::work::{Item, Work};

/// What is watched, and who hears of it.
pub struct Watches {
    /// What is asked for them.
    pub api: ApiServer,
    /// What they fill.
    pub cache: Arc<Cache>,
    /// Who hears of changes.
    pub work: Arc<Work>,
    /// What they count in.
    pub metrics: Arc<Metrics>,
    /// What is not listed yet.
    pub unlisted: Arc<Unlisted>,
    /// Only users' objects with such labels, if it is said.
    pub selector: Option<String>,
    /// How often all is listed anew.
    pub relist: Relist,
}

impl Watches {
    /// Follows all kinds in a namespace, or in all.
    pub fn follow_all(&self, namespace: Option<&str>) {
        self.follow_users::<IncidentPipeline>(namespace, |cache| &cache.pipelines, Item::Pipeline);
        self.follow_users::<PipelineSnapshot>(namespace, |cache| &cache.snapshots, Item::Snapshot);
        self.follow_users::<IncidentRuleSet>(namespace, |cache| &cache.rule_sets, Item::RuleSet);
        self.follow_users::<IncidentModel>(namespace, |cache| &cache.models, Item::Model);
        self.follow_own::<ServiceAccount>(namespace);
        self.follow_own::<ConfigMap>(namespace);
        self.follow_own::<PersistentVolumeClaim>(namespace);
        self.follow_own::<NetworkPolicy>(namespace);
        self.follow_own::<PodDisruptionBudget>(namespace);
        self.follow_own::<Service>(namespace);
        let shared = self.shared(namespace);
        let (sets, pods) = (self.every(namespace), self.every(namespace));
        self.follow(
            move || watcher(sets.clone(), own()),
            OfStatefulSets { shared: shared.clone() },
        );
        self.follow(move || watcher(pods.clone(), own()), OfPods { shared });
    }

    /// Follows the operator's own lease.
    pub fn follow_lease(&self, namespace: &str, canary: Arc<Canary>) {
        let all: Api<PartialObjectMeta<Lease>> = self.every(Some(namespace));
        let only = watcher::Config::default().fields(&format!("metadata.name={}", lead::NAME));
        let work = Arc::clone(&self.work);
        self.follow(move || watcher(all.clone(), only.clone()), OfLease { canary, work });
    }

    fn follow_users<K>(&self, namespace: Option<&str>, store: fn(&Cache) -> &Store<Kept>, item: fn(Key) -> Item)
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope> + 'static,
    {
        let mut config = watcher::Config::default();
        config.label_selector.clone_from(&self.selector);
        let all = self.every::<Stored<K>>(namespace);
        let taker = OfUsers::<K>::new(self.shared(namespace), store, item);
        self.follow(move || watcher(all.clone(), config.clone()), taker);
    }

    fn follow_own<K>(&self, namespace: Option<&str>)
    where
        K: k8s_openapi::Resource<Scope = kube::core::NamespaceResourceScope>
            + k8s_openapi::Metadata<Ty = kube::api::ObjectMeta>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug
            + Send
            + 'static,
    {
        let all = self.every::<PartialObjectMeta<K>>(namespace);
        let taker = OfOperator::<K>::new(self.shared(namespace));
        self.follow(move || watcher(all.clone(), own()), taker);
    }

    fn follow<T, S>(&self, begin: impl Fn() -> S + Send + 'static, taker: T)
    where
        T: Taker,
        T::Object: std::fmt::Debug,
        S: futures::Stream<Item = watcher::Result<watcher::Event<T::Object>>> + Send + 'static,
    {
        let (unlisted, metrics) = (Arc::clone(&self.unlisted), Arc::clone(&self.metrics));
        follow(begin, taker, self.relist, unlisted, metrics);
    }

    fn every<K>(&self, namespace: Option<&str>) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        match namespace {
            Some(namespace) => Api::namespaced(self.api.client(), namespace),
            None => Api::all(self.api.client()),
        }
    }

    fn shared(&self, namespace: Option<&str>) -> Shared {
        Shared {
            cache: Arc::clone(&self.cache),
            work: Arc::clone(&self.work),
            metrics: Arc::clone(&self.metrics),
            namespace: namespace.map(Into::into),
        }
    }
}

/// The objects that the operator made.
fn own() -> watcher::Config {
    watcher::Config::default().labels(&format!("{MANAGED_BY}={FIELD_MANAGER}"))
}
