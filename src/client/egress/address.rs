//! Which addresses are public.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::error::ConfigError;

/// A range of addresses, written as `10.1.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    address: IpAddr,
    prefix: u8,
}

/// What a server of this machine's own network, or nobody, has as its address (RFC 6890 and the
/// registries of IANA for special-purpose addresses).
const NOT_PUBLIC_V4: [(Ipv4Addr, u8); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // With the metadata services of cloud providers.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Global unicast. Everything outside of it is local, special or unassigned.
const GLOBAL_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// What is special within global unicast.
const NOT_PUBLIC_V6: [(Ipv6Addr, u8); 4] = [
    // Protocol assignments, with Teredo, which contains an IPv4 address.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    // 6to4, which contains an IPv4 address.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// NAT64 (RFC 6052 section 2.1): in networks without IPv4, all servers without IPv6 are here.
const NAT64: (Ipv6Addr, u8) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// Returns whether the address is that of a server on the public Internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    match embedded(address) {
        IpAddr::V4(address) => !is_in_any(address, &NOT_PUBLIC_V4),
        IpAddr::V6(address) => {
            is_in_any(address, &[GLOBAL_V6]) && !is_in_any(address, &NOT_PUBLIC_V6)
        }
    }
}

/// Returns whether the address is this machine.
pub(super) fn is_loopback(address: IpAddr) -> bool {
    embedded(address).is_loopback()
}

/// Returns the IPv4 address that an IPv6 address stands for: packets are sent to that one.
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    if let Some(mapped) = v6.to_ipv4_mapped() {
        return mapped.into();
    }
    if is_in_any(v6, &[NAT64]) {
        let [.., a, b, c, d] = v6.octets();
        return Ipv4Addr::new(a, b, c, d).into();
    }
    address
}

fn is_in_any<A: Into<IpAddr> + Copy>(address: A, networks: &[(A, u8)]) -> bool {
    networks.iter().any(|(network, prefix)| {
        Network { address: (*network).into(), prefix: *prefix }.contains(address.into())
    })
}

impl Network {
    /// Parses an address, or a range in the notation of RFC 4632 section 3.1.
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        let invalid = |why: &'static str| ConfigError::invalid_value("network", "networks", why);
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address
            .parse()
            .map_err(|_| invalid("it is not an address or a range such as 10.1.0.0/16"))?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(digits) => {
                digits.parse().ok().filter(|prefix| *prefix <= longest).ok_or_else(|| {
                    invalid("its prefix is not a number of bits, as in 10.1.0.0/16")
                })?
            }
        };
        let network = Self { address, prefix };
        if network.masked(address) != bits(address) {
            return Err(invalid(
                "it has bits after its prefix; write 10.1.0.0/16, not 10.1.2.3/16",
            ));
        }
        Ok(network)
    }

    /// Returns whether the address, or the one that it stands for, is in this range.
    pub(super) fn contains_embedded(self, address: IpAddr) -> bool {
        self.contains(address) || self.contains(embedded(address))
    }

    fn contains(self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4()
            && self.masked(self.address) == self.masked(address)
    }

    fn masked(self, address: IpAddr) -> u128 {
        bits(address) & u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0)
    }
}

/// Returns the bits of an address, the first one highest.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_on_the_public_internet_are_public() {
        let rows = [
            ("1.1.1.1", true),
            ("9.255.255.255", true),
            ("11.0.0.0", true),
            ("100.63.255.255", true),
            ("100.128.0.0", true),
            ("172.15.255.255", true),
            ("172.32.0.0", true),
            ("192.0.1.0", true),
            ("198.17.255.255", true),
            ("198.20.0.0", true),
            ("223.255.255.255", true),
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("10.0.0.0", false),
            ("10.255.255.255", false),
            ("100.64.0.1", false),
            ("100.127.255.255", false),
            ("127.0.0.1", false),
            ("127.255.255.254", false),
            ("169.254.169.254", false),
            ("172.16.0.1", false),
            ("172.31.255.255", false),
            ("192.0.0.192", false),
            ("192.0.2.1", false),
            ("192.88.99.1", false),
            ("192.168.1.1", false),
            ("198.18.0.1", false),
            ("198.19.255.255", false),
            ("198.51.100.1", false),
            ("203.0.113.1", false),
            ("224.0.0.1", false),
            ("239.255.255.255", false),
            ("240.0.0.1", false),
            ("255.255.255.255", false),
            ("2606:4700::1111", true),
            ("2a00:1450:4001:81b::200e", true),
            ("::", false),
            ("::1", false),
            // IPv4-compatible (obsolete), IPv4-mapped, NAT64, local NAT64.
            ("::1.1.1.1", false),
            ("::ffff:1.1.1.1", true),
            ("::ffff:127.0.0.1", false),
            ("::ffff:10.0.0.1", false),
            ("::ffff:169.254.169.254", false),
            ("64:ff9b::1.1.1.1", true),
            ("64:ff9b::127.0.0.1", false),
            ("64:ff9b::169.254.169.254", false),
            ("64:ff9b:1::1.1.1.1", false),
            ("100::1", false),
            ("2001::1", false),
            ("2001:1ff:ffff::1", false),
            ("2001:200::1", true),
            ("2001:db8::1", false),
            ("2002:7f00:1::", false),
            ("2002:101:101::", false),
            ("3fff:fff::1", false),
            ("5f00::1", false),
            ("fc00::1", false),
            ("fd00:ec2::254", false),
            ("fe80::1", false),
            ("fec0::1", false),
            ("ff02::1", false),
        ];
        for (address, expected) in rows {
            assert_eq!(is_public(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn networks_contain_their_addresses() {
        let rows = [
            ("10.1.0.0/16", "10.1.255.255", true),
            ("10.1.0.0/16", "::ffff:10.1.2.3", true),
            ("10.1.0.0/16", "64:ff9b::10.1.2.3", true),
            ("10.1.0.0/16", "10.2.0.0", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("0.0.0.0/0", "255.1.1.1", true),
            ("0.0.0.0/0", "::1", false),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fc00::1", false),
            ("::/0", "ffff::", true),
            ("::/0", "1.1.1.1", false),
            ("::1/128", "::1", true),
        ];
        for (network, address, expected) in rows {
            let contained = Network::parse(network).unwrap();
            let contained = contained.contains_embedded(address.parse().unwrap());
            assert_eq!(contained, expected, "{network} {address}");
        }
        for invalid in ["", "10.1", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/x", "a.example"]
        {
            assert!(Network::parse(invalid).is_err(), "{invalid}");
        }
        for invalid in ["10.1.2.3/16", "fd00::1/8"] {
            let error = Network::parse(invalid).unwrap_err().to_string();
            assert!(error.contains("bits after its prefix"), "{error}");
        }
    }
}
