//! Which addresses a receiver may have.
//!
//! A pipeline's file, and so the address of a receiver, is written by a tenant, and the request is sent from inside of the
//! cluster. So only what the whole internet reaches may be reached, and what an operator allows.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Networks that are not the internet's (IANA's registry of special-purpose addresses), and what they are.
const SPECIAL_V4: &[([u8; 4], u8, &str)] = &[
    ([0, 0, 0, 0], 8, "of this host"),
    ([10, 0, 0, 0], 8, "private"),
    ([100, 64, 0, 0], 10, "of a provider's own network"),
    ([127, 0, 0, 0], 8, "a loopback address"),
    // Azure's own services for a machine, among them its metadata, at a public address.
    ([168, 63, 129, 16], 32, "a cloud's own service"),
    ([169, 254, 0, 0], 16, "link-local, where clouds keep metadata"),
    ([172, 16, 0, 0], 12, "private"),
    ([192, 0, 0, 0], 24, "reserved for protocols"),
    ([192, 0, 2, 0], 24, "for documentation"),
    ([192, 88, 99, 0], 24, "of a relay into IPv6"),
    ([192, 168, 0, 0], 16, "private"),
    ([198, 18, 0, 0], 15, "for benchmarks"),
    ([198, 51, 100, 0], 24, "for documentation"),
    ([203, 0, 113, 0], 24, "for documentation"),
    ([224, 0, 0, 0], 4, "a multicast address"),
    ([240, 0, 0, 0], 4, "reserved"),
];

/// The same of the only part of IPv6 that is the internet's, 2000::/3.
const SPECIAL_V6: &[([u16; 8], u8, &str)] = &[
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, "reserved for protocols"),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "for documentation"),
    // It holds an IPv4 address, which a relay would connect to.
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, "of a relay into IPv4"),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "for documentation"),
];

/// A range of addresses: `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

/// A text that is no range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a range of addresses like 10.0.0.0/8 or fd00::/8, or one address; found `{0}`")]
pub struct InvalidNetwork(String);

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let one = || text.parse::<IpAddr>().ok().map(IpNet::from);
        let network = text.parse::<IpNet>().ok().or_else(one);
        network.map(Self).ok_or_else(|| InvalidNetwork(text.to_owned()))
    }
}

impl Network {
    fn has(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

/// An address that is not connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {what}")]
pub struct RefusedAddress {
    /// The address.
    pub address: IpAddr,
    /// What it is.
    pub what: &'static str,
}

/// Which addresses may be connected to. By default those of the internet, and those encrypted alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressRules {
    /// What else is allowed, also without encryption.
    pub allowed: Vec<Network>,
    /// What is refused though it looks like the internet's, or though it lies in what is allowed.
    pub refused: Vec<Network>,
}

impl AddressRules {
    /// Whether a connection to an address may be made.
    ///
    /// # Errors
    /// What the address is that it may not.
    pub fn check(&self, address: IpAddr, encrypted: bool) -> Result<(), RefusedAddress> {
        let refused = |what| Err(RefusedAddress { address, what });
        // What is connected to in the end.
        let target = embedded_v4(address).map_or(address, IpAddr::V4);
        let is_in = |networks: &[Network]| {
            networks
                .iter()
                .any(|network| network.has(address) || network.has(target))
        };
        if is_in(&self.refused) {
            return refused("refused by this worker's settings");
        }
        if is_in(&self.allowed) {
            return Ok(());
        }
        if let Some(what) = special(target) {
            return refused(what);
        }
        if !encrypted {
            return refused("reached without encryption: the address must begin with https");
        }
        Ok(())
    }
}

/// What a special address is; nothing for one of the internet.
fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => {
            let is_in =
                |base: [u8; 4], length| Ipv4Net::new(base.into(), length).is_ok_and(|net| net.contains(&address));
            let found = SPECIAL_V4.iter().find(|(base, length, _)| is_in(*base, *length));
            found.map(|(_, _, what)| *what)
        }
        IpAddr::V6(address) => {
            let is_in = |base: [u16; 8], length| {
                Ipv6Net::new(Ipv6Addr::from(base), length).is_ok_and(|net| net.contains(&address))
            };
            if !is_in([0x2000, 0, 0, 0, 0, 0, 0, 0], 3) {
                return Some("not of the internet");
            }
            let found = SPECIAL_V6.iter().find(|(base, length, _)| is_in(*base, *length));
            found.map(|(_, _, what)| *what)
        }
    }
}

/// The IPv4 address that a connection to an IPv6 address goes to: of `::ffff:0:0/96` by the own host, of `64:ff9b::/96` by
/// a NAT64, through which hosts of IPv4 are reached from a network that has IPv6 alone.
fn embedded_v4(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else { return None };
    let [.., high, low] = address.segments();
    let nat64 = matches!(address.segments(), [0x64, 0xff9b, 0, 0, 0, 0, _, _]);
    let of_nat64 = || Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    address.to_ipv4_mapped().or_else(|| nat64.then(of_nat64))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(rules: &AddressRules, address: &str, encrypted: bool) -> bool {
        rules.check(address.parse().unwrap(), encrypted).is_ok()
    }

    fn networks(texts: &[&str]) -> Vec<Network> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn what_is_inside_is_refused_in_every_disguise() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.1.1",
            "198.19.255.255",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.96.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::808:808",
            "100::1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:808:808::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!check(&AddressRules::default(), address, true), "{address}");
        }
    }

    #[test]
    fn the_internet_is_reached_by_https_alone() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2001:4860:4860::8888",
            "2606:4700::1",
        ] {
            assert!(check(&AddressRules::default(), address, true), "{address}");
            assert!(!check(&AddressRules::default(), address, false), "{address}");
        }
    }

    #[test]
    fn what_an_operator_allows_is_reached_and_what_he_refuses_is_not() {
        let rules = AddressRules {
            allowed: networks(&["10.1.0.0/16", "127.0.0.1", "fd00::/8"]),
            refused: networks(&["10.1.9.0/24", "198.41.0.0/16"]),
        };
        for address in [
            "10.1.2.3",
            "127.0.0.1",
            "::ffff:10.1.2.3",
            "64:ff9b::a01:203",
            "fd12::1",
        ] {
            assert!(
                check(&rules, address, true) && check(&rules, address, false),
                "{address}"
            );
        }
        for address in [
            "10.2.0.1",
            "127.0.0.2",
            "10.1.9.1",
            "::ffff:10.1.9.1",
            "198.41.0.4",
            "::1",
        ] {
            assert!(!check(&rules, address, true), "{address}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10.0.0.0/33", "10.0.0/8", "localhost", "10.0.0.1/8/8"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_ipv4_address_within_ipv6_is_judged_as_the_address_itself(bits: u32) {
            let rules = AddressRules::default();
            let plain = Ipv4Addr::from(bits);
            let expected = rules.check(plain.into(), true).map_err(|refused| refused.what);
            let [a, b] = [(bits >> 16) as u16, bits as u16];
            for within in [Ipv6Addr::from([0, 0, 0, 0, 0, 0xffff, a, b]), Ipv6Addr::from([0x64, 0xff9b, 0, 0, 0, 0, a, b])] {
                prop_assert_eq!(rules.check(within.into(), true).map_err(|refused| refused.what), expected);
            }
        }
    }
}
