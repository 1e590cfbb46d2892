//! Which addresses are of the internet. An endpoint is posted to on no others, so that whoever may
//! add one cannot reach what only this machine can reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is one of the internet, for everybody: not this machine, not a private or
/// shared network, not a group, not reserved (IANA's special-purpose registries of IPv4 and IPv6).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Whether an address is one at which clouds tell their machines, and whoever asks from them, what they are and with
/// which credentials: no setting opens these. All that is link-local counts, as no endpoint is there.
pub fn is_metadata(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_metadata_v4(address),
        IpAddr::V6(address) => match inner_v4(address) {
            Some(inner) => is_metadata_v4(inner),
            None => is_metadata_v6(address),
        },
    }
}

fn is_metadata_v4(address: Ipv4Addr) -> bool {
    match address.octets() {
        // Link-local: 169.254.169.254 of most clouds, .170.2 and .170.23 of AWS, 169.254.0.23 of Tencent.
        [169, 254, ..]
        // Alibaba, Volcano Engine, Oracle, Azure.
        | [100, 100, 100, 200]
        | [100, 96, 0, 96]
        | [192, 0, 0, 192]
        | [168, 63, 129, 16] => true,
        _ => false,
    }
}

fn is_metadata_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // Link-local, AWS, Google, Scaleway.
        [0xfe80..=0xfebf, ..]
        | [0xfd00, 0x0ec2, ..]
        | [0xfd20, 0x00ce, ..]
        | [0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x0042] => true,
        // Through a translator of one's own network (RFC 8215).
        [0x0064, 0xff9b, 0x0001, .., high, low] => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            is_metadata_v4(Ipv4Addr::new(a, b, c, d))
        }
        _ => false,
    }
}

/// Whether a name is that of such a service, wherever it leads.
pub fn is_metadata_name(name: &str) -> bool {
    const NAMES: [&str; 5] = [
        "metadata.google.internal",
        "metadata.goog",
        "metadata.tencentyun.com",
        "instance-data",
        "instance-data.ec2.internal",
    ];
    let name = name.trim_end_matches('.');
    NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, d] = address.octets();
    let special = match (a, b, c) {
        // This network, private, this machine, multicast, reserved, broadcast.
        (0 | 10 | 127 | 224.., ..)
        // Carriers' networks behind one address.
        | (100, 64..=127, _)
        // Link-local; the clouds' metadata among it.
        | (169, 254, _)
        | (172, 16..=31, _)
        // Protocol assignments, documentation, the old way to IPv6, private.
        | (192, 0, 0 | 2)
        | (192, 88, 99)
        | (192, 168, _)
        // Benchmarks, documentation.
        | (198, 18 | 19, _)
        | (198, 51, 100)
        | (203, 0, 113) => true,
        _ => false,
    };
    // Azure's host service, on an address that looks like one of the internet.
    !special && [a, b, c, d] != [168, 63, 129, 16]
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = inner_v4(address) {
        return is_public_v4(inner);
    }
    let [a, b, ..] = address.segments();
    match (a, b) {
        // Protocol assignments (Teredo among them), documentation.
        (0x2001, 0..=0x01ff | 0x0db8) | (0x3fff, 0..=0x0fff) => false,
        // Only this eighth is given to the internet: no loopback, no unique local, no link-local,
        // no multicast, and nothing that is not assigned.
        (0x2000..=0x3fff, _) => true,
        _ => false,
    }
}

/// The IPv4 address that packets to this one end at: mapped, compatible, translated (NAT64) or in
/// a 6to4 prefix.
fn inner_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let from = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0 | 0xffff) | (0, 0, 0, 0, 0xffff, 0) | (0x64, 0xff9b, 0, 0, 0, 0) => {
            Some(from(g, h))
        }
        (0x2002, ..) => Some(from(b, c)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn public(text: &str) -> bool {
        is_public(text.parse().unwrap())
    }

    #[test]
    fn what_only_this_machine_can_reach_is_not_public() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "168.63.129.16",
            "100.100.100.200",
            "fd00:ec2::254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::10.0.0.1",
            "2002:7f00:1::1",
            "2002:a00:1::",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
            "5f00::1",
        ] {
            assert!(!public(text), "{text}");
        }
    }

    #[test]
    fn what_clouds_tell_their_machines_is_known() {
        for text in [
            "169.254.169.254",
            "169.254.170.2",
            "169.254.0.23",
            "100.100.100.200",
            "100.96.0.96",
            "192.0.0.192",
            "168.63.129.16",
            "::ffff:169.254.169.254",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::169.254.169.254",
            "2002:a9fe:a9fe::1",
            "fe80::a9fe:a9fe",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fd00:42::42",
        ] {
            let address = text.parse().unwrap();
            assert!(is_metadata(address) && !is_public(address), "{text}");
        }
        for text in [
            "127.0.0.1",
            "10.0.0.1",
            "192.168.1.1",
            "100.100.100.201",
            "::1",
            "fd00::1",
            "fd12:3456::1",
            "1.1.1.1",
            "2606:4700:4700::1111",
        ] {
            assert!(!is_metadata(text.parse().unwrap()), "{text}");
        }
        assert!(is_metadata_name("METADATA.google.internal."));
        assert!(is_metadata_name("metadata.tencentyun.com"));
        assert!(!is_metadata_name("metadata.example.com"));
    }

    #[test]
    fn the_internet_is_public() {
        for text in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.0.1",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "192.167.255.255",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2001:4860:4860::8888",
            "2400:3200::1",
            "2001:200::1",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2002:101:101::1",
        ] {
            assert!(public(text), "{text}");
        }
    }

    proptest! {
        /// The standard library's own words, where it has them.
        #[test]
        fn agrees_with_the_standard_library(bits: u32) {
            let address = Ipv4Addr::from(bits);
            let known = address.is_private() || address.is_loopback() || address.is_link_local()
                || address.is_multicast() || address.is_unspecified() || address.is_broadcast()
                || address.is_documentation();
            prop_assert!(!(known && is_public_v4(address)));
            prop_assert_eq!(is_public(address.to_ipv6_mapped().into()), is_public_v4(address));
        }

        #[test]
        fn private_blocks_are_refused_whole(low in 0_u32..1 << 16, mapped: bool) {
            for high in [0x0a00, 0x7f00, 0xa9fe, 0xac10, 0xac1f, 0xc0a8, 0x6440, 0x647f] {
                let v4 = Ipv4Addr::from(high << 16 | low);
                let address = match mapped {
                    true => IpAddr::V6(v4.to_ipv6_mapped()),
                    false => IpAddr::V4(v4),
                };
                prop_assert!(!is_public(address), "{}", address);
            }
        }

        #[test]
        fn local_ipv6_is_refused_whole(bits: u128) {
            for (prefix, length) in [(0xfc00_u128, 7), (0xfe80, 10), (0xff00, 8)] {
                let tail = bits & (u128::MAX >> length);
                let address = Ipv6Addr::from(prefix << 112 | tail);
                prop_assert!(!is_public(address.into()), "{}", address);
            }
        }
    }
}
