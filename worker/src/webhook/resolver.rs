//! Looks names up for the client, and hands on only addresses that may be connected to.
//!
//! The client connects to what it gets here and looks nothing up again, so there is no moment between the check and the
//! connection in which a name could come to mean something else.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tocsin_worker_core::delivery::address::AddressRules;

/// Addresses of a name.
pub type Addresses = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Knows the addresses of names.
pub trait Lookup: Send + Sync {
    /// The addresses of a name.
    fn addresses(&self, name: &str) -> Addresses;
}

/// The system's way of looking names up.
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn addresses(&self, name: &str) -> Addresses {
        let name = name.to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Looks names up and checks what is found.
pub struct CheckedResolver {
    pub lookup: Arc<dyn Lookup>,
    pub rules: AddressRules,
    pub is_encrypted: bool,
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.lookup.addresses(name.as_str());
        let (rules, is_encrypted) = (self.rules.clone(), self.is_encrypted);
        Box::pin(async move {
            let mut allowed = Vec::new();
            let mut refused = None;
            for address in found.await? {
                match rules.check(address, is_encrypted) {
                    // The client puts the port of the address in the place of 0.
                    Ok(()) => allowed.push(SocketAddr::new(address, 0)),
                    Err(why) => refused = Some(why),
                }
            }
            match refused {
                Some(why) if allowed.is_empty() => Err(why.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}
