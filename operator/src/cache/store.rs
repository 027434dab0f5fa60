//! Objects of a kind by namespace and name.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::RwLock;

/// Namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The namespace.
    pub namespace: Box<str>,
    /// The name.
    pub name: Box<str>,
}

impl Key {
    /// The object `namespace/name`.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Something that changes: of two sights of it one is newer.
pub trait Versioned {
    /// Its `resourceVersion`. They grow, all objects of a kind taken together.
    fn version(&self) -> u64;
}

/// Reads a `resourceVersion`. What is none counts as oldest: whatever comes next is taken.
pub fn version_of(text: Option<&str>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Objects of a kind.
#[derive(Debug)]
pub struct Store<T> {
    objects: RwLock<BTreeMap<Key, Arc<T>>>,
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Self {
            objects: RwLock::default(),
        }
    }
}

impl<T: Versioned> Store<T> {
    /// The object of this name.
    pub fn get(&self, key: &Key) -> Option<Arc<T>> {
        self.objects.read().get(key).cloned()
    }

    /// Takes an object in, unless something newer is known of it. Gives what was known before, or the object back if it is
    /// no news.
    pub fn put(&self, key: Key, object: T) -> Result<Option<Arc<T>>, T> {
        let mut objects = self.objects.write();
        match objects.get(&key) {
            Some(known) if known.version() >= object.version() => Err(object),
            _ => Ok(objects.insert(key, Arc::new(object))),
        }
    }

    /// Forgets an object that is gone as of this version, unless one of its name was made since.
    pub fn remove(&self, key: &Key, version: u64) -> Option<Arc<T>> {
        let mut objects = self.objects.write();
        let is_newer = objects.get(key).is_some_and(|known| known.version() > version);
        if is_newer { None } else { objects.remove(key) }
    }

    /// All objects of a namespace, by name.
    pub fn of_namespace(&self, namespace: &str) -> Vec<(Key, Arc<T>)> {
        let objects = self.objects.read();
        let from = Key::new(namespace, "");
        let range = objects.range((Bound::Included(from), Bound::Unbounded));
        range
            .take_while(|(key, _)| &*key.namespace == namespace)
            .map(|(key, object)| (key.clone(), Arc::clone(object)))
            .collect()
    }

    /// All names.
    pub fn keys(&self) -> Vec<Key> {
        self.objects.read().keys().cloned().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.objects.read().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Versioned for u64 {
        fn version(&self) -> u64 {
            *self
        }
    }

    #[test]
    fn what_is_older_than_what_is_known_is_passed_over() {
        let store = Store::default();
        let key = Key::new("ops", "noc");
        assert_eq!(store.put(key.clone(), 5), Ok(None));
        assert_eq!(store.put(key.clone(), 4), Err(4));
        assert_eq!(store.put(key.clone(), 5), Err(5), "its own write comes back");
        assert_eq!(store.put(key.clone(), 6), Ok(Some(Arc::new(5))));
        assert_eq!(store.get(&key), Some(Arc::new(6)));
    }

    #[test]
    fn an_object_that_went_does_not_take_its_successor_along() {
        let store = Store::default();
        let key = Key::new("ops", "noc");
        assert_eq!(store.put(key.clone(), 9), Ok(None));
        assert_eq!(store.remove(&key, 8), None);
        assert_eq!(store.remove(&key, 10), Some(Arc::new(9)));
    }

    #[test]
    fn a_namespace_has_its_own_objects_alone() {
        let store = Store::default();
        for (namespace, name) in [("a", "z"), ("ops", "b"), ("ops", "a"), ("ops-2", "a")] {
            assert!(store.put(Key::new(namespace, name), 1).is_ok());
        }
        let names: Vec<_> = store.of_namespace("ops").into_iter().map(|(key, _)| key.name).collect();
        assert_eq!(names, ["a".into(), "b".into()]);
        assert_eq!(store.len(), 4);
    }
}
